//! Tasks: actors that perform one operation each, and what /proc tells of them.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_name;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{ForkResult, Pid, fork};

/// A task counts as blocked after so many looks in a row that found it waiting.
const LOOKS: u32 = 4;
/// The pause between two looks; it doubles up to the second value.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(80);

/// What an actor sends before its operation.
const ENTERS: [u8; 1] = *b">";

/// Runs `child` in a forked process, which ends with it.
///
/// The caller should be single-threaded, as `harness case` is: a child may wait
/// for ever for a lock that another thread held over the fork. A panicking child of
/// a threaded test did, so .cargo/config.toml keeps tests on the main thread.
pub(crate) fn spawn(child: impl FnOnce()) -> Result<Pid> {
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

/// A child process that performs one operation, which may block.
///
/// [`crate::bench::Bench::actor`] starts it, and ends it when the case is over.
#[derive(Debug)]
pub struct Actor {
    what: String,
    pid: Pid,
    report: File,
    patience: Duration,
}

impl Actor {
    /// Returns when the child is about to enter `operation`; no later wait
    /// lasts longer than `patience`.
    pub(crate) fn spawn(
        what: &str,
        patience: Duration,
        operation: impl FnOnce() -> io::Result<()>,
    ) -> Result<Actor> {
        let (mut report, mut sender) = io::pipe().context("failed to make a pipe")?;
        let pid = spawn(|| {
            set_own_name(what);
            sender.write_all(&ENTERS).expect("the parent reads");
            let errno = encode(operation());
            sender
                .write_all(&errno.to_ne_bytes())
                .expect("the parent reads");
        })?;
        drop(sender);
        let mut entered = [0; ENTERS.len()];
        report
            .read_exact(&mut entered)
            .with_context(|| format!("{what}: the actor died"))?;
        Ok(Actor {
            what: what.to_owned(),
            pid,
            report: File::from(OwnedFd::from(report)),
            patience,
        })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Fails if the process has ended.
    pub fn is_alive(&self) -> Result<()> {
        let alive = Stat::of(self.pid)?.state != 'Z';
        ensure!(alive, "{} has ended", self.what);
        Ok(())
    }

    /// Returns when the operation is seen to wait for a thaw.
    ///
    /// # Errors
    /// When the operation ends, or waits for something else.
    pub fn blocked(&self) -> Result<()> {
        let pause = |time| {
            // Woken early by the end of the operation.
            let ended = is_readable_within(&self.report, time)?;
            ensure!(!ended, "{} was not blocked by the freeze", self.what);
            Ok(())
        };
        until_blocked(&self.what, self.pid, self.patience, pause)
    }

    /// What came of the operation; waits for the end of the process.
    ///
    /// # Errors
    /// When it hangs, with the place where it does.
    pub fn outcome(mut self) -> Result<Result<(), Errno>> {
        if !is_readable_within(&self.report, self.patience)? {
            let seconds = self.patience.as_secs_f32();
            bail!(
                "{} hangs for {seconds} s: {}",
                self.what,
                describe(self.pid)
            );
        }
        let mut errno = [0; size_of::<i32>()];
        self.report
            .read_exact(&mut errno)
            .with_context(|| format!("{}: the actor died", self.what))?;
        until_ended(self.pid)?;
        Ok(decode(i32::from_ne_bytes(errno)))
    }
}

/// Returns when the child has ended, and has closed all files: what it says before
/// may come while it still keeps a filesystem from being unmounted. It can be waited for again.
pub(crate) fn until_ended(child: Pid) -> Result<()> {
    waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
        .with_context(|| format!("failed to wait for process {child}"))
        .map(drop)
}

/// Returns when the task is seen to wait for a thaw, a few looks in a row.
///
/// # Errors
/// When it does not within `patience`, or when `pause`, which lets the time between two looks pass, fails.
pub(crate) fn until_blocked(
    what: &str,
    pid: Pid,
    patience: Duration,
    mut pause: impl FnMut(Duration) -> Result<()>,
) -> Result<()> {
    let end = Instant::now() + patience;
    let mut time = FIRST_PAUSE;
    let mut looks = 0;
    while looks < LOOKS {
        pause(time)?;
        looks = match waits_for_thaw(pid)? {
            true => looks + 1,
            false => 0,
        };
        if looks == 0 && Instant::now() > end {
            bail!("{what} does not wait for a thaw: {}", describe(pid));
        }
        time = LONGEST_PAUSE.min(2 * time);
    }
    Ok(())
}

/// Whether the pipe has something to read, or has ended; waits for it no longer than `patience`.
pub(crate) fn is_readable_within(pipe: &impl AsFd, patience: Duration) -> Result<bool> {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut ready = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, timeout) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("failed to poll a pipe"),
        }
    }
}

/// An outcome as one number: 0, or the errno.
pub(crate) fn encode(outcome: io::Result<()>) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    }
}

pub(crate) fn decode(errno: i32) -> Result<(), Errno> {
    match errno {
        0 => Ok(()),
        errno => Err(Errno::from_raw(errno)),
    }
}

/// One line of /proc/PID/stat, as far as it is of use (proc_pid_stat(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    pub comm: String,
    /// `R`, `S`, `D` (uninterruptible), `Z`, ...
    pub state: char,
    pub parent: i32,
    /// The process group.
    pub group: i32,
}

