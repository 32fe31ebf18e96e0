//! From an edited tree back to patch files. Nothing is replaced before it is proved that the new files make the same
//! commits, and nothing is lost that the user did not agree to lose.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::Feature;
use xshell::cmd;

use crate::diff::{excerpt, unified};
use crate::failure::{Failure, Kind, Result};
use crate::host::git::Git;
use crate::host::proc::Stop;
use crate::kernel::carried::{self, Commit, Files, Notes};
use crate::kernel::standing::{edits, is_ancestor, operation};
use crate::kernel::tree::flags;
use crate::kernel::worked::Worked;
use crate::series::replace::{Change, Replacement};
use crate::series::{INDEX, Patch, Series, index, listed, names, notes, notes_in, parse};
use crate::words::count;

/// The series of one work tree, in the order in which they are applied, and their folder's folder.
#[derive(Clone, Copy, Debug)]
pub struct Stack<'a> {
    pub names: &'a [String],
    /// `patches/BASE`.
    pub folder: &'a Utf8Path,
}

/// What the user agreed to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consent {
    /// To overwrite patch files that were edited since the tree was made.
    pub overwrite: bool,
    /// To lose patches, notes and features.
    pub lose: bool,
}

/// What is to be written; it was proved to make the commits that are in the tree.
#[derive(Debug)]
pub struct Plan {
    pub changes: Vec<Change>,
    /// What happened to patch files meanwhile, as a diff; empty if nothing did.
    pub edited: String,
    /// What no new file has.
    pub lost: Vec<Lost>,
    pub commits: Vec<Commit>,
    series: Vec<Series>,
}

/// Compares the commits of a work tree with the patch files that it was made from.
///
/// # Errors
/// [`Kind::Usage`] if the tree is in no state to be written back.
pub fn plan(tree: &Worked, stack: Stack<'_>, stop: &Stop) -> Result<Plan> {
    let commits = commits(tree)?;
    let now = on_disk(stack)?;
    let kept = tree.files()?;
    let was = kept.as_ref().unwrap_or(&now);
    let old = old(was, stack)?;
    let mails = mails(tree, &commits)?;
    let traced = trace(tree, &commits, &mails, &old, stop)?;
    let series = series(&commits, &mails, &traced, (&old, was), stack)?;
    prove(tree, &commits, &series, stop)?;
    let new = carried::files(&series);
    let changes = changes(was, &new, stack);
    Ok(Plan {
        edited: match kept {
            Some(kept) => edited(&kept, &changes, stack),
            // Any file may have been edited.
            None => diffs(&changes),
        },
        lost: lost(&old, &now, &traced, &series),
        changes,
        commits,
        series,
    })
}

/// Something that a patch file has, and none of the new ones.
#[derive(Debug)]
pub struct Lost {
    pub words: String,
    /// The same at length; empty if the words are all.
    pub diff: String,
}

impl Plan {
    /// Refuses what the user did not agree to. Others call it than `series refresh`, which alone has options to agree.
    ///
    /// # Errors
    /// [`Kind::Usage`] with what would be overwritten or lost, and the commands that help.
    pub fn allow(&self, consent: Consent, tree: &Worked, stack: Stack<'_>) -> Result<()> {
        let base = stack.folder.file_name().unwrap_or_default();
        let flags = flags(base, stack.names);
        if !consent.overwrite && !self.edited.is_empty() {
            return Err(Kind::Usage.error(format!(
                "patch files were edited since {} was made or last written back, and would be overwritten; cargo xtask \
                 series edit{flags} has the tree follow them, or says how to keep the edits of both; cargo xtask series \
                 refresh{flags} --force overwrites them:{}",
                tree.git.dir(),
                excerpt(&self.edited)
            )));
        }
        if !consent.lose && !self.lost.is_empty() {
            let words: String = self
                .lost
                .iter()
                .map(|lost| format!("\n  {}", lost.words))
                .collect();
            let diff: String = self.lost.iter().map(|lost| lost.diff.as_str()).collect();
            return Err(Kind::Usage.error(format!(
                "to write the commits of {} to {} would lose this (cargo xtask series refresh{flags} --allow-loss does \
                 it):{words}{}{}",
                tree.git.dir(),
                stack.folder,
                behind(tree)?,
                excerpt(&diff)
            )));
        }
        Ok(())
    }

