//! Long steps, as the user sees them.

use std::time::Instant;

use crate::event::{Event, Events};
use crate::failure::Result;

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
