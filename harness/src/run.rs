//! The coordinator: runs each case in a process of its own and reports it.

use std::fmt::{self, Display};
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::slice;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::case::{Feature, Filesystem};
use crate::cases;
use crate::feature;
use crate::init;
use crate::kmsg::{COMPLAINT, Complaints, Kmsg};
use crate::ktap::{Ktap, Verdict};
use crate::lines::Lines;
use crate::output::Output;
use crate::plan::{Plan, Run, Work};
use crate::program;
use crate::task;

/// Starts a line in which a case says what it does next.
pub const STEP: &str = "step: ";
/// Starts it once the case is over, whatever came of it.
pub const CLEANUP: &str = "step: cleanup: ";
/// Starts the line of the kernel log that is written before each case, `FS CASE SECRET`.
pub const MARK: &str = "harness: start ";
/// Starts the line in which a case says why it cannot run.
pub const SKIP: &str = "skip: ";

/// How many complaints of the kernel are passed on at once: the rest follows from the first.
const COMPLAINTS: usize = 20;
/// Said when the kernel logs faster than anybody reads.
const OVERRUN: &str = "the kernel log has overwritten records before they were read";

/// Exit codes of `harness case`, as kselftest has them.
pub const PASSED: u8 = 0;
pub const FAILED: u8 = 1;
pub const SKIPPED: u8 = 4;
/// Failed, and left something that cannot be taken down.
pub const DIRTY: u8 = 5;

/// Lines of a case that may wait for their reader: then the case waits, and not our memory.
const WAITING: usize = 64;

/// Characters of a step that a verdict repeats.
const STEP_LENGTH: usize = 200;
/// Tasks whose stacks are told of a hang.
const STACKS: usize = 100;

/// How a plan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Complete,
    /// A case hangs, could not clean up, or cannot be started: the guest cannot be trusted any more.
    Spoilt,
}

impl Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::Complete => "complete",
            Ending::Spoilt => "spoilt",
        })
    }
}

/// Runs the plan up to its end or to the first case that spoils the guest.
///
/// # Errors
/// When the results cannot be written.
pub fn run<W: Write>(plan: &Plan, ktap: &mut Ktap<W>) -> Result<Ending> {
    ktap.begin(plan.runs.len())?;
    let ending = run_all(plan, ktap)?;
    ktap.end(ending)?;
    Ok(ending)
}

fn run_all<W: Write>(plan: &Plan, ktap: &mut Ktap<W>) -> Result<Ending> {
    let mut log = Kmsg::mark()?;
    let mut marks = plan.secrets.marks.iter();
    let mut absent = Vec::new();
    for (number, run) in (1..).zip(&plan.runs) {
        match run_filesystem(run, plan, &mut marks, &mut absent, &mut log, ktap)? {
            Some(passed) => ktap.end_run(number, run.filesystem, passed)?,
            None => return Ok(Ending::Spoilt),
        }
    }
    Ok(Ending::Complete)
}

/// Whether all cases passed; `None` after one that spoils the guest.
fn run_filesystem<W: Write>(
    run: &Run,
    plan: &Plan,
    marks: &mut slice::Iter<'_, String>,
    absent: &mut Vec<Feature>,
    log: &mut Kmsg,
    ktap: &mut Ktap<W>,
) -> Result<Option<bool>> {
    ktap.begin_run(run.filesystem, run.cases.len())?;
    let mut passed = true;
    for (number, case) in (1..).zip(&run.cases) {
        mark(run.filesystem, case, marks.next());
        ktap.start(case)?;
        let (verdict, guest) = match attempt(run.filesystem, case, plan, absent, ktap)? {
            Attempt::Over(verdict, guest) => (verdict, guest),
            Attempt::NotStarted(reason) => {
                ktap.cannot_start(case, &reason)?;
                return Ok(None);
            }
        };
        pass_on(case, &log.complaints()?, ktap)?;
        ktap.result(number, case, &verdict)?;
        if guest == Guest::Spoilt {
            return Ok(None);
        }
        passed &= verdict.is_ok();
        reap_orphans();
        // What came late is the case's own still.
        pass_on(case, &log.complaints()?, ktap)?;
    }
    Ok(Some(passed))
}

/// Runs the case in a process. If the kernel need not have what it needs, it is asked whether it has it all the same
/// (`harness absent`), but only until it says no: `absent` is what it said so of.
fn attempt<W: Write>(
    filesystem: Filesystem,
    case: &str,
    plan: &Plan,
    absent: &mut Vec<Feature>,
    ktap: &mut Ktap<W>,
) -> Result<Attempt> {
    let lacking = lacking(plan.work, case, &plan.provides);
    let known = |feature: &Feature| absent.contains(feature) || plan.work != Work::Cases;
    if let Some(feature) = lacking.filter(known) {
        let skipped = Verdict::Skipped(feature::is_not_provided(feature));
        return Ok(Attempt::Over(skipped, Guest::Good));
    }
    let arguments = match lacking {
        None => plan.work.arguments(filesystem, case, plan.deadline),
        Some(feature) => {
            let seconds = plan.deadline.as_secs_f64().to_string();
            ["absent", feature.name(), &seconds]
                .map(str::to_owned)
                .to_vec()
        }
    };
    let (verdict, guest) = match Execution::start(case, plan, &arguments) {
        Ok(execution) => execution.watch(ktap)?,
        Err(error) => return Ok(Attempt::NotStarted(format!("{error:#}"))),
    };
    if let Verdict::Skipped(_) = verdict {
        absent.extend(lacking);
    }
    Ok(Attempt::Over(verdict, guest))
}

