//! For tests: histories in real repositories, and a judge that knows what each commit would do.
//!
//! What a kernel does is written in its files, a word each: `bug` (the case fails), `flaky` (in 30 % of its runs), `other`
//! (it fails in another step), `once` (the kernel complains, once a boot), `hang`, `skip`, `nobuild`, `noboot`, `control`
//! (the control case fails). A build reads what is in `fs/`; the image is made of that, but for `fs/comment.c`.
//! `fs/unread.c` is in the image, and the judge does not know that it was read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::Filesystem;
use harness::wire::marks::COMPLAINT;
use xshell::cmd;

use super::{Build, Commit, Judge, Manner, Outcome, Plan, Reason, Terms, Untestable};
use crate::event::{CaseId, CaseResult, Verdict};
use crate::failure::{Kind, Result};
use crate::host::files::digest;
use crate::host::git::Git;
use crate::host::proc::Stop;

type Files = BTreeMap<String, String>;

#[derive(Clone, Debug)]
struct Model {
    name: String,
    parents: Vec<usize>,
    files: Files,
}

/// Commits, by their numbers.
#[derive(Debug, Default)]
pub struct Draft(Vec<Model>);

impl Draft {
    /// Adds a commit that writes files, on top of the parents. Of a merge, files of later parents come on top.
    pub fn commit(&mut self, name: &str, parents: &[usize], changes: &[(&str, &str)]) -> usize {
        let mut files = Files::new();
        for parent in parents {
            files.extend(self.0[*parent].files.clone());
        }
        for (path, content) in changes {
            files.insert((*path).to_owned(), (*content).to_owned());
        }
        self.0.push(Model {
            name: name.to_owned(),
            parents: parents.to_vec(),
            files,
        });
        self.0.len() - 1
    }

    /// A line of commits, each of which changes one file.
    pub fn line(changes: &[(&str, &str)]) -> Self {
        let mut draft = Self::default();
        let mut last = draft.commit("c0", &[], &[("fs/super.c", "0")]);
        for (number, change) in changes.iter().enumerate() {
            last = draft.commit(&format!("c{}", number + 1), &[last], &[*change]);
        }
        draft
    }

    /// A line of so many commits that do nothing but change the kernel; at some numbers they change other files.
    pub fn long(count: usize, special: &[(usize, (&str, &str))]) -> Self {
        let plain: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
        let change = |number: usize| {
            let special = special.iter().find(|(at, _)| *at == number);
            special.map_or(("fs/super.c", plain[number - 1].as_str()), |(_, it)| *it)
        };
        Self::line(&(1..=count).map(change).collect::<Vec<_>>())
    }

    /// Makes the repository. Each commit has a branch of its name, and the last one is checked out.
    pub fn make(self) -> History {
        let guard = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(guard.path()).unwrap();
        let tree = dir.canonicalize_utf8().unwrap().join("linux");
        fs_err::create_dir(&tree).unwrap();
        let git = Git::at(&tree, &Stop::default());
        git.read(cmd!(git, "git init --quiet --initial-branch=main"))
            .unwrap();
        let import = cmd!(git, "git fast-import --quiet");
        git.pipe(import, stream(&self.0).as_bytes()).unwrap();
        git.read(cmd!(git, "git reset --quiet --hard")).unwrap();
        let named = cmd!(
            git,
            "git for-each-ref --format='%(refname:short) %(objectname)'"
        );
        let named = git.read(named).unwrap();
        let ids = named.lines().filter_map(|line| line.split_once(' '));
        let ids = ids.map(|(name, id)| (name.to_owned(), id.to_owned()));
        History {
            ids: ids.collect(),
            models: self.0,
            tree,
            git,
            guard,
        }
    }
}

