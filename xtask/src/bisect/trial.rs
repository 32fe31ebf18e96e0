//! What was found out, commit by commit: the rows of the table, and what each commit is since.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ends::{self, Proven};
use super::git::Bisection;
use super::lab::{Care, Lab, Subject, Tested};
use super::{End, How, Judgement, Plan, Purpose, Reason, Runs, Step, Untestable, odds};
use crate::failure::Result;
use crate::host::session::Session;
use crate::words::{clock, count, left};

#[derive(Debug)]
pub struct Trial<'a> {
    pub plan: &'a Plan,
    pub git: &'a Bisection,
    lab: Lab<'a>,
    session: &'a Session,
    pub proven: Proven,
    /// What was built and run, or has the image of what was; with all runs of it.
    pub tested: BTreeMap<String, (Judgement, Runs)>,
    pub steps: Vec<Step>,
    pub undone: Vec<String>,
}

impl<'a> Trial<'a> {
    /// Begins with both ends.
    pub fn of_ends(
        plan: &'a Plan,
        git: &'a Bisection,
        mut lab: Lab<'a>,
        session: &'a Session,
    ) -> Result<Self> {
        let commits = lab.journal().commits().clone();
        let mut proven = ends::test(plan, &mut lab, &commits)?;
        let mut trial = Self {
            plan,
            git,
            lab,
            session,
            undone: proven.short.take().into_iter().collect(),
            tested: BTreeMap::new(),
            steps: Vec::new(),
            proven,
        };
        let ends = [
            (&commits.new, trial.proven.new.clone()),
            (&commits.old, trial.proven.old.clone()),
        ];
        for (commit, end) in ends {
            let (runs, judgement) = ends::side(&trial.proven.ends, &end);
            let known = (judgement.clone(), runs);
            trial.tested.insert(commit.clone(), known);
            trial.note(commit, Purpose::End, &end, runs, judgement)?;
        }
        Ok(trial)
    }

    /// How a commit of the range is tested.
    pub fn care(&self) -> Care {
        let costly = |signature: &super::Signature| signature.how != How::Failed;
        let alone = self.proven.alone;
        Care {
            runs: self.proven.runs,
            one_first: alone || self.proven.signature().is_some_and(costly),
            alone,
            images: true,
            read: false,
        }
    }

    /// Tests a commit, without another if one is to be taken back.
    pub fn test(
        &mut self,
        commit: &str,
        revert: Option<&str>,
        why: Purpose,
        care: Care,
    ) -> Result<(Judgement, Runs)> {
        let subject = Subject {
            commit: commit.to_owned(),
            revert: revert.map(str::to_owned),
        };
        let tested = self.lab.test(&subject, care)?;
        let (runs, judgement) = self.judged(&tested, care.runs);
        if revert.is_none() {
            let before = self.tested.get(commit);
            let mut all = runs;
            all += before.map_or(Runs::default(), |(_, runs)| *runs);
            let known = (judgement.clone(), all);
            self.tested.insert(commit.to_owned(), known);
        }
        self.note(commit, why, &tested, runs, judgement.clone())?;
        Ok((judgement, runs))
    }

    fn judged(&self, tested: &Tested, wanted: u32) -> (Runs, Judgement) {
        let same = tested.same_as.as_ref().and_then(|it| self.tested.get(it));
        if let Some((judgement, runs)) = same {
            return (*runs, judgement.clone());
        }
        let (runs, judgement) = ends::side(&self.proven.ends, tested);
        if judgement.is_ok() && runs.failed == 0 && runs.passed < wanted {
            let words = format!("{} of {wanted} runs, which have passed", runs.passed);
            let reason = Reason::OtherFailure;
            return (runs, Err(Untestable { reason, words }));
        }
        (runs, judgement)
    }

    /// A commit that has the kernel of another, and so what is known of that.
    pub fn same(&mut self, commit: &str, as_in: &str, why: Purpose) -> Result<()> {
        if let Some((judgement, runs)) = self.tested.get(as_in).cloned() {
            let same = Tested {
                same_as: Some(as_in.to_owned()),
                ..Tested::default()
            };
            self.note(commit, why, &same, runs, judgement)?;
        }
        Ok(())
    }

    fn note(
        &mut self,
        commit: &str,
        why: Purpose,
        tested: &Tested,
        runs: Runs,
        verdict: Judgement,
    ) -> Result<()> {
        self.steps.push(Step {
            of: self.git.named(commit)?,
            why,
            verdict,
            runs,
            image: tested.image.clone(),
            same_as: tested.same_as.clone(),
            took: tested.took,
        });
        Ok(())
    }

    /// Tells the last step, and how long the rest may take, of which git expects so many; nothing of a step of before.
    pub fn tell(&self, steps: Option<u32>) {
        let is_new = self.lab.journal().waiting() == 0;
        let Some(step) = self.steps.last().filter(|_| is_new) else {
            return;
        };
        let verdict = match &step.verdict {
            Ok(side) => format!("is {}", self.plan.terms.word(*side)),
            Err(why) => format!("is skipped: {}", why.line()),
        };
        let rest = steps.filter(|steps| *steps > 0).map(|steps| {
            let a_step = self.step_time();
            let (steps_left, time) = (count(steps, "step"), left(a_step * steps));
            format!("; {} a step: {steps_left}, {time}", clock(a_step))
        });
        let (name, rest) = (step.of.cited(), rest.unwrap_or_default());
        self.session.events.note(format!("{name} {verdict}{rest}"));
    }

    /// The median of those that were built: the first one was built from nothing.
    fn step_time(&self) -> Duration {
        let steps = self.steps.iter().map(|step| step.took);
        let mut built: Vec<Duration> = steps.filter(|took| !took.is_zero()).collect();
        built.sort_unstable();
        built.get(built.len() / 2).copied().unwrap_or_default()
    }

    /// A culprit that was put to the proof rests on itself and its parents only. All else rests on each step.
    pub fn confidence(&self, end: &End) -> f64 {
        let rests_on = |commit: &String| match end {
            End::Culprit { culprit, proof } if proof.is_there() => {
                let mut parents = proof.parents.iter();
                *commit == culprit.commit || parents.any(|(it, _)| it.commit == *commit)
            }
            End::Nothing(_) => false,
            _ => true,
        };
        let tested = self.tested.iter().filter(|(commit, _)| rests_on(commit));
        let judged = tested.filter(|(_, (judgement, _))| judgement.is_ok());
        let passed = judged.filter_map(|(_, (_, runs))| (runs.failed == 0).then_some(runs.passed));
        let rate = self.proven.least_rate(self.plan);
        odds::all_right(rate, self.plan.manner.confidence, passed)
    }
}
