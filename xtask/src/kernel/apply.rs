//! Patches become commits without a work tree being touched: a series that does not apply leaves nothing behind.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use camino::Utf8PathBuf;
use regex::Regex;
use tempfile::TempDir;
use xshell::{Cmd, cmd};

use super::source::Source;
use super::version::version_of;
use crate::failure::{Failure, Kind, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::proc::Stop;
use crate::series::{Patch, Series};

/// As many files or errors are named in an error.
const NAMED: usize = 5;

/// Makes one commit a patch on top of the source, and returns the last. The ids depend on content only.
pub fn apply(source: &Source, series: &[Series], stop: &Stop) -> Result<String> {
    let Applied { tip, refused, .. } = apply_some(source, series, stop)?;
    refused.map_or(Ok(tip), Err)
}

/// How far a series got.
#[derive(Debug)]
pub struct Applied {
    /// The last commit.
    tip: String,
    /// How many patches apply.
    pub count: usize,
    /// Why the next one does not; none if there is no next one.
    pub refused: Option<Failure>,
}

/// The same as far as it goes: a patch that does not apply is no error here.
pub fn apply_some(source: &Source, series: &[Series], stop: &Stop) -> Result<Applied> {
    let patches: Vec<&Patch> = series.iter().flat_map(|series| &series.patches).collect();
    let mut applied = Applied {
        tip: source.commit.clone(),
        count: 0,
        refused: None,
    };
    if patches.is_empty() {
        return Ok(applied);
    }
    let staging = Staging::of(source, stop)?;
    let base = &source.commit;
    staging.git.read(cmd!(staging, "git read-tree {base}"))?;
    for patch in patches {
        match staging.check(patch) {
            Err(failure) if failure.kind == Kind::Build => {
                applied.refused = Some(failure.context(staging.complaint(patch, source)));
                break;
            }
            checked => checked?,
        }
        applied.tip = staging.commit(patch, &applied.tip)?;
        applied.count += 1;
    }
    Ok(applied)
}

/// Why a patch does not apply to a commit; `None` if it does.
pub fn obstacle(source: &Source, patch: &Patch, stop: &Stop) -> Result<Option<Failure>> {
    let staging = Staging::of_files(source, &[patch], stop)?;
    match staging.check(patch) {
        Err(failure) if failure.kind == Kind::Build => Ok(Some(failure)),
        checked => checked.map(|()| None),
    }
}

/// A repository and an index of our own.
pub(super) struct Staging {
    git: Git,
    index: Utf8PathBuf,
    _scratch: TempDir,
}

impl Staging {
    /// With nothing in the index.
    fn of(source: &Source, stop: &Stop) -> Result<Self> {
        let (scratch, path) = files::temporary(&source.repository)?;
        Ok(Self {
            git: Git::at(&source.repository, stop),
            index: path.join("index"),
            _scratch: scratch,
        })
    }

    /// With those files of the source in the index that the patches are about: git takes a second for all of them.
    pub(super) fn of_files(source: &Source, patches: &[&Patch], stop: &Stop) -> Result<Self> {
        let staging = Self::of(source, stop)?;
        if patches.is_empty() {
            return Ok(staging);
        }
        let files = old_and_new_names(&staging, patches)?;
        let (git, commit) = (&staging.git, &source.commit);
        let list = cmd!(
            git,
            "git --literal-pathspecs ls-tree -r -z --full-tree {commit} -- {files...}"
        );
        let list = git.output(list, b"")?;
        let fill = cmd!(staging, "git update-index -z --index-info");
        git.pipe(fill, &list.stdout)?;
        Ok(staging)
    }

    /// Whether `git apply` does that with a patch.
    pub(super) fn applies(&self, how: &[&str], patch: &Patch) -> Result<bool> {
        let apply = cmd!(self, "git apply --cached --whitespace=nowarn {how...} -");
        let output = self.git.output(apply, &patch.diff)?;
        Ok(output.status.success())
    }

    fn complaint(&self, patch: &Patch, source: &Source) -> String {
        let Source { label, commit, .. } = source;
        let makefile = self.git.read(cmd!(self.git, "git show {commit}:Makefile"));
        let version = makefile.ok().and_then(|makefile| version_of(&makefile));
        let version = version.map_or(String::new(), |version| {
            format!(", which is Linux {version}")
        });
        let Patch { path, subject, .. } = patch;
        format!("{path} ({subject:?}) does not apply to {label}{version}")
    }

    /// For `cmd!`: git with this index.
    fn cmd(&self, git: &str) -> Cmd<'static> {
        self.git.cmd(git).env("GIT_INDEX_FILE", &self.index)
    }

    fn check(&self, patch: &Patch) -> Result<()> {
        let apply = cmd!(self, "git apply --cached --verbose --whitespace=nowarn -");
        let output = self.git.output(apply, &patch.diff)?;
        if output.status.success() {
            return Ok(());
        }
        if self.applies(&["--check", "--reverse"], patch)? {
            return Err(Kind::Build.error("all of it is there already"));
        }
        Err(explain(patch, &output.stderr()))
    }

    fn commit(&self, patch: &Patch, parent: &str) -> Result<String> {
        let tree = self.git.read(cmd!(self, "git write-tree"))?;
        let commit = cmd!(self, "git commit-tree -p {parent} -F - {tree}")
            .env("GIT_AUTHOR_NAME", &patch.author)
            .env("GIT_AUTHOR_EMAIL", &patch.email)
            .env("GIT_AUTHOR_DATE", &patch.date);
        Ok(self.git.pipe(commit, &patch.message)?)
    }
}

