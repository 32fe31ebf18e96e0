//! For tests: a public repository, and a series that was tested on an import of its files.

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use super::Tested;
use super::base::{Base, Upstream, find};
use super::graft::{Grafted, graft};
use super::identity::Identity;
use crate::host::git::Git;
use crate::host::layout::Layout;
use crate::host::proc::Stop;
use crate::host::session::Session;

#[derive(Debug)]
pub struct Fixture {
    _guard: tempfile::TempDir,
    pub dir: Utf8PathBuf,
    /// The commit that `v2` is a tag of, and `main` a branch.
    pub public: String,
    pub tested: Tested,
}

impl Fixture {
    /// Two patches: `fs/a.c`, then `fs/b.c`, a file that is new and one that goes.
    pub fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let dir = Utf8PathBuf::try_from(guard.path().canonicalize().unwrap()).unwrap();
        let mut fixture = Self {
            _guard: guard,
            dir,
            public: String::new(),
            tested: Tested {
                repository: Utf8PathBuf::new(),
                base: String::new(),
                first: String::new(),
                tip: String::new(),
            },
        };
        fs_err::create_dir(fixture.dir.join("checkout")).unwrap();
        fixture.publish();
        fixture.test();
        fixture
    }

    fn publish(&mut self) {
        let path = self.upstream();
        fs_err::create_dir_all(path.join("include")).unwrap();
        self.write(&path, &["fs/a.c", "fs/b.c", "fs/old.c", "fs/other.c"]);
        fs_err::write(path.join("include/x.h"), "1\n").unwrap();
        self.git(&path, "init --quiet --initial-branch=main");
        self.git(&path, "add .");
        self.git(&path, "commit --quiet -m one");
        fs_err::write(path.join("include/x.h"), "2\n").unwrap();
        self.git(&path, "commit --quiet -a -m two");
        self.git(&path, "tag -a -m two v2");
        self.public = self.git(&path, "rev-parse HEAD");
    }

    fn test(&mut self) {
        let path = self.dir.join("tested");
        self.write(&path, &["fs/a.c", "fs/b.c", "fs/old.c"]);
        fs_err::write(path.join("debian"), "not public\n").unwrap();
        self.git(&path, "init --quiet");
        self.git(&path, "add .");
        self.git(&path, "commit --quiet -m import");
        let base = self.git(&path, "rev-parse HEAD");
        let author = "--author=Zoë_Thor_<zoe@example.org>";
        let date = "--date=2026-11-02T10:00:00+0100";
        self.change(&path.join("fs/a.c"), 5);
        self.commit(
            &path,
            &[author, date],
            "fs: a has another line\n\nWhy.\n\nSigned-off-by: Zoë Thor <zoe@example.org>\n",
        );
        self.change(&path.join("fs/b.c"), 7);
        fs_err::write(path.join("fs/new file.c"), "new\n").unwrap();
        fs_err::remove_file(path.join("fs/old.c")).unwrap();
        self.git(&path, "add --all");
        self.commit(
            &path,
            &[author, date],
            "fs: grüße\n\nWarum.\n\nReviewed-by: Re Viewer <re@example.org>\n",
        );
        let tip = self.git(&path, "rev-parse HEAD");
        self.tested = Tested {
            repository: path,
            first: base.clone(),
            base,
            tip,
        };
    }

    pub fn upstream(&self) -> Utf8PathBuf {
        self.dir.join("upstream")
    }

    /// Changes one touched file, removes another, and adds what the series adds.
    pub fn upstream_moves_on(&self) {
        let path = self.upstream();
        self.change(&path.join("fs/b.c"), 20);
        fs_err::remove_file(path.join("fs/old.c")).unwrap();
        fs_err::write(path.join("fs/new file.c"), "else\n").unwrap();
        self.git(&path, "add --all");
        self.git(&path, "commit --quiet -m three");
    }

    pub fn session(&self) -> Session {
        Session::new(Layout::at(self.dir.join("checkout")), Stop::default())
    }

    pub fn identity() -> Identity {
        Identity {
            name: "Jürgen Sender".into(),
            email: "sender@example.org".into(),
        }
    }

    /// The series on `v2`.
    pub fn grafted(&self) -> Grafted {
        self.grafted_of(&self.tested)
    }

    /// The first patch on `v2`.
    pub fn grafted_first(&self) -> Grafted {
        let first = self.git(
            &self.tested.repository,
            &format!("rev-parse {}^", self.tested.tip),
        );
        self.grafted_of(&Tested {
            tip: first,
            ..self.tested.clone()
        })
    }

    /// The series with another line changed by its second patch.
    pub fn next_version(&mut self) {
        let path = self.tested.repository.clone();
        self.change(&path.join("fs/b.c"), 9);
        self.git(&path, "commit --quiet --all --amend --no-edit");
        self.tested.tip = self.git(&path, "rev-parse HEAD");
    }

    /// The second patch on `v2`, which depends on the first.
    pub fn grafted_second(&self) -> Grafted {
        let first = self.git(
            &self.tested.repository,
            &format!("rev-parse {}^", self.tested.tip),
        );
        self.grafted_of(&Tested {
            first,
            ..self.tested.clone()
        })
    }

    /// The next version, on an import of an upstream that has moved on.
    pub fn moves_onto_newer_upstream(&mut self) {
        let upstream = self.upstream();
        self.change(&upstream.join("fs/b.c"), 20);
        self.git(&upstream, "commit --quiet --all -m three");
        let path = self.tested.repository.clone();
        self.git(
            &path,
            &format!("checkout --quiet --detach {}", self.tested.base),
        );
        self.change(&path.join("fs/b.c"), 20);
        self.git(&path, "commit --quiet --all -m import");
        let base = self.git(&path, "rev-parse HEAD");
        let patches = format!("cherry-pick {}..{}", self.tested.base, self.tested.tip);
        self.git(&path, &patches);
        self.tested = Tested {
            tip: self.git(&path, "rev-parse HEAD"),
            first: base.clone(),
            base,
            repository: path,
        };
    }

    /// One patch more.
    pub fn another_patch(&mut self, message: &str, change: impl FnOnce(&Utf8Path)) {
        let path = self.tested.repository.clone();
        change(&path);
        self.git(&path, "add --all");
        self.commit(&path, &[], message);
        self.tested.tip = self.git(&path, "rev-parse HEAD");
    }

    fn grafted_of(&self, tested: &Tested) -> Grafted {
        let base = find(&Upstream::Path(self.upstream()), "v2", &self.session()).unwrap();
        let into = self.dir.join("private");
        graft(
            tested,
            &base,
            (&into, "freeze"),
            &Self::identity(),
            &Stop::default(),
        )
        .unwrap()
    }

    /// Whether the repository has nothing but a commit and its trees, and would fetch nothing.
    pub fn has_trees_only(&self, base: &Base) {
        let list = "cat-file --batch-check=%(objecttype) --batch-all-objects";
        let types = self.git(&base.repository, list);
        assert!(
            types.lines().all(|it| it == "tree" || it == "commit"),
            "{types}"
        );
        assert_eq!(types.lines().filter(|it| *it == "commit").count(), 1);
        let config = fs_err::read_to_string(base.repository.join("config")).unwrap();
        assert!(!config.contains("promisor"), "{config}");
    }

    /// Runs a line of git, at whose spaces it is parted.
    pub fn git(&self, dir: &Utf8Path, line: &str) -> String {
        let git = Git::at(dir, &Stop::default());
        let words = line.split(' ');
        git.read(cmd!(git, "git -c protocol.file.allow=always {words...}"))
            .unwrap()
    }

    fn commit(&self, dir: &Utf8Path, options: &[&str], message: &str) {
        let git = Git::at(dir, &Stop::default());
        let options = options.iter().map(|option| option.replace('_', " "));
        let line = cmd!(git, "git commit --quiet --all {options...} --file=-");
        git.pipe(line, message.as_bytes()).unwrap();
    }

    fn write(&self, dir: &Utf8Path, names: &[&str]) {
        for name in names {
            let path = dir.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            let lines: String = (1..=30).map(|line| format!("{name} {line}\n")).collect();
            fs_err::write(path, lines).unwrap();
        }
    }

    fn change(&self, file: &Utf8Path, line: usize) {
        let text = fs_err::read_to_string(file).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines[line] = "another";
        fs_err::write(file, lines.join("\n") + "\n").unwrap();
    }
}
