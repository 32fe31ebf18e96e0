//! Holds that are file descriptors, and what is said of them.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::poll::PollFlags;

use super::state::fails_with;
use crate::devices::mount::Mount;
use crate::freeze::hold::{End, Hold};

/// `FS_IOC_FREEZE_HOLD`; a child that is started later has the hold as well.
pub fn hold(fs: &Mount, seconds: u64) -> Result<Hold> {
    let hold = Hold::take(fs.as_fd(), seconds);
    hold.with_context(|| format!("FS_IOC_FREEZE_HOLD {seconds}"))
}

/// `FS_IOC_FREEZE_HOLD_RESET`
pub fn reset(hold: &Hold, seconds: u64) -> Result<()> {
    hold.reset(seconds)
        .with_context(|| format!("FS_IOC_FREEZE_HOLD_RESET {seconds}"))
}

/// It goes on, and nobody can read that it has ended.
pub fn is_active(hold: &Hold) -> Result<()> {
    let events = hold.events().context("poll")?;
    ensure!(events.is_empty(), "poll says {events:?} of an active hold");
    has_line(hold, "freeze-hold:\tactive")
}

/// It has ended in this way, and everything that can be asked of it says so, again and again.
pub fn has_ended(hold: &Hold, end: End) -> Result<()> {
    let wanted = PollFlags::POLLIN | PollFlags::POLLHUP;
    for _ in 0..2 {
        let events = hold.events().context("poll")?;
        ensure!(events == wanted, "poll says {events:?}, not {wanted:?}");
        let said = hold.end().context("read")?;
        ensure!(said == end, "read says {said:?}, not {end:?}");
    }
    fails_with("reset after the end", hold.reset(1), Errno::EINVAL)?;
    fails_with("reset to 0 after the end", hold.reset(0), Errno::EINVAL)?;
    let text = fdinfo(hold)?;
    ensure!(!text.contains("freeze-expires"), "after the end: {text:?}");
    let word = match end {
        End::Expired => "expired",
        End::Forced => "forced",
    };
    has_line(hold, &format!("freeze-hold:\t{word}"))
}

/// Seconds until the deadline, as fdinfo has them.
pub fn time_left(hold: &Hold) -> Result<Option<u64>> {
    let text = fdinfo(hold)?;
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("freeze-expires:\t"));
    line.map(|seconds| seconds.parse().context("no number of seconds"))
        .transpose()
}

/// The device of the filesystem, as fdinfo has it.
pub fn is_of(hold: &Hold, fs: &Mount) -> Result<()> {
    let device = fs.root().metadata().context("failed to look at a root")?;
    let (major, minor) = (libc::major(device.dev()), libc::minor(device.dev()));
    has_line(hold, &format!("freeze-device:\t{major}:{minor}"))
}

fn has_line(hold: &Hold, wanted: &str) -> Result<()> {
    let text = fdinfo(hold)?;
    ensure!(
        text.lines().any(|line| line == wanted),
        "{wanted:?} is not in {text:?}"
    );
    Ok(())
}

fn fdinfo(hold: &Hold) -> Result<String> {
    let path = format!("/proc/self/fdinfo/{}", hold.as_fd().as_raw_fd());
    fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
}
