//! Git's own bisection, command by command, in a repository of ours that borrows the objects of the user's.
//!
//! `git bisect run` is not used: it calls a commit found whatever its script does, and ends with the script. In a bare
//! repository nothing is checked out, and the commit to test is `BISECT_HEAD` (git-bisect(1): there, `--no-checkout` is
//! assumed). What git keeps of a bisection (`BISECT_LOG`, `refs/bisect`) is where git runs: here, and never in the user's
//! tree.

use std::sync::LazyLock;

use camino::Utf8Path;
use regex::Regex;
use xshell::cmd;

use super::{Named, Plan, Side, Terms};
use crate::failure::{Kind, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::proc::{Output, Stop};
use crate::kernel::source::borrow;

/// The exit codes of git bisect (enum bisect_error in bisect.h): only skipped commits are left; a merge base is bad; no
/// commit touches the paths.
const ONLY_SKIPPED: i32 = 2;
const BASE_IS_BAD: i32 = 3;
const NONE_TO_TEST: i32 = 4;

/// What git wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Test {
        commit: String,
        /// How many steps git expects after this one, if it says so.
        left: Option<u32>,
    },
    /// The first end is no ancestor of the second: the change may be on the other side of where they part.
    MergeBase(String),
    Culprit(String),
    /// Only commits that were skipped are left; it is one of these.
    OneOf(Vec<String>),
    /// Where the ends part, it is as at the second end: the change is on the way to the first.
    BaseIsNew,
}

#[derive(Debug)]
pub struct Bisection {
    git: Git,
    theirs: Git,
}

/// What a range is searched for in.
#[derive(Clone, Debug)]
pub struct Range {
    pub new: String,
    pub old: Vec<String>,
    pub paths: Vec<String>,
}

impl Bisection {
    /// Makes the repository `place` anew.
    ///
    /// # Errors
    /// [`Kind::Usage`] if `tree` is no repository that can be borrowed from.
    pub fn open(place: &Utf8Path, tree: &Utf8Path, stop: &Stop) -> Result<Self> {
        let tree = tree
            .canonicalize_utf8()
            .map_err(|error| Kind::Usage.error(format!("--tree {tree}: {error}")))?;
        // What a partial clone lacks would be fetched into it.
        let theirs = Git::at(tree, stop).untouched();
        files::remove(place)?;
        fs_err::create_dir_all(place)?;
        let git = Git::at(place, stop);
        git.read(cmd!(
            git,
            "git init --quiet --bare --initial-branch=none {place}"
        ))?;
        borrow(&git, &theirs)?;
        Ok(Self { git, theirs })
    }

    /// The commit that a revision is in the user's tree.
    ///
    /// # Errors
    /// [`Kind::Usage`] with the flag that named it, if there is none.
    pub fn resolve(&self, flag: &str, revision: &str) -> Result<String> {
        let commit = self.theirs.resolve(&format!("{revision}^{{commit}}"))?;
        commit.ok_or_else(|| {
            let tree = self.theirs.dir();
            Kind::Usage.error(format!(
                "{flag} {revision}: git knows no such commit in {tree}; to look for it: git -C {tree} log --oneline --all"
            ))
        })
    }

    /// Begins anew, whatever was before.
    pub fn start(&self, plan: &Plan, range: &Range) -> Result<Next> {
        let (git, Range { new, old, paths }) = (&self.git, range);
        // Git wants to know what to go back to in the end.
        git.read(cmd!(git, "git update-ref --no-deref HEAD {new}"))?;
        let first_parent = plan.manner.first_parent.then_some("--first-parent");
        let terms = plan.terms.options();
        let start = cmd!(
            git,
            "git bisect start {first_parent...} {terms...} {new} {old...} -- {paths...}"
        );
        self.next(&git.output(start, b"")?)
    }

    /// Tells git the verdict on a commit; `None` skips it.
    pub fn mark(&self, terms: Terms, commit: &str, side: Option<Side>) -> Result<Next> {
        let (git, word) = (&self.git, side.map_or("skip", |side| terms.word(side)));
        let mark = cmd!(git, "git bisect {word} {commit}");
        self.next(&git.output(mark, b"")?)
    }

