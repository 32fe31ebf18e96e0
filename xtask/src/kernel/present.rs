//! Which patches a tree of the user's has already: they are told, not applied again, and tested all the same.

use std::collections::BTreeSet;

use harness::wire::Feature;
use xshell::cmd;

use super::apply::Staging;
use super::source::Source;
use crate::diff::{excerpt, unified};
use crate::event::{Event, Events};
use crate::failure::{Failure, Kind, Result};
use crate::host::git::Git;
use crate::host::proc::Stop;
use crate::series::{Patch, Series};

/// How many commits of a tree's history are looked at. Merges are not among them.
const RECENT: &str = "--max-count=2000";
/// The ways to make a diff that a patch file may come from; equal ids tell equal patches.
const ALGORITHMS: [&str; 2] = ["--diff-algorithm=histogram", "--diff-algorithm=myers"];

/// A patch, and how it is known to be in the tree.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    pub series: &'a str,
    pub patch: &'a Patch,
    /// A commit that has the patch's subject and another content; `None` if the tree has the patch as it is.
    alike: Option<Commit>,
}

/// The patches of a base by whether a tree has them.
#[derive(Clone, Debug, Default)]
pub struct Present<'a> {
    /// What it has, of any series of the base.
    pub there: Vec<Found<'a>>,
    /// What is left to apply, of the series that are wanted.
    pub missing: Vec<Series>,
}

impl<'a> Present<'a> {
    /// All is left to apply.
    pub fn nothing(wanted: &[Series]) -> Self {
        Self {
            there: Vec::new(),
            missing: wanted.to_vec(),
        }
    }

    /// Looks at the source: at its files first, since they are the truth, and then at its history.
    ///
    /// A patch is there if it can be taken back. One that can neither be taken back nor applied is there if a commit of
    /// the same patch id is, and was not reverted since: later commits changed its lines. If that commit has the same
    /// subject and another content, nobody can know which of the two is to be tested: if the patch is one of `wanted`, it
    /// is a build error that says what to do.
    pub fn of(
        source: &Source,
        wanted: &'a [Series],
        others: &'a [Series],
        stop: &Stop,
    ) -> Result<Self> {
        let listed = |series: &'a Series| {
            let patches = series.patches.iter();
            patches.map(|patch| (series.name.as_str(), patch))
        };
        let all: Vec<_> = wanted.iter().chain(others).flat_map(listed).collect();
        let patches: Vec<&Patch> = all.iter().map(|(_, patch)| *patch).collect();
        let look = Look {
            history: History::of(source, stop)?,
            patches: &patches,
            source,
            stop,
        };
        let of_wanted = wanted.iter().map(|series| series.patches.len()).sum();
        let standings = look.standings(of_wanted)?;
        let there = all
            .iter()
            .zip(&standings)
            .filter_map(|(&(series, patch), standing)| {
                let alike = match standing {
                    Standing::Absent => return None,
                    Standing::There => None,
                    Standing::Alike(commit) => Some(commit.clone()),
                };
                Some(Found {
                    series,
                    patch,
                    alike,
                })
            });
        let missing = missing(wanted, &standings);
        Ok(Self {
            there: each_once(there.collect(), &missing),
            missing,
        })
    }

    /// One line for each patch that is there.
    pub fn tell(&self, events: &Events) {
        for Found { patch, alike, .. } in &self.there {
            let subject = &patch.subject;
            match alike {
                None => events.note(format!("{subject}: already in the tree")),
                Some(commit) => events.send(Event::Warning(format!(
                    "{subject}: commit {} of the tree is called so and is not this patch; it is tested in its place",
                    commit.short()
                ))),
            }
        }
    }

    /// What the patches provide that are there or are missing; sorted.
    pub fn provides(&self) -> Vec<Feature> {
        let there = self.there.iter().flat_map(|found| &found.patch.provides);
        let missing = self.missing.iter().flat_map(Series::provides);
        let all: BTreeSet<Feature> = there.copied().chain(missing).collect();
        all.into_iter().collect()
    }

    /// Subjects: first what the tree has.
    pub fn subjects(&self) -> Vec<String> {
        let there = self.there.iter().map(|found| found.patch);
        let all = there.chain(self.to_apply());
        all.map(|patch| patch.subject.clone()).collect()
    }

    /// The patches in the same order by content; empty for those that the tree only has a commit of the same name of.
    pub fn digests(&self) -> Vec<String> {
        let there = self.there.iter().map(|found| match found.alike {
            None => found.patch.digest(),
            Some(_) => String::new(),
        });
        there.chain(self.to_apply().map(Patch::digest)).collect()
    }

    fn to_apply(&self) -> impl Iterator<Item = &Patch> {
        self.missing.iter().flat_map(|series| &series.patches)
    }
}