impl Stat {
    /// `None` if the line is malformed.
    pub fn parse(line: &str) -> Option<Stat> {
        // comm may hold spaces and parentheses: it ends at the last one.
        let (head, tail) = line.rsplit_once(')')?;
        let (pid, comm) = head.split_once('(')?;
        let mut fields = tail.split_ascii_whitespace();
        Some(Stat {
            pid: pid.trim_end().parse().ok()?,
            comm: comm.to_owned(),
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }

    fn of(pid: Pid) -> Result<Stat> {
        let path = format!("/proc/{pid}/stat");
        let line = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        Stat::parse(&line).with_context(|| format!("{path}: {line:?}"))
    }
}

/// Every task group, as /proc lists them; those that end meanwhile are left out.
pub fn all() -> Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("failed to read /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        found.extend(Stat::of(Pid::from_raw(pid)));
    }
    Ok(found)
}

/// Command, state, wait channel and kernel stack, in lines for a diagnosis.
pub fn describe(pid: Pid) -> String {
    let stat = match Stat::of(pid) {
        Ok(stat) => stat,
        Err(error) => return format!("{error:#}"),
    };
    let channel = proc_text(pid, "wchan");
    let stack = proc_text(pid, "stack");
    let head = format!(
        "{} ({pid}) state {} waits in {channel}",
        stat.comm, stat.state
    );
    stack
        .lines()
        .fold(head, |text, frame| format!("{text}\n  {frame}"))
}

/// Whether the task sleeps uninterruptibly in a wait of the freeze code.
///
/// Writers wait in `percpu_rwsem_wait` (sb_start_write, include/linux/fs.h).
/// Any other sleep, such as reading a block, is in D state too, so the stack
/// decides wherever the kernel shows it. Kernels that guess at stacks
/// (`UNWINDER_GUESS`) list frames of the past as well: an operation that is
/// shown blocked more than once must not have another place to sleep in.
fn waits_for_thaw(pid: Pid) -> Result<bool> {
    if Stat::of(pid)?.state != 'D' {
        return Ok(false);
    }
    let places = proc_text(pid, "stack") + &proc_text(pid, "wchan");
    let unknown = places.trim_matches('0').is_empty();
    Ok(is_freeze_wait(&places) || (unknown && !kernel_shows_stacks()))
}

/// An empty stack on a kernel that shows them is one of a task that has moved on.
fn kernel_shows_stacks() -> bool {
    Path::new("/proc/self/stack").exists()
}

fn is_freeze_wait(places: &str) -> bool {
    ["percpu_rwsem_wait", "percpu_down_read", "sb_start_"]
        .iter()
        .any(|function| places.contains(function))
}

/// A file of /proc/PID; empty where the kernel lacks it.
fn proc_text(pid: Pid, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, kill};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn stat_lines() {
        let stat = |pid, comm: &str, state, parent, group| {
            Some(Stat {
                pid,
                comm: comm.to_owned(),
                state,
                parent,
                group,
            })
        };
        for (line, want) in [
            (
                "1 (harness) S 0 1 1 0 -1 4194560",
                stat(1, "harness", 'S', 0, 1),
            ),
            ("71 (a b) D 1 70 1 0", stat(71, "a b", 'D', 1, 70)),
            ("72 (x) R (y)) D 1 70 1 0", stat(72, "x) R (y)", 'D', 1, 70)),
            ("2 (kthreadd) S 0 0 0 0 -1", stat(2, "kthreadd", 'S', 0, 0)),
            ("3 () Z 1 3 3", stat(3, "", 'Z', 1, 3)),
            ("", None),
            ("4 (cut) S", None),
            ("x (y) S 1 1", None),
        ] {
            assert_eq!(Stat::parse(line), want, "{line}");
        }
    }

    #[test]
    fn freeze_waits() {
        assert!(is_freeze_wait(
            "[<0>] percpu_rwsem_wait+0xf6/0x120\n[<0>] vfs_write+0x1/0x2\n"
        ));
        assert!(!is_freeze_wait(
            "[<0>] io_schedule+0x46/0x80\n[<0>] folio_wait_bit+0x1/0x2\n"
        ));
    }

    #[test]
    fn an_actor_reports_its_outcome() {
        let fails = Actor::spawn("fails", PATIENCE, || Err(Errno::EINVAL.into())).unwrap();
        assert_eq!(fails.outcome().unwrap(), Err(Errno::EINVAL));
        let works = Actor::spawn("works", PATIENCE, || Ok(())).unwrap();
        assert_eq!(works.outcome().unwrap(), Ok(()));
    }

    #[test]
    fn an_actor_that_sleeps_is_not_blocked_by_a_freeze() {
        let sleeps = || loop {
            std::thread::park();
        };
        let actor = Actor::spawn("sleeps", Duration::ZERO, sleeps).unwrap();
        let pid = actor.pid();
        let blocked = actor.blocked().unwrap_err().to_string();
        let outcome = actor.outcome().unwrap_err().to_string();
        kill(pid, Signal::SIGKILL).unwrap();
        assert!(
            blocked.starts_with("sleeps does not wait for a thaw: "),
            "{blocked}"
        );
        assert!(outcome.starts_with("sleeps hangs for 0 s: "), "{outcome}");
    }

    #[test]
    fn an_actor_that_ends_is_not_blocked() {
        let actor = Actor::spawn("nothing", PATIENCE, || Ok(())).unwrap();
        let error = actor.blocked().unwrap_err().to_string();
        assert_eq!(error, "nothing was not blocked by the freeze");
    }

    #[test]
    fn an_actor_that_panics_has_died() {
        let actor = Actor::spawn("panics", PATIENCE, || panic!("on purpose")).unwrap();
        assert_eq!(
            actor.outcome().unwrap_err().to_string(),
            "panics: the actor died"
        );
    }
}
