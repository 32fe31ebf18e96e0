//! What a work tree carries of the patch files that its commits were made from, so that they can be written again:
//! git notes, which git takes along when it rewrites commits (amend, rebase), and the files themselves.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use xshell::{Cmd, cmd};

use crate::diff::unified;
use crate::failure::{Kind, Result};
use crate::host::git::Git;
use crate::series::{Patch, Series};

/// Below it each work tree has a notes ref: what stands below the `---` of the patch file.
const NOTES: &str = "refs/notes/series";
/// Likewise: of which patch file the commit is, `SERIES/FILE`; several lines after a squash.
const ORIGINS: &str = "refs/notes/patch-files";
/// Keeps the files from being pruned.
const KEPT: &str = "refs/worktree/patches";

/// Files by their names, `SERIES/FILE`.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A commit as far as a patch file can hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub id: String,
    pub parents: usize,
    pub tree: String,
    /// Name and address.
    pub author: String,
    /// Seconds and time zone.
    pub date: String,
    pub subject: String,
    pub body: String,
}

impl Commit {
    pub fn message(&self) -> String {
        match self.body.as_str() {
            "" => format!("{}\n", self.subject),
            body => format!("{}\n\n{body}\n", self.subject),
        }
    }

    /// For people.
    pub fn title(&self) -> String {
        format!("{} ({:?})", &self.id[..12.min(self.id.len())], self.subject)
    }

    /// Whether they have the same author, date and subject, which a rebase keeps.
    pub fn is_version_of(&self, other: &Self) -> bool {
        let known =
            |commit: &Self| [&commit.author, &commit.date, &commit.subject].map(String::clone);
        known(self) == known(other)
    }

    /// In what this commit and one of a patch file differ.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        let parts = [
            (&self.tree, &other.tree, "its files"),
            (&self.author, &other.author, "its author"),
            (&self.date, &other.date, "its date"),
            (&self.subject, &other.subject, "its subject"),
            (&self.body, &other.body, "its message"),
        ];
        let found = parts.iter().find(|(one, other, _)| one != other);
        found.map(|(_, _, what)| *what)
    }
}

/// The commits after `base` up to `tip`, the oldest first.
pub fn commits(git: &Git, base: &str, tip: &str) -> Result<Vec<Commit>> {
    let said = git.read(cmd!(
        git,
        "git log --reverse --topo-order --no-notes --no-show-signature --encoding=UTF-8 --date=raw
         --format='%H%x00%P%x00%T%x00%an <%ae>%x00%ad%x00%s%x00%b%x00' {base}..{tip}"
    ))?;
    let fields: Vec<&str> = said.split('\0').collect();
    let commits = fields.chunks_exact(7).map(|fields| Commit {
        id: fields[0].trim_start().to_owned(),
        parents: fields[1].split_whitespace().count(),
        tree: fields[2].to_owned(),
        author: fields[3].to_owned(),
        date: fields[4].to_owned(),
        subject: fields[5].to_owned(),
        body: fields[6].trim().to_owned(),
    });
    Ok(commits.collect())
}

/// The first commit of `ours` that is not the same in `theirs`, what there is in its place, and in what they differ.
pub fn difference<'a>(
    ours: &'a [Commit],
    theirs: &'a [Commit],
) -> Option<(&'a Commit, Option<&'a Commit>, &'static str)> {
    let pairs = ours.iter().enumerate();
    let mut pairs = pairs.map(|(at, one)| (one, theirs.get(at)));
    pairs.find_map(|(one, other)| {
        let what = match other {
            Some(other) => one.difference(other)?,
            None => "all of it",
        };
        Some((one, other, what))
    })
}

/// A commit and what is in its place, as a diff: of what is said, else of the files.
pub fn diff(git: &Git, one: &Commit, other: Option<&Commit>) -> Result<String> {
    let Some(other) = other else {
        return Ok(String::new());
    };
    let told = |commit: &Commit| {
        let Commit {
            author,
            date,
            subject,
            body,
            ..
        } = commit;
        format!("Author: {author}\nDate: {date}\n\n{subject}\n\n{body}\n")
    };
    let (ours, theirs) = (told(one), told(other));
    let sides = [Some(ours.as_bytes()), Some(theirs.as_bytes())];
    let labels = ["", " as it would come back"];
    let said = unified(&format!("commit {}", one.title()), sides, labels);
    Ok(match one.tree == other.tree {
        true => said,
        false => {
            let (ours, theirs) = (&one.tree, &other.tree);
            let diff = cmd!(
                git,
                "git diff-tree -p --no-ext-diff --no-textconv --no-color {ours} {theirs}"
            );
            said + &git.read(diff)?
        }
    })
}

