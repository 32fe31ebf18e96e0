//! Git repositories of other people's: which kinds a kernel can be taken from without writing to them.

use camino::Utf8Path;
use xshell::cmd;

use crate::failure::{Failure, Kind, Result};
use crate::host::git::Git;
use crate::host::proc;

/// A repository that has no files to build from, but looks like a folder without git.
///
/// # Errors
/// With what to give in its place.
pub fn no_work_tree(path: &Utf8Path, git: &Git) -> Result<()> {
    if !path.join("HEAD").is_file() || !path.join("objects").is_dir() {
        return Ok(());
    }
    let instead = if path.file_name() == Some(".git") {
        "give the folder around it".to_owned()
    } else {
        format!(
            "give a work tree of it: git -C {} worktree add --detach DIR",
            git.dir()
        )
    };
    Err(Kind::Usage.error(format!(
        "--tree {path} is a git repository without files: {instead}"
    )))
}

/// The commit that is checked out in a work tree, once all that a build reads of it is known to be there.
///
/// Shallow and sparse ones, further work trees and submodules are fine: what is built is the commit.
pub fn commit(path: &Utf8Path, git: &Git) -> Result<String> {
    let top = git
        .read(cmd!(git, "git rev-parse --show-toplevel"))
        .map_err(|error| unusable(path, error))?;
    if top != *path {
        return Err(Kind::Usage.error(format!(
            "--tree {path} has a .git that is no repository: repair or remove it"
        )));
    }
    let format = git.read(cmd!(git, "git rev-parse --show-object-format"));
    if format.map_err(|error| unusable(path, error))? != "sha1" {
        return Err(Kind::Usage.error(format!(
            "--tree {path} is a repository with SHA-256 names, which others cannot borrow from: give its plain files \
             (git -C {path} archive HEAD | tar -x -C DIR)"
        )));
    }
    let Some(commit) = git.resolve("HEAD^{commit}")? else {
        return Err(Kind::Usage.error(format!(
            "--tree {path} has no commit that is checked out, and only commits are built: commit its files, or remove \
             its .git"
        )));
    };
    let lacking = lacking(git, &commit)?;
    if lacking > 0 {
        return Err(Kind::Usage.error(format!(
            "--tree {path} is a partial clone that lacks some files of its commit ({lacking} objects): fetch them with \
             git -C {path} sparse-checkout disable && git -C {path} checkout HEAD -- ."
        )));
    }
    Ok(commit)
}

/// How many objects of a commit's files a partial clone has not fetched so far; nothing is fetched.
pub fn lacking(git: &Git, commit: &str) -> Result<usize> {
    let keys = r"^(remote\..*\.promisor|extensions\.partialclone)$";
    let partial = cmd!(git, "git config --get-regexp {keys}");
    if !git.output(partial, b"")?.status.success() {
        return Ok(0);
    }
    let objects = git.read(cmd!(
        git,
        "git rev-list --objects --missing=print --no-object-names {commit}'^{tree}'"
    ))?;
    Ok(objects.lines().filter(|line| line.starts_with('?')).count())
}

