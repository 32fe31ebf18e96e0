//! Which commit of a range changed how a case ends, with proof.
//!
//! The search knows neither kernels nor guests: a [`Judge`] builds and tests one commit. What a search is for is a
//! [`Plan`], what came of it a [`Found`].

mod ends;
mod git;
#[cfg(test)]
mod history;
mod lab;
pub mod letter;
mod odds;
mod proof;
pub mod relevant;
pub mod report;
pub mod search;
mod signature;
pub mod state;
mod trial;

use std::collections::BTreeSet;
use std::time::Duration;

use camino::Utf8PathBuf;
use harness::wire::Filesystem;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::event::{CaseResult, Verdict};
use crate::failure::{FAILED, Kind, PASSED, Result};

/// More runs of a case on one commit than anybody asks for.
pub const MOST_RUNS: u32 = 10_000;

/// What is built: a commit, with what is done to it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit<'a> {
    /// Its full name; the user's tree has it.
    pub id: &'a str,
    /// Commits that it needs to compile. One that is there already, or does not apply, is left out.
    pub picks: &'a [String],
    /// A commit that is taken back then. [`Reason::DoesNotApply`] if that cannot be done.
    pub revert: Option<&'a str>,
}

/// Builds kernels, and runs the wanted cases on them.
///
/// What says nothing about a commit (no space, no QEMU, a stop) is an error of each function, and never a verdict.
pub trait Judge {
    /// Makes the kernel.
    fn build(&mut self, commit: &Commit<'_>) -> Result<Build>;

    /// Boots the kernel of the last [`Judge::build`], which was one of this commit, and runs each wanted case so many
    /// times, in one boot where none hangs. The control case runs first.
    fn test(&mut self, commit: &Commit<'_>, runs: u32) -> Result<Outcome>;

    /// The files that the last [`Judge::build`] read, by their paths below the top of the tree.
    fn read(&mut self) -> Result<BTreeSet<String>>;
}

/// What became of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Build {
    /// Names the image by its content: equal kernels have equal names.
    Image(String),
    Untestable(Untestable),
}

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ran {
        /// Of all wanted cases, each as often as it was to run.
        results: Vec<CaseResult>,
        control: Verdict,
    },
    Untestable(Untestable),
}

/// Why a commit has no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untestable {
    pub reason: Reason,
    /// One line of what was said. It gets into mails, so it says nothing of this machine.
    pub words: String,
}

/// As a string it is for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    #[strum(to_string = "does not apply")]
    DoesNotApply,
    /// From clean, too.
    #[strum(to_string = "does not compile")]
    DoesNotCompile,
    #[strum(to_string = "an option got lost")]
    OptionLost,
    #[strum(to_string = "does not boot")]
    DoesNotBoot,
    #[strum(to_string = "the case lacks a feature")]
    LacksFeature,
    #[strum(to_string = "the control case failed")]
    ControlFailed,
    /// Fails, and not as the end of the range does.
    #[strum(to_string = "fails in another way")]
    OtherFailure,
}

/// What makes two failures the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    pub case: String,
    pub filesystem: Filesystem,
    pub how: How,
    /// What the case was at, without numbers.
    pub step: Option<String>,
    /// What the kernel complained of first, without numbers.
    pub complaint: Option<String>,
}

/// How a case failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
pub enum How {
    #[strum(to_string = "failed")]
    Failed,
    #[strum(to_string = "hung")]
    Hung,
    #[strum(to_string = "killed the guest")]
    KilledGuest,
}

/// How the runs of a case ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    pub passed: u32,
    /// With the signature.
    pub failed: u32,
    /// Failed in another way, or skipped.
    pub other: u32,
}

impl Runs {
    pub fn total(self) -> u32 {
        self.passed + self.failed + self.other
    }
}

impl std::ops::AddAssign for Runs {
    fn add_assign(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.other += more.other;
    }
}

/// What is searched for, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The user's repository, which is only read.
    pub tree: Utf8PathBuf,
    /// Revisions there: `--good` and `--bad`, or `--old` and `--new`.
    pub old: String,
    pub new: String,
    pub terms: Terms,
    #[serde(flatten)]
    pub manner: Manner,
    /// What else a verdict depends on (cases, filesystem, series, configuration, control case), as its own flags: a
    /// search is not resumed with others.
    pub judged_by: Vec<String>,
}

