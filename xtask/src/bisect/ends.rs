//! The two ends of a range, before anything is searched: that they are what they are said to be, and how often the one
//! that fails does so.

use std::collections::BTreeSet;

use super::lab::{Care, Lab, Subject, Tested};
use super::odds;
use super::report::times;
use super::signature::{Came, Ending, Ends, look};
use super::state::Commits;
use super::{Judgement, MOST_RUNS, Plan, Reason, Runs, Scope, Side, Signature, Terms, Untestable};
use crate::failure::Result;

/// How often an end is run, as long as that does not tell how often a step has to.
const CHUNKS: [u32; 4] = [5, 20, 50, 125];
/// An end that has passed so often passes.
const PASSES: u32 = 25;
/// More runs a step than anybody waits for.
const MOST: u32 = 500;

/// What is known once both ends were tested.
#[derive(Debug)]
pub struct Proven {
    pub ends: Ends,
    pub old: Tested,
    pub new: Tested,
    /// How often the end that fails did so.
    pub rate: Runs,
    /// How often each step is to run the case.
    pub runs: u32,
    /// See [`Care::alone`].
    pub alone: bool,
    /// In a sentence, if that is not often enough.
    pub short: Option<String>,
}

impl Proven {
    pub fn signature(&self) -> Option<&Signature> {
        self.ends.new.as_ref().or(self.ends.old.as_ref())
    }

    /// What the builds of both ends read.
    pub fn read(&self) -> impl Iterator<Item = String> {
        self.old.read.union(&self.new.read).cloned()
    }

    /// The least rate of failures that the runs at the end which fails allow.
    pub fn least_rate(&self, plan: &Plan) -> f64 {
        let risk = odds::share(plan.manner.confidence);
        odds::least_rate(self.rate.failed, self.rate.total(), risk)
    }

    /// How often the culprit and its parents are run again: they may all be wrong together with the risk of one step.
    pub fn runs_again(&self, plan: &Plan, parents: usize) -> u32 {
        let parents = u32::try_from(parents).unwrap_or(1).max(1);
        let risk = odds::share(plan.manner.confidence) / f64::from(parents);
        let wanted = odds::runs_for(self.least_rate(plan), risk).unwrap_or(MOST);
        plan.manner.runs.unwrap_or(wanted.min(MOST))
    }

    /// What each side is by its own runs.
    pub fn sides(&self) -> [Judgement; 2] {
        [&self.old, &self.new].map(|end| side(&self.ends, end).1)
    }

    fn is_one_kernel(&self) -> bool {
        self.old.image.is_some() && self.old.image == self.new.image
    }

    /// Why there is nothing to search, in a sentence.
    pub fn obstacle(&self, plan: &Plan) -> Option<String> {
        let said = |side| (plan.terms.word(side), plan.revision(side));
        let ((old, good), (new, bad)) = (said(Side::Old), said(Side::New));
        let [is_old, is_new] = self.sides();
        match (&is_old, &is_new) {
            (Ok(Side::Old), Ok(Side::New)) => self.is_one_kernel().then(|| {
                format!(
                    "--{old} {good} and --{new} {bad} make the same kernel, and no commit between them changes the case: \
                     what it fails with, it does now and then; --runs N runs it more often"
                )
            }),
            (Ok(Side::New), Ok(Side::Old)) => Some(format!(
                "the ends are swapped: --{old} {good} fails, and --{new} {bad} passes; to search for what fixed it: \
                 --old {good} --new {bad}"
            )),
            (Ok(Side::Old), Ok(Side::Old)) => {
                let runs = rate(&self.new.endings).total();
                let more = runs.saturating_mul(10).min(MOST_RUNS);
                Some(format!(
                    "--{new} {bad} is not {new}: it passes in all of {runs} runs, as --{old} {good} does; if it fails \
                     there now and then: --runs {more}"
                ))
            }
            (Ok(Side::New), Ok(Side::New)) => Some(format!(
                "--{old} {good} is not {old}: it fails as --{new} {bad} does{}",
                self.signature()
                    .map_or(String::new(), |it| format!(": {}", it.words()))
            )),
            (Err(why), _) => Some(says_nothing(old, good, why)),
            (_, Err(why)) => Some(says_nothing(new, bad, why)),
        }
    }
}