/// Git's own words, where there is nothing better.
pub fn unusable(path: &Utf8Path, error: proc::Error) -> Failure {
    error
        .or(Kind::Usage)
        .context(format!("--tree {path} is no usable git tree"))
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::*;
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;
    use crate::host::session::Session;
    use crate::kernel::source::given::Given;
    use crate::kernel::tree;

    const FILES: &[(&str, &str)] = &[
        ("Makefile", "VERSION = 6\nPATCHLEVEL = 12\n"),
        ("Kconfig", "\n"),
        ("fs/super.c", "int x;\n"),
        ("scripts/kconfig/merge_config.sh", "#!/bin/sh\n"),
    ];

    fn files(dir: &Utf8Path) {
        for (name, content) in FILES {
            let path = dir.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
    }

    fn git(dir: &Utf8Path, line: &str) {
        let git = Git::at(dir, &Stop::default());
        let words = line.split(' ');
        git.read(cmd!(
            git,
            "git -c protocol.file.allow=always -c uploadpack.allowFilter=true {words...}"
        ))
        .unwrap();
    }

    /// A kernel with two commits, and the folder that others are made in.
    fn origin() -> (tempfile::TempDir, Utf8PathBuf) {
        let guard = tempfile::tempdir().unwrap();
        let dir = Utf8PathBuf::try_from(guard.path().canonicalize().unwrap()).unwrap();
        let origin = dir.join("origin");
        files(&origin);
        git(&origin, "init --quiet");
        git(&origin, "config uploadpack.allowFilter true");
        git(&origin, "add .");
        git(&origin, "commit --quiet -m one");
        fs_err::write(origin.join("fs/super.c"), "int y;\n").unwrap();
        git(&origin, "commit --quiet -a -m two");
        (guard, dir)
    }

    /// The work tree that is built from it.
    fn built(dir: &Utf8Path, given: &Utf8Path) -> Result<Utf8PathBuf> {
        let session = Session::new(Layout::at(dir.join("checkout")), Stop::default());
        let source = Given::check(given, &session.stop)?.obtain(&session)?;
        let name = format!("{}-stock", source.name);
        tree::provide(&name, &source, &[], &session).map(|tree| tree.path)
    }

    #[test]
    fn clones_of_many_kinds_are_built_and_left_as_they_are() {
        let (_guard, dir) = origin();
        git(
            &dir,
            &format!("clone --quiet --depth=1 file://{dir}/origin shallow"),
        );
        git(&dir, "clone --quiet --shared origin shared");
        git(&dir, "clone --quiet --no-checkout origin sparse");
        git(&dir.join("sparse"), "sparse-checkout set scripts");
        git(&dir.join("sparse"), "checkout --quiet HEAD");
        assert!(!dir.join("sparse/fs/super.c").exists());
        git(
            &dir,
            &format!("clone --quiet --filter=blob:none file://{dir}/origin blobless"),
        );
        git(
            &dir.join("origin"),
            "worktree add --quiet --detach ../worktree",
        );
        git(&dir, "init --quiet super");
        git(
            &dir.join("super"),
            &format!("submodule --quiet add {dir}/origin linux"),
        );
        std::os::unix::fs::symlink(dir.join("shared"), dir.join("link")).unwrap();
        for kind in [
            "origin",
            "shallow",
            "shared",
            "sparse",
            "blobless",
            "worktree",
            "super/linux",
            "link",
        ] {
            let tree =
                built(&dir, &dir.join(kind)).unwrap_or_else(|failure| panic!("{kind}: {failure}"));
            let file = fs_err::read_to_string(tree.join("fs/super.c")).unwrap();
            assert_eq!(file, "int y;\n", "{kind}");
        }
    }

    #[test]
    fn what_cannot_be_built_is_told_with_what_to_do() {
        let (_guard, dir) = origin();
        files(&dir.join("sha256"));
        git(&dir, "init --quiet --object-format=sha256 sha256");
        git(&dir.join("sha256"), "add .");
        git(&dir.join("sha256"), "commit --quiet -m one");
        git(&dir, "clone --quiet --bare origin bare");
        git(
            &dir,
            &format!("clone --quiet --filter=blob:none --no-checkout file://{dir}/origin partial"),
        );
        git(&dir.join("partial"), "sparse-checkout set scripts");
        git(&dir.join("partial"), "checkout --quiet HEAD");
        files(&dir.join("unborn"));
        git(&dir, "init --quiet unborn");
        files(&dir.join("broken"));
        fs_err::create_dir(dir.join("broken/.git")).unwrap();
        git(&dir, "clone --quiet origin gone");
        git(&dir.join("gone"), "worktree add --quiet --detach ../orphan");
        fs_err::remove_dir_all(dir.join("gone")).unwrap();
        for (kind, words) in [
            ("sha256", "SHA-256"),
            ("bare", "worktree add"),
            ("origin/.git", "give the folder around it"),
            ("partial", "lacks some files of its commit (1 objects)"),
            ("unborn", "no commit that is checked out"),
            ("broken", "broken"),
            ("orphan", "no usable git tree"),
            ("origin/fs", "no kernel tree: it has no Makefile"),
            ("nowhere", "No such file"),
        ] {
            let failure = built(&dir, &dir.join(kind)).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage, "{kind}: {failure}");
            assert!(failure.to_string().contains(words), "{kind}: {failure}");
        }
        git(&dir.join("partial"), "sparse-checkout disable");
        built(&dir, &dir.join("partial")).unwrap();
    }

    #[test]
    fn a_broken_repository_is_not_taken_for_the_one_around_it() {
        let (_guard, dir) = origin();
        git(&dir, "init --quiet");
        let inner = dir.join("inner");
        files(&inner);
        fs_err::create_dir(inner.join(".git")).unwrap();
        let failure = built(&dir, &inner).unwrap_err();
        assert!(
            failure.to_string().contains("a .git that is no repository"),
            "{failure}"
        );
    }
}
