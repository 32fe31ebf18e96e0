//! Child processes. Each runs in a process group of its own and is ended with
//! its whole group when the run is stopped; none fails without saying how.

use std::borrow::BorrowMut;
use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use camino::Utf8Path;
use harness::linux::proc as tasks;
use harness::linux::proc::Stat;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use xshell::{Cmd, cmd};

use super::environment::PLAIN;
use crate::failure::{self, Failure, Kind};

/// How often a silent child is looked at, and a stop noticed.
const TICK: Duration = Duration::from_millis(50);
/// What a child gets to clean up after SIGTERM (make deletes half-written targets) before SIGKILL.
const GRACE: Duration = Duration::from_secs(3);
/// How soon the end of a child is seen that has closed its pipes.
const MOMENT: Duration = Duration::from_millis(1);
/// Lines of a failed command that its error repeats.
const TAIL: usize = 20;

/// Set once, by Ctrl-C; seen by every wait of a run.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub fn check(&self) -> failure::Result<()> {
        if self.requested() {
            Err(Error::Interrupted.into())
        } else {
            Ok(())
        }
    }

    /// Sleeps, unless the run is stopped.
    pub fn sleep(&self, time: Duration) -> failure::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.check()?;
            std::thread::sleep(TICK.min(time));
        }
        self.check()
    }
}

/// Why a command has no result. Not a [`std::error::Error`], so that `?` cannot
/// turn an interruption into an ordinary error by way of anyhow.
#[derive(Debug)]
pub enum Error {
    Interrupted,
    Failed(anyhow::Error),
}

impl Error {
    /// A failed command as a failure of this kind; an interruption stays one.
    pub fn or(self, kind: Kind) -> Failure {
        match self {
            Error::Interrupted => Kind::Interrupted.error("interrupted"),
            Error::Failed(error) => Failure { kind, error },
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.or(Kind::Machinery)
    }
}

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// What a finished command left, whatever its exit status.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// What can be run: a line that `cmd!` has written, or a command with more to it.
pub trait Line {
    fn command(self) -> impl BorrowMut<Command>;
}

impl Line for Cmd<'_> {
    fn command(self) -> impl BorrowMut<Command> {
        Command::from(self)
    }
}

impl Line for &mut Command {
    fn command(self) -> impl BorrowMut<Command> {
        self
    }
}

/// Runs a command with `input` on its standard input; a bad exit status is for the caller to judge.
pub fn output(line: impl Line, input: &[u8], stop: &Stop) -> Result<Output> {
    let leash = Leash { stop, limit: None };
    collect(line.command().borrow_mut(), input, leash)
}

/// The same without any input, for a command that must not take longer than `limit`.
///
/// # Errors
/// Also when it has not ended by then: it is ended.
pub fn output_within(line: impl Line, limit: Duration, stop: &Stop) -> Result<Output> {
    let limit = Some((Instant::now(), limit));
    collect(line.command().borrow_mut(), b"", Leash { stop, limit })
}

fn collect(command: &mut Command, input: &[u8], leash: Leash<'_>) -> Result<Output> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut keep = |stream, chunk: &[u8]| match stream {
        Stream::Out => stdout.extend_from_slice(chunk),
        Stream::Err => stderr.extend_from_slice(chunk),
    };
    let status = drive(command, input, leash, OpenPipe::MayCutOff, &mut keep)?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

/// The same program, arguments and environment; the kernel sends it the signal when the calling thread ends, however
/// that does (PR_SET_PDEATHSIG(2const)). It takes setpriv, which is part of util-linux.
pub fn mortal(signal: Signal, line: impl Line) -> Command {
    let mut command = line.command();
    let command: &Command = command.borrow_mut();
    let (signal, program, args) = (signal.as_str(), command.get_program(), command.get_args());
    let mortal = cmd!(PLAIN, "setpriv --pdeathsig {signal} -- {program} {args...}");
    let mut mortal = Command::from(mortal);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => mortal.env(name, value),
            None => mortal.env_remove(name),
        };
    }
    mortal
}

