//! Bare repositories that hold sources: work trees for stock and patched kernels are cheap on top of one.

use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::Result;
use crate::kernel::files;
use crate::kernel::git::Git;
use crate::layout::Layout;
use crate::proc::Stop;

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
pub fn open(name: &str, borrowed: Option<&Utf8Path>, layout: &Layout, stop: &Stop) -> Result<Git> {
    let path = path(name, layout);
    if !path.join("HEAD").exists() {
        files::remove(&path)?;
        let (_guard, new) = files::temporary(&layout.sources())?;
        Git::at(&new, stop).read([
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=none",
            new.as_str(),
        ])?;
        for (key, value) in CONFIG {
            Git::at(&new, stop).read(["config", key, value])?;
        }
        fs_err::rename(&new, &path)?;
    }
    if let Some(objects) = borrowed {
        files::write(
            &path.join("objects/info/alternates"),
            format!("{objects}\n").as_bytes(),
        )?;
    }
    Ok(Git::at(path, stop))
}

/// Puts the files of a folder into one commit without a parent, whose id depends on nothing but them and `message`.
///
/// The folder is only read.
pub fn import(repository: &Git, folder: &Utf8Path, message: &str) -> Result<String> {
    let work_tree = format!("--work-tree={folder}");
    // Left by a run that was killed: nobody else is at work here while the run's lock is held.
    files::remove(&repository.dir().join("index.lock"))?;
    repository.read([
        "-c",
        "core.bare=false",
        &work_tree,
        "add",
        "--all",
        "--force",
        ".",
    ])?;
    let ignore = folder.join(IGNORE);
    if ignore.exists() {
        let seen = without_hiding_all(&fs_err::read_to_string(ignore)?);
        let blob = repository.pipe(["hash-object", "-w", "--stdin"], seen.as_bytes())?;
        repository.read([
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("100644,{blob},{IGNORE}"),
        ])?;
    }
    let tree = repository.read(["write-tree"])?;
    Ok(repository.read(["commit-tree", "-m", message, &tree])?)
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
