//! Deadlines.
//!
//! A deadline may be met late, but never early. Whatever must happen before it
//! happens in [`in_time`], so that no speed is assumed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;

use super::state::{fails_with, is_frozen, is_thawed};
use super::writer::Writer;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::linux::kmsg::Kmsg;

/// Seconds: a timeout whose deadline nobody waits for.
pub const HOUR: i64 = 3600;

/// Seconds, for a deadline that is waited for.
pub const SHORT: i64 = 2;

/// How far beyond a deadline "still frozen" is looked for.
pub const LATE: Duration = Duration::from_secs(1);

/// What the kernel logs at a deadline (`freeze_work_fn` in fs/super.c).
pub const EXPIRED: &str = "freeze timed out";

/// `FIFREEZE_TIMEOUT`
pub fn freeze_for(fs: &Mount, seconds: i64) -> Result<()> {
    fs.freeze_timeout(seconds)
        .with_context(|| format!("FIFREEZE_TIMEOUT {seconds}"))
}

/// `FIFREEZE_RESET_TIMEOUT`
pub fn reset(fs: &Mount, seconds: i64) -> Result<()> {
    fs.reset_timeout(seconds)
        .with_context(|| format!("FIFREEZE_RESET_TIMEOUT {seconds}"))
}

/// The moment in so many seconds. Taken before a request, it is the earliest
/// one at which the kernel may act. An [`Instant`] is of `CLOCK_MONOTONIC`.
pub fn after(seconds: i64) -> Instant {
    Instant::now() + Duration::from_secs(seconds.unsigned_abs())
}

pub fn sleep_until(moment: Instant) {
    sleep(moment.saturating_duration_since(Instant::now()));
}

/// Fails if it is not yet that late.
pub fn not_before(deadline: Instant) -> Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    ensure!(left.is_zero(), "{left:?} before the deadline");
    Ok(())
}

/// Freezes for some seconds and does what must be done before they are over,
/// both in `act`: once more, with more time, if the machine was too slow.
/// Returns the deadline, too.
pub fn in_time<T>(
    fixture: &Fixture,
    fs: &Mount,
    act: impl Fn(i64) -> Result<T>,
) -> Result<(T, Instant)> {
    let mut seconds = SHORT;
    loop {
        fixture.step(&format!("freeze for {seconds} s"));
        let deadline = after(seconds);
        let outcome = act(seconds);
        if Instant::now() < deadline {
            return Ok((outcome?, deadline));
        }
        fixture.step("that took too long, and says nothing");
        fs.thaw_fully()?;
        seconds *= 2;
    }
}

/// Frozen, and the writer blocked, until well after a deadline that does not count.
pub fn stays_frozen_beyond(
    fixture: &Fixture,
    fs: &Mount,
    writer: &Writer<'_>,
    deadline: Instant,
) -> Result<()> {
    fixture.step("wait until after the deadline");
    sleep_until(deadline + LATE);
    writer.is_blocked()?;
    is_frozen(fs)
}

/// The freeze ends at the deadline, not before, and all file holds are gone.
pub fn ends_at(fixture: &Fixture, fs: &Mount, writer: Writer<'_>, deadline: Instant) -> Result<()> {
    writer.completes(fixture, fs)?;
    not_before(deadline)?;
    is_thawed(fs)?;
    has_no_file_hold(fs)
}

/// Both ioctls that want a file hold say that there is none.
pub fn has_no_file_hold(fs: &Mount) -> Result<()> {
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    let reset = fs.reset_timeout(SHORT);
    fails_with("FIFREEZE_RESET_TIMEOUT", reset, Errno::EINVAL)
}

/// Returns the line that the kernel logs at the deadline, which is not early.
pub fn logged_at(fixture: &Fixture, log: &mut Kmsg, deadline: Instant) -> Result<String> {
    fixture.step("wait for the deadline");
    let line = log.wait_for(EXPIRED)?;
    not_before(deadline)?;
    Ok(line)
}

/// Fails if the kernel has logged one more deadline.
pub fn logged_nothing_else(log: &mut Kmsg) -> Result<()> {
    let lines = log.containing(EXPIRED)?;
    ensure!(lines.is_empty(), "the kernel has logged more: {lines:?}");
    Ok(())
}