/// Runs a command with `input` on its standard input, for its standard output without the last newline.
pub fn pipe(line: impl Line, input: &[u8], stop: &Stop) -> Result<String> {
    let mut command = line.command();
    let command = command.borrow_mut();
    let output = output(&mut *command, input, stop)?;
    let said = if output.stderr.is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    expect_success(
        command,
        output.status,
        &tail(&String::from_utf8_lossy(said)),
        None,
    )?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

/// Runs a command for its standard output, without the last newline.
pub fn read(line: impl Line, stop: &Stop) -> Result<String> {
    pipe(line, b"", stop)
}

/// Runs a long command: all it says is appended to `log`, and each line is handed on as it comes.
pub fn stream(
    line: impl Line,
    log: &Utf8Path,
    stop: &Stop,
    on_line: &mut dyn FnMut(Stream, &str),
) -> Result<()> {
    let mut command = line.command();
    let command = command.borrow_mut();
    let failed = |error: std::io::Error| Error::Failed(error.into());
    let mut file = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(failed)?;
    writeln!(file, "$ {}", line_of(command)).map_err(failed)?;
    let mut last = VecDeque::with_capacity(TAIL);
    let mut written = Ok(());
    let status = drive(
        command,
        b"",
        Leash { stop, limit: None },
        OpenPipe::IsLeft,
        &mut |stream, chunk| {
            if written.is_ok() {
                written = file.write_all(chunk);
            }
            let text = String::from_utf8_lossy(chunk);
            let line = text.trim_end();
            if stream == Stream::Err && !line.is_empty() {
                last.truncate(TAIL - 1);
                last.push_front(line.to_owned());
            }
            on_line(stream, line);
        },
    )?;
    let last: Vec<String> = last.into_iter().rev().collect();
    expect_success(command, status, &last.join("\n"), Some(log))?;
    written.map_err(failed)
}

/// The command as a person would type it.
pub fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

fn expect_success(
    command: &Command,
    status: ExitStatus,
    said: &str,
    log: Option<&Utf8Path>,
) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let mut message = format!("`{}` failed ({status})", line_of(command));
    if !said.is_empty() {
        message += &format!(":\n{said}");
    }
    if let Some(log) = log {
        message += &format!("\nfull log: {log}");
    }
    Err(Error::Failed(anyhow!(message)))
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// What it means that a pipe stays open and silent after the child's end.
#[derive(Clone, Copy)]
enum OpenPipe {
    /// The output is an answer: none is better than half of one.
    MayCutOff,
    /// A daemon that the child left behind may hold it for ever; all that matters was said.
    IsLeft,
}

impl OpenPipe {
    fn patience(self) -> Duration {
        match self {
            OpenPipe::MayCutOff => Duration::from_secs(10),
            OpenPipe::IsLeft => Duration::from_secs(1),
        }
    }
}

/// What ends a command before its own time.
#[derive(Clone, Copy)]
struct Leash<'a> {
    stop: &'a Stop,
    /// Since when, and for how long.
    limit: Option<(Instant, Duration)>,
}

impl Leash<'_> {
    fn check(self, command: &Command) -> Result<()> {
        if self.stop.requested() {
            return Err(Error::Interrupted);
        }
        match self.limit {
            Some((begun, limit)) if begun.elapsed() > limit => Err(Error::Failed(anyhow!(
                "`{}` has not ended within {limit:.0?}",
                line_of(command)
            ))),
            _ => Ok(()),
        }
    }
}

/// Runs a command to its end, handing over each line with its terminator. What is left of its group ends with it.
fn drive(
    command: &mut Command,
    input: &[u8],
    leash: Leash<'_>,
    open: OpenPipe,
    on_chunk: &mut dyn FnMut(Stream, &[u8]),
) -> Result<ExitStatus> {
    let (mut group, receiver) = spawn(command, input, leash.stop)?;
    let mut heard = Instant::now();
    loop {
        leash.check(command)?;
        match receiver.recv_timeout(TICK) {
            Ok((stream, chunk)) => {
                on_chunk(stream, &chunk);
                heard = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if !group.has_ended()? => heard = Instant::now(),
            Err(RecvTimeoutError::Timeout) if heard.elapsed() < open.patience() => {}
            Err(RecvTimeoutError::Timeout) => match open {
                OpenPipe::IsLeft => break,
                OpenPipe::MayCutOff => {
                    return Err(Error::Failed(anyhow!(
                        "`{}` has ended, but something that it started still holds its output",
                        line_of(command)
                    )));
                }
            },
        }
    }
    while !group.has_ended()? {
        leash.check(command)?;
        std::thread::sleep(MOMENT);
    }
    group.end().map_err(not_waited_for)
}

type Chunks = Receiver<(Stream, Vec<u8>)>;

fn spawn(command: &mut Command, input: &[u8], stop: &Stop) -> Result<(Group, Chunks)> {
    if stop.requested() {
        return Err(Error::Interrupted);
    }
    command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.stdin(if input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    });
    let child = command.spawn().map_err(|error| {
        Error::Failed(anyhow!(
            "`{}` could not be started: {error}",
            line_of(command)
        ))
    })?;
    let mut group = Group {
        leader: child,
        is_over: false,
    };
    let (sender, receiver) = channel();
    forward(Stream::Out, group.leader.stdout.take(), sender.clone());
    forward(Stream::Err, group.leader.stderr.take(), sender);
    if let Some(mut stdin) = group.leader.stdin.take() {
        let input = input.to_vec();
        // A child that ends without reading all of it says why by its exit status.
        std::thread::spawn(move || stdin.write_all(&input));
    }
    Ok((group, receiver))
}