    /// Replaces the files, all or none, and makes a note of it in the tree.
    ///
    /// # Errors
    /// [`Kind::Machinery`] if they cannot be written.
    pub fn write(&self, tree: &Worked, stack: Stack<'_>) -> Result<()> {
        if !self.changes.is_empty() {
            Replacement::begin(stack.folder, &self.changes)?.finish()?;
        }
        tree.settle(&self.commits, &self.series)
    }

    /// All changes as a diff.
    pub fn diff(&self) -> String {
        diffs(&self.changes)
    }
}

/// A common reason for a loss.
fn behind(tree: &Worked) -> Result<String> {
    let Some(tip) = tree.tip() else {
        return Ok(String::new());
    };
    let head = tree.git.read(cmd!(tree.git, "git rev-parse HEAD"))?;
    Ok(match head != tip && is_ancestor(&tree.git, &head, tip)? {
        true => format!(
            "\nHEAD is an older commit than the tree was left at; to go back there: git -C {} checkout {tip}",
            tree.git.dir()
        ),
        false => String::new(),
    })
}

/// The commits on top of the base, if they are all that the tree has, and one line.
pub(super) fn line(tree: &Worked) -> Result<Vec<Commit>> {
    let (git, path) = (&tree.git, tree.git.dir());
    let refuse = |what: String| Err(Kind::Usage.error(what));
    tree.require_still()?;
    if let Some(operation) = operation(git)? {
        return refuse(format!(
            "{path} is in the middle of {operation}; end that first"
        ));
    }
    if let Some(files) = edits(git)?.files() {
        return refuse(format!(
            "{path} has changes that are in no commit ({files}); commit them first"
        ));
    }
    if !is_ancestor(git, &tree.base, "HEAD")? {
        return refuse(format!(
            "HEAD of {path} is not on top of the tree's base {}; git -C {path} rebase --onto {} brings commits there",
            tree.base, tree.base
        ));
    }
    let commits = carried::commits(git, &tree.base, "HEAD")?;
    if commits.is_empty() {
        return refuse(format!(
            "{path} has no commits on top of its base; there is nothing to carry or to write"
        ));
    }
    if let Some(merge) = commits.iter().find(|commit| commit.parents != 1) {
        return refuse(format!(
            "commit {} of {path} is a merge; rebase makes a line of it",
            merge.title()
        ));
    }
    Ok(commits)
}

/// The same, if each of them can become a patch file.
fn commits(tree: &Worked) -> Result<Vec<Commit>> {
    let (git, path, base) = (&tree.git, tree.git.dir(), &tree.base);
    let refuse = |what: String| Err(Kind::Usage.error(what));
    let commits = line(tree)?;
    let mut before = git.read(cmd!(git, "git rev-parse {base}'^{tree}'"))?;
    for commit in &commits {
        if let Some(what) = unfit(commit, &before) {
            return refuse(format!("commit {} of {path} {what}", commit.title()));
        }
        before.clone_from(&commit.tree);
    }
    Ok(commits)
}

/// Why no patch file can hold a commit.
fn unfit(commit: &Commit, before: &str) -> Option<String> {
    if commit.tree == before {
        return Some(
            "is empty: it changes no file; drop it (git rebase), or move its message".into(),
        );
    }
    let text = [&commit.author, &commit.subject, &commit.body];
    if text.iter().any(|text| text.contains('\u{fffd}')) {
        return Some("has a message or an author that is not UTF-8; reword it".into());
    }
    let cut = commit.body.lines().find(|line| ends_a_message(line))?;
    Some(format!(
        "has the line {cut:?} in its message, where git am would take the message for ended; reword it"
    ))
}

/// As git mailinfo has it.
fn ends_a_message(line: &str) -> bool {
    let marked = line.strip_prefix("---").is_some_and(|rest| {
        rest.trim().is_empty()
            || rest
                .strip_prefix(' ')
                .is_some_and(|rest| !rest.starts_with(char::is_whitespace))
    });
    marked || line.starts_with("diff -") || line.starts_with("Index: ")
}