/// The notes refs of one work tree.
#[derive(Debug)]
pub struct Notes<'a> {
    git: &'a Git,
    text: String,
    origins: String,
}

impl<'a> Notes<'a> {
    pub fn of(git: &'a Git) -> Result<Self> {
        // Git's own name for the work tree is a good part of a ref, and stays when the tree is moved.
        let place = git.read(cmd!(git, "git rev-parse --absolute-git-dir"))?;
        let name = Utf8Path::new(&place).file_name().unwrap_or("tree");
        Ok(Self {
            git,
            text: format!("{NOTES}/{name}"),
            origins: format!("{ORIGINS}/{name}"),
        })
    }

    /// Says of commits which patch files they are of, and what stands there below the `---`.
    pub fn attach(&self, commits: &[Commit], patches: &[(String, &str)]) -> Result<()> {
        let (origins, texts) = (self.origins(commits)?, self.texts(commits)?);
        for (Commit { id, .. }, (origin, text)) in commits.iter().zip(patches) {
            for (place, now, wanted) in [
                (&self.origins, origins.get(id), origin.as_str()),
                (&self.text, texts.get(id), text),
            ] {
                if now.map_or("", String::as_str) != wanted {
                    self.set(place, id, wanted)?;
                }
            }
        }
        Ok(())
    }

    /// Takes all notes off a commit.
    pub fn clear(&self, commit: &str) -> Result<()> {
        let git = self.git;
        for notes in [&self.origins, &self.text] {
            let remove = cmd!(
                git,
                "git notes --ref={notes} remove --ignore-missing {commit}"
            );
            git.read(remove)?;
        }
        Ok(())
    }

    fn set(&self, notes: &str, commit: &str, text: &str) -> Result<()> {
        let git = self.git;
        let how = if text.is_empty() {
            cmd!(
                git,
                "git notes --ref={notes} remove --ignore-missing {commit}"
            )
        } else {
            // A blob is taken as it is; text would be tidied up.
            let text = format!("{text}\n");
            let blob = git.pipe(cmd!(git, "git hash-object -w --stdin"), text.as_bytes())?;
            cmd!(
                git,
                "git notes --ref={notes} add --force -C {blob} {commit}"
            )
        };
        git.read(how)?;
        Ok(())
    }

    /// What stood below the `---`, by commit.
    pub fn texts(&self, commits: &[Commit]) -> Result<BTreeMap<String, String>> {
        self.list(&self.text, commits)
    }

    /// The names of patch files by commit, one a line.
    pub fn origins(&self, commits: &[Commit]) -> Result<BTreeMap<String, String>> {
        self.list(&self.origins, commits)
    }

    fn list(&self, notes: &str, commits: &[Commit]) -> Result<BTreeMap<String, String>> {
        let ids: String = commits
            .iter()
            .map(|commit| format!("{}\n", commit.id))
            .collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let log = cmd!(
            self.git,
            "git log --no-walk --stdin --no-notes --notes={notes} --format=%H%x00%N%x00"
        );
        let said = self.git.pipe(log, ids.as_bytes())?;
        let fields: Vec<&str> = said.split('\0').collect();
        let pairs = fields
            .chunks_exact(2)
            .map(|pair| (pair[0].trim(), pair[1].trim_end()));
        let present = pairs.filter(|(_, text)| !text.is_empty());
        Ok(present
            .map(|(id, text)| (id.to_owned(), text.to_owned()))
            .collect())
    }
}

/// Has git carry the notes of all work trees along, and those of all commits that it makes one of.
pub fn configure(git: &Git) -> Result<()> {
    git.read(cmd!(git, "git config notes.rewriteMode concatenate"))?;
    for notes in [NOTES, ORIGINS] {
        git.read(cmd!(
            git,
            "git config --fixed-value --replace-all notes.rewriteRef {notes}/* {notes}/*"
        ))?;
    }
    Ok(())
}