/// What the case needs and the kernel need not have. Whether it has it does not count:
/// a kernel that should have it, and has not, must fail.
fn lacking(work: Work, case: &str, provided: &[Feature]) -> Option<Feature> {
    work.needs(case).filter(|need| !provided.contains(need))
}

/// Tells the host what the kernel complained of, unless the case provokes it. The console has it, too, unless the
/// case has lowered its level, or it was too slow.
fn pass_on<W: Write>(case: &str, said: &Complaints, ktap: &mut Ktap<W>) -> Result<()> {
    // As it was, for the next case, and for the last words of a dying guest.
    init::show_all().context("failed to set the console's level")?;
    let expected = |line: &str| cases::find(case).is_some_and(|case| case.expects(line));
    let unexpected = said.lines.iter().filter(|line| !expected(line));
    for line in unexpected.take(COMPLAINTS) {
        ktap.diagnostic(case, &format!("{COMPLAINT}{line}"))?;
    }
    if said.overrun {
        ktap.diagnostic(case, OVERRUN)?;
    }
    Ok(())
}

/// Tells the host which case the kernel's next messages belong to.
fn mark(filesystem: Filesystem, case: &str, secret: Option<&String>) {
    let secret = secret.map_or("", String::as_str);
    // Without it a complaint may be charged to the case before.
    let _ = fs::write("/dev/kmsg", format!("{MARK}{filesystem} {case} {secret}\n"));
}

/// What came of the wish to run a case.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    Over(Verdict, Guest),
    /// With the reason, for which the cases before are to blame.
    NotStarted(String),
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
    output: Output,
}