/// What stands in a stack's folders of patch files that the `series` files name.
fn on_disk(stack: Stack<'_>) -> Result<Files> {
    let mut files = Files::new();
    for name in stack.names {
        let dir = stack.folder.join(name);
        if !dir.join(INDEX).exists() {
            continue;
        }
        let text = index(&dir)?;
        for file in names(&dir.join(INDEX), &text)? {
            // One that is listed and not there is a difference, too.
            if let Ok(text) = fs_err::read(dir.join(&file)) {
                files.insert(format!("{name}/{file}"), text);
            }
        }
        files.insert(format!("{name}/{INDEX}"), text.into());
    }
    Ok(files)
}

/// A patch file that the tree was made from.
#[derive(Debug)]
struct Old {
    /// `SERIES/FILE`.
    name: String,
    /// Which one of the stack.
    series: usize,
    patch: Patch,
    /// The `series` file.
    index: Listed,
}

/// What a `series` file says besides the names.
#[derive(Debug, Default)]
struct Index {
    /// Lines before the first name.
    head: Vec<String>,
    names: Vec<(String, Listed)>,
    /// Lines after the last name.
    tail: Vec<String>,
}

/// What it says about one name.
#[derive(Clone, Debug, Default)]
struct Listed {
    /// Lines before it; those before the first name are about all.
    before: Vec<String>,
    /// Options and a comment with its `#`.
    after: String,
}

fn index_of(files: &Files, series: &str) -> String {
    let text = files.get(&format!("{series}/{INDEX}"));
    String::from_utf8_lossy(text.map_or(b"", Vec::as_slice)).into_owned()
}

fn old(files: &Files, stack: Stack<'_>) -> Result<Vec<Old>> {
    let mut old = Vec::new();
    for (series, name) in stack.names.iter().enumerate() {
        for (file, index) in read_index(&index_of(files, name)).names {
            let name = format!("{name}/{file}");
            let path = stack.folder.join(&name);
            let text = files.get(&name).ok_or_else(|| {
                Kind::Usage.error(format!("{path} is in the `series` file, and is not there"))
            })?;
            old.push(Old {
                patch: parse(&path, text)?,
                name,
                series,
                index,
            });
        }
    }
    Ok(old)
}

/// Reads a `series` file with its comments.
fn read_index(text: &str) -> Index {
    let mut index = Index::default();
    for line in text.lines() {
        let (name, after) = listed(line);
        if name.is_empty() {
            index.tail.push(line.to_owned());
            continue;
        }
        let mut before = std::mem::take(&mut index.tail);
        if index.names.is_empty() {
            index.head.append(&mut before);
        }
        let after = after.to_owned();
        index
            .names
            .push((name.to_owned(), Listed { before, after }));
    }
    index
}

/// A new patch file, without notes.
#[derive(Debug)]
struct Mail {
    /// Without the number.
    name: String,
    text: Vec<u8>,
}

fn mails(tree: &Worked, commits: &[Commit]) -> Result<Vec<Mail>> {
    let fresh = tempfile::tempdir()?;
    let fresh = Utf8Path::from_path(fresh.path())
        .ok_or_else(|| Kind::Machinery.error("the temporary folder is not UTF-8"))?;
    let base = &tree.base;
    // Whatever depends on the machine, the day, the git version or its configuration is off or fixed, so that a second
    // run changes nothing.
    let format = cmd!(
        tree.git,
        "git -c core.quotePath=true format-patch --quiet --zero-commit --subject-prefix=PATCH
         --suffix=.patch --filename-max-length=64 --encode-email-headers --no-signature --no-numbered
         --no-cover-letter --no-thread --no-attach --no-add-header --no-signoff --no-to --no-cc
         --no-from --no-notes --no-base --no-renames --no-ext-diff --no-textconv --no-color
         --src-prefix=a/ --dst-prefix=b/ --unified=3 --inter-hunk-context=0 --abbrev=12
         --diff-algorithm=histogram -O/dev/null --output-directory {fresh} {base}..HEAD"
    );
    let said = tree.git.output(format, b"")?;
    if !said.status.success() {
        return Err(Kind::Usage.error(format!(
            "git makes no mails of the commits of {}: {}",
            tree.git.dir(),
            said.stderr()
        )));
    }
    let entries = fresh
        .read_dir_utf8()?
        .collect::<std::io::Result<Vec<_>>>()?;
    let mut names: Vec<&str> = entries
        .iter()
        .map(camino::Utf8DirEntry::file_name)
        .collect();
    names.sort_unstable();
    if names.len() != commits.len() {
        return Err(Kind::Machinery.error(format!(
            "git format-patch made {} of {}",
            count(names.len(), "mail"),
            count(commits.len(), "commit")
        )));
    }
    let mails = names.iter().map(|name| {
        let (_, rest) = name.split_once('-').unwrap_or_default();
        Ok(Mail {
            name: rest.to_owned(),
            text: fs_err::read(fresh.join(name))?,
        })
    });
    mails.collect()
}

