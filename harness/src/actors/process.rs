//! Child processes: how they begin, and how to wait for them.

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::libc;
use nix::sys::prctl::set_name;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::linux::proc::{Stat, describe, waits_for_thaw};

/// A task counts as blocked after so many looks in a row that found it waiting.
const LOOKS: u32 = 4;
/// The pause between two looks; it doubles up to the second value.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(80);

/// Runs `child` in a forked process, which ends with it.
///
/// The caller should be single-threaded, as `harness case` is: a child may wait
/// for ever for a lock that another thread held over the fork. A panicking child of
/// a threaded test did, so the tests that fork have a program of one thread (tests/forking.rs).
pub fn spawn(child: impl FnOnce()) -> Result<Pid> {
    // SAFETY: there is no other thread that could hold a lock over the fork; if there
    // were, the worst is a child that hangs.
    match unsafe { fork() }.context("failed to fork")? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            // A panic must not unwind into the parent's frames, which the child has too.
            let code = i32::from(catch_unwind(AssertUnwindSafe(child)).is_err());
            // SAFETY: ends the process without the parent's destructors and buffers.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Names this process for an autopsy; the kernel keeps the first 15 bytes.
pub fn set_own_name(name: &str) {
    // Only a name with a NUL is refused, and nothing depends on it.
    let _ = CString::new(name).map(|name| set_name(&name));
}

/// Returns when the child has ended, and has closed all files: what it says before
/// may come while it still keeps a filesystem from being unmounted. It can be waited for again.
pub fn until_ended(child: Pid) -> Result<()> {
    waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
        .with_context(|| format!("failed to wait for process {child}"))
        .map(drop)
}

/// What a task may be seen to do, and how.
pub type State = (&'static str, fn(Pid) -> Result<bool>);

/// It waits for something, whatever that is.
pub const SLEEP: State = ("sleep", |pid| Ok(matches!(Stat::of(pid)?.state, 'S' | 'D')));

/// Returns when the task is seen to wait for a thaw, a few looks in a row.
///
/// # Errors
/// As [`until`].
pub fn until_blocked(
    what: &str,
    pid: Pid,
    patience: Duration,
    pause: impl FnMut(Duration) -> Result<()>,
) -> Result<()> {
    let state: State = ("wait for a thaw", waits_for_thaw);
    until(what, state, pid, patience, pause)
}

/// Returns when the task is seen in this state, a few looks in a row.
///
/// # Errors
/// When it does not within `patience`, or when `pause`, which lets the time between two looks pass, fails.
pub fn until(
    what: &str,
    (state, is_in): State,
    pid: Pid,
    patience: Duration,
    mut pause: impl FnMut(Duration) -> Result<()>,
) -> Result<()> {
    let end = Instant::now() + patience;
    let mut time = FIRST_PAUSE;
    let mut looks = 0;
    while looks < LOOKS {
        pause(time)?;
        looks = match is_in(pid)? {
            true => looks + 1,
            false => 0,
        };
        if looks == 0 && Instant::now() > end {
            bail!("{what} does not {state}: {}", describe(pid));
        }
        time = LONGEST_PAUSE.min(2 * time);
    }
    Ok(())
}
