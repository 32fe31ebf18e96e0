//! What a culprit is put to the proof by: it and its parents again, and the second end without it.

use super::lab::Care;
use super::trial::Trial;
use super::{Judgement, Proof, Purpose, Reverted, Side};
use crate::failure::Result;

/// What the proof has come to.
#[derive(Debug)]
pub enum Proved {
    Culprit(Proof),
    /// This parent of the culprit is on the second side, too.
    Earlier(String),
}

/// Tests all of it as if nothing were known.
pub fn prove(trial: &mut Trial<'_>, culprit: &str, old: &str, new: &str) -> Result<Proved> {
    let mut proof = Proof::default();
    let parents = parents(trial, culprit)?;
    if parents.is_empty() {
        let name = trial.git.named(culprit)?.cited();
        trial.undone.push(format!(
            "the tree has no parent of {name}, so nothing is known of what was before; if it is a shallow one: git fetch \
             --unshallow"
        ));
    }
    let care = Care {
        runs: trial.proven.runs_again(trial.plan, parents.len()),
        images: false,
        ..trial.care()
    };
    for parent in parents {
        let side = again(trial, &parent, care)?.ok();
        // Before the first end there is nothing to search: that one is flaky beyond what its runs have shown.
        if side == Some(Side::New) && !trial.git.is_ancestor(&parent, old)? {
            return Ok(Proved::Earlier(parent));
        }
        proof.parents.push((trial.git.named(&parent)?, side));
    }
    proof.culprit = again(trial, culprit, care)?.ok();
    if trial.plan.manner.revert {
        proof.reverted = reverted(trial, culprit, new, care)?;
    }
    Ok(Proved::Culprit(proof))
}

/// Those that the culprit is said to come after.
fn parents(trial: &Trial<'_>, culprit: &str) -> Result<Vec<String>> {
    let mut parents = trial.git.parents(culprit)?;
    if trial.plan.manner.first_parent {
        parents.truncate(1);
    }
    Ok(parents)
}

fn again(trial: &mut Trial<'_>, commit: &str, care: Care) -> Result<Judgement> {
    let (judgement, _) = trial.test(commit, None, Purpose::Proof, care)?;
    trial.tell(None);
    Ok(judgement)
}

fn reverted(trial: &mut Trial<'_>, culprit: &str, new: &str, care: Care) -> Result<Reverted> {
    let (judgement, _) = trial.test(new, Some(culprit), Purpose::Revert, care)?;
    Ok(match judgement {
        Ok(side) => Reverted::Is(side),
        Err(why) => {
            let (end, why_not) = (trial.plan.revision(Side::New), why.line());
            trial.undone.push(format!(
                "nothing is known of {end} without the culprit: {why_not}"
            ));
            Reverted::Unknown(why)
        }
    })
}