/// What a commit was made from.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traced {
    /// Old patch files, by their places; several after a squash, none if it is new.
    origins: Vec<usize>,
    notes: String,
}

/// Finds the patch file of each commit: by git's notes, else by its diff, else by its subject if only one has it.
fn trace(
    tree: &Worked,
    commits: &[Commit],
    mails: &[Mail],
    old: &[Old],
    stop: &Stop,
) -> Result<Vec<Traced>> {
    let carried = Notes::of(&tree.git)?;
    let (texts, origins) = (carried.texts(commits)?, carried.origins(commits)?);
    let noted = commits.iter().map(|commit| {
        let names = origins.get(&commit.id)?.lines();
        let mut found: Vec<usize> = names
            .filter_map(|name| old.iter().position(|old| old.name == name))
            .collect();
        found.sort_unstable();
        found.dedup();
        (!found.is_empty()).then_some(found)
    });
    let noted: Vec<Option<Vec<usize>>> = noted.collect();
    let mut free: BTreeSet<usize> = (0..old.len()).collect();
    noted.iter().flatten().flatten().for_each(|taken| {
        free.remove(taken);
    });
    let anew: Vec<usize> = (0..commits.len())
        .filter(|at| noted[*at].is_none())
        .collect();
    let found = resemble(&tree.git, commits, mails, old, &anew, free, stop)?;
    let traced = commits
        .iter()
        .zip(noted)
        .enumerate()
        .map(|(at, (commit, noted))| {
            let text = texts.get(&commit.id).map(|text| notes::once(text));
            match (noted, found.get(&at)) {
                (None, Some(found)) => Traced {
                    origins: vec![*found],
                    notes: text.unwrap_or_else(|| old[*found].patch.notes.clone()),
                },
                (noted, _) => Traced {
                    origins: noted.unwrap_or_default(),
                    notes: text.unwrap_or_default(),
                },
            }
        });
    Ok(traced.collect())
}

/// Which of the `free` old patches commits that were made `anew` are.
fn resemble(
    git: &Git,
    commits: &[Commit],
    mails: &[Mail],
    old: &[Old],
    anew: &[usize],
    mut free: BTreeSet<usize>,
    stop: &Stop,
) -> Result<BTreeMap<usize, usize>> {
    let mut found = BTreeMap::new();
    if anew.is_empty() || free.is_empty() {
        return Ok(found);
    }
    let id = |text: &[u8]| -> Result<String> {
        stop.check()?;
        let said = git.pipe(cmd!(git, "git patch-id --stable"), text)?;
        Ok(said
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned())
    };
    let mut ids = BTreeMap::new();
    for at in &free {
        ids.insert(*at, id(&old[*at].patch.text)?);
    }
    for at in anew {
        let mine = id(&mails[*at].text)?;
        if let Some(same) = free.iter().copied().find(|old| ids[old] == mine) {
            found.insert(*at, same);
            free.remove(&same);
        }
    }
    let left = anew.iter().copied().filter(|at| !found.contains_key(at));
    found.extend(by_subject(commits, old, &left.collect::<Vec<_>>(), &free));
    Ok(found)
}

