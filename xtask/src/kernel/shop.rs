//! For tests: a checkout in a temporary folder, with a source of two files, and patches on them.

use std::collections::BTreeMap;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use super::bases::{self, Base};
use super::source::Source;
use super::tree::{self, Tree};
use crate::failure::Result;
use crate::host::environment::PLAIN;
use crate::host::git::Git;
use crate::host::layout::Layout;
use crate::host::proc::{self, Stop};
use crate::host::session::Session;
use crate::series;

/// The base's name.
pub const BASE: &str = "x";

#[derive(Debug)]
pub struct Shop {
    _dir: tempfile::TempDir,
    pub layout: Layout,
    source: Source,
}

impl Shop {
    /// `a.c` and `b.c` have thirty lines each.
    pub fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let layout = Layout::at(root.canonicalize_utf8().unwrap());
        let repository = layout.sources().join(format!("{BASE}.git"));
        fs_err::create_dir_all(&repository).unwrap();
        fs_err::create_dir_all(layout.patches().join(BASE)).unwrap();
        fs_err::create_dir_all(layout.trees()).unwrap();
        let git = Git::at(&repository, &Stop::default());
        git.read(cmd!(git, "git init --quiet --bare")).unwrap();
        let lines: String = (1..=30).map(|line| format!("line {line}\n")).collect();
        let blob = git.pipe(cmd!(git, "git hash-object -w --stdin"), lines.as_bytes());
        let blob = blob.unwrap();
        let commit = commit(&git, &blob, &blob, "x 1-1");
        git.read(cmd!(git, "git update-ref refs/tags/x_1-1 {commit}"))
            .unwrap();
        Self {
            _dir: dir,
            layout,
            source: Source {
                name: BASE.into(),
                label: "x 1".into(),
                commit,
                repository,
            },
        }
    }

    /// The same once more, made faster. Work trees are repaired when they are provided.
    pub fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let layout = Layout::at(root.canonicalize_utf8().unwrap().join("copy"));
        let (from, to) = (self.layout.root(), layout.root());
        proc::read(cmd!(PLAIN, "cp -a {from} {to}"), &Stop::default()).unwrap();
        let source = Source {
            repository: layout.sources().join(format!("{BASE}.git")),
            ..self.source.clone()
        };
        Self {
            _dir: dir,
            layout,
            source,
        }
    }

    /// The base is another, of these files.
    pub fn stand_on(&mut self, files: &BTreeMap<String, String>) {
        let git = Git::at(&self.source.repository, &Stop::default());
        let files = files
            .iter()
            .map(|(name, text)| format!("M 100644 inline {name}\ndata {}\n{text}\n", text.len()));
        let import = format!(
            "commit refs/heads/made-up\ncommitter C <c@example.org> 0 +0000\ndata 1\nx\n{}",
            files.collect::<String>()
        );
        git.pipe(cmd!(git, "git fast-import --quiet"), import.as_bytes())
            .unwrap();
        self.source.commit = git.resolve("refs/heads/made-up").unwrap().unwrap();
    }

    /// The base moves on: another line at the end of `b.c`.
    pub fn new_source(&mut self) {
        let git = Git::at(&self.source.repository, &Stop::default());
        let last = &self.source.commit;
        let old = git.read(cmd!(git, "git cat-file blob {last}:b.c"));
        let text = format!("{}\nanother\n", old.unwrap());
        let b = git.pipe(cmd!(git, "git hash-object -w --stdin"), text.as_bytes());
        let a = git.read(cmd!(git, "git rev-parse {last}:a.c"));
        self.source.commit = commit(&git, &a.unwrap(), &b.unwrap(), "next");
    }

    /// Another version of the base's package, in which lines of files are others.
    pub fn release(&self, version: &str, changes: &[(&str, usize, &str)]) {
        let git = Git::at(&self.source.repository, &Stop::default());
        let [a, b] = ["a.c", "b.c"].map(|file| {
            let lines: String = (1..=30)
                .map(|line| {
                    let mut changes = changes.iter();
                    let new = changes.find(|(name, at, _)| *name == file && *at == line);
                    new.map_or(format!("line {line}\n"), |(_, _, new)| format!("{new}\n"))
                })
                .collect();
            let write = cmd!(git, "git hash-object -w --stdin");
            git.pipe(write, lines.as_bytes()).unwrap()
        });
        let commit = commit(&git, &a, &b, &format!("x {version}"));
        git.read(cmd!(git, "git update-ref refs/tags/x_{version} {commit}"))
            .unwrap();
    }

    /// The base moves on to a version of [`Self::release`].
    pub fn follow(&mut self, version: &str) {
        let git = Git::at(&self.source.repository, &Stop::default());
        let commit = git.resolve(&format!("refs/tags/x_{version}"));
        self.source.commit = commit.unwrap().unwrap();
        self.source.label = format!("x {version}");
    }

    /// As `configs/kernels.toml` has it, which is written, too.
    pub fn base(&self) -> Base {
        fs_err::create_dir_all(self.layout.configs()).unwrap();
        let text = format!("[[base]]\nname = \"{BASE}\"\npackage = \"x\"\n");
        fs_err::write(self.layout.configs().join("kernels.toml"), text).unwrap();
        bases::find(&self.layout, BASE).unwrap()
    }

    pub fn folder(&self) -> Utf8PathBuf {
        self.layout.patches().join(BASE)
    }

    /// A file of the patches by its path below the base.
    pub fn file(&self, path: &str) -> Utf8PathBuf {
        self.folder().join(path)
    }

    pub fn tree(&self, series: &[&str]) -> Utf8PathBuf {
        let series: Vec<String> = series.iter().map(ToString::to_string).collect();
        self.layout.trees().join(tree::name(BASE, &series))
    }

    pub fn provide(&self, series: &[&str]) -> Result<Tree> {
        let names: Vec<String> = series.iter().map(ToString::to_string).collect();
        let series = names
            .iter()
            .map(|name| series::load(&self.layout, BASE, name));
        let series = series.collect::<Result<Vec<_>>>()?;
        let name = tree::name(BASE, &names);
        let session = Session::new(self.layout.clone(), Stop::default());
        tree::provide(&name, &self.source, &series, &session)
    }

    /// Adds a patch file that changes a line of a file from what the patches before it made of it.
    pub fn patch(&self, series: &str, number: usize, subject: &str, line: usize, notes: &str) {
        let dir = self.file(series);
        fs_err::create_dir_all(&dir).unwrap();
        let name = format!("{number:04}-{subject}.patch");
        let context = |line: usize| format!(" line {line}\n");
        let before: String = (line - 3..line).map(context).collect();
        let after: String = (line + 1..=line + 3).map(context).collect();
        let notes = match notes {
            "" => String::new(),
            notes => format!("{notes}\n\n"),
        };
        let mail = format!(
            "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n\
             From: A Person <a@example.org>\nDate: Mon, 2 Nov 2026 10:00:0{number} +0100\n\
             Subject: [PATCH] {subject}\n\nWhy.\n---\n{notes} a.c | 2 +-\n \
             1 file changed, 1 insertion(+), 1 deletion(-)\n\n\
             diff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n\
             @@ -{0},7 +{0},7 @@\n{before}-line {line}\n+{subject}\n{after}",
            line - 3
        );
        fs_err::write(dir.join(&name), mail).unwrap();
        let index = dir.join("series");
        let listed = fs_err::read_to_string(&index).unwrap_or_default();
        fs_err::write(&index, format!("{listed}{name}\n")).unwrap();
    }

    /// Runs a script in a work tree, as a developer would.
    pub fn work(&self, series: &[&str], script: &str) -> String {
        let work = cmd!(PLAIN, "sh -euc {script}")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "D Eveloper")
            .env("GIT_AUTHOR_EMAIL", "d@example.org")
            .env("GIT_COMMITTER_NAME", "D Eveloper")
            .env("GIT_COMMITTER_EMAIL", "d@example.org")
            .env("GIT_EDITOR", "true");
        let mut work = Command::from(work);
        work.current_dir(self.tree(series));
        proc::read(&mut work, &Stop::default()).unwrap()
    }
}

/// A commit of both files, by their ids.
fn commit(git: &Git, a: &str, b: &str, message: &str) -> String {
    let entries = format!("100644 blob {a}\ta.c\n100644 blob {b}\tb.c\n");
    let tree = git.pipe(cmd!(git, "git mktree"), entries.as_bytes());
    let tree = tree.unwrap();
    let commit = cmd!(git, "git commit-tree -m {message} {tree}");
    git.read(commit).unwrap()
}
