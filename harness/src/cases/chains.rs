//! Freezers whose holds overlap: each joins what another froze, so that writers could wait for ever.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};

use crate::actors::actor::Actor;
use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::sleep_until;
use crate::kit::device::{resume, succeeds, suspend};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "chains_let_writers_go_on",
        "20 processes freeze for 20 to 40 ms and thaw for as long; no writer waits longer than a few seconds",
        let_writers_go_on,
    )
    .needing(Feature::Chains),
    Case::new(
        "chains_wait_their_turn",
        "a freeze that would join a chain waits until writers had their turn; one that nests does not",
        wait_their_turn,
    )
    .needing(Feature::Chains),
    Case::new(
        "chains_keep_early_holds",
        "a freeze can be joined for as long as a hold of its first second is there, whoever came first",
        keep_early_holds,
    )
    .needing(Feature::Chains),
    Case::new(
        "chains_begun_by_a_device",
        "a freeze that dmsetup suspend began can be joined until dmsetup resume, and no longer",
        begun_by_a_device,
    )
    .needing(Feature::Chains),
    Case::new(
        "chains_give_up",
        "a freeze that waits for a chain can be killed, is refused with EAGAIN at last, and ends when its time is over",
        give_up,
    )
    .needing(Feature::Chains),
];

const FREEZERS: u32 = 20;
/// How long they go on.
const TIME: Duration = Duration::from_secs(12);
/// The shortest and the longest hold.
const HOLD: [u32; 2] = [20, 40];
/// Documentation/filesystems/freeze.rst: a second and the longest hold. The machine may be slow.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The time for which a chain may keep writers waiting, and a bit.
const CHAIN: Duration = Duration::from_millis(1500);

fn let_writers_go_on(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    fixture.step(&format!("{FREEZERS} freezers, and a writer"));
    let end = Instant::now() + TIME;
    let mut freezers = Vec::new();
    for nth in 0..FREEZERS {
        let hold = HOLD[0] + (HOLD[1] - HOLD[0]) * nth / FREEZERS;
        let pause = Duration::from_millis(hold.into());
        freezers.push(fixture.actor("freezer", || freeze_again_and_again(&fs, pause, end))?);
    }
    let (mut told, mut teller) = io::pipe().context("failed to make a pipe")?;
    let writer = fixture.actor("writer", || {
        let (files, longest) = create_again_and_again(&fs, end)?;
        teller.write_all(&[files, longest].map(u64::to_ne_bytes).concat())
    })?;
    for freezer in freezers {
        freezer.outcome()?.context("a freezer")?;
    }
    writer.outcome()?.context("the writer")?;
    let mut numbers = [[0; size_of::<u64>()]; 2];
    told.read_exact(numbers.as_flattened_mut())?;
    let [files, longest] = numbers.map(u64::from_ne_bytes);
    fixture.step(&format!("{files} files, the longest wait {longest} ms"));
    ensure!(
        Duration::from_millis(longest) < LONGEST_WAIT,
        "a writer waited for {longest} ms"
    );
    is_thawed(&fs)
}

