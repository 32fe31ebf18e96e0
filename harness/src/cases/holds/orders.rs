//! Two freezers, and all that they and others can do in a few steps.

use anyhow::Result;

use super::model::Step::{self, Freeze, FreezeFor, Reopen, Reset, Thaw};
use super::model::Through::{self, A, B, Other};
use super::script::Script;
use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::HOUR;
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
    let fs = fixture.scratch()?;
    for a in FREEZES {
        for b in FREEZES {
            let begin = [a(A), b(B)];
            fixture.step(&format!("{begin:?}, and three steps of {}", NEXT.len()));
            for steps in threes() {
                play(&fs, begin.into_iter().chain(steps))?;
            }
        }
    }
    Ok(())
}

fn threes() -> impl Iterator<Item = [Step; 3]> {
    NEXT.iter().flat_map(|&first| {
        NEXT.iter()
            .flat_map(move |&second| NEXT.iter().map(move |&third| [first, second, third]))
    })
}

fn play(fs: &Mount, steps: impl Iterator<Item = Step>) -> Result<()> {
    let mut script = Script::new(fs, HOUR)?;
    for step in steps {
        script.take(step)?.ok();
    }
    script.end()
}