/// Lines end at `\n` or, as in progress displays, at `\r`.
fn forward(
    stream: Stream,
    pipe: Option<impl Read + Send + 'static>,
    sender: Sender<(Stream, Vec<u8>)>,
) {
    let Some(pipe) = pipe else { return };
    std::thread::spawn(move || {
        let mut line = Vec::new();
        for byte in BufReader::new(pipe).bytes().map_while(std::io::Result::ok) {
            line.push(byte);
            if matches!(byte, b'\n' | b'\r')
                && sender.send((stream, std::mem::take(&mut line))).is_err()
            {
                return;
            }
        }
        if !line.is_empty() {
            let _ = sender.send((stream, line));
        }
    });
}

/// A child that leads a process group; what is left of the group dies with this value, whether its leader lives or not.
///
/// The leader is waited for last: as long as it is a zombie, its number, which is the group's, is nobody else's.
#[derive(Debug)]
struct Group {
    leader: Child,
    is_over: bool,
}

impl Group {
    fn id(&self) -> Pid {
        Pid::from_raw(self.leader.id().cast_signed())
    }

    /// Whether the leader has ended.
    fn has_ended(&self) -> Result<bool> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.id()), flags) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => Ok(false),
            Ok(_) => Ok(true),
            Err(errno) => Err(not_waited_for(errno.into())),
        }
    }

    /// Whether any member, the leader or another, has not ended.
    fn lives(&self) -> bool {
        let is_member =
            |task: &Stat| task.group == self.id().as_raw() && !matches!(task.state, 'Z' | 'X');
        // Without a /proc nobody knows: then signals do no harm.
        tasks::all().map_or(true, |tasks| tasks.iter().any(is_member))
    }

    fn signal(&self, signal: Signal) {
        // ESRCH: nobody is left. EPERM: apt under sudo, which is better left to finish.
        let _ = killpg(self.id(), signal);
    }

    /// Returns how the leader ended, by itself or by us.
    fn end(&mut self) -> std::io::Result<ExitStatus> {
        if !self.is_over && self.lives() {
            self.signal(Signal::SIGTERM);
            let deadline = Instant::now() + GRACE;
            while Instant::now() < deadline && self.lives() {
                std::thread::sleep(TICK);
            }
            self.signal(Signal::SIGKILL);
        }
        self.is_over = true;
        self.leader.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.end();
    }
}

