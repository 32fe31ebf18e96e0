//! A work tree whose commits git carries to another base, or has carried there before its patch files.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use xshell::cmd;

use super::standing::{is_ancestor, operation};
use crate::failure::{Failure, Kind, Result};
use crate::host::git::Git;

/// An unpatched kernel that commits can stand on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    pub commit: String,
    /// For people: package and version, or path and revision.
    pub label: String,
}

/// On the way there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    pub onto: Ground,
    /// The base that it comes from.
    pub base: String,
    /// HEAD as it was there.
    pub tip: String,
    /// What chooses the tree on a command line: ` --base x --series s`.
    pub flags: String,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// On the base that it comes from: not begun, or git has taken it back, and there may be new commits.
    Home,
    /// Git waits for somebody, or was killed.
    Halfway,
    /// Git has done its part.
    There,
    /// In the middle of something else.
    Busy(&'static str),
    /// HEAD has no commits on either base.
    Astray,
}

impl Moving {
    pub fn stage(&self, git: &Git) -> Result<Stage> {
        if let Some(operation) = operation(git)? {
            return Ok(match self.is_ours(git)? {
                true => Stage::Halfway,
                false => Stage::Busy(operation),
            });
        }
        let head = git.resolve("HEAD")?.unwrap_or_default();
        if head == self.tip {
            return Ok(Stage::Home);
        }
        let (base, onto) = (&self.base, &self.onto.commit);
        Ok(
            match (
                is_ancestor(git, base, &head)?,
                is_ancestor(git, onto, &head)?,
            ) {
                // One is below the other, and the upper one is what HEAD stands on.
                (true, true) if is_ancestor(git, base, onto)? => Stage::There,
                (true, _) if head != *base => Stage::Home,
                (false, true) => Stage::There,
                _ => Stage::Astray,
            },
        )
    }

    /// Whether it is this rebase that git is in the middle of. One that was killed early has not noted where it goes.
    fn is_ours(&self, git: &Git) -> Result<bool> {
        let paths = cmd!(
            git,
            "git rev-parse --path-format=absolute --git-path rebase-merge --git-path rebase-merge/onto"
        );
        let paths = git.read(paths)?;
        let mut paths = paths.lines().map(Utf8PathBuf::from);
        let (folder, onto) = (
            paths.next().unwrap_or_default(),
            paths.next().unwrap_or_default(),
        );
        let noted = fs_err::read_to_string(onto).unwrap_or_default();
        let noted = noted.trim();
        Ok(folder.is_dir() && (noted.is_empty() || noted == self.onto.commit))
    }

    /// What is there, and how to go on; `None` if nothing is in the way.
    pub fn obstacle(&self, git: &Git) -> Result<Option<Failure>> {
        let (path, label) = (git.dir(), &self.onto.label);
        let said = match self.stage(git)? {
            Stage::Home => return Ok(None),
            Stage::Halfway => format!(
                "{path} is in the middle of a rebase onto {label}\n{}",
                self.ways(git)
            ),
            Stage::There => format!(
                "{path} was rebased onto {label}, and that is not noted yet\n  to note it: {}\n  to go back: {}",
                self.command("--continue"),
                self.command("--abort")
            ),
            Stage::Busy(operation) => format!(
                "{path} is on its way to {label}, and in the middle of {operation}; end that there first"
            ),
            Stage::Astray => format!(
                "{path} was on its way to {label}, and HEAD is somewhere else\n  to go back to {}: {}\n  what was done \
                 meanwhile: git -C {path} reflog",
                self.tip,
                self.command("--abort")
            ),
        };
        Ok(Some(Kind::Usage.error(said)))
    }

    /// It was there, and the commits are not there any more.
    pub fn left(&self, git: &Git) -> Failure {
        Kind::Usage.error(format!(
            "{} was rebased onto {}, and HEAD is not on that any more\n  to go back to where the patch files are: {}",
            git.dir(),
            self.onto.label,
            self.command("--abort")
        ))
    }

    /// From a conflict on, or back.
    pub fn ways(&self, git: &Git) -> String {
        let path = git.dir();
        format!(
            "  to go on: git -C {path} status, mend those files there, git -C {path} add FILE, and\n            {}\n  \
             to leave this patch out: git -C {path} rebase --skip, and then the same\n  \
             to go back: {}, which drops what was mended",
            self.command("--continue"),
            self.command("--abort")
        )
    }

    pub fn command(&self, how: &str) -> String {
        format!("cargo xtask series rebase {how}{}", self.flags)
    }
}
