//! From an edited tree back to patch files.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::{INDEX, Patch, order, read, split};
use crate::failure::{Kind, Result};
use crate::kernel::git::Git;
use crate::kernel::tree::{BASE_REF, edits};
use crate::proc::Stop;

/// Whatever depends on the machine, the day or the git version is off or fixed,
/// so that a second run changes nothing.
const FORMAT: &[&str] = &[
    "format-patch",
    "--quiet",
    "--zero-commit",
    "--no-signature",
    "--no-numbered",
    "--no-cover-letter",
    "--no-thread",
    "--no-renames",
    "--abbrev=12",
    "--diff-algorithm=histogram",
];

/// Writes the commits of a work tree that [`crate::kernel::prepare`] made as the patch files of `dir`,
/// and returns the files that changed, were added or were removed.
///
/// What the old files say between `---` and the diffstat is kept for patches of the same subject.
pub fn refresh(tree: &Utf8Path, dir: &Utf8Path, stop: &Stop) -> Result<Vec<Utf8PathBuf>> {
    let git = Git::at(tree, stop);
    if let Some(files) = edits(&git)?.files() {
        return Err(Kind::Usage.error(format!(
            "{tree} has changes that are in no commit ({files}); commit them first"
        )));
    }
    let range = format!("{BASE_REF}..HEAD");
    if git.read(["rev-list", "--count", &range])? == "0" {
        return Err(Kind::Usage.error(format!(
            "{tree} has no commits on top of its base; there is nothing to refresh"
        )));
    }
    let fresh = tempfile::tempdir()?;
    let fresh = Utf8Path::from_path(fresh.path())
        .ok_or_else(|| Kind::Machinery.error("the temporary folder is not UTF-8"))?;
    git.read(
        FORMAT
            .iter()
            .copied()
            .chain(["--output-directory", fresh.as_str(), &range]),
    )?;
    fs_err::create_dir_all(dir)?;
    let old: Vec<String> = if dir.join(INDEX).exists() {
        order(dir)?.into_iter().map(|entry| entry.file).collect()
    } else {
        Vec::new()
    };
    let notes = notes(dir, &old)?;
    let mut names: Vec<String> = fresh
        .read_dir_utf8()?
        .flatten()
        .map(|entry| entry.file_name().to_owned())
        .collect();
    names.sort();
    let mut changed = Vec::new();
    for name in &names {
        let patch = read(&fresh.join(name))?;
        let text = with_notes(&patch, notes.get(&patch.subject).map_or("", String::as_str));
        changed.extend(replace(&dir.join(name), &text)?);
    }
    let listed = fs_err::read_to_string(dir.join(INDEX)).unwrap_or_default();
    changed.extend(replace(
        &dir.join(INDEX),
        index(&listed, &names).as_bytes(),
    )?);
    for name in old
        .iter()
        .filter(|name| !names.contains(name) && dir.join(name).exists())
    {
        fs_err::remove_file(dir.join(name))?;
        changed.push(dir.join(name));
    }
    Ok(changed)
}

fn notes(dir: &Utf8Path, files: &[String]) -> Result<BTreeMap<String, String>> {
    let existing = files
        .iter()
        .map(|file| dir.join(file))
        .filter(|path| path.exists());
    existing
        .map(|path| read(&path).map(|patch| (patch.subject, patch.notes)))
        .collect()
}

fn with_notes(patch: &Patch, notes: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(&patch.text);
    match text.split_once("\n---\n") {
        Some((head, rest)) if !notes.is_empty() => {
            format!("{head}\n---\n{notes}\n\n{}", rest.trim_start_matches('\n')).into()
        }
        _ => patch.text.clone(),
    }
}

/// The `series` file: the comments that the old one began with, then the names, each with the comment that it had.
fn index(old: &str, names: &[String]) -> String {
    let comments = old
        .lines()
        .take_while(|line| line.starts_with('#') || line.trim().is_empty())
        .map(str::to_owned);
    let kept: BTreeMap<&str, &str> = old.lines().map(split).collect();
    let names = names.iter().map(|name| match kept.get(name.as_str()) {
        Some(comment) if !comment.is_empty() => format!("{name} {comment}"),
        _ => name.clone(),
    });
    comments
        .chain(names)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Replaces a file at once if its content differs, and returns its path if so.
fn replace(path: &Utf8Path, content: &[u8]) -> Result<Option<Utf8PathBuf>> {
    if fs_err::read(path).is_ok_and(|old| old == content) {
        return Ok(None);
    }
    crate::kernel::files::write(path, content)?;
    Ok(Some(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_the_series_file_stay() {
        let names = ["a.patch", "c.patch"].map(str::to_owned);
        for (old, expected) in [
            ("", "a.patch\nc.patch\n"),
            (
                "# why\n\nb.patch # provides: timeout\na.patch   # provides: argument\n# lost\n",
                "# why\n\na.patch # provides: argument\nc.patch\n",
            ),
            ("c.patch # x\na.patch\n", "a.patch\nc.patch # x\n"),
        ] {
            assert_eq!(index(old, &names), expected, "{old}");
        }
    }
}
