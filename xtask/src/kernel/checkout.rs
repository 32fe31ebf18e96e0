//! A work tree that nobody edits: it moves from commit to commit, and only files that differ are written.

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use super::tree::Tree;
use crate::failure::Result;
use crate::host::files;
use crate::host::git::Git;
use crate::host::phase::phase;
use crate::host::session::Session;

/// A work tree of a repository of ours.
#[derive(Debug)]
pub struct Checkout {
    repository: Utf8PathBuf,
    path: Utf8PathBuf,
}

impl Checkout {
    /// The one of this name, which need not be there yet.
    pub fn new(repository: Utf8PathBuf, name: &str, session: &Session) -> Self {
        Self {
            path: session.layout.trees().join(name),
            repository,
        }
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// What it is at; `None` if nobody knows.
    pub fn content(&self, session: &Session) -> Result<Option<String>> {
        let at: Option<String> = files::recall(&self.memory());
        let git = Git::at(&self.path, &session.stop);
        at.map_or(Ok(None), |at| Ok(git.resolve(&format!("{at}^{{tree}}"))?))
    }

    fn memory(&self) -> Utf8PathBuf {
        format!("{}.json", self.path).into()
    }

    /// Brings it to a commit, whatever a run that was killed has left there.
    pub fn go(&self, commit: &str, session: &Session) -> Result<Tree> {
        let (path, git) = (&self.path, Git::at(&self.path, &session.stop));
        let memory = &self.memory();
        let is_there = self.is_there(&git)?;
        let at: Option<String> = files::recall(memory).filter(|_| is_there);
        // A commit may be gone: its owner has rewritten history, and git has cleaned up.
        let at = match at {
            Some(at) if git.resolve(&format!("{at}^{{tree}}"))?.is_some() => Some(at),
            _ => None,
        };
        files::remove(memory)?;
        let what = match is_there {
            true => format!("moving {path}"),
            false => format!("checking out {path}"),
        };
        phase(&session.events, what, || {
            match at {
                Some(at) => step(&git, &at, commit)?,
                None => self.repair(&git, is_there, commit, session)?,
            }
            Ok(((), format!("at {}", &commit[..12.min(commit.len())])))
        })?;
        files::remember(memory, &commit)?;
        Ok(Tree {
            content: git.read(cmd!(git, "git rev-parse {commit}'^{tree}'"))?,
            path: path.clone(),
            edited: false,
            ground: None,
        })
    }

    /// Looks at each file. What git does not know goes: to make, a file that is left over may be one to compile.
    fn repair(&self, git: &Git, is_there: bool, commit: &str, session: &Session) -> Result<()> {
        if !is_there {
            self.make(commit, session)?;
        }
        let lock = cmd!(
            git,
            "git rev-parse --path-format=absolute --git-path index.lock"
        );
        files::remove(git.read(lock)?.as_str().into())?;
        git.read(cmd!(git, "git reset --quiet --hard {commit}"))?;
        git.read(cmd!(git, "git clean -ffdxq"))?;
        Ok(())
    }

    /// Not only a folder, and no work tree of another repository, as after a move of the checkout.
    fn is_there(&self, git: &Git) -> Result<bool> {
        if !self.path.join(".git").exists() {
            return Ok(false);
        }
        let common = cmd!(git, "git rev-parse --path-format=absolute --git-common-dir");
        let common = git.output(common, b"")?;
        // Git names it without links.
        let repository = self.repository.canonicalize_utf8()?;
        let ours = String::from_utf8_lossy(&common.stdout).trim() == repository;
        Ok(ours && git.resolve("HEAD")?.is_some())
    }

    fn make(&self, commit: &str, session: &Session) -> Result<()> {
        files::discard(&self.path, &session.stop)?;
        let (path, git) = (&self.path, Git::at(&self.repository, &session.stop));
        git.read(cmd!(
            git,
            "git worktree add --force --force --quiet --no-checkout --detach {path} {commit}"
        ))?;
        Ok(())
    }
}

/// Looks at the files that differ, and at no other: to ask for the state of all takes longer than to compile some.
fn step(git: &Git, from: &str, to: &str) -> Result<()> {
    git.read(cmd!(git, "git read-tree -m -u {from} {to}"))?;
    git.read(cmd!(git, "git update-ref --no-deref HEAD {to}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;

    #[test]
    fn it_goes_to_any_commit_from_whatever_was_left() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let session = Session::new(Layout::at(dir.join("here")), Stop::default());
        let user = dir.join("user");
        fs_err::create_dir(&user).unwrap();
        let git = Git::at(&user, &Stop::default());
        git.read(cmd!(git, "git init --quiet")).unwrap();
        let commits = ["one", "two"].map(|name| {
            fs_err::write(user.join(name), name).unwrap();
            fs_err::write(user.join("same"), "x").unwrap();
            git.read(cmd!(git, "git add --all")).unwrap();
            git.read(cmd!(git, "git commit --quiet --message {name}"))
                .unwrap();
            git.read(cmd!(git, "git rev-parse HEAD")).unwrap()
        });
        let link = dir.join("link");
        std::os::unix::fs::symlink(user.join(".git"), &link).unwrap();
        let checkout = Checkout::new(link, "x@bisect", &session);
        let tree = checkout.go(&commits[1], &session).unwrap();
        let time = || fs_err::metadata(tree.path.join("same")).unwrap().modified();
        let before = time().unwrap();
        assert!(tree.path.join("two").exists());
        for commit in [&commits[0], &commits[1]] {
            checkout.go(commit, &session).unwrap();
            assert_eq!(tree.path.join("two").exists(), commit == &commits[1]);
            let status = Git::at(&tree.path, &Stop::default());
            let status = status.read(cmd!(status, "git status --porcelain")).unwrap();
            assert_eq!(status, "");
        }
        // Killed in the middle.
        fs_err::remove_file(format!("{}.json", tree.path)).unwrap();
        fs_err::write(tree.path.join("left.c"), "").unwrap();
        fs_err::write(tree.path.join("one"), "edited").unwrap();
        fs_err::write(user.join(".git/worktrees/x@bisect/index.lock"), "").unwrap();

        assert_eq!(checkout.content(&session).unwrap(), None);
        let older = checkout.go(&commits[0], &session).unwrap();
        let content = checkout.content(&session).unwrap();
        assert_eq!(content.as_ref(), Some(&older.content));
        assert_ne!(older.content, tree.content);
        assert!(!tree.path.join("two").exists() && !tree.path.join("left.c").exists());
        assert_eq!(
            fs_err::read_to_string(tree.path.join("one")).unwrap(),
            "one"
        );
        assert_eq!(time().unwrap(), before, "only what differs is written");

        fs_err::remove_dir_all(&tree.path).unwrap();
        assert!(
            checkout
                .go(&commits[1], &session)
                .unwrap()
                .path
                .join("two")
                .exists()
        );
    }
}
