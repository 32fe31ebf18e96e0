//! The search: the ends are proved, git halves the range, and what it comes to is put to the proof.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8Path;

use super::ends::{self, Proven};
use super::git::{Bisection, Next, Range};
use super::lab::{Care, Lab, Subject, Tested};
use super::relevant::Relevant;
use super::state::{Commits, Journal};
use super::{
    End, Found, How, Judge, Judgement, Plan, Proof, Purpose, Reason, Reverted, Runs, Scope, Side,
    Step, Terms, Untestable, odds,
};
use crate::failure::{Kind, Result};
use crate::host::files;
use crate::host::session::Session;
use crate::words::left;

/// Searches as the plan says. In `folder` are what is needed to go on, git's repository, `bisect.log`, which
/// `git bisect replay` takes, and in the end `bisect.json`.
///
/// # Errors
/// [`Kind::Usage`] for a revision that does not exist, ends that cannot be the ends of such a range, and a `resume` of
/// what is not there or is another search. All that says nothing about a commit ends the search, too: it can be resumed.
pub fn search(
    plan: &Plan,
    resume: bool,
    folder: &Utf8Path,
    judge: &mut dyn Judge,
    session: &Session,
) -> Result<Found> {
    let open = || Bisection::open(&folder.join("repository.git"), &plan.tree, &session.stop);
    let mut opened = None;
    let journal = Journal::open(
        folder,
        plan,
        resume,
        || {
            let git = &*opened.insert(open()?);
            let commits = resolve(plan, git)?;
            require_range(plan, &commits, git)?;
            Ok(commits)
        },
        session,
    )?;
    let git = match opened {
        Some(git) => git,
        None => open()?,
    };
    if resume {
        let known = crate::words::count(journal.waiting(), "answer");
        session.events.note(format!("{known} known from before"));
    }
    files::remove(&folder.join("bisect.json"))?;
    let found = Search::new(plan, folder, &git, Lab::new(judge, journal), session).run()?;
    files::remember(&folder.join("bisect.json"), &found)?;
    Ok(found)
}

fn resolve(plan: &Plan, git: &Bisection) -> Result<Commits> {
    let [old, new] = [Side::Old, Side::New].map(|side| {
        let flag = format!("--{}", plan.terms.word(side));
        git.resolve(&flag, plan.revision(side))
    });
    let picks = plan.picks.iter().map(|pick| git.resolve("--pick", pick));
    Ok(Commits {
        old: old?,
        new: new?,
        picks: picks.collect::<Result<_>>()?,
    })
}

/// Refuses ends between which there is nothing, or no way from the first to the second.
fn require_range(plan: &Plan, commits: &Commits, git: &Bisection) -> Result<()> {
    let Commits { old, new, .. } = commits;
    if !git.is_ancestor(new, old)? {
        return Ok(());
    }
    let (first, second) = (plan.terms.word(Side::Old), plan.terms.word(Side::New));
    let (of_old, of_new) = (&plan.old, &plan.new);
    let words = match plan.terms {
        _ if old == new => {
            format!("--{first} {of_old} and --{second} {of_new} are the same commit")
        }
        Terms::GoodBad => format!(
            "--{second} {of_new} is an ancestor of --{first} {of_old}: either they are swapped, or it is searched for what \
             fixed it: --old {of_new} --new {of_old}"
        ),
        Terms::OldNew => {
            format!("--{second} {of_new} is an ancestor of --{first} {of_old}: they are swapped")
        }
    };
    Err(Kind::Usage.error(words))
}

struct Search<'a> {
    plan: &'a Plan,
    folder: &'a Utf8Path,
    git: &'a Bisection,
    lab: Lab<'a>,
    session: &'a Session,
    commits: Commits,
    relevant: Relevant,
    /// Whether all commits are searched, whatever they touch.
    whole: bool,
    /// What was built and run, or has the image of what was.
    tested: BTreeMap<String, (Judgement, Runs)>,
    steps: Vec<Step>,
    undone: Vec<String>,
}

/// What the proof has come to.
enum Proved {
    Culprit(Proof),
    /// A parent of the culprit is on the second side, too.
    Earlier(String),
}

