//! Processes that make calls at given moments.

use std::io::{self, PipeReader, Read as _, Write as _};
use std::thread::sleep;
use std::time::Instant;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::task::{self, decode, encode};

/// When, and what. A call that waits delays those after it.
pub type Call<'a> = (Instant, Box<dyn Fn() -> Result<(), Errno> + 'a>);

/// A child that makes its calls in order, and reports what came of each.
#[derive(Debug)]
pub struct Racer {
    pid: Pid,
    calls: usize,
    report: PipeReader,
}

impl Racer {
    pub(crate) fn spawn(calls: &[Call<'_>]) -> Result<Racer> {
        let (report, mut sender) = io::pipe().context("failed to make a pipe")?;
        let pid = task::spawn(|| {
            task::set_own_name("racer");
            for (start, call) in calls {
                sleep(start.saturating_duration_since(Instant::now()));
                let errno = encode(call().map_err(io::Error::from));
                sender
                    .write_all(&errno.to_ne_bytes())
                    .expect("the parent reads");
            }
        })?;
        Ok(Racer {
            pid,
            calls: calls.len(),
            report,
        })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// What came of the calls, in their order; waits for the end of the process.
    pub fn outcomes(mut self) -> Result<Vec<Result<(), Errno>>> {
        let mut outcome = || {
            let mut errno = [0; size_of::<i32>()];
            self.report.read_exact(&mut errno)?;
            Ok(decode(i32::from_ne_bytes(errno)))
        };
        let outcomes = (0..self.calls)
            .map(|_| outcome())
            .collect::<io::Result<_>>()
            .context("a racer died")?;
        task::until_ended(self.pid)?;
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn outcomes_come_in_order() {
        let count = Cell::new(0);
        let call = || {
            count.set(count.get() + 1);
            match count.get() {
                2 => Err(Errno::EINVAL),
                _ => Ok(()),
            }
        };
        let calls: Vec<Call<'_>> = (0..3)
            .map(|_| (Instant::now(), Box::new(call) as Box<_>))
            .collect();
        let racer = Racer::spawn(&calls).unwrap();
        let outcomes = racer.outcomes().unwrap();
        assert_eq!(outcomes, [Ok(()), Err(Errno::EINVAL), Ok(())]);
    }
}
