//! A commit with what another one changed, or without it, made without a work tree being touched.

use xshell::{Cmd, cmd};

use crate::failure::Result;
use crate::host::files;
use crate::host::git::Git;

/// In which direction the change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Forth,
    Back,
}

/// What `git cherry-pick` makes of a commit, all of those that apply; one that is there already changes nothing.
///
/// Returns the new commit, and those that were left out as they do not apply.
pub fn picked(git: &Git, onto: &str, picks: &[String]) -> Result<(String, Vec<String>)> {
    let (mut tip, mut left_out) = (onto.to_owned(), Vec::new());
    for pick in picks {
        match moved(git, &tip, pick, Way::Forth)? {
            Some(new) => tip = new,
            None => left_out.push(pick.clone()),
        }
    }
    Ok((tip, left_out))
}

/// What `git revert` makes of a commit; of a merge, its mainline is the first parent. None if it cannot be taken back, as
/// a commit without parents.
pub fn reverted(git: &Git, onto: &str, commit: &str) -> Result<Option<String>> {
    moved(git, onto, commit, Way::Back)
}

/// By a three-way merge of the files that are touched, as both of these commands do. Of nothing comes no commit.
fn moved(git: &Git, onto: &str, commit: &str, way: Way) -> Result<Option<String>> {
    if git.resolve(&format!("{commit}^1"))?.is_none() {
        return Ok(None);
    }
    let (_scratch, folder) = files::temporary(git.dir())?;
    let index = folder.join("index");
    let here = |line: Cmd<'static>| line.env("GIT_INDEX_FILE", &index);
    let diff = cmd!(
        git,
        "git diff-tree --patch --binary --full-index {commit}^1 {commit}"
    );
    let diff = git.output(diff, b"")?;
    if !diff.status.success() {
        return Err(
            anyhow::anyhow!("git cannot tell what {commit} changed: {}", diff.stderr()).into(),
        );
    }
    if diff.stdout.is_empty() {
        return Ok(None);
    }
    git.read(here(cmd!(git, "git read-tree {onto}")))?;
    let back = (way == Way::Back).then_some("--reverse");
    let apply = cmd!(
        git,
        "git apply --cached --3way --whitespace=nowarn {back...} -"
    );
    if !git.output(here(apply), &diff.stdout)?.status.success() {
        return Ok(None);
    }
    let tree = git.read(here(cmd!(git, "git write-tree")))?;
    if Some(&tree) == git.resolve(&format!("{onto}^{{tree}}"))?.as_ref() {
        let changes_nothing = (way == Way::Forth).then(|| onto.to_owned());
        return Ok(changes_nothing);
    }
    let message = match way {
        Way::Forth => format!("Pick {commit}"),
        Way::Back => format!("Revert {commit}"),
    };
    let commit = cmd!(git, "git commit-tree -p {onto} -m {message} {tree}");
    Ok(Some(git.read(commit)?))
}

#[cfg(test)]
mod tests {
    use camino::{Utf8Path, Utf8PathBuf};

    use super::*;
    use crate::host::proc::Stop;

    struct Repository {
        _guard: tempfile::TempDir,
        dir: Utf8PathBuf,
        git: Git,
    }

    impl Repository {
        fn new() -> Self {
            let guard = tempfile::tempdir().unwrap();
            let dir = Utf8Path::from_path(guard.path()).unwrap().to_owned();
            let git = Git::at(&dir, &Stop::default());
            git.read(cmd!(git, "git init --quiet")).unwrap();
            Self {
                _guard: guard,
                dir,
                git,
            }
        }

        fn commit(&self, files: &[(&str, &str)]) -> String {
            for (name, text) in files {
                fs_err::write(self.dir.join(name), text).unwrap();
            }
            let git = &self.git;
            git.read(cmd!(git, "git add --all")).unwrap();
            git.read(cmd!(git, "git commit --quiet --message x"))
                .unwrap();
            git.read(cmd!(git, "git rev-parse HEAD")).unwrap()
        }

        fn file(&self, commit: &str, name: &str) -> String {
            let git = &self.git;
            git.read(cmd!(git, "git cat-file blob {commit}:{name}"))
                .unwrap()
        }
    }

    #[test]
    fn commits_are_picked_where_they_apply_and_taken_back_where_they_can() {
        let repository = Repository::new();
        let lines = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let base = repository.commit(&[("a", lines), ("b", "b\n")]);
        let fix = repository.commit(&[("a", &lines.replace('8', "eight"))]);
        let break_it = repository.commit(&[("a", &lines.replace('8', "VIII"))]);
        let tip = repository.commit(&[("b", "c\n")]);
        let git = &repository.git;

        let (with, left_out) = picked(git, &base, &[fix.clone(), tip.clone()]).unwrap();
        assert!(left_out.is_empty());
        assert!(repository.file(&with, "a").contains("eight"));
        assert_eq!(repository.file(&with, "b"), "c");
        // It is there already, or its lines are others by now.
        assert_eq!(
            picked(git, &fix, std::slice::from_ref(&fix)).unwrap(),
            (fix.clone(), vec![])
        );
        let (same, left_out) = picked(git, &tip, std::slice::from_ref(&fix)).unwrap();
        assert_eq!((same, left_out), (tip.clone(), vec![fix.clone()]));

        let without = reverted(git, &tip, &break_it).unwrap().unwrap();
        assert!(repository.file(&without, "a").contains("eight"));
        assert_eq!(repository.file(&without, "b"), "c");
        assert_eq!(reverted(git, &tip, &fix).unwrap(), None);
        // Nobody knows what a first commit has changed, nor one where a shallow tree ends.
        assert_eq!(reverted(git, &tip, &base).unwrap(), None);
        let root = std::slice::from_ref(&base);
        assert_eq!(
            picked(git, &tip, root).unwrap(),
            (tip.clone(), vec![base.clone()])
        );
        let index = repository.dir.join(".git/index");
        assert!(
            index.exists()
                && git
                    .read(cmd!(git, "git status --porcelain"))
                    .unwrap()
                    .is_empty()
        );
    }
}
