//! Time that a freeze takes itself, and how late a deadline may be. What is slow hangs in a device that is suspended
//! below.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::time::{ClockId, clock_gettime};

use crate::actors::actor::Actor;
use crate::case::Case;
use crate::devices::dm::Dm;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::{
    EXPIRED, SHORT, after, has_no_file_hold, logged_at, not_before, sleep_until,
};
use crate::kit::device::{resume, scratch_on_stack, succeeds, suspend};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{NEW, Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "timeout_covers_the_sync",
        "a freeze that hangs in writing out what was dirty ends with ETIMEDOUT, and nothing is frozen",
        covers_the_sync,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_covers_a_stuck_writer",
        "a freeze behind a writer that is stuck ends with ETIMEDOUT, and nothing is frozen",
        covers_a_stuck_writer,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_runs_from_the_call",
        "the time that the freeze itself takes is part of the timeout",
        runs_from_the_call,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_beside_one_in_flight",
        "a freeze without a timeout, which waits for another while that one's time passes, works and stays",
        beside_one_in_flight,
    )
    .needing(Feature::Timeout),
    Case::new(
        "chains_join_a_slow_freeze",
        "a freeze that took longer than a second itself can be joined as long as its first hold is there",
        join_a_slow_freeze,
    )
    .needing(Feature::Chains),
    Case::new(
        "emergency_thaw_beside_a_freeze",
        "SysRq j comes to its end while a freeze is stuck in writing out, and leaves that alone",
        emergency_beside_a_freeze,
    )
    .needing(Feature::Emergency),
    Case::new(
        "timeout_is_not_late",
        "once the machine has run for a minute, a deadline is met within a second",
        is_not_late,
    )
    .needing(Feature::Timeout),
];

/// The best of so many deadlines counts, as the machine may be busy.
const ATTEMPTS: usize = 5;
/// How late it may be.
const LATENESS: Duration = Duration::from_secs(1);
/// From then on the kernel's clocks are no small numbers.
const UPTIME: Duration = Duration::from_secs(61);

/// Seconds: a timeout, how long the freeze is delayed, and what is left then at least.
const TIMEOUT: i64 = 8;
const DELAY: i64 = 5;

/// For so long any freeze can be joined, and a bit.
const JOIN: Duration = Duration::from_millis(1500);

/// Bytes that are dirty.
const DIRTY: usize = 1 << 20;

fn make_dirty(fs: &Mount) -> Result<()> {
    let write = || File::create(fs.path("dirty"))?.write_all(&vec![b'd'; DIRTY]);
    write().context("failed to write")
}

fn covers_the_sync(fixture: &Fixture) -> Result<()> {
    let (fs, below) = scratch_on_stack(fixture)?;
    let file = prepare(&fs)?;
    make_dirty(&fs)?;
    suspend(fixture, &below)?;
    takes_too_long(fixture, &fs, &file, &below)
}

fn covers_a_stuck_writer(fixture: &Fixture) -> Result<()> {
    let (fs, below) = scratch_on_stack(fixture)?;
    let file = prepare(&fs)?;
    drop(fs.write("stuck", &NEW)?);
    let opened = File::options()
        .write(true)
        .custom_flags(libc::O_SYNC)
        .open(fs.path("stuck"));
    let synchronous = opened.context("failed to open with O_SYNC")?;
    suspend(fixture, &below)?;
    let stuck = fixture.actor("stuck", || synchronous.write_all_at(&NEW, 0))?;
    stuck.sleeps()?;
    takes_too_long(fixture, &fs, &file, &below)?;
    stuck.outcome()?.context("the writer that was stuck")
}

/// A freeze for a second that cannot get on; what it kept waiting goes on, and another freeze works.
fn takes_too_long(fixture: &Fixture, fs: &Mount, file: &File, below: &Dm) -> Result<()> {
    let freezer = start(fixture, fs, 1)?;
    freezer.sleeps()?;
    // Its own is sooner.
    let deadline = after(1);
    let writer = Writer::start(fixture, file)?;
    sleep_until(deadline);
    resume(fixture, below)?;
    fails_with("FIFREEZE_TIMEOUT", freezer.outcome()?, Errno::ETIMEDOUT)?;
    writer.completes(fixture, fs)?;
    is_thawed(fs)?;
    has_no_file_hold(fs)?;
    let file = prepare(fs)?;
    freeze(fs)?;
    let writer = Writer::start(fixture, &file)?;
    thaw(fs)?;
    writer.completes(fixture, fs)
}