/// Series may have copies of each other's patches. What is there as it is counts before what is only called so.
fn each_once<'a>(mut there: Vec<Found<'a>>, missing: &[Series]) -> Vec<Found<'a>> {
    let missing = missing.iter().flat_map(|series| &series.patches);
    let mut seen: BTreeSet<&str> = missing.map(|patch| patch.subject.as_str()).collect();
    there.sort_by_key(|found| found.alike.is_some());
    there.retain(|found| seen.insert(&found.patch.subject));
    there
}

/// The wanted series without what is there; `standings` begin with those of their patches.
fn missing(wanted: &[Series], standings: &[Standing]) -> Vec<Series> {
    let mut standings = standings.iter();
    let rest = wanted.iter().map(|series| {
        let patches = series.patches.iter().zip(&mut standings);
        let patches = patches.filter(|(_, standing)| matches!(standing, Standing::Absent));
        Series {
            patches: patches.map(|(patch, _)| patch.clone()).collect(),
            ..series.clone()
        }
    });
    rest.collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Absent,
    There,
    /// Another version of it is there.
    Alike(Commit),
}

struct Look<'a> {
    history: History,
    patches: &'a [&'a Patch],
    source: &'a Source,
    stop: &'a Stop,
}

impl Look<'_> {
    /// Of the patches; the first `wanted` are to be applied where they are missing.
    fn standings(&self, wanted: usize) -> Result<Vec<Standing>> {
        let there = self.taken_back(wanted)?;
        let staging = Staging::of_files(self.source, self.patches, self.stop)?;
        let judged = self.patches.iter().zip(there).zip(0..);
        let standings = judged.map(|((patch, there), at)| {
            if there {
                return Ok(Standing::There);
            }
            let how: &[&str] = if at < wanted { &[] } else { &["--check"] };
            if staging.applies(how, patch)? {
                return Ok(Standing::Absent);
            }
            match self.history.last_of(patch) {
                None => Ok(Standing::Absent),
                Some(commit) if self.history.is_same(commit, patch)? => Ok(Standing::There),
                Some(commit) if at < wanted => {
                    let diff = self.history.diff(commit, patch)?;
                    Err(amended(patch, commit, self.source, &diff))
                }
                Some(commit) => Ok(Standing::Alike(commit.clone())),
            }
        });
        standings.collect()
    }

    /// Which patches can be taken back. A patch may hide under those that came after it, so the last is tried first, and
    /// all again after each. Those that are wanted come before the others, which may have copies of them.
    fn taken_back(&self, wanted: usize) -> Result<Vec<bool>> {
        let staging = Staging::of_files(self.source, self.patches, self.stop)?;
        let mut there = vec![false; self.patches.len()];
        let order = || (0..wanted).rev().chain((wanted..self.patches.len()).rev());
        loop {
            let mut found = None;
            for at in order().filter(|at| !there[*at]) {
                if self.is_there(self.patches[at], &staging)? {
                    found = Some(at);
                    break;
                }
            }
            let Some(at) = found else { return Ok(there) };
            staging.applies(&["--reverse"], self.patches[at])?;
            there[at] = true;
        }
    }

    /// A patch among lines that repeat may be taken back and applied as well: then its commit must be known.
    fn is_there(&self, patch: &Patch, staging: &Staging) -> Result<bool> {
        if !staging.applies(&["--check", "--reverse"], patch)? {
            return Ok(false);
        }
        if !staging.applies(&["--check"], patch)? {
            return Ok(true);
        }
        match self.history.last_of(patch) {
            Some(commit) => self.history.is_same(commit, patch),
            None => Ok(false),
        }
    }
}

