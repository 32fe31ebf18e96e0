//! A revision of a kernel tree of the user's, for a repository that has commits of its own. The tree is never written to.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use super::given::{LANDMARKS, is_kernel};
use super::{clone, given, repository};
use crate::failure::{Kind, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::session::Session;

/// A repository of ours for what is made of a tree's commits, and the name that tells it from those of other trees.
pub fn of_tree(path: &Utf8Path, session: &Session) -> Result<(String, Git)> {
    let path = path
        .canonicalize_utf8()
        .map_err(|error| Kind::Usage.error(format!("--tree {path}: {error}")))?;
    let name = given::name(&path);
    let repository = repository::open(&name, None, session)?;
    Ok((name, repository))
}

/// Lets a repository read the objects of the tree at `path`, and returns the commit that `revision` is there, and what to
/// call it. What is checked out there, and what is not committed, does not matter.
pub fn lend(repository: &Git, path: &Utf8Path, revision: &str) -> Result<(String, String)> {
    let path = path
        .canonicalize_utf8()
        .map_err(|error| Kind::Usage.error(format!("--tree {path}: {error}")))?;
    let git = repository.elsewhere(&path);
    require_sha1(&git)?;
    let peeled = format!("{revision}^{{commit}}");
    let commit = git.resolve(&peeled)?.ok_or_else(|| {
        Kind::Usage.error(format!(
            "--onto {revision}: git knows no such commit in {path}; to look for it: git -C {path} log --oneline --all"
        ))
    })?;
    require_kernel(&git, &path, &commit)?;
    borrow(repository, &git)?;
    let short = &commit[..12.min(commit.len())];
    let label = format!("{path} at {revision} ({short})");
    Ok((commit, label))
}

/// Lets a repository read the objects of another, and know where a shallow one ends.
///
/// # Errors
/// [`Kind::Usage`] if the other is no repository, or names its objects in another way.
pub fn borrow(repository: &Git, from: &Git) -> Result<()> {
    require_sha1(from)?;
    let places = ["objects", "shallow"].map(|name| {
        let place = cmd!(
            from,
            "git rev-parse --path-format=absolute --git-path {name}"
        );
        let place = from.read(place).map(Utf8PathBuf::from);
        place.map_err(|error| clone::unusable(from.dir(), error))
    });
    let [objects, shallow] = places;
    let (objects, shallow) = (objects?, shallow?);
    let own = repository.dir().join("objects");
    if objects.canonicalize_utf8()? == own.canonicalize_utf8()? {
        return Ok(());
    }
    add(&own.join("info/alternates"), objects.as_str())?;
    if shallow.exists() {
        add(
            &repository.dir().join("shallow"),
            &fs_err::read_to_string(shallow)?,
        )?;
    }
    Ok(())
}

fn require_sha1(git: &Git) -> Result<()> {
    let path = git.dir();
    let format = git.read(cmd!(git, "git rev-parse --show-object-format"));
    match format
        .map_err(|error| clone::unusable(path, error))?
        .as_str()
    {
        "sha1" => Ok(()),
        _ => Err(Kind::Usage.error(format!(
            "--tree {path} is a repository with SHA-256 names, which others cannot borrow from"
        ))),
    }
}

/// Of the commit, and with all that a build reads.
fn require_kernel(git: &Git, path: &Utf8Path, commit: &str) -> Result<()> {
    let listed = git.read(cmd!(
        git,
        "git ls-tree --name-only --full-tree {commit} -- {LANDMARKS...}"
    ))?;
    is_kernel(
        path,
        |name| listed.lines().any(|line| line == name),
        || Ok(git.read(cmd!(git, "git cat-file blob {commit}:Makefile"))?),
    )?;
    match clone::lacking(git, commit)? {
        0 => Ok(()),
        lacking => Err(Kind::Usage.error(format!(
            "--tree {path} is a partial clone that lacks some files of {commit} ({lacking} objects): fetch them by \
             checking it out there"
        ))),
    }
}

/// Adds lines to a file that lack there; those of other trees stay.
fn add(file: &Utf8Path, lines: &str) -> Result<()> {
    let old = match file.exists() {
        true => fs_err::read_to_string(file)?,
        false => String::new(),
    };
    let there: BTreeSet<&str> = old.lines().collect();
    let new: Vec<&str> = lines.lines().filter(|line| !there.contains(line)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let all = old.lines().chain(new).map(|line| format!("{line}\n"));
    Ok(files::write(file, all.collect::<String>().as_bytes())?)
}