/// All files that patches are about, also those that they rename.
fn old_and_new_names(staging: &Staging, patches: &[&Patch]) -> Result<BTreeSet<String>> {
    let diffs: Vec<&[u8]> = patches.iter().map(|patch| patch.diff.as_slice()).collect();
    let numstat = cmd!(staging, "git apply --numstat -z --reverse -");
    let old = staging.git.pipe(numstat, &diffs.join(&b'\n'))?;
    let old = old.split('\0').filter_map(|file| file.split('\t').nth(2));
    let changes = patches.iter().flat_map(|patch| &patch.changes);
    let new = changes.map(|change| change.file.as_str());
    Ok(old.chain(new).map(str::to_owned).collect())
}

/// A hunk that found no place.
#[derive(Debug, PartialEq, Eq)]
struct Reject {
    file: String,
    /// Where the hunk says it belongs.
    line: u64,
    /// The lines that should be there.
    expected: Vec<String>,
}

/// The first hunk that found no place, or what else git says; of more of them, no more than their files.
fn explain(patch: &Patch, stderr: &str) -> Failure {
    let rejects = rejects(stderr);
    let what = match rejects.split_first() {
        Some((first, others)) => describe(patch, first) + &more(others),
        None => {
            let lines = stderr.lines();
            let errors = lines.filter_map(|line| {
                line.strip_prefix("error: ")
                    .or_else(|| line.strip_prefix("fatal: "))
            });
            let first: Vec<&str> = errors.take(NAMED).collect();
            patch.placed(&first.join("\n"))
        }
    };
    Kind::Build.error(what + line_ends(patch))
}

fn more(rejects: &[Reject]) -> String {
    let mut files: Vec<&str> = rejects.iter().map(|reject| reject.file.as_str()).collect();
    files.dedup();
    let named = files[..files.len().min(NAMED)].join(", ");
    match rejects.len() {
        0 => String::new(),
        1 => format!("\nand 1 more hunk, in {named}"),
        count if files.len() > NAMED => format!("\nand {count} more hunks, in {named} and others"),
        count => format!("\nand {count} more hunks, in {named}"),
    }
}