/// Of an end, with a way on where there is one.
fn says_nothing(word: &str, revision: &str, why: &Untestable) -> String {
    let way_on = match why.reason {
        Reason::DoesNotCompile => "; --pick FIX takes along a commit that it needs to compile",
        Reason::ControlFailed => "; --control CASE takes another control case",
        _ => "",
    };
    format!("--{word} {revision} says nothing: {}{way_on}", why.line())
}

/// Tests both ends.
pub fn test(plan: &Plan, lab: &mut Lab<'_>, commits: &Commits) -> Result<Proven> {
    let (mut new, mut alone) = measured(plan, lab, &commits.new)?;
    let mut old = match runs(plan, &new.endings) {
        Some(runs) => test_end(plan, lab, &commits.old, runs, alone)?,
        None => {
            let (old, is_alone) = measured(plan, lab, &commits.old)?;
            alone = is_alone;
            if let Some(runs) = runs(plan, &old.endings).filter(|_| alone && passes(&new)) {
                // It has done so in one boot.
                new = join(new, test_end(plan, lab, &commits.new, runs, alone)?);
            }
            old
        }
    };
    let ends = ends(plan, &old, &new);
    let failing = if ends.new.is_some() { &new } else { &old };
    let rate = side(&ends, failing).0;
    let (wanted, given) = (steps(plan, &failing.endings), runs(plan, &failing.endings));
    if let Some(runs) = given {
        for (end, commit) in [(&mut old, &commits.old), (&mut new, &commits.new)] {
            top_up(plan, lab, end, commit, runs, alone)?;
        }
    }
    let runs = given.unwrap_or_default();
    let short = wanted.filter(|wanted| *wanted > runs).map(|wanted| {
        let times = times(runs);
        format!("each step ran the case {times}, where its rate of failures asks for {wanted}")
    });
    Ok(Proven {
        ends,
        old,
        new,
        rate,
        runs,
        alone,
        short,
    })
}

/// How often a step runs the case, if an end fails like that; `None` if it does not.
fn runs(plan: &Plan, endings: &[Ending]) -> Option<u32> {
    look(endings).0?;
    let wanted = steps(plan, endings).unwrap_or(MOST);
    Some(plan.manner.runs.unwrap_or(wanted.min(MOST)))
}

/// How both ends look. Of good and bad, the good one has no look of its own: it has to pass.
fn ends(plan: &Plan, old: &Tested, new: &Tested) -> Ends {
    let ((of_old, before), (of_new, after)) = (look(&old.endings), look(&new.endings));
    let (old, new, known) = match (of_old, of_new, plan.terms) {
        // Ends that are swapped go by the look of the wrong one, and are refused.
        (Some(failing), None, Terms::GoodBad) => (None, Some(failing), before),
        (Some(failing), None, Terms::OldNew) => (Some(failing), None, before),
        (Some(one), Some(other), Terms::OldNew) if one != other && !plan.manner.any_failure => {
            (Some(one), Some(other), after)
        }
        (_, of_new, _) => (None, of_new, after),
    };
    Ends {
        old,
        new,
        known,
        any_failure: plan.manner.any_failure,
    }
}

/// The side that an end is on by its runs, whatever it was said to be.
pub fn side(ends: &Ends, end: &Tested) -> (Runs, Judgement) {
    match &end.untestable {
        Some(why) => (Runs::default(), Err(why.clone())),
        None if ends.old.is_none() && ends.new.is_none() => nothing_fails(&end.endings),
        None => ends.side(&end.endings),
    }
}

/// Of an end, where neither fails.
fn nothing_fails(endings: &[Ending]) -> (Runs, Judgement) {
    let why_not = endings.iter().find_map(|ending| match &ending.came {
        Came::Skipped(why) => Some(why.clone()),
        _ => None,
    });
    let judgement = why_not.map_or(Ok(Side::Old), |words| {
        let reason = Reason::LacksFeature;
        Err(Untestable { reason, words })
    });
    (rate(endings), judgement)
}

