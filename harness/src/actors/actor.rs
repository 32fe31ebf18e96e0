//! An actor: a child process that performs one operation.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::process::{self, set_own_name};
use super::report::{self, Listener, Outcome};
use crate::linux::proc::{Stat, describe};

/// A child process that performs one operation, which may block.
///
/// The fixture starts it, and ends it when the case is over.
#[derive(Debug)]
pub struct Actor {
    what: String,
    pid: Pid,
    report: Listener,
    patience: Duration,
}

impl Actor {
    /// Returns when the child is about to enter `operation`; no later wait
    /// lasts longer than `patience`.
    pub fn spawn(
        what: &str,
        patience: Duration,
        operation: impl FnOnce() -> io::Result<()>,
    ) -> Result<Actor> {
        let (mut report, mut teller) = report::channel()?;
        let pid = process::spawn(|| {
            set_own_name(what);
            teller.signal().expect("the parent reads");
            teller.outcome(operation()).expect("the parent reads");
        })?;
        drop(teller);
        report
            .signal()
            .with_context(|| format!("{what}: the actor died"))?;
        Ok(Actor {
            what: what.to_owned(),
            pid,
            report,
            patience,
        })
    }

    pub fn pid(&self) -> Pid {
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
            let ended = self.report.is_ready_within(time)?;
            ensure!(!ended, "{} was not blocked by the freeze", self.what);
            Ok(())
        };
        process::until_blocked(&self.what, self.pid, self.patience, pause)
    }

    /// Returns when the operation is seen to sleep, on whatever it is.
    ///
    /// # Errors
    /// When it ends.
    pub fn sleeps(&self) -> Result<()> {
        let pause = |time| {
            let ended = self.report.is_ready_within(time)?;
            ensure!(!ended, "{} has ended", self.what);
            Ok(())
        };
        process::until(&self.what, process::SLEEP, self.pid, self.patience, pause)
    }

    /// Returns when the signal has ended or stopped the process.
    pub fn has_got(&self, signal: Signal) -> Result<()> {
        // Whoever started it collects it in the end.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.pid), flags).context("failed to wait for an actor")? {
            WaitStatus::Signaled(_, by, _) | WaitStatus::Stopped(_, by) if by == signal => Ok(()),
            status => bail!("not {signal}, but {status:?}"),
        }
    }

    /// Returns when the process has ended, in whatever way.
    ///
    /// # Errors
    /// When it hangs, with the place where it does.
    pub fn ends(self) -> Result<()> {
        self.does_not_hang()?;
        process::until_ended(self.pid)
    }

    /// Something was said, or the process has died.
    fn does_not_hang(&self) -> Result<()> {
        if self.report.is_ready_within(self.patience)? {
            return Ok(());
        }
        let seconds = self.patience.as_secs_f32();
        bail!(
            "{} hangs for {seconds} s: {}",
            self.what,
            describe(self.pid)
        );
    }

    /// What came of the operation; waits for the end of the process.
    ///
    /// # Errors
    /// When it hangs, with the place where it does.
    pub fn outcome(mut self) -> Result<Outcome> {
        self.does_not_hang()?;
        let outcome = self
            .report
            .outcome()
            .with_context(|| format!("{}: the actor died", self.what))?;
        process::until_ended(self.pid)?;
        Ok(outcome)
    }
}