fn not_waited_for(error: std::io::Error) -> Error {
    Error::Failed(anyhow!("cannot wait for a child process: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use camino::Utf8PathBuf;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn message(result: Result<String>) -> String {
        match result {
            Err(Error::Failed(error)) => format!("{error:#}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn captures() {
        let stop = Stop::default();
        assert_eq!(
            read(&mut shell("echo a; echo b; echo c >&2"), &stop).unwrap(),
            "a\nb"
        );
        assert_eq!(pipe(&mut Command::new("cat"), b"in", &stop).unwrap(), "in");
        let output = output(&mut shell("printf x; exit 3"), b"", &stop).unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.as_slice()),
            (Some(3), b"x".as_slice())
        );
    }

    #[test]
    fn failures_say_what_ran_and_what_it_said() {
        let stop = Stop::default();
        let said = message(read(&mut shell("echo out; echo why >&2; exit 7"), &stop));
        assert!(
            said.contains("sh -c") && said.contains("exit status: 7") && said.ends_with("why"),
            "{said}"
        );
        let said = message(read(&mut Command::new("/nowhere/tool"), &stop));
        assert!(said.contains("/nowhere/tool"), "{said}");
    }

    #[test]
    fn streams_lines_and_keeps_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = Utf8Path::from_path(dir.path()).unwrap().join("log");
        let mut lines = Vec::new();
        stream(
            &mut shell("printf 'a\\nb\\rc'"),
            &log,
            &Stop::default(),
            &mut |_, line| lines.push(line.to_owned()),
        )
        .unwrap();
        assert_eq!(lines, ["a", "b", "c"]);
        assert!(fs_err::read_to_string(&log).unwrap().ends_with("a\nb\rc"));
    }

    /// Waits for what must come true some time; the limit is only for a test that fails.
    fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(10), "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A folder, and in it the file in which a script leaves a process's number.
    fn place_for_a_pid() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("pid");
        (dir, file)
    }

    /// Whole lines only: the shell creates the file before it writes.
    fn pid(file: &Utf8Path) -> Option<String> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.strip_suffix('\n').map(str::to_owned)
    }

    fn ends(pid: &str) {
        let stat = format!("/proc/{pid}/stat");
        eventually("the process ends", || {
            std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
        });
    }

    #[test]
    fn a_stop_ends_the_group_whatever_state_its_leader_is_in() {
        for script in [
            "sleep 60 & echo $! > FILE; wait",
            "sleep 60 & echo $! > FILE",
            "sleep 60 & echo $! > FILE; kill -9 $$",
            "trap '' TERM; sleep 60 & echo $! > FILE",
            "trap '' TERM; sleep 60 & echo $! > FILE; wait",
            // Without its leader a stopped process gets SIGHUP at once (setpgid(2)).
            "sleep 60 & kill -STOP $!; echo $! > FILE; wait",
        ] {
            let (_dir, file) = place_for_a_pid();
            let stop = Stop::default();
            let result = std::thread::scope(|scope| {
                scope.spawn(|| {
                    // Asked for in any case, or the test would wait for the child.
                    let begun = Instant::now();
                    while pid(&file).is_none() && begun.elapsed() < Duration::from_secs(10) {
                        std::thread::sleep(TICK);
                    }
                    stop.request();
                });
                read(&mut shell(&script.replace("FILE", file.as_str())), &stop)
            });
            assert!(
                matches!(result, Err(Error::Interrupted)),
                "{script}: {result:?}"
            );
            ends(&pid(&file).unwrap());
        }
    }

    #[test]
    fn the_group_ends_with_its_leader() {
        let (_dir, file) = place_for_a_pid();
        let script = format!("sleep 60 >/dev/null 2>&1 & echo $! > {file}; echo done; exit 3");
        let output = output(&mut shell(&script), b"", &Stop::default()).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stdout, b"done\n");
        ends(&pid(&file).unwrap());
    }

    #[test]
    fn a_group_of_its_own_is_left_alone() {
        let (_dir, file) = place_for_a_pid();
        let script = format!("setsid sleep 60 >/dev/null 2>&1 & echo $! > {file}");
        read(&mut shell(&script), &Stop::default()).unwrap();
        let daemon = Pid::from_raw(pid(&file).unwrap().parse().unwrap());
        nix::sys::signal::kill(daemon, Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_limit_ends_a_command_and_names_it() {
        let begun = Instant::now();
        let limit = Duration::from_millis(200);
        let result = output_within(&mut shell("sleep 60"), limit, &Stop::default());
        let said = message(result.map(|output| output.stderr()));
        assert!(
            said.contains("sleep 60") && said.contains("200ms"),
            "{said}"
        );
        assert!(begun.elapsed() < Duration::from_secs(30));
        let limit = Duration::from_secs(60);
        let soon = output_within(&mut shell("echo x"), limit, &Stop::default()).unwrap();
        assert_eq!(soon.stdout, b"x\n");
    }

    #[test]
    fn a_mortal_is_the_same_command_and_ends_with_its_thread() {
        let mut told = shell("echo $A $B");
        told.envs([("A", "a"), ("B", "b")]).env_remove("B");
        let same = read(&mut mortal(Signal::SIGKILL, &mut told), &Stop::default());
        assert_eq!(same.unwrap(), "a");
        for signal in [Signal::SIGKILL, Signal::SIGTERM] {
            ends_by(signal);
        }
    }

    fn ends_by(signal: Signal) {
        let start = move || {
            mortal(signal, &mut shell("echo; exec sleep 60"))
                .stdout(Stdio::piped())
                .spawn()
        };
        let thread = std::thread::spawn(move || {
            let mut child = start().unwrap();
            // It has said something, so setpriv is done.
            let mut said = [0];
            child
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut said)
                .unwrap();
            child
        });
        let status = thread.join().unwrap().wait().unwrap();
        assert_eq!(status.signal(), Some(signal as i32));
    }

    #[test]
    fn output_is_whole_even_if_it_comes_late() {
        let late = "(sleep 0.5; echo late) & echo early";
        assert_eq!(
            read(&mut shell(late), &Stop::default()).unwrap(),
            "early\nlate"
        );
    }

    #[test]
    fn a_daemon_left_behind_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let log = Utf8Path::from_path(dir.path()).unwrap().join("log");
        let begun = Instant::now();
        let mut lines = Vec::new();
        stream(
            &mut shell("setsid sleep 60 & echo done"),
            &log,
            &Stop::default(),
            &mut |_, line| lines.push(line.to_owned()),
        )
        .unwrap();
        assert_eq!(lines, ["done"]);
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
