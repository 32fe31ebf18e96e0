//! Freezers that do not come back: the deadline ends what they have frozen.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::{SHORT, ends_at, has_no_file_hold, in_time, not_before};
use crate::kit::state::is_thawed;
use crate::kit::writer::{NEW, Writer, holds_new, prepare};
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "timeout_rescues_itself",
        "a program that keeps resetting the timeout, and then writes to what it froze, comes free",
        rescues_itself,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_rescues_killed",
        "the deadline ends the freeze of a program that was killed",
        rescues_killed,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_rescues_stopped",
        "the deadline ends the freeze of a program that was stopped",
        rescues_stopped,
    )
    .needing(Feature::Timeout),
];

/// How often the program that rescues itself moves its deadline.
const RESETS: u32 = 3;

/// The use that the timeout was made for.
fn rescues_itself(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let mut time = Duration::from_secs(SHORT.unsigned_abs());
    let rescue = loop {
        fixture.step(&format!("freeze for {time:?} again and again, then write"));
        let rescue = Instant::now() + time / 2 * RESETS + time;
        let freezer = fixture.actor("freezer", || freeze_and_write(&fs, &file, time))?;
        match freezer.outcome()? {
            Err(Errno::ETIME) => time *= 2,
            outcome => break outcome.map(|()| rescue),
        }
        fs.thaw_fully()?;
    };
    not_before(rescue.context("the freezer")?)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    holds_new(&fs)
}

/// Moves the deadline whenever half of the time is over, and then forgets that
/// the filesystem is frozen. `ETIME` if the machine is too slow.
fn freeze_and_write(fs: &Mount, file: &File, time: Duration) -> io::Result<()> {
    let seconds = i64::try_from(time.as_secs()).map_err(io::Error::other)?;
    let mut deadline = Instant::now() + time;
    fs.freeze_timeout(seconds)?;
    for _ in 0..RESETS {
        sleep(time / 2);
        let next = Instant::now() + time;
        match fs.reset_timeout(seconds) {
            Err(_) if Instant::now() >= deadline => return Err(Errno::ETIME.into()),
            outcome => outcome?,
        }
        deadline = next;
    }
    file.write_all_at(&NEW, 0)
}

fn rescues_killed(fixture: &Fixture) -> Result<()> {
    rescues_from(fixture, Signal::SIGKILL)
}

fn rescues_stopped(fixture: &Fixture) -> Result<()> {
    rescues_from(fixture, Signal::SIGSTOP)
}

/// The freezer gets the signal once it has frozen.
fn rescues_from(fixture: &Fixture, signal: Signal) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let (writer, deadline) = in_time(fixture, &fs, |seconds| {
        let freezer = fixture.actor("freezer", || {
            fs.freeze_timeout(seconds)?;
            Ok(raise(signal)?)
        })?;
        freezer.has_got(signal)?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, &fs, writer, deadline)
}