/// Pairs commits and patches whose subject nothing else has.
fn by_subject(
    commits: &[Commit],
    old: &[Old],
    left: &[usize],
    free: &BTreeSet<usize>,
) -> BTreeMap<usize, usize> {
    let mut found = BTreeMap::new();
    for at in left {
        let subject = &commits[*at].subject;
        let commits = left.iter().filter(|at| commits[**at].subject == *subject);
        let mut same = free.iter().filter(|at| old[**at].patch.subject == *subject);
        if let (1, Some(one), None) = (commits.count(), same.next(), same.next()) {
            found.insert(*at, *one);
        }
    }
    found
}

/// Deals the commits out to the series. A new commit belongs to the series of the one before it.
fn deal(commits: &[Commit], traced: &[Traced], old: &[Old]) -> Result<Vec<usize>> {
    let mut current = 0;
    let mut dealt = Vec::new();
    for (commit, traced) in commits.iter().zip(traced) {
        let mut series = traced.origins.iter().map(|at| old[*at].series);
        if let Some(first) = series.next() {
            if first < current || series.any(|other| other != first) {
                return Err(Kind::Usage.error(format!(
                    "commit {} is out of place: the commits of one series stand together, in the order of the series",
                    commit.title()
                )));
            }
            current = first;
        }
        dealt.push(current);
    }
    Ok(dealt)
}

/// The series as they will be on the disk.
fn series(
    commits: &[Commit],
    mails: &[Mail],
    traced: &[Traced],
    (old, files): (&[Old], &Files),
    stack: Stack<'_>,
) -> Result<Vec<Series>> {
    let dealt = deal(commits, traced, old)?;
    let make = |(number, name): (usize, &String)| {
        let dir = stack.folder.join(name);
        let mine: Vec<usize> = (0..commits.len())
            .filter(|at| dealt[*at] == number)
            .collect();
        let mut patches = Vec::new();
        let mut listed = Vec::new();
        for (at, count) in mine.iter().zip(1..) {
            let file = format!("{count:04}-{}", mails[*at].name);
            let Traced { origins, notes } = &traced[*at];
            let text = notes::put(&mails[*at].text, notes);
            let patch = parse(&dir.join(&file), &text)
                .and_then(|patch| same_notes(patch, notes))
                .map_err(|failure| unwritable(failure, &commits[*at]))?;
            patches.push(patch);
            let about = origins.iter().map(|origin| old[*origin].index.clone());
            listed.push((file, about.collect::<Vec<_>>()));
        }
        Ok(Series {
            name: name.clone(),
            index: index_text(&listed, &index_of(files, name)),
            patches,
        })
    };
    stack.names.iter().enumerate().map(make).collect()
}

fn same_notes(patch: Patch, notes: &str) -> Result<Patch> {
    match patch.notes == notes && !notes.contains('\u{fffd}') {
        true => Ok(patch),
        false => {
            let path = patch.path.as_str();
            let labels = [" as its notes are", " as they would come back"];
            let diff = notes_diff(path, notes, &patch.notes, labels);
            Err(Kind::Usage.error(format!(
                "its notes hold what looks like a diff, or are not UTF-8: no patch file could keep them; edit them (git \
                 notes){}",
                excerpt(&diff)
            )))
        }
    }
}

fn unwritable(failure: Failure, commit: &Commit) -> Failure {
    Failure {
        kind: Kind::Usage,
        ..failure
    }
    .context(format!(
        "commit {} makes no good patch file, and nothing was written",
        commit.title()
    ))
}