fn stream(models: &[Model]) -> String {
    let mut text = String::new();
    for (number, model) in models.iter().enumerate() {
        let name = &model.name;
        let blob = |content: &str| format!("data {}\n{content}\n", content.len());
        let when = 1_600_000_000 + number;
        write!(
            text,
            "commit refs/heads/{name}\nmark :{}\ncommitter x <x@y> {when} +0000\n{}",
            number + 1,
            blob(name)
        )
        .unwrap();
        for (at, parent) in model.parents.iter().enumerate() {
            let word = if at == 0 { "from" } else { "merge" };
            writeln!(text, "{word} :{}", parent + 1).unwrap();
        }
        text += "deleteall\n";
        for (path, content) in &model.files {
            write!(text, "M 100644 inline {path}\n{}", blob(content)).unwrap();
        }
    }
    writeln!(text, "reset refs/heads/main\nfrom :{}", models.len()).unwrap();
    text
}

/// A repository as a user has it, and what its commits do.
#[derive(Debug)]
pub struct History {
    models: Vec<Model>,
    ids: BTreeMap<String, String>,
    pub tree: Utf8PathBuf,
    pub git: Git,
    guard: tempfile::TempDir,
}

impl History {
    pub fn id(&self, name: &str) -> &str {
        &self.ids[name]
    }

    pub fn name(&self, id: &str) -> &str {
        let found = self
            .ids
            .iter()
            .find(|(name, it)| *it == id && *name != "main");
        found.map_or("?", |(name, _)| name)
    }

    /// Beside the tree.
    pub fn folder(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.guard.path()).unwrap().join(name)
    }

    pub fn plan(&self, old: &str, new: &str) -> Plan {
        Plan {
            tree: self.tree.clone(),
            old: old.to_owned(),
            new: new.to_owned(),
            terms: Terms::GoodBad,
            manner: Manner::default(),
            judged_by: vec![],
        }
    }

    fn model(&self, id: &str) -> &Model {
        let name = self.name(id);
        self.models.iter().find(|it| it.name == name).unwrap()
    }

    /// The files of a commit with what is to be done to it; `None` if that cannot be done.
    fn files(&self, commit: &Commit<'_>) -> Option<Files> {
        let mut files = self.model(commit.id).files.clone();
        for pick in commit.picks {
            for (path, before, after) in self.changes(self.model(pick)) {
                if files.get(&path) == before.as_ref() {
                    files.extend(after.map(|after| (path, after)));
                }
            }
        }
        let revert = commit.revert.map(|revert| self.model(revert));
        for (path, before, after) in revert.iter().flat_map(|it| self.changes(it)) {
            if files.get(&path) != after.as_ref() {
                return None;
            }
            files.remove(&path);
            files.extend(before.map(|before| (path, before)));
        }
        Some(files)
    }

    /// Path, before and after, of what a commit changes against its first parent.
    fn changes(&self, model: &Model) -> Vec<(String, Option<String>, Option<String>)> {
        let none = Files::new();
        let before = model
            .parents
            .first()
            .map_or(&none, |it| &self.models[*it].files);
        let paths: BTreeSet<&String> = before.keys().chain(model.files.keys()).collect();
        let both = paths.into_iter().map(|path| {
            let [before, after] = [before, &model.files].map(|files| files.get(path).cloned());
            (path.clone(), before, after)
        });
        both.filter(|(_, before, after)| before != after).collect()
    }
}

/// Builds nothing, and knows all.
#[derive(Debug)]
pub struct Fake<'a> {
    history: &'a History,
    built: Option<Files>,
    /// Names of commits, in the order of time.
    pub builds: Vec<String>,
    /// With how many runs.
    pub tests: Vec<(String, u32)>,
    /// How many calls are answered before one fails.
    pub lives: usize,
    pub dies_of: Kind,
    /// How long a call takes.
    pub pace: Duration,
}

impl<'a> Fake<'a> {
    pub fn new(history: &'a History) -> Self {
        Self::with_lives(history, usize::MAX)
    }

    pub fn with_lives(history: &'a History, lives: usize) -> Self {
        Self {
            history,
            built: None,
            builds: vec![],
            tests: vec![],
            lives,
            dies_of: Kind::Machinery,
            pace: Duration::ZERO,
        }
    }