fn amended(patch: &Patch, commit: &Commit, source: &Source, diff: &str) -> Failure {
    let Patch { subject, path, .. } = patch;
    Kind::Build.error(format!(
        "{subject:?} is in {} in another version than in {path}: commit {} is called so, and the patch can neither be applied \
         nor taken back. To test what the tree has, add --stock, which applies nothing; to test the patch file, take the commit \
         out of the tree; to keep the commit, replace the file by what git format-patch makes of it{}",
        source.label,
        commit.short(),
        excerpt(diff)
    ))
}

/// The changes of a diff, without what only says where they are and what the files were.
fn changes(diff: &[u8]) -> String {
    let text = String::from_utf8_lossy(diff);
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with("diff --git "));
    let lines = lines.take_while(|line| *line != "-- ");
    let lines = lines.filter(|line| !line.starts_with("index "));
    let unplaced = lines.map(|line| match line.starts_with("@@ ") {
        true => format!("@@{}\n", line.splitn(3, "@@").nth(2).unwrap_or_default()),
        false => format!("{line}\n"),
    });
    unplaced.collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Commit {
    id: String,
    message: String,
}

impl Commit {
    fn short(&self) -> &str {
        &self.id[..12.min(self.id.len())]
    }

    /// Whether it makes the change of this name or undoes it; `None` if it is about something else. A squashed commit has
    /// the names of several in its message. A revert of a revert is called by one of two names, as git's version is.
    fn makes(&self, subject: &str) -> Option<bool> {
        let mut lines = self.message.lines();
        let mut name = lines.next().unwrap_or_default();
        let mut makes = true;
        while name != subject {
            let quoted = |verb: &str| name.strip_prefix(verb)?.strip_suffix('"');
            if let Some(undone) = quoted("Revert \"") {
                (name, makes) = (undone, !makes);
            } else if let Some(again) = quoted("Reapply \"") {
                name = again;
            } else {
                return lines.any(|line| line.trim() == subject).then_some(true);
            }
        }
        Some(makes)
    }
}

/// The commits that a source's last one comes from, newest first.
struct History {
    git: Git,
    commits: Vec<Commit>,
}

impl History {
    fn of(source: &Source, stop: &Stop) -> Result<Self> {
        let git = Git::at(&source.repository, stop);
        let tip = &source.commit;
        let log = git.read(cmd!(
            git,
            "git log --no-merges {RECENT} -z --format=%H%n%B {tip}"
        ))?;
        let commits = log.split('\0').filter_map(|commit| {
            let (id, message) = commit.split_once('\n')?;
            Some(Commit {
                id: id.to_owned(),
                message: message.to_owned(),
            })
        });
        Ok(Self {
            commits: commits.collect(),
            git,
        })
    }

    /// The newest commit with the patch's subject that was not reverted.
    fn last_of(&self, patch: &Patch) -> Option<&Commit> {
        let made = |commit| Some((commit, Commit::makes(commit, &patch.subject)?));
        let (commit, made) = self.commits.iter().find_map(made)?;
        made.then_some(commit)
    }