/// It may be refused: what it wants is to be sure of a thaw.
fn freeze_again_and_again(fs: &Mount, pause: Duration, end: Instant) -> io::Result<()> {
    let own = fs.again().map_err(io::Error::other)?;
    while Instant::now() < end {
        match own.freeze() {
            Ok(()) => {
                sleep(pause);
                own.thaw()?;
            }
            Err(Errno::EBUSY | Errno::EAGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
        sleep(pause);
    }
    Ok(())
}

/// How many files, and for how many milliseconds the slowest had to wait.
fn create_again_and_again(fs: &Mount, end: Instant) -> io::Result<(u64, u64)> {
    let (mut files, mut longest) = (0, 0);
    while Instant::now() < end {
        let begin = Instant::now();
        File::create(fs.path(&format!("file{files}")))?;
        longest = longest.max(begin.elapsed().as_millis() as u64);
        files += 1;
    }
    Ok((files, longest))
}

/// A chain: its first hold is gone, and another keeps it frozen.
struct Chain<'a> {
    last: Mount,
    writer: Writer<'a>,
}

impl<'a> Chain<'a> {
    /// Whoever nests in the first hold need not wait.
    fn begin(fixture: &Fixture, fs: &Mount, file: &'a File) -> Result<Chain<'a>> {
        let (first, last) = (fs.again()?, fs.again()?);
        let long_enough = Instant::now() + CHAIN;
        freeze(&first)?;
        let writer = Writer::start(fixture, file)?;
        sleep_until(long_enough);
        succeeds(fixture, "a nested FIFREEZE", || last.freeze())?;
        thaw(&first).context("of the first hold")?;
        writer.is_blocked()?;
        Ok(Chain { last, writer })
    }

    /// Writers have their turn.
    fn end(self, fixture: &Fixture, fs: &Mount) -> Result<()> {
        thaw(&self.last).context("of the last hold")?;
        self.writer.completes(fixture, fs)
    }
}

/// A freeze that does not return.
fn joins(fixture: &Fixture, fs: &Mount, seconds: Option<i64>) -> Result<Actor> {
    fixture.step(&format!("a freeze for {seconds:?} that joins"));
    let freezer = fixture.actor("joins", || {
        let outcome = match seconds {
            Some(seconds) => fs.freeze_timeout(seconds),
            None => fs.freeze(),
        };
        outcome.map_err(io::Error::from)
    })?;
    freezer.sleeps()?;
    Ok(freezer)
}

fn wait_their_turn(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let chain = Chain::begin(fixture, &fs, &file)?;
    let own = fs.again()?;
    let joiner = joins(fixture, &own, None)?;
    chain.end(fixture, &fs)?;
    joiner.outcome()?.context("FIFREEZE after the writers")?;
    is_frozen(&fs)?;
    thaw(&own)?;
    is_thawed(&fs)?;
    fixture.step("the file that has the last hold is no exception");
    let file = prepare(&fs)?;
    let chain = Chain::begin(fixture, &fs, &file)?;
    let joiner = joins(fixture, &chain.last, None)?;
    thaw(&chain.last).context("of the last hold")?;
    chain.writer.completes(fixture, &fs)?;
    joiner.outcome()?.context("FIFREEZE after the writers")?;
    is_frozen(&fs)?;
    thaw(&chain.last)?;
    is_thawed(&fs)?;
    nobody_waits_without_a_writer(fixture, &fs, &own)
}

fn nobody_waits_without_a_writer(fixture: &Fixture, fs: &Mount, own: &Mount) -> Result<()> {
    let (first, last) = (fs.again()?, fs.again()?);
    let long_enough = Instant::now() + CHAIN;
    freeze(&first)?;
    sleep_until(long_enough);
    succeeds(fixture, "a nested FIFREEZE", || last.freeze())?;
    thaw(&first).context("of the first hold")?;
    succeeds(fixture, "FIFREEZE while no writer waits", || own.freeze())?;
    thaw(own)?;
    thaw(&last).context("of the last hold")?;
    is_thawed(fs)
}

fn keep_early_holds(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let (first, early, late) = (fs.again()?, fs.again()?, fs.again()?);
    let long_enough = Instant::now() + CHAIN;
    freeze(&first)?;
    freeze(&early)?;
    thaw(&first).context("of the first hold")?;
    let writer = Writer::start(fixture, &file)?;
    sleep_until(long_enough);
    for _ in 0..2 {
        succeeds(fixture, "FIFREEZE beside an early hold", || late.freeze())?;
        thaw(&late).context("of the late hold")?;
    }
    succeeds(fixture, "FIFREEZE beside an early hold", || late.freeze())?;
    thaw(&early).context("of the early hold")?;
    is_frozen(&fs)?;
    thaw(&late).context("of the late hold")?;
    writer.completes(fixture, &fs)
}

fn begun_by_a_device(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = fixture.scratch_on_dm()?;
    let file = prepare(&fs)?;
    let (late, own) = (fs.again()?, fs.again()?);
    let long_enough = Instant::now() + CHAIN;
    suspend(fixture, &dm)?;
    let writer = Writer::start(fixture, &file)?;
    sleep_until(long_enough);
    succeeds(fixture, "FIFREEZE beside the device's hold", || {
        late.freeze()
    })?;
    resume(fixture, &dm)?;
    writer.is_blocked()?;
    let joiner = joins(fixture, &own, None)?;
    thaw(&late).context("of the late hold")?;
    writer.completes(fixture, &fs)?;
    joiner.outcome()?.context("FIFREEZE after the writers")?;
    is_frozen(&fs)?;
    thaw(&own)?;
    is_thawed(&fs)
}

fn give_up(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let chain = Chain::begin(fixture, &fs, &file)?;
    let own = fs.again()?;
    let killed = joins(fixture, &own, None)?;
    kill(killed.pid(), Signal::SIGKILL).context("failed to kill")?;
    killed.has_got(Signal::SIGKILL)?;
    let refused = joins(fixture, &own, None)?;
    let timed = joins(fixture, &own, Some(1))?;
    fails_with("FIFREEZE_TIMEOUT 1", timed.outcome()?, Errno::ETIMEDOUT)?;
    // It came first, and has more time.
    refused.sleeps()?;
    fails_with("FIFREEZE", refused.outcome()?, Errno::EAGAIN)?;
    is_frozen(&fs)?;
    chain.end(fixture, &fs)?;
    is_thawed(&fs)?;
    fails_with("FITHAW", own.thaw(), Errno::EINVAL)?;
    Ok(())
}
