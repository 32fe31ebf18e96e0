//! Bare repositories that hold sources: work trees for stock and patched kernels are cheap on top of one.

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use crate::failure::Result;
use crate::host::files;
use crate::host::git::Git;
use crate::host::layout::Layout;
use crate::host::proc::{self, Stop, Stream};
use crate::host::session::Session;

/// A source that is wholly in git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Tells the trees and builds of different sources apart, in names of folders.
    pub name: String,
    /// For people: package and version, or path and commit.
    pub label: String,
    pub repository: Utf8PathBuf,
    pub commit: String,
}

pub const IGNORE: &str = ".gitignore";

/// Objects are neither compressed nor repacked: it would take longer than all of the import.
const CONFIG: &[(&str, &str)] = &[
    ("core.compression", "0"),
    ("core.looseCompression", "0"),
    ("core.autocrlf", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.detachedHead", "false"),
    ("checkout.workers", "0"),
];

pub fn path(name: &str, layout: &Layout) -> Utf8PathBuf {
    layout.sources().join(format!("{name}.git"))
}

/// Opens the repository of a source, made on first use. Objects of `borrowed` are read, never copied.
pub fn open(name: &str, borrowed: Option<&Utf8Path>, session: &Session) -> Result<Git> {
    let path = path(name, &session.layout);
    if !path.join("HEAD").exists() {
        files::remove(&path)?;
        let (_guard, new) = files::temporary(&session.layout.sources())?;
        let git = Git::at(&new, &session.stop);
        git.read(cmd!(
            git,
            "git init --quiet --bare --initial-branch=none {new}"
        ))?;
        for (key, value) in CONFIG {
            git.read(cmd!(git, "git config {key} {value}"))?;
        }
        fs_err::rename(&new, &path)?;
    }
    if let Some(objects) = borrowed {
        files::write(
            &path.join("objects/info/alternates"),
            format!("{objects}\n").as_bytes(),
        )?;
    }
    Ok(Git::at(path, &session.stop))
}

/// Puts the files of a folder into one commit without a parent, whose id depends on nothing but them and `message`.
///
/// The folder is only read. `on_file` hears of each file that is new or has changed, and how many there were.
pub fn import(
    repository: &Git,
    folder: &Utf8Path,
    message: &str,
    stop: &Stop,
    on_file: &mut dyn FnMut(u64, &str),
) -> Result<String> {
    // Left by a run that was killed: nobody else is at work here while the run's lock is held.
    files::remove(&repository.dir().join("index.lock"))?;
    // All that is new goes into one pack, and not into 86,000 files.
    let add = cmd!(
        repository,
        "git -c core.bare=false -c core.bigFileThreshold=1 --work-tree={folder} add --all --force --verbose ."
    );
    let log = repository.dir().join("import.log");
    files::remove(&log)?;
    let mut added = 0;
    proc::stream(add, &log, stop, &mut |stream, line| {
        if stream == Stream::Out {
            added += 1;
            on_file(added, line);
        }
    })?;
    let ignore = folder.join(IGNORE);
    if ignore.exists() {
        let seen = without_hiding_all(&fs_err::read_to_string(ignore)?);
        let blob = cmd!(repository, "git hash-object -w --stdin");
        let blob = repository.pipe(blob, seen.as_bytes())?;
        repository.read(cmd!(
            repository,
            "git update-index --add --cacheinfo 100644,{blob},{IGNORE}"
        ))?;
    }
    let tree = repository.read(cmd!(repository, "git write-tree"))?;
    Ok(repository.read(cmd!(repository, "git commit-tree -m {message} {tree}"))?)
}

/// Debian's `.gitignore` hides everything but `debian/`; in a tree to work in, git must see new files.
pub fn without_hiding_all(ignore: &str) -> String {
    ignore
        .lines()
        .filter(|line| *line != "/*")
        .map(|line| format!("{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_files() {
        for (text, expected) in [
            ("", ""),
            ("*.o\n/*\n!/debian/\n", "*.o\n!/debian/\n"),
            ("*.o\n", "*.o\n"),
        ] {
            assert_eq!(without_hiding_all(text), expected);
        }
    }
}
