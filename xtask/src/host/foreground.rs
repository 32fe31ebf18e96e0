//! A program that has our terminal.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::proc::{self, Stop};
use crate::failure::Result;

const TICK: Duration = Duration::from_millis(50);
/// What it gets to clean up after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// Runs it to its end. A stop is passed on: Ctrl-C reaches it by itself, a SIGTERM that was sent to us does not.
pub fn run(command: &mut Command, stop: &Stop) -> Result<ExitStatus> {
    tend(&mut spawn(command, stop)?, kill, stop)
}

/// The same for a program that starts others, which are to end with it: it only writes to the terminal.
pub fn run_with_children(command: &mut Command, stop: &Stop) -> Result<ExitStatus> {
    command.process_group(0).stdin(Stdio::null());
    let mut child = spawn(command, stop)?;
    let group = |pid, signal: Signal| killpg(pid, signal);
    let ended = tend(&mut child, group, stop);
    if ended.is_err() {
        // What did not end with its parent.
        let _ = group(pid(&child), Signal::SIGKILL);
    }
    ended
}

pub fn spawn(command: &mut Command, stop: &Stop) -> Result<Child> {
    stop.check()?;
    let child = command.spawn();
    Ok(child.with_context(|| format!("failed to run `{}`", proc::line_of(command)))?)
}

/// Waits for the child's end, and sees to it when the run is stopped.
pub fn tend(
    child: &mut Child,
    send: impl Fn(Pid, Signal) -> nix::Result<()>,
    stop: &Stop,
) -> Result<ExitStatus> {
    let mut deadline = None;
    loop {
        if let Some(status) = child.try_wait()? {
            stop.check()?;
            return Ok(status);
        }
        // It may have ended just now.
        match deadline {
            None if stop.requested() => {
                let _ = send(pid(child), Signal::SIGTERM);
                deadline = Some(Instant::now() + GRACE);
            }
            Some(deadline) if Instant::now() > deadline => {
                let _ = send(pid(child), Signal::SIGKILL);
            }
            _ => {}
        }
        std::thread::sleep(TICK);
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::failure::Kind;

    #[test]
    fn a_stop_is_passed_on() {
        let stop = Stop::default();
        let asked = stop.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            asked.request();
        });
        let begun = Instant::now();
        let failure = run(Command::new("sleep").arg("60"), &stop).unwrap_err();
        assert_eq!(failure.kind, Kind::Interrupted);
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    /// The child holds a pipe for as long as it lives.
    #[test]
    fn a_stop_ends_the_children_too() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let stop = Stop::default();
        let mut parent = Command::new("sh");
        parent.args(["-c", "sleep 60 & echo; wait"]).stdout(writer);
        let asked = stop.clone();
        let watcher = std::thread::spawn(move || {
            let mut line = [0];
            reader.read_exact(&mut line).unwrap();
            asked.request();
            // To its end.
            reader.read_to_end(&mut Vec::new()).unwrap();
        });
        let failure = run_with_children(&mut parent, &stop).unwrap_err();
        assert_eq!(failure.kind, Kind::Interrupted);
        drop(parent);
        let begun = Instant::now();
        watcher.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn the_exit_status_is_its_own() {
        let status = run(Command::new("sh").args(["-c", "exit 7"]), &Stop::default()).unwrap();
        assert_eq!(status.code(), Some(7));
    }
}