impl<'a> Search<'a> {
    fn new(
        plan: &'a Plan,
        folder: &'a Utf8Path,
        git: &'a Bisection,
        lab: Lab<'a>,
        session: &'a Session,
    ) -> Self {
        Self {
            plan,
            folder,
            git,
            commits: lab.journal().commits().clone(),
            lab,
            session,
            relevant: Relevant::default(),
            whole: plan.scope != Scope::Read,
            tested: BTreeMap::new(),
            steps: Vec::new(),
            undone: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Found> {
        let mut proven = ends::test(self.plan, &mut self.lab, &self.commits)?;
        self.note_ends(&proven)?;
        self.undone.extend(proven.short.take());
        self.relevant = Relevant::of(proven.old.read.union(&proven.new.read).cloned());
        let end = match proven.obstacle(self.plan) {
            Some(obstacle) => End::Nothing(obstacle),
            None => self.halve(&proven)?,
        };
        self.found(proven, end)
    }

    /// Both ends, as rows of the table.
    fn note_ends(&mut self, proven: &Proven) -> Result<()> {
        let Commits { old, new, .. } = self.commits.clone();
        for (commit, tested) in [(new, &proven.new), (old, &proven.old)] {
            let (runs, verdict) = ends::side(&proven.ends, tested);
            self.tested.insert(commit.clone(), (verdict.clone(), runs));
            self.note(&commit, Purpose::End, tested, runs, verdict)?;
        }
        Ok(())
    }

    /// Halves the range until git has a culprit that stands the proof.
    fn halve(&mut self, proven: &Proven) -> Result<End> {
        let mut range = Range {
            new: self.commits.new.clone(),
            old: vec![self.commits.old.clone()],
            paths: match &self.plan.scope {
                Scope::Paths(paths) => paths.clone(),
                _ => Vec::new(),
            },
        };
        loop {
            let culprit = match self.follow_git(proven, &range)? {
                Next::Culprit(culprit) => culprit,
                Next::OneOf(commits) => return self.one_of(&commits),
                _ => return Ok(End::Nothing(self.fixed_on_the_way())),
            };
            match self.prove(proven, &culprit)? {
                Proved::Culprit(proof) => {
                    return Ok(End::Culprit {
                        culprit: self.git.named(&culprit)?,
                        proof,
                    });
                }
                Proved::Earlier(parent) => range = self.before(&culprit, parent)?,
            }
        }
    }

    /// Tests what git asks for, as long as it does.
    fn follow_git(&mut self, proven: &Proven, range: &Range) -> Result<Next> {
        let mut next = self.git.start(self.plan, range)?;
        loop {
            self.keep_log()?;
            let (commit, purpose, steps) = match next {
                Next::Test { commit, left } => (commit, Purpose::Search, left),
                Next::MergeBase(commit) => (commit, Purpose::MergeBase, None),
                _ => return Ok(next),
            };
            let verdict = self.verdict(proven, &commit, purpose, steps)?;
            if let (Purpose::MergeBase, Err(why)) = (purpose, &verdict) {
                self.undone.push(format!(
                    "{} has no verdict ({}): the change may be before it, on the way to --{} {}",
                    short(&commit),
                    why.line(),
                    self.plan.terms.word(Side::Old),
                    self.plan.old
                ));
            }
            next = self.git.mark(self.plan.terms, &commit, verdict.ok())?;
        }
    }

    fn keep_log(&self) -> Result<()> {
        let log = self.git.log()?;
        Ok(files::write(
            &self.folder.join("bisect.log"),
            log.as_bytes(),
        )?)
    }

    /// Of a commit that git asks for: its own, or that of a commit with the same kernel.
    fn verdict(
        &mut self,
        proven: &Proven,
        commit: &str,
        purpose: Purpose,
        steps: Option<u32>,
    ) -> Result<Judgement> {
        let kernel = self.kernel_of(commit)?;
        let known = self.tested.get(&kernel).cloned();
        let (verdict, runs) = match known {
            Some(known) => known,
            None => {
                let care = Care {
                    runs: proven.runs,
                    one_first: is_costly(proven),
                    images: true,
                    read: false,
                };
                let new = self.test(proven, &kernel, None, purpose, care)?;
                self.tell(steps);
                new
            }
        };
        if kernel != commit {
            let same = Tested {
                same_as: Some(kernel),
                ..Tested::default()
            };
            self.note(commit, purpose, &same, runs, verdict.clone())?;
        }
        Ok(verdict)
    }

    /// The nearest ancestor with the same kernel: itself, if it touches what a kernel is made of. Of a merge, that is on
    /// the side of a parent from which it does not differ in that.
    fn kernel_of(&self, commit: &str) -> Result<String> {
        let mut at = commit.to_owned();
        while !self.whole && !self.tested.contains_key(&at) {
            self.session.stop.check()?;
            let mut same = None;
            for parent in self.git.parents(&at)? {
                let changed = self.git.changed(&parent, &at)?;
                if !changed.iter().any(|path| self.relevant.has(path)) {
                    same = Some(parent);
                    break;
                }
            }
            match same {
                Some(parent) => at = parent,
                None => break,
            }
        }
        Ok(at)
    }

    /// Tests a commit, and keeps what comes of it.
    fn test(
        &mut self,
        proven: &Proven,
        commit: &str,
        revert: Option<&str>,
        purpose: Purpose,
        care: Care,
    ) -> Result<(Judgement, Runs)> {
        let subject = Subject {
            commit: commit.to_owned(),
            revert: revert.map(str::to_owned),
        };
        let tested = self.lab.test(&subject, care)?;
        let (runs, verdict) = self.judged(proven, &tested, care.runs);
        if revert.is_none() {
            let before = self.tested.get(commit);
            let mut all = runs;
            all += before.map_or(Runs::default(), |(_, runs)| *runs);
            self.tested
                .insert(commit.to_owned(), (verdict.clone(), all));
        }
        self.note(commit, purpose, &tested, runs, verdict.clone())?;
        Ok((verdict, runs))
    }

    fn judged(&self, proven: &Proven, tested: &Tested, wanted: u32) -> (Runs, Judgement) {
        if let Some(same) = tested.same_as.as_ref().and_then(|it| self.tested.get(it)) {
            return (same.1, same.0.clone());
        }
        let (runs, verdict) = ends::side(&proven.ends, tested);
        match verdict {
            Ok(_) if runs.failed == 0 && runs.passed < wanted => {
                let words = format!("{} of {wanted} runs, which have passed", runs.passed);
                (
                    runs,
                    Err(Untestable {
                        reason: Reason::OtherFailure,
                        words,
                    }),
                )
            }
            verdict => (runs, verdict),
        }
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

    /// The step that was made last, and how long the rest may take; not of a step of before.
    fn tell(&self, steps: Option<u32>) {
        let Some(step) = self
            .steps
            .last()
            .filter(|_| self.lab.journal().waiting() == 0)
        else {
            return;
        };
        let verdict = match &step.verdict {
            Ok(side) => self.plan.terms.word(*side).to_owned(),
            Err(why) => format!("skipped, as it {}", why.line()),
        };
        let rest = steps.map(|steps| {
            let time = left(self.step_time() * steps);
            format!("; at most {}, {time}", crate::words::count(steps, "step"))
        });
        self.session.events.note(format!(
            "{} (\"{}\") is {verdict}{}",
            short(&step.of.commit),
            step.of.subject,
            rest.unwrap_or_default()
        ));
    }

    /// Of those that were built.
    fn step_time(&self) -> Duration {
        let built: Vec<_> = self
            .steps
            .iter()
            .filter(|it| it.took > Duration::ZERO)
            .collect();
        let sum: Duration = built.iter().map(|it| it.took).sum();
        sum / u32::try_from(built.len()).unwrap_or(1).max(1)
    }

    /// The culprit and its parents again, and the second end without the culprit.
    fn prove(&mut self, proven: &Proven, culprit: &str) -> Result<Proved> {
        let mut proof = Proof::default();
        let parents = self.parents_to_test(culprit)?;
        let care = Care {
            runs: proven.runs_again(self.plan, parents.len()),
            one_first: is_costly(proven),
            images: false,
            read: false,
        };
        for parent in parents {
            let side = self.again(proven, &parent, care)?.ok();
            if side == Some(Side::New) && !self.git.is_ancestor(&parent, &self.commits.old)? {
                return Ok(Proved::Earlier(parent));
            }
            proof.parents.push((self.git.named(&parent)?, side));
        }
        proof.culprit = self.again(proven, culprit, care)?.ok();
        if self.plan.revert {
            let new = self.commits.new.clone();
            let (verdict, _) = self.test(proven, &new, Some(culprit), Purpose::Revert, care)?;
            proof.reverted = match verdict {
                Ok(side) => Reverted::Is(side),
                Err(why) => Reverted::Unknown(why),
            };
        }
        Ok(Proved::Culprit(proof))
    }

    /// Those of which it was said that they come before the culprit.
    fn parents_to_test(&self, culprit: &str) -> Result<Vec<String>> {
        let mut parents = self.git.parents(culprit)?;
        if self.plan.first_parent {
            parents.truncate(1);
        }
        Ok(parents)
    }

    /// Tests a commit as if nothing were known of it.
    fn again(&mut self, proven: &Proven, commit: &str, care: Care) -> Result<Judgement> {
        Ok(self.test(proven, commit, None, Purpose::Proof, care)?.0)
    }

    /// What is left to search if not the culprit made the change.
    fn before(&mut self, culprit: &str, parent: String) -> Result<Range> {
        self.undone.push(format!(
            "{} was taken for the culprit, but its parent {} is {}, too: the search went on among all commits before",
            short(culprit),
            short(&parent),
            self.plan.terms.word(Side::New)
        ));
        self.whole = true;
        let mut old = vec![self.commits.old.clone()];
        let is_old = |(_, (verdict, _)): &(&String, &(Judgement, Runs))| *verdict == Ok(Side::Old);
        for (commit, _) in self.tested.iter().filter(is_old) {
            if *commit != self.commits.old && self.git.is_ancestor(commit, &parent)? {
                old.push(commit.clone());
            }
        }
        Ok(Range {
            new: parent,
            old,
            paths: Vec::new(),
        })
    }

    /// Those of git's candidates that can have made a change.
    fn one_of(&self, commits: &[String]) -> Result<End> {
        let mut able = Vec::new();
        for commit in commits {
            if self.kernel_of(commit)? == *commit {
                able.push(self.git.named(commit)?);
            }
        }
        Ok(End::OneOf(able))
    }

    fn fixed_on_the_way(&self) -> String {
        let (old, new) = (
            self.plan.terms.word(Side::Old),
            self.plan.terms.word(Side::New),
        );
        let base = self
            .steps
            .iter()
            .rfind(|step| step.why == Purpose::MergeBase);
        let base = base.map_or("where they part", |step| &step.of.commit);
        let (good, bad) = (&self.plan.old, &self.plan.new);
        format!(
            "--{old} {good} is no ancestor of --{new} {bad}, and {base}, where they part, is {new}: the change is between it \
             and {good}; to search for it: --old {base} --new {good}"
        )
    }

    fn found(self, proven: Proven, end: End) -> Result<Found> {
        let (plan, Commits { old, new, .. }) = (self.plan, &self.commits);
        let confidence = self.confidence(&proven, &end);
        let found = Found {
            plan: plan.clone(),
            old: self.git.named(old)?,
            new: self.git.named(new)?,
            signature: proven.signature().cloned(),
            rate: proven.rate,
            runs: proven.runs,
            end,
            confidence,
            steps: self.steps,
            undone: self.undone,
        };
        self.git.reset()?;
        Ok(found)
    }

    /// A culprit that stands the proof rests on itself and its parents only. All else rests on each step.
    fn confidence(&self, proven: &Proven, end: &End) -> f64 {
        let rests_on = |commit: &String| match end {
            End::Culprit { culprit, proof } if proof.holds() => {
                *commit == culprit.commit
                    || proof.parents.iter().any(|(it, _)| it.commit == *commit)
            }
            End::Nothing(_) => false,
            _ => true,
        };
        let tested = self.tested.iter().filter(|(commit, _)| rests_on(commit));
        let passing = tested.filter(|(_, (verdict, runs))| verdict.is_ok() && runs.failed == 0);
        odds::all_right(
            proven.least_rate(self.plan),
            self.plan.confidence,
            passing.map(|(_, (_, runs))| runs.passed),
        )
    }
}

/// Whether a failure ends its guest.
fn is_costly(proven: &Proven) -> bool {
    let signature = proven.signature();
    signature.is_some_and(|signature| signature.how != How::Failed)
}

fn short(commit: &str) -> &str {
    &commit[..12.min(commit.len())]
}

#[cfg(test)]
mod tests;
