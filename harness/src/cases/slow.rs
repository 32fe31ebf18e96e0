//! A freeze that itself takes longer than its time: it hangs in a device that is suspended below.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::libc;

use crate::actors::actor::Actor;
use crate::case::Case;
use crate::devices::disk;
use crate::devices::dm::{self, Dm};
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::{EXPIRED, after, has_no_file_hold, not_before, sleep_until};
use crate::kit::device::{resume, suspend};
use crate::kit::state::{fails_with, freeze, is_thawed, thaw};
use crate::kit::writer::{NEW, Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::wire::Feature;
use crate::wire::storage::SCRATCH;

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
];

/// Seconds: a timeout, how long the freeze is delayed, and what is left then at least.
const TIMEOUT: i64 = 8;
const DELAY: i64 = 5;

/// Bytes that are dirty.
const DIRTY: usize = 1 << 20;

/// A filesystem on a device on the device that is returned: to suspend that does not freeze.
fn stacked(fixture: &Fixture) -> Result<(Mount, Dm)> {
    let disk = disk::by_serial(SCRATCH[0])?;
    let sectors = disk::sectors(&disk)?;
    let below = fixture.dm("below", &dm::linear(sectors, &disk))?;
    let top = fixture.dm("top", &dm::linear(sectors, &below.node()))?;
    Ok((fixture.fresh(&top.node())?, below))
}

fn make_dirty(fs: &Mount) -> Result<()> {
    let write = || File::create(fs.path("dirty"))?.write_all(&vec![b'd'; DIRTY]);
    write().context("failed to write")
}

fn covers_the_sync(fixture: &Fixture) -> Result<()> {
    let (fs, below) = stacked(fixture)?;
    let file = prepare(&fs)?;
    make_dirty(&fs)?;
    suspend(fixture, &below)?;
    takes_too_long(fixture, &fs, &file, &below)
}

fn covers_a_stuck_writer(fixture: &Fixture) -> Result<()> {
    let (fs, below) = stacked(fixture)?;
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
    let deadline = after(1);
    let freezer = start(fixture, fs, 1)?;
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
    let (fs, below) = stacked(fixture)?;
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
