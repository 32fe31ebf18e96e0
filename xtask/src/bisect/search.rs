//! The search: the ends are proved, git halves the range, and what it comes to is put to the proof.

use camino::Utf8Path;

use super::git::{Bisection, Next, Range};
use super::lab::Lab;
use super::proof::{Proved, prove};
use super::relevant::Relevant;
use super::state::{Commits, Held, Journal};
use super::trial::Trial;
use super::{End, Found, Judge, Judgement, Plan, Purpose, Scope, Side, Terms};
use crate::failure::{Failure, Kind, Result};
use crate::host::files;
use crate::host::session::Session;
use crate::words::count;

/// Searches as the plan says. In the folder are what is needed to go on, git's repository, `bisect.log`, which
/// `git bisect replay` takes, and in the end `bisect.json`.
///
/// # Errors
/// [`Kind::Usage`] for a revision that does not exist, ends that cannot be the ends of such a range, and a `resume` of
/// what is not there or is another search. All that says nothing about a commit ends the search, too: it can be resumed.
pub fn search(
    plan: &Plan,
    resume: bool,
    held: &Held,
    judge: &mut dyn Judge,
    session: &Session,
) -> Result<Found> {
    let folder = held.folder();
    let open = || Bisection::open(&folder.join("repository.git"), &plan.tree, &session.stop);
    let mut opened = None;
    let journal = Journal::open(
        held,
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
        let known = count(journal.waiting(), "answer");
        session.events.note(format!("{known} known from before"));
    }
    let result = folder.join("bisect.json");
    files::remove(&result)?;
    let commits = journal.commits().clone();
    let lab = Lab::new(judge, journal);
    let found = Trial::of_ends(plan, &git, lab, session)
        .and_then(|trial| Search::of(trial, folder, session, commits).run())
        .and_then(|found| {
            files::remember(&result, &found)?;
            Ok(found)
        });
    found.map_err(resumable)
}

/// Says what to do next; a mistake on the command line is as wrong when it is repeated.
pub fn resumable(failure: Failure) -> Failure {
    match failure.kind {
        Kind::Usage => failure,
        _ => failure.context("nothing is lost: the same line with --resume goes on from here"),
    }
}

fn resolve(plan: &Plan, git: &Bisection) -> Result<Commits> {
    let [old, new] = [Side::Old, Side::New].map(|side| {
        let flag = format!("--{}", plan.terms.word(side));
        git.resolve(&flag, plan.revision(side))
    });
    let picks = plan
        .manner
        .picks
        .iter()
        .map(|pick| git.resolve("--pick", pick));
    Ok(Commits {
        old: old?,
        new: new?,
        picks: picks.collect::<Result<_>>()?,
    })
}

/// Refuses ends between which there is nothing, or no way from the first to the second.
fn require_range(plan: &Plan, commits: &Commits, git: &Bisection) -> Result<()> {
    let Commits { old, new, .. } = commits;
    let (first, second) = (plan.terms.word(Side::Old), plan.terms.word(Side::New));
    let (of_old, of_new) = (&plan.old, &plan.new);
    // Git would take all that leads to the second end for the range, and the first one for nothing.
    if !git.are_related(old, new)? {
        return Err(Kind::Usage.error(format!(
            "--{first} {of_old} and --{second} {of_new} have no commit in common; if the tree is a shallow one: git fetch \
             --unshallow"
        )));
    }
    if !git.is_ancestor(new, old)? {
        return Ok(());
    }
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
    trial: Trial<'a>,
    folder: &'a Utf8Path,
    session: &'a Session,
    commits: Commits,
    relevant: Relevant,
    /// Whether all commits are searched, whatever they touch.
    whole: bool,
}

impl<'a> Search<'a> {
    fn of(trial: Trial<'a>, folder: &'a Utf8Path, session: &'a Session, commits: Commits) -> Self {
        Self {
            relevant: Relevant::of(trial.proven.read()),
            whole: trial.plan.manner.scope != Scope::Read,
            trial,
            folder,
            session,
            commits,
        }
    }

    fn run(mut self) -> Result<Found> {
        let end = match self.trial.proven.obstacle(self.trial.plan) {
            Some(obstacle) => End::Nothing(obstacle),
            None => self.halve()?,
        };
        self.found(end)
    }

    /// Halves the range until git has a culprit that stands the proof.
    fn halve(&mut self) -> Result<End> {
        let Commits { old, new, .. } = self.commits.clone();
        let mut range = Range {
            new: new.clone(),
            old: vec![old.clone()],
            paths: match &self.trial.plan.manner.scope {
                Scope::Paths(paths) => paths.clone(),
                _ => Vec::new(),
            },
        };
        loop {
            let culprit = match self.follow_git(&range)? {
                Next::Culprit(culprit) => culprit,
                Next::OneOf(commits) => return self.one_of(&commits),
                _ => return Ok(End::Nothing(self.on_the_other_way())),
            };
            match prove(&mut self.trial, &culprit, &old, &new)? {
                Proved::Earlier(parent) => range = self.before(&culprit, parent)?,
                Proved::Culprit(proof) => {
                    let culprit = self.trial.git.named(&culprit)?;
                    return Ok(End::Culprit { culprit, proof });
                }
            }
        }
    }