    /// What `git bisect replay` takes.
    pub fn log(&self) -> Result<String> {
        let git = &self.git;
        Ok(git.read(cmd!(git, "git bisect log"))? + "\n")
    }

    pub fn reset(&self) -> Result<()> {
        let git = &self.git;
        git.read(cmd!(git, "git bisect reset"))?;
        Ok(())
    }

    fn next(&self, output: &Output) -> Result<Next> {
        let said = String::from_utf8_lossy(&output.stdout);
        match output.status.code() {
            Some(0) => self.wanted(&said),
            Some(ONLY_SKIPPED) => Ok(Next::OneOf(candidates(&said))),
            Some(BASE_IS_BAD) => Ok(Next::BaseIsNew),
            Some(NONE_TO_TEST) => {
                Err(Kind::Usage.error("--path: no commit of the range touches these"))
            }
            _ => Err(Kind::Machinery.error(format!(
                "git bisect failed ({}):\n{}{said}",
                output.status,
                output.stderr()
            ))),
        }
    }

    fn wanted(&self, said: &str) -> Result<Next> {
        if let Some(culprit) = culprit(said) {
            return Ok(Next::Culprit(culprit));
        }
        let commit = self.git.resolve("BISECT_HEAD")?;
        let commit = commit
            .ok_or_else(|| Kind::Machinery.error(format!("git bisect names no commit:\n{said}")))?;
        Ok(match said.contains("a merge base must be tested") {
            true => Next::MergeBase(commit),
            false => Next::Test {
                commit,
                left: steps_left(said),
            },
        })
    }

    pub fn named(&self, commit: &str) -> Result<Named> {
        let git = &self.git;
        Ok(Named {
            commit: commit.to_owned(),
            subject: git.read(cmd!(git, "git show --no-patch --format=%s {commit}"))?,
        })
    }

    /// None of the first commit, and of where a shallow repository ends.
    pub fn parents(&self, commit: &str) -> Result<Vec<String>> {
        let git = &self.git;
        let parents = git.read(cmd!(git, "git rev-parse {commit}^@"))?;
        Ok(parents.lines().map(str::to_owned).collect())
    }

    /// The paths in which two commits differ; both names of what was renamed.
    pub fn changed(&self, one: &str, other: &str) -> Result<Vec<String>> {
        let git = &self.git;
        let changed = git.read(cmd!(
            git,
            "git diff-tree -r -z --name-only --no-renames {one} {other}"
        ))?;
        let paths = changed.split('\0').filter(|path| !path.is_empty());
        Ok(paths.map(str::to_owned).collect())
    }

    /// Whether there is a commit from which both come.
    pub fn are_related(&self, one: &str, other: &str) -> Result<bool> {
        let git = &self.git;
        let base = git.output(cmd!(git, "git merge-base {one} {other}"), b"")?;
        Ok(base.status.code() != Some(1))
    }

    pub fn is_ancestor(&self, one: &str, other: &str) -> Result<bool> {
        crate::kernel::standing::is_ancestor(&self.git, one, other)
    }
}

impl Terms {
    pub fn word(self, side: Side) -> &'static str {
        match (self, side) {
            (Terms::GoodBad, Side::Old) => "good",
            (Terms::GoodBad, Side::New) => "bad",
            (Terms::OldNew, Side::Old) => "old",
            (Terms::OldNew, Side::New) => "new",
        }
    }

    /// What git is told of them: nothing, if they are its own.
    fn options(self) -> &'static [&'static str] {
        match self {
            Terms::GoodBad => &[],
            Terms::OldNew => &["--term-old=old", "--term-new=new"],
        }
    }
}

fn culprit(said: &str) -> Option<String> {
    static LINE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?m)^([0-9a-f]{40}) is the first \S+ commit$").unwrap());
    Some(LINE.captures(said)?[1].to_owned())
}

fn candidates(said: &str) -> Vec<String> {
    let is_name = |line: &&str| line.len() == 40 && line.bytes().all(|it| it.is_ascii_hexdigit());
    said.lines().filter(is_name).map(str::to_owned).collect()
}

fn steps_left(said: &str) -> Option<u32> {
    static LINE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\(roughly (\d+) steps?\)").unwrap());
    LINE.captures(said)?[1].parse().ok()
}
