//! A program that has our terminal.

use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::Result;
use crate::proc::Stop;

const TICK: Duration = Duration::from_millis(50);
/// What it gets to clean up after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// Runs it to its end. A stop is passed on: Ctrl-C reaches it by itself, a SIGTERM that was sent to us does not.
pub fn run(command: &mut Command, stop: &Stop) -> Result<ExitStatus> {
    stop.check()?;
    let mut child = command
        .spawn()
        .with_context(|| format!("failed to run {command:?}"))?;
    let mut deadline = None;
    loop {
        if let Some(status) = child.try_wait()? {
            stop.check()?;
            return Ok(status);
        }
        match deadline {
            None if stop.requested() => {
                // It may have ended just now.
                let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
                deadline = Some(Instant::now() + GRACE);
            }
            Some(deadline) if Instant::now() > deadline => child.kill()?,
            _ => {}
        }
        std::thread::sleep(TICK);
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn the_exit_status_is_its_own() {
        let status = run(Command::new("sh").args(["-c", "exit 7"]), &Stop::default()).unwrap();
        assert_eq!(status.code(), Some(7));
    }
}