impl<'a> Execution<'a> {
    fn start(case: &'a str, plan: &Plan, arguments: &[String]) -> Result<Execution<'a>> {
        Execution::of(&mut itself(arguments), case, plan.deadline)
    }

    /// All that it takes is there before the case is: one that leaves nothing to others is not started in vain.
    fn of(command: &mut Command, case: &'a str, deadline: Duration) -> Result<Execution<'a>> {
        let (output, writer) = io::pipe()?;
        let (sender, events) = sync_channel(WAITING);
        let (hand_over, children) = sync_channel(1);
        listen(output, sender.clone())?;
        wait_for(children, sender)?;
        let child = spawn(command, writer)?;
        let group = Pid::from_raw(child.id().try_into()?);
        hand_over.send(child).context("nobody waits for the case")?;
        Ok(Execution {
            case,
            group,
            events,
            started: Instant::now(),
            deadline,
            step: "start".to_owned(),
            skip: String::new(),
            output: Output::default(),
        })
    }

    /// Follows the case to its end, or to the deadline.
    fn watch<W: Write>(mut self, ktap: &mut Ktap<W>) -> Result<(Verdict, Guest)> {
        let mut status = None;
        let mut silent = false;
        while status.is_none() || !silent {
            match self.next() {
                Some(Event::Line(line)) => {
                    self.note(&line);
                    if let Some(line) = self.output.take(line) {
                        ktap.diagnostic(self.case, &line)?;
                    }
                }
                Some(Event::Silent) => silent = true,
                Some(Event::Exited(result)) => {
                    status = Some(result.context("failed to wait for the case")?);
                    // Whoever survives this is stuck, and keeps the output open.
                    kill_group(self.group);
                    "after its end".clone_into(&mut self.step);
                }
                None => {
                    self.say_rest(ktap)?;
                    ktap.diagnostic(self.case, &autopsy(self.group))?;
                    let place = format!("stuck in step \"{}\"", self.step);
                    return Ok((Verdict::TimedOut(place), Guest::Spoilt));
                }
            }
        }
        self.say_rest(ktap)?;
        let status = status.context("the loop ends with a status")?;
        if status.code().is_none() {
            ktap.diagnostic(self.case, &format!("the case died: {status}"))?;
        }
        let verdict = verdict(status, self.started.elapsed(), self.skip);
        Ok((verdict, guest(status)))
    }

    /// What happens next; none once the deadline has passed, however much the case still prints.
    fn next(&self) -> Option<Event> {
        let left = self.deadline.checked_sub(self.started.elapsed())?;
        self.events.recv_timeout(left).ok()
    }

    fn say_rest<W: Write>(&mut self, ktap: &mut Ktap<W>) -> io::Result<()> {
        let mut rest = self.output.rest();
        rest.try_for_each(|line| ktap.diagnostic(self.case, &line))
    }

    fn note(&mut self, line: &str) {
        if let Some(step) = line.strip_prefix(STEP) {
            self.step = step.chars().take(STEP_LENGTH).collect();
        } else if let Some(reason) = line.strip_prefix(SKIP) {
            reason.clone_into(&mut self.skip);
        }
    }
}

/// `harness case` or its like. The path that init was started from may be covered by a tmpfs.
fn itself(arguments: &[String]) -> Command {
    let mut harness = Command::new("/proc/self/exe");
    harness.args(arguments);
    harness
}

/// Starts a program with its standard output and error in this pipe.
fn spawn(command: &mut Command, output: PipeWriter) -> io::Result<Child> {
    let child = command
        // Init has no environment.
        .env("PATH", program::PATH)
        .envs(program::ENVIRONMENT)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn();
    // What the command keeps would hold the pipe open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    child
}

fn listen(output: PipeReader, events: SyncSender<Event>) -> io::Result<()> {
    let listen = move || {
        for line in Lines::new(output) {
            if events.send(Event::Line(line)).is_err() {
                return;
            }
        }
        // Nobody listens any more after a hang.
        let _ = events.send(Event::Silent);
    };
    thread::Builder::new().spawn(listen).map(drop)
}

/// Waits for the child that is handed over, if any is.
fn wait_for(children: Receiver<Child>, events: SyncSender<Event>) -> io::Result<()> {
    let wait = move || {
        if let Ok(mut child) = children.recv() {
            // Nobody listens any more after a hang.
            let _ = events.send(Event::Exited(child.wait()));
        }
    };
    thread::Builder::new().spawn(wait).map(drop)
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
            .take(STACKS)
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
    fn what_is_known_to_be_lacking_is_skipped_without_a_process() {
        let mut ktap = Ktap::new(Vec::new(), "");
        let (plan, mut absent) = (Plan::default(), vec![Feature::Timeout]);
        let name = "timeout_thaws";
        let attempt = attempt(Filesystem::Xfs, name, &plan, &mut absent, &mut ktap).unwrap();
        let reason = "the kernel does not provide the timeout";
        let skipped = Verdict::Skipped(reason.to_owned());
        assert_eq!(attempt, Attempt::Over(skipped, Guest::Good));
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

    /// A port that the host is slow to read.
    struct Port(Vec<u8>);

    impl Write for Port {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_micros(500));
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What comes of a shell script as a case, and what is said of it.
    fn follow(script: &str, deadline: Duration) -> (Verdict, Guest, Vec<String>) {
        let mut said = Port(Vec::new());
        let mut sh = Command::new("sh");
        let execution = Execution::of(sh.args(["-c", script]), "a", deadline).unwrap();
        let (verdict, guest) = execution.watch(&mut Ktap::new(&mut said, "")).unwrap();
        let said = String::from_utf8(said.0).unwrap();
        (verdict, guest, said.lines().map(str::to_owned).collect())
    }

    #[test]
    fn a_case_is_followed_to_its_end() {
        let ends = [
            ("echo 'step: one'; exit 1", "step: one"),
            ("exec >&- 2>&-; exit 1", ""),
            // Its children go with it, and so does their hold on the output.
            ("sleep 60 & echo on; exit 1", "on"),
        ];
        for (script, wanted) in ends {
            let (verdict, guest, said) = follow(script, Duration::from_secs(50));
            assert!(
                matches!(verdict, Verdict::Failed(_)),
                "{script}: {verdict:?}"
            );
            assert_eq!(guest, Guest::Good);
            assert_eq!(said.len(), usize::from(!wanted.is_empty()), "{script}");
            assert!(said.iter().all(|line| line.ends_with(wanted)), "{said:?}");
        }
    }

    #[test]
    fn printing_is_no_way_around_the_deadline() {
        let scripts = [
            "echo 'step: flood'; exec yes",
            "echo 'step: flood'; exec tr '\\0' x </dev/zero",
        ];
        for script in scripts {
            let begun = Instant::now();
            let (verdict, guest, said) = follow(script, Duration::from_millis(700));
            assert!(begun.elapsed() < Duration::from_secs(30), "{script}");
            let stuck = "stuck in step \"flood\"".to_owned();
            assert_eq!((verdict, guest), (Verdict::TimedOut(stuck), Guest::Spoilt));
            let bytes: usize = said.iter().map(String::len).sum();
            assert!(bytes < 10 << 20, "{script}: {bytes} bytes were said");
        }
        // Who has left the group is not ended, and holds the output.
        let script = r#"trap 'exit 0' USR1; setsid sh -c "kill -USR1 $$; exec yes" & wait"#;
        let (verdict, ..) = follow(script, Duration::from_millis(700));
        let stuck = "stuck in step \"after its end\"".to_owned();
        assert_eq!(verdict, Verdict::TimedOut(stuck));
    }

    #[test]
    fn the_last_words_of_a_talkative_case_are_heard() {
        let script = "yes $(printf %01000d 0) | head -n 3000; echo 'why it failed'; exit 1";
        let (_, _, said) = follow(script, Duration::from_secs(50));
        assert!(said.last().unwrap().ends_with("why it failed"));
        assert!(said.iter().any(|line| line.contains("are left out here")));
    }
}