/// A `series` file of names, each with what the old one says about the patches that it was made from.
fn index_text(names: &[(String, Vec<Listed>)], old: &str) -> String {
    let Index { head, tail, .. } = read_index(old);
    let mut lines = head;
    for (name, about) in names {
        lines.extend(about.iter().flat_map(|about| about.before.clone()));
        let after: Vec<&str> = about.iter().map(|about| about.after.as_str()).collect();
        lines.push(format!("{name} {}", after.join(" ")).trim_end().to_owned());
    }
    lines.extend(tail);
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Applies the new patches, and compares what comes of it with what is in the tree.
fn prove(tree: &Worked, commits: &[Commit], series: &[Series], stop: &Stop) -> Result<()> {
    let replayed = tree.replay(series, stop).map_err(|failure| match failure.kind {
        Kind::Interrupted => failure,
        _ => Kind::Usage.error(format!(
            "the commits of {} do not come back from patch files, and nothing was written: {failure}",
            tree.git.dir()
        )),
    })?;
    match carried::difference(commits, &replayed) {
        None => Ok(()),
        Some((commit, other, what)) => Err(Kind::Usage.error(format!(
            "commit {} would not come back from its patch file as it is: {what} would be another; nothing was written. \
             git am has its own view of brackets in subjects and of lines such as `From:` in messages: reword it{}",
            commit.title(),
            excerpt(&carried::diff(&tree.git, commit, other)?)
        ))),
    }
}

/// What was done to the patch files since they were kept, where it is not what will be written anyway.
fn edited(kept: &Files, changes: &[Change], stack: Stack<'_>) -> String {
    let diffs = changes.iter().map(|change| {
        let was = kept.get(change.path.as_str());
        if change.old.as_ref() == was {
            return String::new();
        }
        let path = stack.folder.join(&change.path);
        let labels = [" as it was read or written last", " as it is now"];
        let sides = [was.map(Vec::as_slice), change.old.as_deref()];
        unified(path.as_str(), sides, labels)
    });
    diffs.collect()
}

/// What the new files do not have.
fn lost(old: &[Old], now: &Files, traced: &[Traced], series: &[Series]) -> Vec<Lost> {
    let mut lost = Vec::new();
    for (at, old) in old.iter().enumerate() {
        let (name, notes) = (&old.name, old.patch.notes.as_str());
        let first = notes.lines().next().unwrap_or_default();
        let subject = &old.patch.subject;
        let heir = traced.iter().find(|traced| traced.origins.contains(&at));
        lost.push(match heir {
            None => Lost {
                words: match notes {
                    "" => format!("{name}: the patch ({subject:?})"),
                    _ => format!("{name}: the patch ({subject:?}) and its notes ({first:?} …)"),
                },
                diff: unified(name, [Some(&old.patch.text), None], ["", ""]),
            },
            Some(heir) if heir.origins.len() == 1 && !heir.notes.is_empty() => continue,
            Some(heir) if heir.notes.contains(notes) => continue,
            Some(heir) => Lost {
                words: format!("{name}: its notes ({first:?} …)"),
                diff: notes_diff(name, notes, &heir.notes, ["", " as it would be"]),
            },
        });
    }
    let new: BTreeSet<Feature> = series.iter().flat_map(Series::provides).collect();
    // What was added to the files by hand must not go unseen with what --force overwrites.
    let added = now.iter().map(|(name, text)| notes_in(name, text));
    let added = added.filter_map(|notes| notes::provides(&notes).ok());
    let was = old.iter().map(|old| old.patch.provides.clone());
    let was: BTreeSet<Feature> = was.chain(added).flatten().collect();
    lost.extend(was.difference(&new).map(|feature| Lost {
        words: format!(
            "{feature}, which no patch would provide any more: its cases would not be tested"
        ),
        diff: String::new(),
    }));
    lost
}

/// A diff of what stands below a `---`.
fn notes_diff(name: &str, old: &str, new: &str, labels: [&str; 2]) -> String {
    let [old, new] = [old, new].map(|notes| match notes {
        "" => String::new(),
        notes => format!("{notes}\n"),
    });
    let labels = labels.map(|label| format!("{label}, below the ---"));
    let sides = [Some(old.as_bytes()), Some(new.as_bytes())];
    unified(name, sides, [&labels[0], &labels[1]])
}

fn changes(was: &Files, new: &Files, stack: Stack<'_>) -> Vec<Change> {
    let names: BTreeSet<&String> = was.keys().chain(new.keys()).collect();
    let changes = names.into_iter().map(|name| Change {
        path: Utf8PathBuf::from(name),
        old: fs_err::read(stack.folder.join(name)).ok(),
        new: new.get(name).cloned(),
    });
    changes.filter(|change| change.old != change.new).collect()
}

fn diffs(changes: &[Change]) -> String {
    let diffs = changes.iter().map(|change| {
        let sides = [change.old.as_deref(), change.new.as_deref()];
        unified(change.path.as_str(), sides, ["", ""])
    });
    diffs.collect()
}

#[cfg(test)]
mod real;
#[cfg(test)]
mod tests;