    fn is_same(&self, commit: &Commit, patch: &Patch) -> Result<bool> {
        let wanted = self.patch_id(&patch.diff)?;
        for algorithm in ALGORITHMS {
            let id = &commit.id;
            let diff = cmd!(self.git, "git diff-tree -p --root {algorithm} {id}");
            let diff = self.git.output(diff, b"")?;
            if diff.status.success() && self.patch_id(&diff.stdout)? == wanted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// In what a commit's changes are not those of a patch file.
    fn diff(&self, commit: &Commit, patch: &Patch) -> Result<String> {
        let [algorithm, _] = ALGORITHMS;
        let Commit { id, .. } = commit;
        let diff = cmd!(self.git, "git diff-tree -p --root {algorithm} {id}");
        let diff = self.git.output(diff, b"")?;
        let (file, made) = (changes(&patch.diff), changes(&diff.stdout));
        let sides = [Some(file.as_bytes()), Some(made.as_bytes())];
        let label = format!(" as commit {} has it", commit.short());
        Ok(unified(patch.path.as_str(), sides, ["", &label]))
    }

    /// A digest of what a diff changes, whatever its line numbers are.
    fn patch_id(&self, diff: &[u8]) -> Result<String> {
        let said = cmd!(self.git, "git patch-id --stable");
        let said = self.git.pipe(said, diff)?;
        let id = said.split_whitespace().next();
        Ok(id.unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use camino::Utf8PathBuf;

    use super::*;
    use crate::host::layout::Layout;
    use crate::series;

    /// A repository with a base, on it the series `first` (one, two, three), and on it `second` (four), as tags and as
    /// patch files. A patch hides under the next: two changes the line of one, four those of two and three.
    pub struct Shop {
        _dir: tempfile::TempDir,
        pub layout: Layout,
        pub git: Git,
        series: [Series; 2],
    }

    /// A file, a text in it, and what it becomes.
    type Edit = (&'static str, &'static str, &'static str);

    const PATCHES: [(&str, &[Edit]); 4] = [
        ("one", &[("fs/super.c", "line 5\n", "count\n")]),
        (
            "two",
            &[
                ("fs/super.c", "count\n", "count more\n"),
                ("fs/super.c", "line 20\n", "timeout\n"),
            ],
        ),
        ("three", &[("Documentation/freeze.rst", "", "text\n")]),
        (
            "four",
            &[
                ("fs/super.c", "timeout\n", "timeout, ext3\n"),
                ("Documentation/freeze.rst", "text\n", "text\nmore\n"),
            ],
        ),
    ];

    impl Shop {
        pub fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = Utf8PathBuf::try_from(dir.path().to_owned()).unwrap();
            let layout = Layout::at(&root);
            let git = Git::at(root.join("linux"), &Stop::default());
            fs_err::create_dir_all(git.dir()).unwrap();
            let lines: String = (1..=30).map(|line| format!("line {line}\n")).collect();
            git.read(cmd!(git, "git init --quiet")).unwrap();
            edit(&git, "fs/super.c", "", &lines);
            edit(&git, "Makefile", "", "VERSION = 7\nPATCHLEVEL = 3\n");
            for landmark in ["Kconfig", "scripts/kconfig/merge_config.sh"] {
                edit(&git, landmark, "", "");
            }
            commit(&git, "base");
            for (subject, edits) in PATCHES {
                for (file, old, new) in edits {
                    edit(&git, file, old, new);
                }
                commit(&git, subject);
            }
            let series = [("first", "base..three"), ("second", "three..four")];
            let series = series.map(|(name, range)| {
                let folder = layout.patches().join("6.12").join(name);
                let mails = cmd!(git, "git format-patch --quiet -o {folder} {range}");
                git.read(mails).unwrap();
                let files = folder.read_dir_utf8().unwrap();
                let mut files: Vec<_> = files
                    .map(|file| file.unwrap().file_name().to_owned())
                    .collect();
                files.sort();
                fs_err::write(folder.join("series"), files.join("\n")).unwrap();
                series::load(&layout, "6.12", name).unwrap()
            });
            let [mut first, mut second] = series;
            first.patches[1].provides = vec![Feature::Timeout];
            second.patches[0].provides = vec![Feature::Ext3Ioctl];
            let series = [first, second];
            Self {
                _dir: dir,
                layout,
                git,
                series,
            }
        }

        /// The base after some steps: those of git, or edits of a file that are committed.
        pub fn source(&self, steps: &[&[&str]]) -> Source {
            let git = &self.git;
            let back = cmd!(git, "git checkout --quiet --force --detach base");
            git.read(back).unwrap();
            for step in steps {
                match step {
                    ["edit", subject, file, old, new] => {
                        edit(git, file, old, new);
                        let all = cmd!(git, "git commit --quiet --all --message {subject}");
                        git.read(all).unwrap();
                    }
                    &step => {
                        git.read(cmd!(git, "git {step...}")).unwrap();
                    }
                }
            }
            Source {
                name: "x".into(),
                label: "the tree".into(),
                repository: git.dir().join(".git"),
                commit: git.read(cmd!(git, "git rev-parse HEAD")).unwrap(),
            }
        }

        /// What is there, `~` before what is only called so, and what is missing; or the failure.
        fn look(&self, steps: &[&[&str]], wanted: usize) -> std::result::Result<String, Failure> {
            let source = self.source(steps);
            let (wanted, others) = self.series.split_at(wanted);
            let present = Present::of(&source, wanted, others, &Stop::default())?;
            let mark = |found: &Found<'_>| if found.alike.is_some() { "~" } else { "" };
            let there = present.there.iter();
            let there: Vec<_> = there
                .map(|found| format!("{}{}", mark(found), found.patch.subject))
                .collect();
            let missing = present.missing.iter().flat_map(|series| &series.patches);
            let missing: Vec<_> = missing.map(|patch| patch.subject.clone()).collect();
            Ok(format!("{} | {}", there.join(" "), missing.join(" ")))
        }
    }

    fn edit(git: &Git, file: &str, old: &str, new: &str) {
        let path = git.dir().join(file);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let text = fs_err::read_to_string(&path).unwrap_or_default();
        assert!(text.contains(old), "{file}: {old}");
        fs_err::write(path, text.replacen(old, new, 1)).unwrap();
    }

    fn commit(git: &Git, subject: &str) {
        git.read(cmd!(git, "git add --all")).unwrap();
        let commit = cmd!(git, "git commit --quiet --message {subject}");
        git.read(commit).unwrap();
        git.read(cmd!(git, "git tag {subject}")).unwrap();
    }

    #[test]
    fn states_of_a_tree() {
        let shop = Shop::new();
        let pick = |commits: &'static [&'static str]| {
            [&["cherry-pick", "--keep-redundant-commits"], commits].concat()
        };
        let (one, two, three) = (
            pick(&["one"]),
            pick(&["one", "two"]),
            pick(&["one", "two", "three"]),
        );
        let four = pick(&["one", "two", "three", "four"]);
        let only_three = pick(&["three"]);
        let over: &[&str] = &["edit", "other", "fs/super.c", "count more\n", "counted\n"];
        let over_four: &[&str] = &["edit", "other", "fs/super.c", "ext3", "ext4"];
        let revert: &[&str] = &["revert", "--no-edit", "HEAD"];
        let squash: &[&str] = &["merge", "--squash", "three"];
        let all: &[&str] = &["commit", "--quiet", "--message", "all of it"];
        for (steps, wanted, expected) in [
            (vec![], 1, " | one two three"),
            (vec![], 0, " | "),
            (vec![], 2, " | one two three four"),
            (vec![one.as_slice()], 1, "one | two three"),
            (vec![&two], 1, "one two | three"),
            (vec![&three], 1, "one two three | "),
            (vec![&three], 0, "one two three | "),
            (vec![&three], 2, "one two three | four"),
            (vec![&four], 2, "one two three four | "),
            (vec![&four], 1, "one two three four | "),
            (vec![&four], 0, "one two three four | "),
            (vec![&only_three], 1, "three | one two"),
            (vec![&one, revert], 1, " | one two three"),
            (vec![&one, revert, revert], 1, "one | two three"),
            (vec![&three, revert], 1, "one two | three"),
            (vec![squash, all], 1, "one two three | "),
            (vec![&two, over], 1, "one two | three"),
            (vec![&four, over_four], 2, "one two three four | "),
        ] {
            let found = shop
                .look(&steps, wanted)
                .map_err(|failure| failure.to_string());
            assert_eq!(found.as_deref(), Ok(expected), "{wanted} of {steps:?}");
        }
    }

    #[test]
    fn what_is_there_is_provided() {
        use Feature::{Ext3Ioctl, Timeout};
        let shop = Shop::new();
        let two: &[&str] = &["cherry-pick", "one", "two"];
        let four: &[&str] = &["cherry-pick", "one", "two", "three", "four"];
        let (none, stock): (&[&[&str]], _) = (&[], 0);
        for (steps, wanted, expected) in [
            (none, stock, vec![]),
            (none, 1, vec![Timeout]),
            (&[two], stock, vec![Timeout]),
            (&[two], 2, vec![Timeout, Ext3Ioctl]),
            (&[four], 1, vec![Timeout, Ext3Ioctl]),
            (&[four], stock, vec![Timeout, Ext3Ioctl]),
        ] {
            let source = shop.source(steps);
            let (wanted, others) = shop.series.split_at(wanted);
            let present = Present::of(&source, wanted, others, &Stop::default()).unwrap();
            assert_eq!(present.provides(), expected, "{steps:?}");
        }
    }

    #[test]
    fn a_copy_of_a_series_is_not_taken_for_it() {
        let mut shop = Shop::new();
        let steps: [&[&str]; 1] = [&["cherry-pick", "one", "two", "three", "four"]];
        let [first, second] = &shop.series;
        let copy = Series {
            name: "copy".into(),
            ..first.clone()
        };
        for others in [[second.clone(), copy.clone()], [copy, second.clone()]] {
            let source = shop.source(&steps);
            let wanted = std::slice::from_ref(first);
            let present = Present::of(&source, wanted, &others, &Stop::default()).unwrap();
            let there: Vec<_> = present.there.iter().map(|found| found.series).collect();
            assert_eq!(there, ["first", "first", "first", "second"]);
        }
        // Without a history, it is the files that tell.
        shop.series.swap(0, 1);
        let squash: &[&str] = &["merge", "--squash", "four"];
        let all: &[&str] = &["commit", "--quiet", "--message", "all of it"];
        assert_eq!(
            shop.look(&[squash, all], 1).unwrap(),
            "four one two three | "
        );
    }

    #[test]
    fn another_version_of_a_patch_is_refused_or_named() {
        let shop = Shop::new();
        let amended: &[&str] = &["edit", "one", "fs/super.c", "line 5\n", "count otherwise\n"];
        let squashed: &[&str] = &[
            "edit",
            "mine\n\none\n\ntwo",
            "fs/super.c",
            "line 5\n",
            "all\n",
        ];
        let revert: &[&str] = &["revert", "--no-edit", "HEAD"];
        for (steps, line) in [
            (vec![amended], "\n++count otherwise"),
            (vec![squashed], "\n++all"),
            (vec![amended, revert, revert], "\n++count otherwise"),
        ] {
            let failure = shop.look(&steps, 1).unwrap_err();
            assert_eq!(failure.kind, Kind::Build);
            let (said, commit) = (
                failure.to_string(),
                shop.git
                    .read(cmd!(shop.git, "git rev-parse --short=12 HEAD")),
            );
            for words in [
                "\"one\" is in the tree",
                "0001-one.patch",
                "--stock",
                &commit.unwrap(),
                line,
            ] {
                assert!(said.contains(words), "{words}: {said}");
            }
        }
        assert_eq!(shop.look(&[amended], 0).unwrap(), "~one | ");
        assert_eq!(
            shop.look(&[amended, revert], 1).unwrap(),
            " | one two three"
        );
        // Not called so: what does not apply is for the one who applies it to say.
        let other: &[&str] = &["edit", "other", "fs/super.c", "line 5\n", "otherwise\n"];
        assert_eq!(shop.look(&[other], 1).unwrap(), " | one two three");
    }

    #[test]
    fn what_commits_are_called() {
        for (message, expected) in [
            ("one", Some(true)),
            ("one\n\nwhy", Some(true)),
            ("one more", None),
            ("", None),
            ("all\n\n  one\n  two", Some(true)),
            ("Revert \"one\"\n\nThis reverts commit 1.", Some(false)),
            ("Revert \"Revert \"one\"\"", Some(true)),
            ("Reapply \"one\"", Some(true)),
            ("Revert \"Reapply \"one\"\"", Some(false)),
            ("Revert \"two\"", None),
            ("other\n\nFixes: 1 (\"one\")", None),
        ] {
            let commit = Commit {
                id: String::new(),
                message: message.into(),
            };
            assert_eq!(commit.makes("one"), expected, "{message}");
        }
    }

    #[test]
    fn lines_that_repeat() {
        let shop = Shop::new();
        let double: &[&str] = &["edit", "double", "fs/super.c", "line 5\n", "count\n"];
        let lines: &[&str] = &[
            "edit",
            "lines",
            "fs/super.c",
            "line 30\n",
            "line 30\nline 2\nline 3\nline 4\nline 5\nline 6\nline 7\nline 8\nend\n",
        ];
        assert_eq!(shop.look(&[lines, double], 1).unwrap(), " | one two three");
    }
}