    /// Tests what git asks for, as long as it does.
    fn follow_git(&mut self, range: &Range) -> Result<Next> {
        let (plan, git) = (self.trial.plan, self.trial.git);
        let mut next = git.start(plan, range)?;
        loop {
            let log = self.folder.join("bisect.log");
            files::write(&log, git.log()?.as_bytes())?;
            let (commit, why, left) = match next {
                Next::Test { commit, left } => (commit, Purpose::Search, left),
                Next::MergeBase(commit) => (commit, Purpose::MergeBase, None),
                _ => return Ok(next),
            };
            let judgement = self.judge(&commit, why, left)?;
            next = git.mark(plan.terms, &commit, judgement.ok())?;
        }
    }

    /// What a commit is that git asks for, or one with the same kernel.
    fn judge(&mut self, commit: &str, why: Purpose, left: Option<u32>) -> Result<Judgement> {
        let kernel = self.kernel_of(commit)?;
        let known = self.trial.tested.get(&kernel).cloned();
        let (judgement, _) = match known {
            Some(known) => known,
            None => {
                let care = self.trial.care();
                let new = self.trial.test(&kernel, None, why, care)?;
                self.trial.tell(left);
                new
            }
        };
        if kernel != commit {
            self.trial.same(commit, &kernel, why)?;
        }
        if let (Purpose::MergeBase, Err(why)) = (why, &judgement) {
            let (name, why) = (self.trial.git.named(commit)?.cited(), why.line());
            let (old, good) = self.end(Side::Old);
            self.trial.undone.push(format!(
                "nothing is known of {name}, where the ends part ({why}): the change may be before it, on the way to --{old} {good}"
            ));
        }
        Ok(judgement)
    }

    /// The nearest ancestor with the same kernel: itself, if it touches what a kernel is made of. Of a merge, that is on
    /// the side of a parent from which it does not differ in that.
    fn kernel_of(&self, commit: &str) -> Result<String> {
        let mut at = commit.to_owned();
        while !self.whole && !self.trial.tested.contains_key(&at) {
            self.session.stop.check()?;
            match self.same_parent(&at)? {
                Some(parent) => at = parent,
                None => break,
            }
        }
        Ok(at)
    }

    /// The first parent from which it does not differ in what a kernel is made of.
    fn same_parent(&self, commit: &str) -> Result<Option<String>> {
        let git = self.trial.git;
        for parent in git.parents(commit)? {
            let changed = git.changed(&parent, commit)?;
            if !changed.iter().any(|path| self.relevant.has(path)) {
                return Ok(Some(parent));
            }
        }
        Ok(None)
    }

    /// What is left to search if a parent of the culprit is on the second side, too.
    fn before(&mut self, culprit: &str, parent: String) -> Result<Range> {
        let git = self.trial.git;
        let names = [git.named(culprit)?.cited(), git.named(&parent)?.cited()];
        let (new, _) = self.end(Side::New);
        self.trial.undone.push(format!(
            "{} was taken for the culprit, but its parent {} is {new}, too: the search went on among all commits before",
            names[0], names[1]
        ));
        self.whole = true;
        let mut old = vec![self.commits.old.clone()];
        for (commit, (judgement, _)) in &self.trial.tested {
            let is_old = *judgement == Ok(Side::Old) && *commit != self.commits.old;
            if is_old && git.is_ancestor(commit, &parent)? {
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
            if self.whole || self.same_parent(commit)?.is_none() {
                able.push(self.trial.git.named(commit)?);
            }
        }
        Ok(End::OneOf(able))
    }

    /// Of a merge base that is as the second end.
    fn on_the_other_way(&self) -> String {
        let ((old, good), (new, bad)) = (self.end(Side::Old), self.end(Side::New));
        let mut steps = self.trial.steps.iter().rev();
        let base = steps.find(|step| step.why == Purpose::MergeBase);
        let base = base.map_or("?", |step| &step.of.commit);
        format!(
            "--{old} {good} is no ancestor of --{new} {bad}, and {base}, where they part, is {new}: the change is between it \
             and {good}; to search for it: --old {base} --new {good}"
        )
    }

    /// What an end is called, and the revision that was given for it.
    fn end(&self, side: Side) -> (&'static str, &str) {
        let plan = self.trial.plan;
        (plan.terms.word(side), plan.revision(side))
    }

    fn found(self, end: End) -> Result<Found> {
        let (trial, Commits { old, new, .. }) = (self.trial, &self.commits);
        trial.git.reset()?;
        Ok(Found {
            plan: trial.plan.clone(),
            old: trial.git.named(old)?,
            new: trial.git.named(new)?,
            signature: trial.proven.signature().cloned(),
            rate: trial.proven.rate,
            runs: trial.proven.runs,
            confidence: trial.confidence(&end),
            end,
            steps: trial.steps,
            undone: trial.undone,
        })
    }
}

#[cfg(test)]
mod tests;
