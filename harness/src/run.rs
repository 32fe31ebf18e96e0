//! The coordinator: runs each case in a process of its own and reports it.

use std::fs;
use std::io::{self, BufRead as _, BufReader, PipeReader, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::case::{Feature, Filesystem};
use crate::ktap::{Ktap, Verdict};
use crate::plan::{Plan, Run, Work};
use crate::program;
use crate::task;

/// Starts a line in which a case says what it does next.
pub const STEP: &str = "step: ";
/// Starts it once the case is over, whatever came of it.
pub const CLEANUP: &str = "step: cleanup: ";
/// Starts the line of the kernel log that is written before each case, `FS CASE`.
pub const MARK: &str = "harness: start ";
/// Starts the line in which a case says why it cannot run.
pub const SKIP: &str = "skip: ";

/// Exit codes of `harness case`, as kselftest has them.
pub const PASSED: u8 = 0;
pub const FAILED: u8 = 1;
pub const SKIPPED: u8 = 4;
/// Failed, and left something that cannot be taken down.
pub const DIRTY: u8 = 5;

/// How a plan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Complete,
    /// A case hangs, or could not clean up: the guest cannot be trusted any more.
    Hung,
}

/// Runs the plan up to its end or to the first case that spoils the guest.
///
/// # Errors
/// When the results cannot be written.
pub fn run<W: Write>(plan: &Plan, ktap: &mut Ktap<W>) -> Result<Ending> {
    ktap.begin(plan.runs.len())?;
    for (number, run) in (1..).zip(&plan.runs) {
        match run_filesystem(run, plan, ktap)? {
            Some(passed) => ktap.end_run(number, run.filesystem, passed)?,
            None => return Ok(Ending::Hung),
        }
    }
    Ok(Ending::Complete)
}

/// Whether all cases passed; `None` after one that spoils the guest.
fn run_filesystem<W: Write>(run: &Run, plan: &Plan, ktap: &mut Ktap<W>) -> Result<Option<bool>> {
    ktap.begin_run(run.filesystem, run.cases.len())?;
    let mut passed = true;
    for (number, case) in (1..).zip(&run.cases) {
        mark(run.filesystem, case);
        ktap.start(case)?;
        let (verdict, guest) = attempt(run.filesystem, case, plan, ktap)?;
        ktap.result(number, case, &verdict)?;
        if guest == Guest::Spoilt {
            return Ok(None);
        }
        passed &= verdict.is_ok();
        reap_orphans();
    }
    Ok(Some(passed))
}

/// Runs the case in a process, unless the kernel lacks what it needs.
fn attempt<W: Write>(
    filesystem: Filesystem,
    case: &str,
    plan: &Plan,
    ktap: &mut Ktap<W>,
) -> Result<(Verdict, Guest)> {
    match lacking(plan.work, case, &plan.provides) {
        Some(feature) => {
            let reason = format!("needs the {feature}, which this kernel does not provide");
            Ok((Verdict::Skipped(reason), Guest::Good))
        }
        None => Execution::start(filesystem, case, plan)?.watch(ktap),
    }
}

/// What the case needs and the kernel need not have. The guest does not look:
/// a kernel that should have it, and has not, must fail.
fn lacking(work: Work, case: &str, provided: &[Feature]) -> Option<Feature> {
    work.needs(case).filter(|need| !provided.contains(need))
}

/// Tells the host which case the kernel's next messages belong to.
fn mark(filesystem: Filesystem, case: &str) {
    // Without it a complaint may be charged to the case before.
    let _ = fs::write("/dev/kmsg", format!("{MARK}{filesystem} {case}\n"));
}

/// Whether the next case can run in this guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guest {
    Good,
    Spoilt,
}

/// What happens to a running case.
enum Event {
    Line(String),
    /// No task that could print is left.
    Silent,
    Exited(io::Result<ExitStatus>),
}

/// A case that runs, in a process group of its own.
struct Execution<'a> {
    case: &'a str,
    group: Pid,
    events: Receiver<Event>,
    started: Instant,
    deadline: Duration,
    step: String,
    skip: String,
}

impl<'a> Execution<'a> {
    fn start(filesystem: Filesystem, case: &'a str, plan: &Plan) -> Result<Execution<'a>> {
        let (output, child) = spawn(&plan.work.arguments(filesystem, case, plan.deadline))
            .with_context(|| format!("failed to start case {case} on {filesystem}"))?;
        let group = Pid::from_raw(child.id().try_into()?);
        let (sender, events) = channel();
        listen(output, sender.clone());
        wait_for(child, sender);
        Ok(Execution {
            case,
            group,
            events,
            started: Instant::now(),
            deadline: plan.deadline,
            step: "start".to_owned(),
            skip: String::new(),
        })
    }

    /// Follows the case to its end, or to the deadline.
    fn watch<W: Write>(mut self, ktap: &mut Ktap<W>) -> Result<(Verdict, Guest)> {
        let mut status = None;
        let mut silent = false;
        while status.is_none() || !silent {
            let left = self.deadline.saturating_sub(self.started.elapsed());
            match self.events.recv_timeout(left) {
                Ok(Event::Line(line)) => {
                    self.note(&line);
                    ktap.diagnostic(self.case, &line)?;
                }
                Ok(Event::Silent) => silent = true,
                Ok(Event::Exited(result)) => {
                    status = Some(result.context("failed to wait for the case")?);
                    // Whoever survives this is stuck, and keeps the output open.
                    kill_group(self.group);
                    "after its end".clone_into(&mut self.step);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    ktap.diagnostic(self.case, &autopsy(self.group))?;
                    let place = format!("stuck in step \"{}\"", self.step);
                    return Ok((Verdict::TimedOut(place), Guest::Spoilt));
                }
            }
        }
        let status = status.context("the loop ends with a status")?;
        if status.code().is_none() {
            ktap.diagnostic(self.case, &format!("the case died: {status}"))?;
        }
        let verdict = verdict(status, self.started.elapsed(), self.skip);
        Ok((verdict, guest(status)))
    }

    fn note(&mut self, line: &str) {
        if let Some(step) = line.strip_prefix(STEP) {
            step.clone_into(&mut self.step);
        } else if let Some(reason) = line.strip_prefix(SKIP) {
            reason.clone_into(&mut self.skip);
        }
    }
}

/// Starts `harness case` or its like, with its standard output and error in one pipe.
fn spawn(arguments: &[String]) -> io::Result<(PipeReader, Child)> {
    let (output, writer) = io::pipe()?;
    // The path that init was started from may be covered by a tmpfs.
    let child = Command::new("/proc/self/exe")
        .args(arguments)
        // Init has no environment.
        .env("PATH", program::PATH)
        .envs(program::ENVIRONMENT)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    Ok((output, child))
}

fn listen(output: PipeReader, events: Sender<Event>) {
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if events.send(Event::Line(line)).is_err() {
                return;
            }
        }
        // Nobody listens any more after a hang.
        let _ = events.send(Event::Silent);
    });
}