    fn live(&mut self) -> Result<()> {
        match self.lives.checked_sub(1) {
            Some(lives) => self.lives = lives,
            None => return Err(self.dies_of.error("no space left on device")),
        }
        std::thread::sleep(self.pace);
        Ok(())
    }

    fn name(&self, commit: &Commit<'_>) -> String {
        let name = self.history.name(commit.id);
        match commit.revert {
            Some(revert) => format!("{name} without {}", self.history.name(revert)),
            None => name.to_owned(),
        }
    }
}

impl Judge for Fake<'_> {
    fn build(&mut self, commit: &Commit<'_>) -> Result<Build> {
        self.live()?;
        self.builds.push(self.name(commit));
        let untestable = |reason| {
            Ok(Build::Untestable(Untestable {
                reason,
                words: "as it is".to_owned(),
            }))
        };
        let Some(files) = self.history.files(commit) else {
            return untestable(Reason::DoesNotApply);
        };
        if does(&files, "nobuild") {
            return untestable(Reason::DoesNotCompile);
        }
        let image = files.iter().filter(|(path, _)| is_in_image(path));
        let image = digest(image.flat_map(|(path, content)| [path, content]));
        self.built = Some(files);
        Ok(Build::Image(image))
    }

    fn test(&mut self, commit: &Commit<'_>, runs: u32) -> Result<Outcome> {
        self.live()?;
        let name = self.name(commit);
        let files = self.built.as_ref().expect("it is built first");
        assert_eq!(self.builds.last(), Some(&name), "the last build is another");
        let before = self.tests.iter().filter(|(it, _)| *it == name).count();
        self.tests.push((name, runs));
        if does(files, "noboot") {
            return Ok(Outcome::Untestable(Untestable {
                reason: Reason::DoesNotBoot,
                words: "Kernel panic".to_owned(),
            }));
        }
        let seed = u64::from_str_radix(&commit.id[..8], 16).unwrap() + before as u64;
        let mut random = fastrand::Rng::with_seed(seed);
        let control = match does(files, "control") {
            true => Verdict::Failed("x".to_owned()),
            false => Verdict::Passed,
        };
        let results = (0..runs).map(|repeat| result(files, repeat, &mut random));
        Ok(Outcome::Ran {
            results: results.collect(),
            control,
        })
    }

    fn read(&mut self) -> Result<BTreeSet<String>> {
        let files = self.built.iter().flatten().map(|(path, _)| path.clone());
        Ok(files
            .filter(|path| path.starts_with("fs/") && path != "fs/unread.c")
            .collect())
    }
}

fn is_in_image(path: &str) -> bool {
    path.starts_with("fs/") && path != "fs/comment.c"
}

fn does(files: &Files, word: &str) -> bool {
    let read = files.iter().filter(|(path, _)| is_in_image(path));
    read.flat_map(|(_, content)| content.split(' '))
        .any(|it| it == word)
}

fn result(files: &Files, repeat: u32, random: &mut fastrand::Rng) -> CaseResult {
    let at = |step: &str| vec![format!("step: {step}"), "EINVAL".to_owned()];
    let failed = Verdict::Failed("EINVAL".to_owned());
    let (verdict, diagnostics) = if does(files, "skip") {
        (Verdict::Skipped("no such ioctl".to_owned()), vec![])
    } else if does(files, "other") {
        (failed, at("mount"))
    } else if does(files, "once") && repeat == 0 {
        let complaint = "WARNING: fs/super.c:9 at thaw+0x1/0x2, CPU#0: x/7";
        (Verdict::Failed(format!("{COMPLAINT}{complaint}")), vec![])
    } else if does(files, "hang") {
        (Verdict::Hung("stuck in step \"thaw\"".to_owned()), vec![])
    } else if does(files, "bug") || does(files, "flaky") && random.f64() < 0.3 {
        (failed, at("thaw"))
    } else {
        (Verdict::Passed, vec![])
    };
    CaseResult {
        id: CaseId {
            filesystem: Filesystem::Xfs,
            case: "dm_case_a".to_owned(),
            repeat,
        },
        verdict,
        took: Duration::ZERO,
        diagnostics,
    }
}
