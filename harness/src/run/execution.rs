//! A case that runs: a process group of its own, watched to its end or to its deadline.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::autopsy::autopsy;
use super::output::Output;
use crate::linux::program;
use crate::wire::ktap::{Ktap, Outcome, Verdict};
use crate::wire::lines::Lines;
use crate::wire::marks::{FAILED, PASSED, SKIP, SKIPPED, STEP};
use crate::wire::plan::Plan;

/// Lines of a case that may wait for their reader: then the case waits, and not our memory.
const WAITING: usize = 64;

/// Characters of a step that a verdict repeats.
const STEP_LENGTH: usize = 200;

/// Whether the next case can run in this guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    Good,
    Spoilt,
}

/// What happens to a running case.
#[derive(Debug)]
enum Event {
    Line(String),
    /// No task that could print is left.
    Silent,
    Exited(io::Result<ExitStatus>),
}

/// A case that runs, in a process group of its own.
#[derive(Debug)]
pub struct Execution<'a> {
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
    /// Starts `harness` with these arguments.
    pub fn start(case: &'a str, plan: &Plan, arguments: &[String]) -> Result<Execution<'a>> {
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
    pub fn watch<W: Write>(mut self, ktap: &mut Ktap<W>) -> Result<(Outcome, Guest)> {
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
                    let outcome = Outcome::new(self.case, Verdict::TimedOut(place));
                    return Ok((outcome, Guest::Spoilt));
                }
            }
        }
        self.say_rest(ktap)?;
        let status = status.context("the loop ends with a status")?;
        if status.code().is_none() {
            ktap.diagnostic(self.case, &format!("the case died: {status}"))?;
        }
        let verdict = verdict(status, self.skip);
        let outcome = match verdict {
            // It says nothing of the case how long it took to see that.
            Verdict::Skipped(_) => Outcome::new(self.case, verdict),
            _ => Outcome {
                took: Some(self.started.elapsed()),
                ..Outcome::new(self.case, verdict)
            },
        };
        Ok((outcome, guest(status)))
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

fn verdict(status: ExitStatus, skip: String) -> Verdict {
    match status.code().map(u8::try_from) {
        Some(Ok(PASSED)) => Verdict::Passed,
        Some(Ok(SKIPPED)) => Verdict::Skipped(skip),
        // Why, the case has said.
        _ => Verdict::Failed(String::new()),
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;
    use crate::wire::marks::DIRTY;

    #[test]
    fn exit_codes_become_verdicts() {
        let verdict = |raw| verdict(ExitStatus::from_raw(raw), "no tool".to_owned());
        let failed = || Verdict::Failed(String::new());
        assert_eq!(verdict(i32::from(PASSED) << 8), Verdict::Passed);
        assert_eq!(verdict(i32::from(FAILED) << 8), failed());
        assert_eq!(
            verdict(i32::from(SKIPPED) << 8),
            Verdict::Skipped("no tool".to_owned())
        );
        assert_eq!(verdict(101 << 8), failed(), "a panic");
        assert_eq!(verdict(9), failed(), "a signal");
        assert_eq!(verdict(i32::from(DIRTY) << 8), failed());
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
        let (outcome, guest) = execution.watch(&mut Ktap::new(&mut said, "")).unwrap();
        let said = String::from_utf8(said.0).unwrap();
        (
            outcome.verdict,
            guest,
            said.lines().map(str::to_owned).collect(),
        )
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
        // Long enough for the first words, however busy the machine is.
        let deadline = Duration::from_secs(3);
        let scripts = [
            "echo 'step: flood'; exec yes",
            "echo 'step: flood'; exec tr '\\0' x </dev/zero",
        ];
        for script in scripts {
            let begun = Instant::now();
            let (verdict, guest, said) = follow(script, deadline);
            assert!(begun.elapsed() < Duration::from_secs(30), "{script}");
            let stuck = "stuck in step \"flood\"".to_owned();
            assert_eq!((verdict, guest), (Verdict::TimedOut(stuck), Guest::Spoilt));
            let bytes: usize = said.iter().map(String::len).sum();
            assert!(bytes < 10 << 20, "{script}: {bytes} bytes were said");
        }
        // Who has left the group is not ended, and holds the output.
        let script = r#"trap 'exit 0' USR1; setsid sh -c "kill -USR1 $$; exec yes" & wait"#;
        let (verdict, ..) = follow(script, deadline);
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
