//! Two freezers, and all that they and others can do in a few steps.

use anyhow::{Result, ensure};

use super::model::Step::{self, Freeze, FreezeFor, Reopen, Reset, Thaw};
use super::model::Through::{self, A, B, Other};
use super::script::Script;
use crate::case::Case;
use crate::fixture::Fixture;
use crate::kit::deadline::HOUR;
use crate::kit::device::follows;
use crate::wire::Feature;

pub const CASES: &[Case] = &[Case::new(
    "holds_in_all_orders",
    "what FITHAW, a reset and close do to the holds of two files, in all orders, through each file and another",
    in_all_orders,
)
.needing(Feature::Timeout)];

/// How a file may freeze.
const FREEZES: [fn(Through) -> Step; 3] =
    [Freeze, |file| FreezeFor(file, 0), |file| FreezeFor(file, 1)];

/// What may happen then, as often as there are steps.
const NEXT: [Step; 11] = [
    Thaw(A),
    Thaw(B),
    Thaw(Other),
    Reset(A, 0),
    Reset(A, 1),
    Reset(B, 1),
    Reset(Other, 1),
    Reopen(A),
    Reopen(B),
    Freeze(A),
    FreezeFor(B, 1),
];

fn in_all_orders(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = fixture.scratch_on_dm()?;
    for begin in begins() {
        fixture.step(&format!("{begin:?}, and each of {}", NEXT.len()));
        for step in NEXT {
            play(Script::new(&fs, HOUR)?, begin.into_iter().chain([step]))?;
        }
    }
    if !follows(fixture, &fs, &dm)? {
        return Ok(());
    }
    // Where a device holds it as well, nothing is written at a freeze: that many more are tried in the same time.
    dm.suspend()?;
    for begin in begins() {
        fixture.step(&format!(
            "{begin:?}, and three steps of {}, on a suspended device",
            NEXT.len()
        ));
        for first in NEXT {
            for steps in twos() {
                let steps = begin.into_iter().chain([first]).chain(steps);
                play(Script::suspended(&fs, HOUR)?, steps)?;
            }
        }
    }
    dm.resume()?;
    ensure!(!fs.is_frozen()?, "frozen after the last hold");
    Ok(())
}

fn begins() -> impl Iterator<Item = [Step; 2]> {
    FREEZES
        .into_iter()
        .flat_map(|a| FREEZES.map(|b| [a(A), b(B)]))
}

fn twos() -> impl Iterator<Item = [Step; 2]> {
    NEXT.into_iter()
        .flat_map(|first| NEXT.map(|second| [first, second]))
}

fn play(mut script: Script<'_>, steps: impl Iterator<Item = Step>) -> Result<()> {
    for step in steps {
        script.take(step)?.ok();
    }
    script.end()
}
