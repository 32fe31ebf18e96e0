//! A running guest: a child process and the lines that come from it.

use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use harness::linux::proc::Stat;
use harness::wire::plan::Plan;
use nix::sys::signal::Signal;

use super::channel::Ports;
use super::lines::{Line, forward};
use crate::host::environment::PLAIN;
use crate::host::proc;

/// How long what a dead guest has written may take to get here.
const REST: Duration = Duration::from_secs(5);
/// Lines that may wait to be looked at: then the guest waits, and not our memory.
const WAITING: usize = 256;

/// What came of waiting for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Line(Line),
    /// Nothing within the time given.
    Quiet,
    /// The process has ended, and all it said has been read.
    Over,
}

/// Killed, and its end waited for, when dropped.
#[derive(Debug)]
pub struct Guest {
    child: Child,
    lines: Receiver<Line>,
    /// For readers that are attached later; gone with the first look at the lines.
    sender: Option<SyncSender<Line>>,
    /// Gone with the process that they lead to.
    ports: Option<Ports>,
}

impl Guest {
    /// Starts a program whose standard output and error are the console.
    ///
    /// It does not outlive the calling thread, not even if this process is
    /// killed: see [`proc::mortal`]. Being in a process group of its own keeps
    /// the terminal's Ctrl-C from it.
    pub fn start(argv: &[String]) -> Result<Self> {
        let (program, arguments) = argv.split_first().context("a guest takes a program")?;
        let mut command = proc::mortal(Signal::SIGKILL, PLAIN.cmd(program).args(arguments));
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| {
            let line = proc::line_of(&command);
            format!("failed to run `{line}`; setpriv is part of util-linux")
        })?;
        let (sender, lines) = sync_channel(WAITING);
        let stdout = child.stdout.take().context("the guest has no console")?;
        let stderr = child
            .stderr
            .take()
            .context("the guest has no error output")?;
        forward(stdout, Line::Console, sender.clone());
        forward(stderr, Line::Console, sender.clone());
        Ok(Self {
            child,
            lines,
            sender: Some(sender),
            ports: None,
        })
    }

    /// Where another source of lines sends its own; to be asked for once, before the first [`Guest::next`].
    pub fn sender(&mut self) -> Result<SyncSender<Line>> {
        self.sender
            .take()
            .context("the guest is being read already")
    }

    /// Hands the plan to the guest, reads its results, and does what it asks of the storage below `disks`.
    pub fn serve(&mut self, mut ports: Ports, plan: &Plan, disks: Vec<Utf8PathBuf>) -> Result<()> {
        ports.serve(plan, self.sender()?, disks)?;
        self.ports = Some(ports);
        Ok(())
    }

    pub fn next(&mut self, patience: Duration) -> Next {
        self.sender = None;
        match self.lines.recv_timeout(patience) {
            Ok(line) => Next::Line(line),
            Err(RecvTimeoutError::Disconnected) => Next::Over,
            Err(RecvTimeoutError::Timeout) if matches!(self.child.try_wait(), Ok(Some(_))) => {
                self.rest()
            }
            Err(RecvTimeoutError::Timeout) => Next::Quiet,
        }
    }

    /// What the process has left in its pipes and sockets: on a busy host, results arrive after its end.
    fn rest(&mut self) -> Next {
        // A socket that nobody ever connected to would keep the channel open for ever.
        self.ports = None;
        match self.lines.recv_timeout(REST) {
            Ok(line) => Next::Line(line),
            Err(_) => Next::Over,
        }
    }

    /// Whether a signal has stopped the process (SIGSTOP, Ctrl-Z): then its guest is not to blame for its silence.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.ok().and_then(|line| Stat::parse(&line));
        stat.is_some_and(|stat| stat.state == 'T')
    }

    /// Kills it unless it has ended by itself. Lines that are already on their way can still be read.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill().context("failed to kill the guest")?;
        self.wait()
    }

    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().context("failed to wait for the guest")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may be gone already, and nobody can do more about it here.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_comes_after_the_end_is_read() {
        let mut guest = Guest::start(&["true".into()]).unwrap();
        let sender = guest.sender().unwrap();
        guest.wait().unwrap();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            sender.send(Line::Ktap("ok 1 a".into())).unwrap();
        });
        let patience = Duration::from_millis(10);
        assert_eq!(
            guest.next(patience),
            Next::Line(Line::Ktap("ok 1 a".into()))
        );
        assert_eq!(guest.next(patience), Next::Over);
    }

    #[test]
    fn a_guest_that_is_not_read_has_to_wait() {
        let mut guest = Guest::start(&["yes".into()]).unwrap();
        // It would have printed a gigabyte by then.
        thread::sleep(Duration::from_millis(500));
        guest.kill().unwrap();
        let mut lines = 0;
        while guest.next(Duration::from_millis(10)) != Next::Over {
            lines += 1;
        }
        // A pipe and the reader's buffer are full, too.
        let waiting = WAITING + (128 << 10) / "y\n".len();
        assert!(lines < waiting, "{lines} lines were kept");
    }
}
