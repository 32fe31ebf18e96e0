//! Long steps, as the user sees them.

use std::time::{Duration, Instant};

use crate::event::{Event, Events};
use crate::failure::Result;

/// Often enough to be seen as movement.
const PACE: Duration = Duration::from_millis(100);

/// Tells how far a phase is, but not for each of thousands of files.
#[derive(Debug)]
pub struct Pace<'a> {
    events: &'a Events,
    unit: &'static str,
    told: Option<Instant>,
}

impl<'a> Pace<'a> {
    pub fn new(events: &'a Events) -> Self {
        Self {
            events,
            unit: "",
            told: None,
        }
    }

    /// The same for numbers of a unit.
    pub fn of(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// `item` is what is at work.
    pub fn tell(&mut self, done: u64, total: Option<u64>, item: impl FnOnce() -> String) {
        if self.told.is_some_and(|told| told.elapsed() < PACE) {
            return;
        }
        self.told = Some(Instant::now());
        self.events.send(Event::Progress {
            done,
            total,
            unit: self.unit,
            item: item(),
        });
    }
}

/// Runs a step; it returns its result and the words that sum it up.
pub fn phase<T>(
    events: &Events,
    what: impl Into<String>,
    step: impl FnOnce() -> Result<(T, String)>,
) -> Result<T> {
    let begun = Instant::now();
    let what = what.into();
    events.send(Event::PhaseStarted { what: what.clone() });
    let (result, outcome) = match step() {
        Ok((value, outcome)) => (Ok(value), outcome),
        Err(failure) => (Err(failure), "failed".to_owned()),
    };
    events.send(Event::PhaseEnded {
        what,
        outcome,
        took: begun.elapsed(),
    });
    result
}
