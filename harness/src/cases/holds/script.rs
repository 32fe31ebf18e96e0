//! Steps on a real superblock, each beside the model.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;

use super::model::{Model, Step, Through};
use crate::actors::report::Outcome;
use crate::devices::mount::Mount;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// A filesystem, two more open files of it, and what must be true of it.
#[derive(Debug)]
pub struct Script<'a> {
    fs: &'a Mount,
    a: Mount,
    b: Mount,
    model: Model,
    /// Seconds: the unit of times.
    unit: i64,
    /// Whether its device holds it as well, all the time.
    suspended: bool,
    done: Vec<Step>,
}

impl Script<'_> {
    pub fn new(fs: &Mount, unit: i64) -> Result<Script<'_>> {
        Ok(Script {
            fs,
            a: fs.again()?,
            b: fs.again()?,
            model: Model::default(),
            unit,
            suspended: false,
            done: Vec::new(),
        })
    }

    /// The same, on a device that is suspended.
    pub fn suspended(fs: &Mount, unit: i64) -> Result<Script<'_>> {
        let script = Script::new(fs, unit)?;
        Ok(Script {
            suspended: true,
            ..script
        })
    }

    /// Fails unless the step returns what it must.
    pub fn take(&mut self, step: Step) -> Result<Outcome> {
        self.done.push(step);
        let wanted = self.model.take(step);
        let got = self.really(step)?;
        ensure!(
            got == wanted,
            "{:?}: the last returned {got:?}, not {wanted:?}",
            self.done
        );
        Ok(got)
    }

    /// So many units of time have passed; whether that must have ended a hold.
    pub fn expire(&mut self, now: i64) -> bool {
        self.model.expire(now)
    }

    /// Fails unless it is frozen if it must be.
    pub fn is_as_it_must_be(&self) -> Result<()> {
        let (frozen, wanted) = (self.fs.is_frozen()?, self.is_to_be_frozen());
        ensure!(
            frozen == wanted,
            "{:?}: frozen: {frozen}, not {wanted}",
            self.done
        );
        Ok(())
    }

    fn is_to_be_frozen(&self) -> bool {
        self.suspended || self.model.is_frozen()
    }

    /// The same, in this time: what ends by itself may be late.
    pub fn becomes_as_it_must_be(&self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        while self.fs.is_frozen()? != self.is_to_be_frozen() && Instant::now() < end {
            sleep(PAUSE);
        }
        self.is_as_it_must_be()
    }

    /// Thaws through each file until there is nothing left for it.
    pub fn end(mut self) -> Result<()> {
        self.is_as_it_must_be()?;
        for file in [Through::A, Through::B, Through::Other] {
            while self.take(Step::Thaw(file))?.is_ok() {}
        }
        self.is_as_it_must_be()
    }

    /// Thaws, whatever is true: it starts anew.
    pub fn give_up(self) -> Result<()> {
        drop((self.a, self.b));
        self.fs.thaw_fully().map(drop)
    }

    fn really(&mut self, step: Step) -> Result<Outcome> {
        let unit = self.unit;
        let other = self.fs.again()?;
        let file = |file| match file {
            Through::A => &self.a,
            Through::B => &self.b,
            Through::Other => &other,
        };
        Ok(match step {
            Step::Freeze(through) => file(through).freeze(),
            Step::FreezeFor(through, time) => file(through).freeze_timeout(time * unit),
            Step::Reset(through, time) => file(through).reset_timeout(time * unit),
            Step::Thaw(through) => file(through).thaw(),
            Step::Reopen(through) => self.reopen(through).map(Ok::<(), Errno>)?,
        })
    }

    /// The new file may get the place in memory that the old one had.
    fn reopen(&mut self, file: Through) -> Result<()> {
        let closing = match file {
            Through::A => &mut self.a,
            Through::B => &mut self.b,
            Through::Other => return Ok(()),
        };
        closing.reopen().context("failed to reopen")
    }
}