/// The files of series as they were read.
pub fn files(series: &[Series]) -> Files {
    let of = |series: &Series| {
        let index = (
            format!("{}/series", series.name),
            series.index.clone().into(),
        );
        let patches = series.patches.iter();
        let patches = patches.map(|patch| (origin(series, patch), patch.text.clone()));
        std::iter::once(index).chain(patches).collect::<Vec<_>>()
    };
    series.iter().flat_map(of).collect()
}

/// `SERIES/FILE`.
pub fn origin(series: &Series, patch: &Patch) -> String {
    let file = patch.path.file_name().unwrap_or_default();
    format!("{}/{file}", series.name)
}

/// The names of files that are not the same in both.
pub fn changed<'a>(old: &'a Files, new: &'a Files) -> Vec<&'a str> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name));
    changed.map(String::as_str).collect()
}

/// Keeps files with the work tree; they are found again by the id that is returned.
pub fn keep(git: &Git, files: &Files) -> Result<String> {
    let scratch = tempfile::tempdir()?;
    let mut paths = String::new();
    for (text, number) in files.values().zip(0..) {
        let path = scratch.path().join(format!("{number}"));
        fs_err::write(&path, text)?;
        paths += &format!("{}\n", path.display());
    }
    let write = cmd!(git, "git hash-object -w --stdin-paths");
    let ids = git.pipe(write, paths.as_bytes())?;
    let entries = files.keys().zip(ids.lines());
    let entries: String = entries
        .map(|(name, id)| format!("100644 {id}\t{name}\n"))
        .collect();
    let ours = |line: Cmd<'_>, input: &str| {
        let line = line.env("GIT_INDEX_FILE", scratch.path().join("index"));
        git.pipe(line, input.as_bytes())
    };
    ours(cmd!(git, "git update-index --index-info"), &entries)?;
    let tree = ours(cmd!(git, "git write-tree"), "")?;
    git.read(cmd!(git, "git update-ref {KEPT} {tree}"))?;
    Ok(tree)
}

/// The files that [`keep`] kept.
pub fn kept(git: &Git, tree: &str) -> Result<Files> {
    let list = git.read(cmd!(git, "git ls-tree -r -z {tree}"))?;
    let entries = list
        .split_terminator('\0')
        .filter_map(|line| line.split_once('\t'));
    let (facts, names): (Vec<&str>, Vec<&str>) = entries.unzip();
    let ids = facts.iter().filter_map(|facts| facts.rsplit(' ').next());
    let ids: String = ids.map(|id| format!("{id}\n")).collect();
    let output = git.output(cmd!(git, "git cat-file --batch"), ids.as_bytes())?;
    let texts = blobs(&output.stdout);
    if texts.len() != names.len() {
        return Err(Kind::Machinery.error(format!(
            "git lost patch files that {} was made from: {}",
            git.dir(),
            output.stderr()
        )));
    }
    Ok(names.into_iter().map(str::to_owned).zip(texts).collect())
}

/// Takes apart what `git cat-file --batch` says: `ID blob SIZE`, and so many bytes and one more.
fn blobs(mut said: &[u8]) -> Vec<Vec<u8>> {
    let mut blobs = Vec::new();
    while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
        let head = String::from_utf8_lossy(&said[..end]);
        let size = head
            .rsplit(' ')
            .next()
            .and_then(|size| size.parse::<usize>().ok());
        let Some(blob) = size.and_then(|size| said.get(end + 1..end + 1 + size)) else {
            break;
        };
        blobs.push(blob.to_owned());
        said = said.get(end + blob.len() + 2..).unwrap_or_default();
    }
    blobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cat_file_says() {
        for (said, expected) in [
            ("", vec![]),
            ("1 blob 3\na\nb\n2 blob 0\n\n", vec!["a\nb", ""]),
            ("1 blob 1\na\n2 missing\n", vec!["a"]),
        ] {
            let expected: Vec<Vec<u8>> = expected.into_iter().map(Vec::from).collect();
            assert_eq!(blobs(said.as_bytes()), expected, "{said}");
        }
    }
}