fn start(fixture: &Fixture, fs: &Mount, seconds: i64) -> Result<Actor> {
    fixture.step(&format!("FIFREEZE_TIMEOUT {seconds}"));
    let freeze = || fs.freeze_timeout(seconds).map_err(io::Error::from);
    fixture.actor("freezer", freeze)
}

fn runs_from_the_call(fixture: &Fixture) -> Result<()> {
    let (fs, below) = scratch_on_stack(fixture)?;
    make_dirty(&fs)?;
    suspend(fixture, &below)?;
    let mut log = Kmsg::mark()?;
    let (resumed, deadline) = (after(DELAY), after(TIMEOUT));
    let freezer = start(fixture, &fs, TIMEOUT)?;
    sleep_until(resumed);
    resume(fixture, &below)?;
    freezer.outcome()?.context("FIFREEZE_TIMEOUT")?;
    log.wait_for(EXPIRED)?;
    not_before(deadline)?;
    // From its end, the time would be over only then.
    let late = Instant::now().saturating_duration_since(resumed);
    ensure!(
        late < Duration::from_secs(TIMEOUT.unsigned_abs()),
        "the time did not run while the freeze was in progress"
    );
    is_thawed(&fs)?;
    has_no_file_hold(&fs)
}

fn beside_one_in_flight(fixture: &Fixture) -> Result<()> {
    let (fs, below) = scratch_on_stack(fixture)?;
    let file = prepare(&fs)?;
    make_dirty(&fs)?;
    suspend(fixture, &below)?;
    let timed = start(fixture, &fs, 1)?;
    timed.sleeps()?;
    // Its own is sooner.
    let deadline = after(1);
    fixture.step("FIFREEZE");
    let own = fs.again()?;
    let untimed = fixture.actor("freezer", || own.freeze().map_err(io::Error::from))?;
    untimed.sleeps()?;
    sleep_until(deadline);
    resume(fixture, &below)?;
    fails_with("FIFREEZE_TIMEOUT", timed.outcome()?, Errno::ETIMEDOUT)?;
    untimed.outcome()?.context("FIFREEZE")?;
    is_frozen(&fs)?;
    let writer = Writer::start(fixture, &file)?;
    has_no_file_hold(&fs).context("who came too late")?;
    writer.is_blocked()?;
    thaw(&own)?;
    writer.completes(fixture, &fs)
}

/// A freeze, by the file that is returned, that hangs in writing out what is dirty.
fn stuck(fixture: &Fixture, fs: &Mount, below: &Dm) -> Result<(Mount, Actor)> {
    make_dirty(fs)?;
    let own = fs.again()?;
    suspend(fixture, below)?;
    let freezer = fixture.actor("freezer", || own.freeze().map_err(io::Error::from))?;
    freezer.sleeps()?;
    Ok((own, freezer))
}

fn join_a_slow_freeze(fixture: &Fixture) -> Result<()> {
    let (fs, below) = scratch_on_stack(fixture)?;
    let file = prepare(&fs)?;
    let (first, freezer) = stuck(fixture, &fs, &below)?;
    sleep(JOIN);
    resume(fixture, &below)?;
    freezer.outcome()?.context("FIFREEZE")?;
    let writer = Writer::start(fixture, &file)?;
    succeeds(fixture, "FIFREEZE beside the first hold", || fs.freeze())?;
    thaw(&fs)?;
    writer.is_blocked()?;
    thaw(&first).context("of the first hold")?;
    writer.completes(fixture, &fs)
}

fn emergency_beside_a_freeze(fixture: &Fixture) -> Result<()> {
    let (fs, below) = scratch_on_stack(fixture)?;
    let (own, freezer) = stuck(fixture, &fs, &below)?;
    fixture.emergency_thaw()?;
    freezer.sleeps()?;
    resume(fixture, &below)?;
    freezer.outcome()?.context("FIFREEZE")?;
    is_frozen(&fs)?;
    thaw(&own)?;
    is_thawed(&fs)
}

fn is_not_late(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    fixture.step("wait until the machine has run for a minute");
    sleep(UPTIME.saturating_sub(uptime()?));
    for _ in 0..ATTEMPTS {
        let mut log = Kmsg::mark()?;
        let deadline = after(SHORT);
        fs.freeze_timeout(SHORT).context("FIFREEZE_TIMEOUT")?;
        logged_at(fixture, &mut log, deadline)?;
        let late = deadline.elapsed();
        fixture.step(&format!("{late:?} after the deadline"));
        if late < LATENESS {
            return Ok(());
        }
    }
    bail!("no deadline of {ATTEMPTS} was met within {LATENESS:?}")
}

fn uptime() -> Result<Duration> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context("no clock")?;
    Ok(now.into())
}