fn wait_for(mut child: Child, events: Sender<Event>) {
    thread::spawn(move || {
        // Nobody listens any more after a hang.
        let _ = events.send(Event::Exited(child.wait()));
    });
}

fn verdict(status: ExitStatus, time: Duration, skip: String) -> Verdict {
    match status.code().map(u8::try_from) {
        Some(Ok(PASSED)) => Verdict::Passed(time),
        Some(Ok(SKIPPED)) => Verdict::Skipped(skip),
        _ => Verdict::Failed(time),
    }
}

/// A case that ends by a panic or a signal has not cleaned up either.
fn guest(status: ExitStatus) -> Guest {
    match status.code().map(u8::try_from) {
        Some(Ok(PASSED | FAILED | SKIPPED)) => Guest::Good,
        _ => Guest::Spoilt,
    }
}

fn kill_group(group: Pid) {
    // ESRCH: nobody is left, as it should be.
    let _ = killpg(group, Signal::SIGKILL);
}

/// What is stuck, and where: every task in D state and the case's own. The
/// kernel's own view (SysRq w) goes to the console.
fn autopsy(group: Pid) -> String {
    // Without SysRq the stacks below remain.
    let _ = fs::write("/proc/sysrq-trigger", "w");
    match task::all() {
        Ok(tasks) => tasks
            .iter()
            .filter(|task| task.state == 'D' || task.group == group.as_raw())
            .map(|task| task::describe(Pid::from_raw(task.pid)))
            .collect::<Vec<_>>()
            .join("\n"),
        Err(error) => format!("{error:#}"),
    }
}

/// Collects what lost its parent, which is init's duty.
fn reap_orphans() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
            Ok(_) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn a_case_may_lack_what_it_needs() {
        let timeout = Some(Feature::Timeout);
        assert_eq!(lacking(Work::Cases, "timeout_thaws", &[]), timeout);
        assert_eq!(
            lacking(Work::Cases, "timeout_thaws", &[Feature::Argument]),
            timeout
        );
        assert_eq!(
            lacking(Work::Cases, "timeout_thaws", &[Feature::Timeout]),
            None
        );
        assert_eq!(lacking(Work::Cases, "dm_case_a", &[]), None);
        assert_eq!(
            lacking(Work::Cases, "no such case", &[]),
            None,
            "it fails by itself"
        );
    }

    #[test]
    fn what_is_lacking_is_skipped_without_a_process() {
        let mut ktap = Ktap::new(Vec::new());
        let (verdict, guest) = attempt(
            Filesystem::Xfs,
            "timeout_thaws",
            &Plan::default(),
            &mut ktap,
        )
        .unwrap();
        let reason = "needs the timeout, which this kernel does not provide";
        assert_eq!(verdict, Verdict::Skipped(reason.to_owned()));
        assert_eq!(guest, Guest::Good);
    }

    #[test]
    fn exit_codes_become_verdicts() {
        let time = Duration::from_millis(7);
        let verdict = |raw| verdict(ExitStatus::from_raw(raw), time, "no tool".to_owned());
        assert_eq!(verdict(i32::from(PASSED) << 8), Verdict::Passed(time));
        assert_eq!(verdict(i32::from(FAILED) << 8), Verdict::Failed(time));
        assert_eq!(
            verdict(i32::from(SKIPPED) << 8),
            Verdict::Skipped("no tool".to_owned())
        );
        assert_eq!(verdict(101 << 8), Verdict::Failed(time), "a panic");
        assert_eq!(verdict(9), Verdict::Failed(time), "a signal");
        assert_eq!(verdict(i32::from(DIRTY) << 8), Verdict::Failed(time));
    }

    #[test]
    fn whoever_does_not_clean_up_spoils_the_guest() {
        let guest = |raw| guest(ExitStatus::from_raw(raw));
        for code in [PASSED, FAILED, SKIPPED] {
            assert_eq!(guest(i32::from(code) << 8), Guest::Good, "{code}");
        }
        for raw in [i32::from(DIRTY) << 8, 101 << 8, 9] {
            assert_eq!(guest(raw), Guest::Spoilt, "{raw}");
        }
    }
}
