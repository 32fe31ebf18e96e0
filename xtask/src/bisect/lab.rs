//! Where commits are tested: what is known already is not asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::signature::Ending;
use super::state::{Answer, Came, Journal, Question};
use super::{Build, Commit, Judge, Outcome, Reason, Untestable};
use crate::event::Verdict;
use crate::failure::Result;

/// A commit, and what is taken back of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub commit: String,
    pub revert: Option<String>,
}

/// How a subject is to be tested.
#[derive(Clone, Copy, Debug)]
pub struct Care {
    pub runs: u32,
    /// Each failure takes its guest with it, so that one run decides whether more are needed.
    pub one_first: bool,
    /// Each run has a boot of its own, as the kernel complains once a boot.
    pub alone: bool,
    /// The image may be another commit's that was tested.
    pub images: bool,
    /// What the build reads is of interest.
    pub read: bool,
}

/// What became of a subject.
#[derive(Clone, Debug, Default)]
pub struct Tested {
    pub image: Option<String>,
    pub same_as: Option<String>,
    pub endings: Vec<Ending>,
    pub untestable: Option<Untestable>,
    pub read: BTreeSet<String>,
    pub took: Duration,
}

pub struct Lab<'a> {
    judge: &'a mut dyn Judge,
    journal: Journal,
    /// What the judge has built last.
    built: Option<(Subject, Build)>,
    /// Who was tested with an image.
    images: BTreeMap<String, String>,
}

impl std::fmt::Debug for Lab<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lab")
            .field("journal", &self.journal)
            .field("built", &self.built)
            .finish_non_exhaustive()
    }
}

impl<'a> Lab<'a> {
    pub fn new(judge: &'a mut dyn Judge, journal: Journal) -> Self {
        Self {
            judge,
            journal,
            built: None,
            images: BTreeMap::new(),
        }
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Tests a subject, or says what was found when it was.
    ///
    /// # Errors
    /// What says nothing about the commit: no space, no QEMU, a stop.
    pub fn test(&mut self, subject: &Subject, care: Care) -> Result<Tested> {
        let mut runs = match care.one_first || care.alone {
            true => 1.min(care.runs),
            false => care.runs,
        };
        let mut tested = self.ask(subject, runs, care)?;
        let mut left = care.runs - runs;
        while left > 0 && tested.asks_for_more(care) {
            runs = if care.alone { 1 } else { left };
            tested.add(self.ask(subject, runs, care)?);
            left -= runs;
        }
        if let (Some(image), None, None) = (&tested.image, &subject.revert, &tested.same_as) {
            let commit = subject.commit.clone();
            self.images.entry(image.clone()).or_insert(commit);
        }
        Ok(tested)
    }

    fn ask(&mut self, subject: &Subject, runs: u32, care: Care) -> Result<Tested> {
        let question = Question {
            commit: subject.commit.clone(),
            revert: subject.revert.clone(),
            runs,
        };
        if let Some(answer) = self.journal.known(&question)? {
            return Ok(answer.into());
        }
        let begun = Instant::now();
        let answer = self.answer(subject, runs, care)?;
        let answer = Answer {
            took: begun.elapsed(),
            ..answer
        };
        self.journal.keep(question, &answer)?;
        Ok(answer.into())
    }

    fn answer(&mut self, subject: &Subject, runs: u32, care: Care) -> Result<Answer> {
        let picks = self.journal.commits().picks.clone();
        let commit = Commit {
            id: &subject.commit,
            picks: &picks,
            revert: subject.revert.as_deref(),
        };
        let mut answer = Answer {
            image: None,
            came: Came::Ran(Vec::new()),
            read: BTreeSet::new(),
            took: Duration::ZERO,
        };
        let image = match self.build(subject, &commit)? {
            Build::Untestable(untestable) => {
                answer.came = Came::Untestable(untestable);
                return Ok(answer);
            }
            Build::Image(image) => image,
        };
        if care.read {
            answer.read = self.judge.read()?;
        }
        answer.came = match self.images.get(&image).filter(|_| care.images) {
            Some(other) => Came::SameAs(other.clone()),
            None => came(self.judge.test(&commit, runs)?),
        };
        answer.image = Some(image);
        Ok(answer)
    }

    /// The judge need not be asked twice in a row.
    fn build(&mut self, subject: &Subject, commit: &Commit<'_>) -> Result<Build> {
        match &self.built {
            Some((built, build)) if built == subject => Ok(build.clone()),
            _ => {
                self.built = None;
                let build = self.judge.build(commit)?;
                self.built = Some((subject.clone(), build.clone()));
                Ok(build)
            }
        }
    }
}

fn came(outcome: Outcome) -> Came {
    match outcome {
        Outcome::Untestable(untestable) => Came::Untestable(untestable),
        Outcome::Ran { control, .. } if control != Verdict::Passed => {
            Came::Untestable(Untestable {
                reason: Reason::ControlFailed,
                words: format!("{} {}", control.word(), control.reason()),
            })
        }
        Outcome::Ran { results, .. } => Came::Ran(results.iter().map(Ending::of).collect()),
    }
}

impl Tested {
    /// Whether more runs can tell more.
    fn asks_for_more(&self, care: Care) -> bool {
        let decides = |it: &Ending| care.one_first && it.failure().is_some();
        let has_run = !self.endings.is_empty() && self.untestable.is_none();
        has_run && !self.endings.iter().any(decides)
    }

    pub fn add(&mut self, more: Self) {
        self.endings.extend(more.endings);
        self.untestable = self.untestable.take().or(more.untestable);
        self.took += more.took;
    }
}

impl From<Answer> for Tested {
    fn from(answer: Answer) -> Self {
        let mut tested = Self {
            image: answer.image,
            read: answer.read,
            took: answer.took,
            ..Self::default()
        };
        match answer.came {
            Came::Ran(endings) => tested.endings = endings,
            Came::SameAs(commit) => tested.same_as = Some(commit),
            Came::Untestable(untestable) => tested.untestable = Some(untestable),
        }
        tested
    }
}
