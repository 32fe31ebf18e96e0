//! Processes that make calls at given moments.

use std::io;
use std::thread::sleep;
use std::time::Instant;

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

use super::process::{self, set_own_name};
use super::report::{self, Listener, Outcome};

/// When, and what. A call that waits delays those after it.
pub type Call<'a> = (Instant, Box<dyn Fn() -> Outcome + 'a>);

/// A child that makes its calls in order, and reports what came of each.
#[derive(Debug)]
pub struct Racer {
    pid: Pid,
    calls: usize,
    report: Listener,
}

impl Racer {
    /// Starts the child, which waits for the moment of its first call.
    pub fn spawn(calls: &[Call<'_>]) -> Result<Racer> {
        let (report, mut teller) = report::channel()?;
        let pid = process::spawn(|| {
            set_own_name("racer");
            for (start, call) in calls {
                sleep(start.saturating_duration_since(Instant::now()));
                let outcome = call().map_err(io::Error::from);
                teller.outcome(outcome).expect("the parent reads");
            }
        })?;
        Ok(Racer {
            pid,
            calls: calls.len(),
            report,
        })
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// What came of the calls, in their order; waits for the end of the process.
    pub fn outcomes(mut self) -> Result<Vec<Outcome>> {
        let outcomes = (0..self.calls)
            .map(|_| self.report.outcome())
            .collect::<io::Result<_>>()
            .context("a racer died")?;
        process::until_ended(self.pid)?;
        Ok(outcomes)
    }
}
