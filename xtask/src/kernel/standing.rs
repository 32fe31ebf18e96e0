//! How a work tree stands: what git is in the middle of there, and what is in no commit.

use camino::Utf8Path;
use xshell::cmd;

use super::source::name_some;
use crate::failure::Result;
use crate::host::git::Git;

/// What git keeps in a work tree's folder while it is in the middle of something, and of what.
const OPERATIONS: &[(&str, &str)] = &[
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase, or git am,"),
    ("MERGE_HEAD", "a merge"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("sequencer", "a cherry-pick or revert of several commits"),
    ("BISECT_LOG", "a bisection"),
    (
        "index.lock",
        "another git command (if none runs, remove its index.lock)",
    ),
];

pub fn is_ancestor(git: &Git, one: &str, other: &str) -> Result<bool> {
    let asked = cmd!(git, "git merge-base --is-ancestor {one} {other}");
    let output = git.output(asked, b"")?;
    Ok(output.status.success())
}

/// What git is in the middle of in a work tree.
pub fn operation(git: &Git) -> Result<Option<&'static str>> {
    let names = OPERATIONS.iter().flat_map(|(name, _)| ["--git-path", name]);
    let paths = cmd!(git, "git rev-parse --path-format=absolute {names...}");
    let paths = git.read(paths)?;
    let mut found = paths.lines().zip(OPERATIONS);
    let found = found.find(|(path, (name, _))| says_something(Utf8Path::new(path), name));
    Ok(found.map(|(_, (_, what))| *what))
}

/// Git that is killed while it notes a commit leaves an empty file, which it neither reads nor removes later.
fn says_something(path: &Utf8Path, name: &str) -> bool {
    let notes_a_commit = name.ends_with("_HEAD");
    path.metadata()
        .is_ok_and(|it| !(notes_a_commit && it.len() == 0))
}

/// What is in a work tree and in no commit.
#[derive(Debug)]
pub struct Edits(String);

impl Edits {
    /// Names the first files; `None` if there are none.
    pub fn files(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| name_some(&self.0))
    }

    /// For people; without such files it must be the commits.
    pub fn words(&self) -> String {
        let files = self.files();
        files.unwrap_or_else(|| "commits or notes of your own".to_owned())
    }
}

pub fn edits(git: &Git) -> Result<Edits> {
    // From the second time on git only looks into folders that have changed: half the time, in each run. It goes by
    // their times, as make goes by those of files.
    let status = cmd!(
        git,
        "git -c core.untrackedCache=true status --porcelain --untracked-files=normal"
    );
    Ok(Edits(git.read(status)?))
}
