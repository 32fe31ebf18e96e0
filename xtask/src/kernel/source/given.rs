//! `--tree PATH`: a kernel tree of the user's. It is read and never written to.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use super::clone;
use super::repository::{self, Source};
use crate::failure::{Kind, OrFail, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::phase::{Pace, phase};
use crate::host::proc::Stop;
use crate::host::session::Session;
use crate::kernel::version::version_of;

/// What every kernel tree has; enough to notice a wrong path.
pub(super) const LANDMARKS: &[&str] = &[
    "Makefile",
    "Kconfig",
    "fs/super.c",
    "scripts/kconfig/merge_config.sh",
];
/// What the kernel's makefile takes for the rest of a build in the tree itself.
const LEFT_BY_BUILDS: &[&str] = &[".config", "include/config", "arch/x86/include/generated"];
/// As many changed files are named in an error.
const NAMED: usize = 5;

/// A tree that was looked at and found usable.
#[derive(Clone, Debug)]
pub struct Given {
    path: Utf8PathBuf,
    /// As its Makefile says.
    version: String,
    /// The commit that is checked out, and the folder of git's objects; `None` for a plain source.
    git: Option<(String, Utf8PathBuf)>,
}

impl Given {
    /// Anything wrong with the tree is a usage error; uncommitted changes are, too, since only commits are built.
    pub fn check(path: &Utf8Path, stop: &Stop) -> Result<Self> {
        let path = path
            .canonicalize_utf8()
            .map_err(|error| Kind::Usage.error(format!("--tree {path}: {error}")))?;
        let git = Git::at(&path, stop);
        match path.join(".git").exists() {
            true => Self::of_git(path, &git),
            false => Self::of_files(path, &git),
        }
    }

    /// A folder without git, e.g. one that a tarball was unpacked to.
    fn of_files(path: Utf8PathBuf, git: &Git) -> Result<Self> {
        clone::no_work_tree(&path, git)?;
        let version = is_kernel(
            &path,
            |name| path.join(name).is_file(),
            || Ok(fs_err::read_to_string(path.join("Makefile"))?),
        )?;
        if let Some(left) = LEFT_BY_BUILDS.iter().find(|name| path.join(name).exists()) {
            return Err(Kind::Usage.error(format!(
                "--tree {path} was built in: make does not build elsewhere from a tree that has {left}; run make mrproper in it"
            )));
        }
        Ok(Self {
            path,
            version,
            git: None,
        })
    }

    /// What is committed in a clone or a work tree.
    fn of_git(path: Utf8PathBuf, git: &Git) -> Result<Self> {
        let commit = clone::commit(&path, git)?;
        // Of the commit, as a sparse work tree need not have them.
        let listed = git.read(cmd!(
            git,
            "git ls-tree --name-only {commit} -- {LANDMARKS...}"
        ))?;
        let version = is_kernel(
            &path,
            |name| listed.lines().any(|line| line == name),
            || Ok(git.read(cmd!(git, "git cat-file blob {commit}:Makefile"))?),
        )?;
        let usage = |error| clone::unusable(&path, error);
        // Otherwise status would refresh the user's index, which is a write.
        let status = cmd!(
            git,
            "git --no-optional-locks -c core.fsmonitor=false status --porcelain --untracked-files=no"
        );
        let status = git.read(status).map_err(usage)?;
        if !status.is_empty() {
            return Err(Kind::Usage.error(format!(
                "--tree {path} is dirty: commit or stash {}",
                name_some(&status)
            )));
        }
        let objects = cmd!(
            git,
            "git rev-parse --path-format=absolute --git-path objects"
        );
        let objects = git.read(objects).map_err(usage)?;
        Ok(Self {
            path,
            version,
            git: Some((commit, objects.into())),
        })
    }

    /// Of the kernel, e.g. `7.3.0-rc7`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn name(&self) -> String {
        name(&self.path)
    }

    pub fn obtain(&self, session: &Session) -> Result<Source> {
        let name = self.name();
        let objects = self.git.as_ref().map(|(_, objects)| objects.as_path());
        let repository = repository::open(&name, objects, session)?;
        let (commit, label) = match &self.git {
            Some((commit, objects)) => {
                share_history(objects, &repository)?;
                (
                    commit.clone(),
                    format!("{} at {}", self.path, &commit[..12.min(commit.len())]),
                )
            }
            None => (self.import(&repository, session)?, self.path.to_string()),
        };
        // Keeps it from being pruned here; what the user's own repository does to its objects is the user's matter.
        repository.read(cmd!(repository, "git update-ref refs/tags/given {commit}"))?;
        Ok(Source {
            name,
            label,
            repository: repository.dir().to_owned(),
            commit,
        })
    }

    /// A plain source has no commit, so it is compared with the last import each time; git does that by timestamps.
    fn import(&self, repository: &Git, session: &Session) -> Result<String> {
        phase(&session.events, format!("reading {}", self.path), || {
            // Later on nobody knows how many have changed before git has looked.
            let first = !repository.dir().join("index").exists();
            let total = first.then(|| files_below(&self.path));
            let mut pace = Pace::new(&session.events).of("files");
            let message = "a plain source tree";
            let commit = repository::import(
                repository,
                &self.path,
                message,
                &session.stop,
                &mut |done, file| {
                    let total = total.filter(|total| done <= *total);
                    pace.tell(done, total, || file.to_string());
                },
            )?;
            let words = format!("content {}", &commit[..12.min(commit.len())]);
            Ok((commit, words))
        })
    }
}