/// How it is searched for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manner {
    pub scope: Scope,
    pub first_parent: bool,
    /// As many as the failure's rate asks for if `None`.
    pub runs: Option<u32>,
    /// That a step which finds no failure is right: 0.99.
    pub confidence: f64,
    /// Whether each failure is the failure.
    pub any_failure: bool,
    /// Whether the culprit is taken back in the end, as a proof.
    pub revert: bool,
    /// Revisions of the tree: see [`Commit::picks`].
    pub picks: Vec<String>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            scope: Scope::Read,
            first_parent: false,
            runs: None,
            confidence: 0.99,
            any_failure: false,
            revert: true,
            picks: Vec::new(),
        }
    }
}

/// What the ends are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Terms {
    /// The first passes, and the second fails.
    GoodBad,
    /// They differ.
    OldNew,
}

/// Which commits are tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those that touch what a kernel of either end is made of.
    Read,
    /// Those that touch these paths.
    Paths(Vec<String>),
    All,
}

/// One side of the change that is searched for, whatever the terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// As the first end: `good` or `old`.
    Old,
    /// As the second: `bad` or `new`.
    New,
}

/// On which side a commit is, or why nobody can say: then it is skipped.
pub type Judgement = std::result::Result<Side, Untestable>;

/// A commit, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// In full.
    pub commit: String,
    pub subject: String,
}

/// One test of one commit: a row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub of: Named,
    pub why: Purpose,
    pub verdict: Judgement,
    /// Of the case that the search is about; none where nothing ran.
    pub runs: Runs,
    /// Names the image by its content, if there is one.
    pub image: Option<String>,
    /// The commit whose image is the same, and whose verdict this is.
    pub same_as: Option<String>,
    pub took: Duration,
}

/// What a commit is tested for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// That the ends are what they are said to be.
    End,
    /// Where the first end is no ancestor of the second.
    MergeBase,
    Search,
    /// The culprit and its parents, again.
    Proof,
    /// The second end without the culprit.
    Revert,
}

/// What became of a search. All of it is in `bisect.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    pub plan: Plan,
    pub old: Named,
    pub new: Named,
    /// Of the end that fails.
    pub signature: Option<Signature>,
    /// How often the end that fails did so.
    pub rate: Runs,
    /// How often each step ran the case.
    pub runs: u32,
    /// In the order of time.
    pub steps: Vec<Step>,
    pub end: End,
    /// That all verdicts which the answer rests on are right.
    pub confidence: f64,
    /// What could not be done, a sentence each.
    pub undone: Vec<String>,
}

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// This commit made the change.
    Culprit { culprit: Named, proof: Proof },
    /// It is one of these, and those between the tested ones cannot be tested.
    OneOf(Vec<Named>),
    /// There is nothing to search, in a sentence: an end is not what it was said to be.
    Nothing(String),
}

/// What the culprit was put to the proof by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The culprit again.
    pub culprit: Option<Side>,
    /// Its parents again.
    pub parents: Vec<(Named, Option<Side>)>,
    /// The second end with the culprit taken back: on the side of the first, it is confirmed.
    pub reverted: Reverted,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reverted {
    #[default]
    NotAsked,
    Is(Side),
    /// It cannot be taken back, or nothing is known of what comes of it.
    Unknown(Untestable),
}

impl Found {
    /// 0: found and verified; 1: found, and not verified, or too flaky to be sure; 4: no verdict.
    pub fn exit_code(&self) -> u8 {
        match &self.end {
            End::Culprit { proof, .. } if proof.holds() && self.is_sure() => PASSED,
            End::Culprit { .. } => FAILED,
            End::OneOf(_) | End::Nothing(_) => Kind::Untested.exit_code(),
        }
    }

    /// Whether the runs allow as much confidence as was asked for.
    pub fn is_sure(&self) -> bool {
        self.confidence >= self.plan.manner.confidence
    }
}

impl Proof {
    /// Whether the change is between the culprit and its parents, when they are tested again. Of a commit without parents,
    /// as where a shallow tree ends, nobody knows whether it was so before.
    pub fn is_there(&self) -> bool {
        let before = |(_, side): &(Named, Option<Side>)| *side == Some(Side::Old);
        let parents = &self.parents;
        self.culprit == Some(Side::New) && !parents.is_empty() && parents.iter().all(before)
    }

    /// Whether all that could be tested speaks for the culprit.
    pub fn holds(&self) -> bool {
        self.is_there() && self.reverted != Reverted::Is(Side::New)
    }
}

impl Plan {
    pub fn revision(&self, side: Side) -> &str {
        match side {
            Side::Old => &self.old,
            Side::New => &self.new,
        }
    }
}

impl Untestable {
    /// For people: `does not compile: fs/super.c:12: error: …`.
    pub fn line(&self) -> String {
        let reason: &str = self.reason.into();
        format!("{reason}: {}", self.words)
    }
}