/// A patch is read as by `git am`, which drops the CR of a file's CR LF, but not of those that come out of an encoding.
fn line_ends(patch: &Patch) -> &'static str {
    let has = |text: &[u8]| text.windows(2).any(|two| two == b"\r\n");
    if has(&patch.diff) {
        "\nthe lines of the decoded patch end in CR LF: is the patched file like that?"
    } else if has(&patch.text) {
        "\nlines of the patch file end in CR LF, and as with `git am` they count as LF: has the patched file CR LF itself?"
    } else {
        ""
    }
}

fn describe(patch: &Patch, reject: &Reject) -> String {
    let Reject {
        file,
        line,
        expected,
    } = reject;
    let changes = patch.changes.iter().filter(|change| change.file == *file);
    let hunks: Vec<_> = changes.flat_map(|change| &change.hunks).collect();
    let place = hunks
        .iter()
        .position(|hunk| hunk.old_start == *line)
        .map_or(String::new(), |at| {
            format!(
                "hunk {} of {} ({}) ",
                at + 1,
                hunks.len(),
                patch.place(hunks[at].line)
            )
        });
    let expected: String = expected
        .iter()
        .map(|line| format!("\n    | {line}"))
        .collect();
    format!(
        "{file}: {place}belongs near line {line}, where these lines were expected and not found:{expected}"
    )
}

/// Reads what `git apply --verbose` says about hunks.
fn rejects(stderr: &str) -> Vec<Reject> {
    static FAILED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^error: patch failed: (.+):(\d+)$").expect("valid"));
    let mut rejects = Vec::new();
    let mut searched: Option<Vec<String>> = None;
    for line in stderr.lines() {
        if line == "error: while searching for:" {
            searched = Some(Vec::new());
        } else if let Some(failed) = FAILED.captures(line) {
            let mut expected = searched.take().unwrap_or_default();
            while expected.last().is_some_and(|line| line.is_empty()) {
                expected.pop();
            }
            rejects.push(Reject {
                file: failed[1].to_owned(),
                line: failed[2].parse().unwrap_or(0),
                expected,
            });
        } else if let Some(searched) = &mut searched {
            searched.push(line.to_owned());
        }
    }
    rejects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_reject_is_shown() {
        let reject = |file: &str| Reject {
            file: file.into(),
            line: 1,
            expected: vec!["x".into()],
        };
        let more = |files: &[&str]| more(&files.iter().copied().map(reject).collect::<Vec<_>>());
        assert_eq!(more(&[]), "");
        assert_eq!(more(&["a"]), "\nand 1 more hunk, in a");
        assert_eq!(more(&["a", "a", "b"]), "\nand 3 more hunks, in a, b");
        let many = more(&["a", "b", "c", "d", "e", "f"]);
        assert_eq!(many, "\nand 6 more hunks, in a, b, c, d, e and others");
    }

    #[test]
    fn what_git_apply_says() {
        let two = "Checking patch fs/super.c...\nerror: while searching for:\n\tfirst\n\n\tsecond\n\n\
            error: patch failed: fs/super.c:12\nerror: fs/super.c: patch does not apply\n\
            Checking patch fs/a.c...\nerror: while searching for:\nx\n\nerror: patch failed: fs/a.c:3\n\
            error: fs/a.c: patch does not apply\n";
        let reject = |file: &str, line, expected: &[&str]| Reject {
            file: file.into(),
            line,
            expected: expected.iter().map(ToString::to_string).collect(),
        };
        for (stderr, expected) in [
            ("", vec![]),
            ("error: fs/b.c: does not exist in index\n", vec![]),
            (
                two,
                vec![
                    reject("fs/super.c", 12, &["\tfirst", "", "\tsecond"]),
                    reject("fs/a.c", 3, &["x"]),
                ],
            ),
        ] {
            assert_eq!(rejects(stderr), expected, "{stderr}");
        }
    }
}