/// Tells trees apart by their paths, and says whose it is.
pub(super) fn name(path: &Utf8Path) -> String {
    let digest = files::digest([path.as_str()]);
    format!("{}-{}", path.file_name().unwrap_or("tree"), &digest[..8])
}

/// A tree, or one of its commits, that is something else.
#[derive(Debug)]
pub struct NoKernel {
    path: Utf8PathBuf,
    why: String,
}

impl fmt::Display for NoKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, why } = self;
        write!(f, "--tree {path} is no kernel tree: {why}")
    }
}

impl std::error::Error for NoKernel {}

pub(super) fn is_kernel(
    path: &Utf8Path,
    has: impl Fn(&str) -> bool,
    makefile: impl FnOnce() -> Result<String>,
) -> Result<String> {
    let refuse = |why: String| {
        let path = path.to_owned();
        Err(NoKernel { path, why }).or_fail(Kind::Usage)
    };
    if let Some(absent) = LANDMARKS.iter().find(|name| !has(name)) {
        return refuse(format!("it has no {absent}"));
    }
    match version_of(&makefile()?) {
        Some(version) => Ok(version),
        None => refuse("its Makefile sets no VERSION".to_owned()),
    }
}

/// As many as git will store, but for empty folders.
fn files_below(path: &Utf8Path) -> u64 {
    let entries = walkdir::WalkDir::new(path).into_iter().flatten();
    entries.filter(|entry| !entry.file_type().is_dir()).count() as u64
}

/// A shallow clone's oldest commits lack their parents; git must know.
fn share_history(objects: &Utf8Path, repository: &Git) -> Result<()> {
    let theirs = objects
        .parent()
        .map(|git| git.join("shallow"))
        .filter(|path| path.exists());
    let ours = repository.dir().join("shallow");
    match theirs {
        Some(theirs) => Ok(files::write(&ours, &fs_err::read(theirs)?)?),
        None => Ok(files::remove(&ours)?),
    }
}

/// The first of the files that `git status --porcelain` lists, and how many more there are.
pub fn name_some(status: &str) -> String {
    let files: Vec<&str> = status
        .lines()
        .map(|line| {
            line.trim_start()
                .split_once(' ')
                .map_or(line, |(_, file)| file.trim())
        })
        .collect();
    let named = files[..files.len().min(NAMED)].join(", ");
    match files.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_changed_files() {
        for (status, expected) in [
            (" M fs/super.c", "fs/super.c"),
            ("M fs/super.c\n?? new file", "fs/super.c, new file"),
            (
                "M  a\nM  b\nM  c\nM  d\nM  e\nM  f\nM  g",
                "a, b, c, d, e and 2 more",
            ),
        ] {
            assert_eq!(name_some(status), expected);
        }
    }
}