/// How an end is, and whether each run is to have a boot of its own.
fn measured(plan: &Plan, lab: &mut Lab<'_>, commit: &str) -> Result<(Tested, bool)> {
    let tested = measure(plan, lab, commit, false)?;
    match is_once(&tested.endings) {
        true => Ok((measure(plan, lab, commit, true)?, true)),
        false => Ok((tested, false)),
    }
}

/// Runs an end until it is known how often each step has to run the case.
fn measure(plan: &Plan, lab: &mut Lab<'_>, commit: &str, alone: bool) -> Result<Tested> {
    if let Some(runs) = plan.manner.runs {
        return test_end(plan, lab, commit, runs, alone);
    }
    let mut tested = Tested::default();
    for runs in CHUNKS {
        let more = test_end(plan, lab, commit, runs, alone)?;
        tested = join(tested, more);
        let is_once = !alone && is_once(&tested.endings);
        if is_once || tested.untestable.is_some() || !is_vague(plan, &tested.endings) {
            break;
        }
    }
    Ok(tested)
}

/// Whether the kernel seems to complain once a boot, as `WARN_ON_ONCE`, lockdep and KASAN do.
fn is_once(endings: &[Ending]) -> bool {
    let complains = look(endings).0.is_some_and(|it| it.complaint.is_some());
    let runs = rate(endings);
    complains && runs.failed == 1 && runs.total() > 1
}

/// Whether more runs would tell more.
fn is_vague(plan: &Plan, endings: &[Ending]) -> bool {
    let runs = rate(endings);
    match (runs.failed, runs.total()) {
        (0, total) => total < PASSES && total > 0,
        (failed, total) if failed == total => false,
        (_, total) => steps(plan, endings).is_none_or(|steps| steps > total),
    }
}

fn test_end(
    plan: &Plan,
    lab: &mut Lab<'_>,
    commit: &str,
    runs: u32,
    alone: bool,
) -> Result<Tested> {
    let subject = Subject {
        commit: commit.to_owned(),
        revert: None,
    };
    let care = Care {
        runs,
        one_first: false,
        alone,
        images: false,
        read: plan.manner.scope == Scope::Read,
    };
    lab.test(&subject, care)
}

/// An end that passes has to do so as often as any other commit.
fn top_up(
    plan: &Plan,
    lab: &mut Lab<'_>,
    end: &mut Tested,
    commit: &str,
    runs: u32,
    alone: bool,
) -> Result<()> {
    let done = rate(&end.endings);
    if passes(end) && done.total() < runs {
        let more = test_end(plan, lab, commit, runs - done.total(), alone)?;
        *end = join(std::mem::take(end), more);
    }
    Ok(())
}

fn passes(end: &Tested) -> bool {
    let runs = rate(&end.endings);
    end.untestable.is_none() && runs.failed == 0 && runs.total() > 0
}

fn join(mut tested: Tested, more: Tested) -> Tested {
    let read: BTreeSet<String> = tested.read.union(&more.read).cloned().collect();
    tested.image = tested.image.take().or(more.image.clone());
    tested.add(more);
    Tested { read, ..tested }
}

/// Of the case that fails, or else of the first.
fn rate(endings: &[Ending]) -> Runs {
    let signature = look(endings).0;
    let pair = |ending: &Ending| (ending.case.clone(), ending.filesystem);
    let searched = match &signature {
        Some(signature) => Some((signature.case.clone(), signature.filesystem)),
        None => endings.first().map(pair),
    };
    let mut runs = Runs::default();
    for ending in endings.iter().filter(|it| Some(pair(it)) == searched) {
        match &ending.came {
            Came::Passed => runs.passed += 1,
            Came::Failed(failure) if Some(failure) == signature.as_ref() => runs.failed += 1,
            _ => runs.other += 1,
        }
    }
    runs
}

/// How often each step has to run the case, by how often it failed here; `None` if that says nothing.
fn steps(plan: &Plan, endings: &[Ending]) -> Option<u32> {
    let Runs { failed, .. } = rate(endings);
    let risk = odds::share(plan.manner.confidence);
    odds::runs_for(odds::least_rate(failed, rate(endings).total(), risk), risk)
}
