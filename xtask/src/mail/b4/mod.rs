//! Drives b4 in the repository of a grafted series. What mails look like is b4's business; nothing of it is done here.
//!
//! b4 keeps a cover letter in the description of a branch, if it is told so; all else it keeps beside it. So neither a
//! commit for the cover nor an editor is needed, and a cover that is there before `b4 prep` is left alone: b4's own one
//! has a sign-off in it.
//!
//! Its exit code is 0 with patches missing and after checks that failed, so what it says is what counts.

mod dependencies;
mod recipients;

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use tempfile::TempDir;
use xshell::cmd;

use super::audit::Asked;
use super::graft::{BASE_BRANCH, Grafted};
use super::letter::{Letter, People, described};
use super::mbox;
use crate::failure::{Kind, OrFail, Result};
use crate::host::environment::PLAIN;
use crate::host::files;
use crate::host::git::Git;
use crate::host::proc::{self, Stop};
use crate::host::session::Session;

/// How b4 begins a line that tells of a failure. Its exit code does not.
const FAILURES: &[&str] = &["CRITICAL:", "ERROR:", "Traceback ", "b4: error:", "fatal:"];
/// What it says in passing of mails that are not one whole version, or whose base is not in the repository.
const DEFECTS: &[&str] = &[
    "Thread incomplete!",
    "not known, ignoring",
    "duplicate messages found",
    "suspicious unicode",
    "More than one series version",
    "is a partial reroll",
];
/// Settings that the repository does not keep, lest they stand in the way of the person who sends from there.
fn offline() -> [(&'static str, String); 2] {
    // Longer than names can be: the resolver refuses it without asking anybody.
    let nobody = "nowhere.".repeat(40);
    [
        // Without one, b4 would ask that of kernel.org; nothing is ever sent.
        ("sendemail.smtpserver", "localhost".into()),
        // For what a series depends on, b4 asks this server even with --offline-mode.
        ("b4.midmask", format!("https://{nobody}invalid/%s")),
    ]
}

/// What b4 has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mails {
    /// In their order, the cover first; of a single patch there is none, as it is in the patch.
    pub files: Vec<Utf8PathBuf>,
    /// All of them.
    pub mbox: Utf8PathBuf,
    pub change_id: String,
    pub people: People,
}

/// b4 in one repository.
#[derive(Debug)]
pub struct B4 {
    program: Utf8PathBuf,
    grafted: Grafted,
    git: Git,
    stop: Stop,
    /// b4 and git find nothing of the user's here.
    home: Utf8PathBuf,
    _home: TempDir,
}

impl B4 {
    /// Configures the repository for b4, which is at `program`.
    pub fn open(grafted: &Grafted, program: &Utf8Path, session: &Session) -> Result<Self> {
        let (guard, home) = files::temporary(&session.layout.work("mail"))?;
        let b4 = Self {
            program: program.to_owned(),
            git: Git::at(&grafted.repository, &session.stop),
            grafted: grafted.clone(),
            stop: session.stop.clone(),
            home,
            _home: guard,
        };
        b4.set("b4.prep-cover-strategy", "branch-description")?;
        // Whole ids in the index lines, by which others find the files.
        b4.set("core.abbrev", "40")?;
        Ok(b4)
    }

    /// Gives b4 the letter; returns the change-id and who gets the mails.
    pub fn prepare(&self, letter: &Letter) -> Result<(String, People)> {
        if letter.version == 0 {
            return Err(Kind::Usage.error("versions of a series are counted from 1"));
        }
        let description = self.of_branch("description");
        self.set(&description, &described(&letter.cover)?)?;
        // What an earlier letter left.
        self.unset(&self.of_branch("b4-tracking"))?;
        self.run(&["prep", "--enroll", BASE_BRANCH])?;
        self.keep(letter)?;
        let version = letter.version.to_string();
        self.run(&["prep", "--force-revision", &version])?;
        if !letter.prefixes.is_empty() {
            let mut line = vec!["prep", "--set-prefixes"];
            line.extend(letter.prefixes.iter().map(String::as_str));
            self.run(&line)?;
        }
        let people = self.people(&letter.recipients)?;
        self.send_to(&people, &letter.cover)?;
        Ok((change_id(&self.tracking()?)?, people))
    }

    /// Writes the mails into a folder that is not there yet, and all of them into `mbox`. Paths are absolute, as b4 works
    /// in the repository. In there, `b4 send` then sends the same mails to the same people.
    pub fn write(&self, letter: &Letter, folder: &Utf8Path, mbox: &Utf8Path) -> Result<Mails> {
        let (change_id, people) = self.prepare(letter)?;
        people.check()?;
        let said = self.run(&["send", "--no-sign", "--output-dir", folder.as_str()])?;
        let mut written: Vec<Utf8PathBuf> = folder
            .read_dir_utf8()?
            .map(|entry| Ok(entry?.into_path()))
            .collect::<Result<_>>()?;
        written.retain(|file| file.extension() == Some("eml"));
        written.sort();
        let mails = Mails {
            files: written,
            mbox: mbox.to_owned(),
            change_id,
            people,
        };
        let audited = self.audit(&mails, &letter.cover);
        audited.map_err(|failure| failure.context(format!("b4 send said:\n{said}")))?;
        files::write(mbox, &joined(&mails.files)?)?;
        Ok(mails)
    }

    /// What `b4 am` makes of the mails, in its words, as one who gets them sees it. Its files go to `folder`.
    pub fn am(&self, mbox: &Utf8Path, folder: &Utf8Path) -> Result<String> {
        let said = self.run(&["am", "-m", mbox.as_str(), "-o", folder.as_str()])?;
        are_whole(mbox, &said)?;
        Ok(said)
    }

    /// The range-diff between the mails of two versions.
    pub fn diff(&self, older: &Utf8Path, newer: &Utf8Path) -> Result<String> {
        let file = self.home.join("range-diff");
        files::remove(&file)?;
        let line = [
            "diff",
            "-m",
            older.as_str(),
            newer.as_str(),
            "-o",
            file.as_str(),
        ];
        // Ids of commits that b4 makes for it and nobody has.
        let said = self.run_with(&[("core.abbrev", "12".into())], &line)?;
        are_whole(older, &said)?;
        fs_err::read_to_string(&file).map_err(|_| {
            Kind::Machinery.error(format!(
                "b4 makes no range-diff of {older} and {newer}:\n{said}"
            ))
        })
    }

    /// Those of the commits, with their authors as mails have them.
    fn messages(&self) -> Result<String> {
        let (range, format) = (format!("{BASE_BRANCH}.."), "From: %an <%ae>%n%B");
        let messages = cmd!(self.git, "git log --format={format} {range}");
        Ok(self.git.read(messages)?)
    }

    /// Sees for itself that the mails are what was asked for.
    fn audit(&self, mails: &Mails, cover: &str) -> Result<()> {
        let range = format!("{BASE_BRANCH}..");
        let count = cmd!(self.git, "git rev-list --count {range}");
        let mut lines: Vec<String> = self.below()?;
        lines
            .iter_mut()
            .for_each(|it| it.insert_str(0, "prerequisite-"));
        lines.push(format!("change-id: {}", mails.change_id));
        lines.extend(cover.trim().lines().skip(1).map(str::to_owned));
        Asked {
            patches: self.git.read(count)?.parse().or_fail(Kind::Machinery)?,
            messages: &self.messages()?,
            base: &self.grafted.base,
            lines: &lines,
            people: &mails.people,
        }
        .audit(&mails.files)
    }

    /// What b4 takes from an editor, or from mails on a server.
    fn keep(&self, letter: &Letter) -> Result<()> {
        let mut tracking = self.tracking()?;
        if let Some(id) = &letter.change_id {
            if id.is_empty() || id.contains(|char: char| char.is_whitespace() || char.is_control())
            {
                return Err(Kind::Usage.error(format!("{id:?} is no change-id: it is one word")));
            }
            tracking["series"]["change-id"] = json!(id);
        }
        let needed = self.needed(&letter.dependencies)?;
        if !needed.is_empty() {
            tracking["series"]["prerequisites"] = json!(needed);
        }
        self.set(&self.of_branch("b4-tracking"), &tracking.to_string())
    }

    /// What b4 knows of the branch.
    fn tracking(&self) -> Result<Value> {
        let key = self.of_branch("b4-tracking");
        let kept = self.git.read(cmd!(self.git, "git config {key}"))?;
        serde_json::from_str(&kept).or_fail(Kind::Machinery)
    }

    fn of_branch(&self, name: &str) -> String {
        format!("branch.{}.{name}", self.grafted.branch)
    }

    fn set(&self, key: &str, value: &str) -> Result<()> {
        self.git
            .read(cmd!(self.git, "git config --replace-all {key} {value}"))?;
        Ok(())
    }

    fn unset(&self, key: &str) -> Result<()> {
        let unset = cmd!(self.git, "git config --unset-all {key}");
        self.git.output(unset, b"")?;
        Ok(())
    }

    /// Runs b4 for what it says.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with(&[], arguments)
    }

    /// The same with settings besides those of [`offline`].
    fn run_with(&self, settings: &[(&'static str, String)], arguments: &[&str]) -> Result<String> {
        let mut line = self.line(arguments);
        let settings = [&offline(), settings].concat();
        line.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (at, (key, value)) in settings.iter().enumerate() {
            line.env(format!("GIT_CONFIG_KEY_{at}"), key);
            line.env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        let output = proc::output(&mut line, b"", &self.stop)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr();
        let failed = said
            .lines()
            .any(|line| FAILURES.iter().any(|it| line.trim_start().starts_with(it)));
        if failed || !output.status.success() {
            return Err(Kind::Machinery.error(format!("b4 {}: {}", arguments[0], said.trim())));
        }
        Ok(said)
    }

    fn line(&self, arguments: &[&str]) -> Command {
        let program = &self.program;
        let line = cmd!(
            PLAIN,
            "{program} --offline-mode --no-interactive --no-stdin {arguments...}"
        );
        let line = line
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            // Subjects in other letters than ASCII.
            .env("PYTHONUTF8", "1");
        let mut command = Command::from(line);
        command.current_dir(&self.grafted.repository);
        command
    }
}

fn are_whole(mails: &Utf8Path, said: &str) -> Result<()> {
    match DEFECTS.iter().any(|defect| said.contains(defect)) {
        true => {
            Err(Kind::Machinery.error(format!("{mails}: b4 finds the mails not whole:\n{said}")))
        }
        false => Ok(()),
    }
}

fn change_id(tracking: &Value) -> Result<String> {
    let id = tracking["series"]["change-id"].as_str();
    id.map(str::to_owned)
        .ok_or_else(|| Kind::Machinery.error(format!("b4 made no change-id: {tracking}")))
}

fn joined(files: &[Utf8PathBuf]) -> Result<Vec<u8>> {
    let mails: std::io::Result<Vec<Vec<u8>>> = files.iter().map(fs_err::read).collect();
    Ok(mbox::join(mails?.iter().map(Vec::as_slice)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::layout::Layout;
    use crate::host::scripts;
    use crate::mail::base::{self, Upstream};
    use crate::mail::checklist::SEND_EMAIL;
    use crate::mail::fixture::Fixture;
    use crate::mail::graft::graft;
    use crate::mail::lend::lend_files;
    use crate::mail::letter::{Recipients, address, sign_offs};

    const COVER: &str = "fs: freeze für viele\n\nWhat and \"why\", with \\ and $money.\n\n# A heading\n\n| a | b |\n\
        | --- | --- |\n| 1 | ok |\n\nLink: https://example.org/v1\n";

    /// Where b4 is installed.
    fn checkout() -> Session {
        Session::new(Layout::of_this_checkout().unwrap(), Stop::default())
    }

    fn open(grafted: &Grafted) -> B4 {
        B4::open(grafted, &crate::deps::b4(&checkout()).unwrap(), &checkout()).unwrap()
    }

    fn letter(version: u32) -> Letter {
        let list = |people: &[&str]| people.iter().map(ToString::to_string).collect();
        Letter {
            cover: COVER.into(),
            version,
            recipients: Recipients::These(People {
                to: list(&["Main Tainer <main@example.org>"]),
                cc: list(&["list@example.org", "\"Last, First\" <other@example.org>"]),
            }),
            ..Letter::default()
        }
    }

    fn write(b4: &B4, letter: &Letter, dir: &Utf8Path) -> Result<Mails> {
        let name = format!("v{}", letter.version);
        b4.write(letter, &dir.join(&name), &dir.join(format!("{name}.mbx")))
    }

    fn text(file: &Utf8Path) -> String {
        fs_err::read_to_string(file).unwrap()
    }

    /// A header as it stands there, on one line.
    fn header(mail: &str, name: &str) -> String {
        let head = mail.split("\n\n").next().unwrap().replace("\n ", " ");
        let begin = format!("{name}: ");
        let found = head.lines().find_map(|line| line.strip_prefix(&begin));
        found.unwrap_or_default().to_owned()
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn mails_have_all_that_was_asked_for_and_nothing_else() {
        let fixture = Fixture::new();
        let b4 = open(&fixture.grafted());
        let letter = Letter {
            prefixes: vec!["RFC".into()],
            change_id: Some("20260101-freeze-0123456789ab".into()),
            ..letter(3)
        };
        let mails = write(&b4, &letter, &fixture.dir).unwrap();
        let names: Vec<&str> = mails
            .files
            .iter()
            .filter_map(|file| file.file_name())
            .collect();
        assert_eq!(names.len(), 3);
        assert!(
            names[0].starts_with("0000-") && names[2].starts_with("0002-"),
            "{names:?}"
        );
        for file in &mails.files {
            let mail = text(file);
            assert_eq!(
                header(&mail, "To"),
                "Main Tainer <main@example.org>",
                "{mail}"
            );
            assert_eq!(
                header(&mail, "Cc"),
                "list@example.org, \"Last, First\" <other@example.org>",
                "{mail}"
            );
            assert!(header(&mail, "Message-Id").starts_with('<'), "{mail}");
            assert!(!mail.contains("\r\n"), "{mail}");
        }
        let cover = text(&mails.files[0]);
        assert!(
            header(&cover, "Subject").contains("PATCH_RFC_v3_0/2"),
            "{cover}"
        );
        let base = format!("\nbase-commit: {}\n", fixture.public);
        for part in [
            &base,
            "\nchange-id: 20260101-freeze-0123456789ab\n",
            "\n# A heading\n",
            "| 1 | ok |",
            "$money",
        ] {
            assert!(cover.contains(part), "{part} {cover}");
        }
        assert_eq!(sign_offs(&cover).count(), 0, "{cover}");
        let patch = text(&mails.files[1]);
        assert_eq!(sign_offs(&patch).count(), 1, "{patch}");
        let index = patch
            .lines()
            .find(|line| line.starts_with("index "))
            .unwrap();
        assert_eq!(index.len(), "index .. 100644".len() + 2 * 40, "{index}");
        assert!(
            header(&patch, "In-Reply-To") == header(&cover, "Message-Id"),
            "{patch}"
        );
        assert_eq!(header(&cover, "In-Reply-To"), "");
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn one_patch_has_the_cover_in_it() {
        let fixture = Fixture::new();
        let b4 = open(&fixture.grafted_first());
        let mails = write(&b4, &letter(1), &fixture.dir).unwrap();
        assert_eq!(mails.files.len(), 1);
        let patch = text(&mails.files[0]);
        let (message, below) = patch.split_once("\n---\n").unwrap();
        assert!(
            header(&patch, "Subject").contains("[PATCH] fs: a has another line"),
            "{patch}"
        );
        assert!(
            !message.contains("money") && below.contains("$money"),
            "{patch}"
        );
        assert_eq!(sign_offs(&patch).count(), 1, "{patch}");
        // Nothing of a letter is lost that begins like headers.
        let headed = Letter {
            cover: "fs: x\n\nNote: this.\n\nWhy.\n".into(),
            ..letter(4)
        };
        let headed = write(&b4, &headed, &fixture.dir).unwrap();
        assert!(text(&headed.files[0]).contains("\n---\nNote: this.\n\nWhy.\n"));
        // A letter of another version in the same repository starts afresh.
        let next = Letter {
            change_id: Some(mails.change_id.clone()),
            ..letter(2)
        };
        let next = write(&b4, &next, &fixture.dir).unwrap();
        assert_eq!(next.change_id, mails.change_id);
        assert!(header(&text(&next.files[0]), "Subject").contains("[PATCH v2] "));
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn others_apply_the_mails_and_get_the_same_trees() {
        let fixture = Fixture::new();
        let grafted = fixture.grafted();
        let mails = write(&open(&grafted), &letter(1), &fixture.dir).unwrap();
        // One who has the public history only, and stands elsewhere in it.
        fixture.git(&fixture.upstream(), "commit --quiet --allow-empty -m three");
        fixture.upstream_moves_on();
        let reader = fixture.dir.join("reader");
        fixture.git(
            &fixture.dir,
            &format!("clone --quiet {} reader", fixture.upstream()),
        );
        let there = open(&Grafted {
            repository: reader.clone(),
            branch: "main".into(),
            ..grafted.clone()
        });
        let said = there.am(&mails.mbox, &fixture.dir.join("am")).unwrap();
        let checkout = said
            .lines()
            .find(|line| line.contains("git checkout -b "))
            .unwrap();
        assert!(checkout.ends_with(&fixture.public), "{said}");
        let made = fixture
            .dir
            .join("am")
            .read_dir_utf8()
            .unwrap()
            .map(|it| it.unwrap().into_path());
        let made: Vec<_> = made
            .filter(|file| file.extension() == Some("mbx"))
            .collect();
        // Of the mbox, git takes the cover for a patch without a diff.
        let files: Vec<&str> = mails.files[1..].iter().map(|file| file.as_str()).collect();
        for given in [files.join(" "), made[0].to_string()] {
            fixture.git(
                &reader,
                &format!("checkout --quiet --detach {}", fixture.public),
            );
            fixture.git(&reader, &format!("am --quiet {given}"));
            let trees = "log --format=%T%x20%an%x20%ae%x20%s -3";
            let wanted = fixture.git(&grafted.repository, &format!("{trees} freeze"));
            assert_eq!(fixture.git(&reader, trees), wanted, "{given}");
        }
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn git_would_send_the_mails_as_they_are() {
        let mut fixture = Fixture::new();
        let long = "long ".repeat(400);
        let message = "fs: ö\n\nFrom here on.\n\nAcked-by: Else <else@example.org>\n";
        fixture.another_patch(message, |tree| {
            fs_err::write(tree.join("fs/long"), format!("ö{long}\n")).unwrap();
        });
        let b4 = open(&fixture.grafted());
        let mails = write(&b4, &letter(1), &fixture.dir).unwrap();
        let (git, files) = (&b4.git, &mails.files);
        if !git
            .output(cmd!(git, "git send-email --help"), b"")
            .is_ok_and(|it| it.status.success())
        {
            return;
        }
        let send = cmd!(
            git,
            "git send-email {SEND_EMAIL...} --confirm=never --dry-run --validate {files...}"
        );
        let said = git.read(send.env("HOME", &b4.home)).unwrap();
        assert_eq!(said.matches("Result: OK").count(), 4, "{said}");
        let id = header(&text(&files[0]), "Message-Id");
        assert_eq!(
            said.matches(&format!("In-Reply-To: {id}")).count(),
            3,
            "{said}"
        );
        let cc = "Cc: list@example.org,\n\t\"Last, First\" <other@example.org>\n";
        assert_eq!(said.matches(cc).count(), 4, "{said}");
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn mails_that_are_not_whole_are_noticed() {
        let fixture = Fixture::new();
        let b4 = open(&fixture.grafted());
        let mails = write(&b4, &letter(1), &fixture.dir).unwrap();
        let cut = fixture.dir.join("cut.mbx");
        fs_err::write(&cut, joined(&mails.files[..2]).unwrap()).unwrap();
        let failure = b4.am(&cut, &fixture.dir.join("am")).unwrap_err();
        assert!(failure.to_string().contains("missing [2/2]"), "{failure}");
        // One of them twice, by another id.
        let twice = text(&mails.files[1]).replace("Message-Id: <", "Message-Id: <again");
        let extra = fixture.dir.join("extra.mbx");
        let all = text(&mails.mbox) + "From mboxrd@z Thu Jan  1 00:00:00 1970\n" + &twice + "\n";
        fs_err::write(&extra, all).unwrap();
        let failure = b4.am(&extra, &fixture.dir.join("am")).unwrap_err();
        assert!(
            failure.to_string().contains("duplicate messages"),
            "{failure}"
        );
        // A sign that hides what the line does.
        let hidden = fixture.dir.join("hidden.mbx");
        fs_err::write(&hidden, text(&mails.mbox).replace("Why.", "Wh\u{202e}y.")).unwrap();
        let failure = b4.am(&hidden, &fixture.dir.join("am")).unwrap_err();
        assert!(
            failure.to_string().contains("suspicious unicode"),
            "{failure}"
        );
        // A base that the reader has not.
        let elsewhere = fixture.dir.join("elsewhere");
        fixture.git(&fixture.dir, "init --quiet elsewhere");
        fixture.git(&elsewhere, "commit --quiet --allow-empty -m one");
        let there = open(&Grafted {
            repository: elsewhere,
            ..b4.grafted.clone()
        });
        let said = there.am(&mails.mbox, &fixture.dir.join("am"));
        let failure = said.map_err(|failure| failure.to_string()).unwrap_err();
        assert!(failure.contains("not known"), "{failure}");
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn b4_finds_the_same_differences_as_git() {
        let mut fixture = Fixture::new();
        let first = open(&fixture.grafted());
        let one = write(&first, &letter(1), &fixture.dir).unwrap();
        let old = first.grafted.tip.clone();
        fs_err::rename(&first.grafted.repository, fixture.dir.join("first")).unwrap();
        fixture.next_version();
        let second = open(&fixture.grafted());
        let two = write(&second, &letter(2), &fixture.dir).unwrap();
        // b4 would compare with the newest of them.
        let both = fixture.dir.join("both.mbx");
        fs_err::write(&both, text(&one.mbox) + &text(&two.mbox)).unwrap();
        let failure = second.diff(&both, &two.mbox).unwrap_err();
        assert!(
            failure.to_string().contains("More than one series"),
            "{failure}"
        );
        let (repository, new) = (&second.grafted.repository, &second.grafted.tip);
        fixture.git(
            repository,
            &format!("fetch --quiet {}/first {old}", fixture.dir),
        );
        let ours = format!("range-diff --no-color {}..{old} {0}..{new}", fixture.public);
        let ours = fixture.git(repository, &ours);
        let theirs = second.diff(&one.mbox, &two.mbox).unwrap();
        let without_ids = |text: &str| {
            let id = regex::Regex::new("[0-9a-f]{12,40}").unwrap();
            id.replace_all(text.trim_end(), "ID").into_owned()
        };
        assert_eq!(without_ids(&theirs), without_ids(&ours));
        assert!(
            ours.contains(" ! ") || ours.contains(" ! 2:") || ours.contains("!"),
            "{ours}"
        );
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn what_reviewers_say_gets_into_the_commits() {
        let fixture = Fixture::new();
        let b4 = open(&fixture.grafted());
        let mails = write(&b4, &letter(1), &fixture.dir).unwrap();
        let to = text(&mails.files[1]);
        let (id, subject) = (header(&to, "Message-Id"), header(&to, "Subject"));
        let answer = format!(
            "From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: Re Viewer <re@example.org>\nSubject: Re: {subject}\nDate: Fri, 27 Nov 2026 12:00:00 +0000\n\
             Message-Id: <answer@example.org>\nIn-Reply-To: {id}\nReferences: {id}\n\n> Why.\n\nFine.\n\n\
             Reviewed-by: Re Viewer <re@example.org>\n\n"
        );
        let mbox = fixture.dir.join("answers.mbx");
        fs_err::write(&mbox, text(&mails.mbox) + &answer).unwrap();
        // Found by the patches that they are to, so the mbox has these as well.
        let said = b4.run(&["trailers", "-u", "-m", mbox.as_str()]).unwrap();
        let tip = b4.git.read(cmd!(b4.git, "git rev-parse HEAD")).unwrap();
        assert!(
            said.contains("+ Reviewed-by: Re Viewer <re@example.org>"),
            "{said}"
        );
        let show = |commit: &str| {
            fixture.git(
                &b4.grafted.repository,
                &format!("log -1 --format=%an%n%B {commit}"),
            )
        };
        let message = show(&format!("{tip}~1"));
        assert!(
            message.ends_with(
                "Signed-off-by: Zoë Thor <zoe@example.org>\nReviewed-by: Re Viewer <re@example.org>"
            ),
            "{message}"
        );
        assert!(message.starts_with("Zoë Thor\n"), "{message}");
        assert_eq!(sign_offs(&message).count(), 1);
        let trees = |commit: &str| {
            fixture.git(
                &b4.grafted.repository,
                &format!("log -2 --format=%T {commit}"),
            )
        };
        assert_eq!(trees(&tip), trees(&b4.grafted.tip));
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn maintainers_get_the_mails_and_those_that_the_patches_name() {
        let fixture = Fixture::new();
        let b4 = open(&fixture.grafted());
        let tree = fixture.dir.join("a kernel");
        fs_err::create_dir_all(tree.join("scripts")).unwrap();
        let script = "my $line = \"@ARGV\";\n-e 'scripts/get_maintainer.pl' or die;\nmy $mail = join('', <STDIN>);\n\
            if ($line =~ /--nol/) { print \"Main Tainer <main\\@example.org> (maintainer:A B (C, D))\\n\" }\n\
            if ($line =~ /--nol/) { print qq(\"J. R. Ünder\" <j\\@example.org>\\n) }\n\
            if ($line =~ /--nom/) { print \"fs\\@example.org (open list:FILESYSTEMS (VFS and infrastructure))\\n\" if $mail =~ /b.c/ }\n";
        fs_err::write(tree.join("scripts/get_maintainer.pl"), script).unwrap();
        let letter = Letter {
            recipients: Recipients::Maintainers(tree.clone()),
            ..letter(1)
        };
        let mails = write(&b4, &letter, &fixture.dir).unwrap();
        let to = [
            "Main Tainer <main@example.org>",
            "\"J. R. Ünder\" <j@example.org>",
        ];
        assert_eq!(mails.people.to, to);
        let cc: Vec<&str> = mails
            .people
            .cc
            .iter()
            .filter_map(|who| address(who))
            .collect();
        assert_eq!(
            cc,
            ["fs@example.org", "zoe@example.org", "re@example.org"],
            "{mails:?}"
        );
        let first = header(&text(&mails.files[0]), "Cc");
        assert!(
            mails
                .files
                .iter()
                .all(|file| header(&text(file), "Cc") == first),
            "{first}"
        );
        for (script, wanted) in [
            ("die \"no MAINTAINERS\";\n", "get_maintainer"),
            // As some versions of Python take what has a comma where no address is.
            (
                "print \"<>\\n\"",
                "get_maintainer.pl says what b4 takes for \"\"",
            ),
        ] {
            fs_err::write(tree.join("scripts/get_maintainer.pl"), script).unwrap();
            let failure = b4.prepare(&letter).unwrap_err();
            assert!(failure.to_string().contains(wanted), "{failure}");
        }
    }

    /// Names keep their brackets and quotes.
    #[test]
    fn roles_are_taken_away() {
        let fixture = Fixture::new();
        let tree = fixture.dir.join("a kernel's");
        fs_err::create_dir_all(tree.join("scripts")).unwrap();
        let lines = [
            ("M T <m@x.y> (maintainer:A B (C, D))", "M T <m@x.y>"),
            (
                "\"J. (R, S) U\" <j@x.y> (odd fixer:A <B>, C)",
                "\"J. (R, S) U\" <j@x.y>",
            ),
            ("l@x.y (open list:FILES (a@b and (c), d))", "l@x.y"),
            ("\"A \\\"B\\\" C\" <a@x.y>", "\"A \\\"B\\\" C\" <a@x.y>"),
            ("l@x.y", "l@x.y"),
        ];
        let said = lines.map(|(said, _)| format!("{said}\n")).concat();
        fs_err::write(tree.join("said"), said).unwrap();
        let script = "open(my $f, '<', 'said'); print <$f>; print STDERR \"@ARGV\";";
        fs_err::write(tree.join("scripts/get_maintainer.pl"), script).unwrap();
        let ask = fixture.dir.join("ask");
        fs_err::write(&ask, recipients::ASK).unwrap();
        let ask = cmd!(PLAIN, "sh {ask} {tree} --nol");
        let kept = proc::read(&mut Command::from(ask), &Stop::default()).unwrap();
        assert_eq!(
            kept.lines().collect::<Vec<_>>(),
            lines.map(|(_, kept)| kept)
        );
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn dependencies_are_looked_for() {
        let fixture = Fixture::new();
        let b4 = open(&fixture.grafted());
        b4.prepare(&letter(1)).unwrap();
        assert!(
            b4.check_dependencies()
                .unwrap()
                .contains("no defined dependencies")
        );
        let needy = Letter {
            dependencies: vec![
                format!("base-commit: {}", fixture.public),
                "change-id: 20260101-other-0123456789ab:v1".into(),
            ],
            ..letter(1)
        };
        b4.prepare(&needy).unwrap();
        let failure = b4.check_dependencies().unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{failure}");
        assert!(failure.to_string().contains("20260101-other"), "{failure}");
        let base_only = Letter {
            dependencies: needy.dependencies[..1].to_vec(),
            ..letter(1)
        };
        b4.prepare(&base_only).unwrap();
        b4.check_dependencies().unwrap();
        let elsewhere = Letter {
            dependencies: vec![format!("base-commit: {}", b4.grafted.tip)],
            ..letter(1)
        };
        assert_eq!(b4.prepare(&elsewhere).unwrap_err().kind, Kind::Usage);
        assert_eq!(b4.prepare(&letter(0)).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn nothing_goes_out_and_nothing_of_the_users_comes_in() {
        let fixture = Fixture::new();
        let mut b4 = open(&fixture.grafted());
        let line = b4.line(&["send"]);
        let home = line.get_envs().find(|(name, _)| *name == "HOME").unwrap();
        assert_eq!(home.1.unwrap(), b4.home.as_str());
        if crate::deps::need::program("strace").is_none() {
            return;
        }
        let (traced, log, real) = (
            fixture.dir.join("traced"),
            fixture.dir.join("connects"),
            &b4.program,
        );
        let script =
            format!("#!/bin/sh\nexec strace -f -A -e trace=connect -o {log} {real} \"$@\"\n");
        scripts::make(&traced, &script);
        b4.program = traced;
        let mails = write(&b4, &letter(1), &fixture.dir).unwrap();
        b4.check_dependencies().unwrap();
        let needy = Letter {
            dependencies: vec!["change-id: 20260101-other-0123456789ab:v1".into()],
            ..letter(2)
        };
        write(&b4, &needy, &fixture.dir).unwrap();
        b4.check_dependencies().unwrap_err();
        b4.am(&mails.mbox, &fixture.dir.join("am")).unwrap();
        b4.diff(&mails.mbox, &mails.mbox).unwrap();
        b4.run(&["trailers", "-u", "-m", mails.mbox.as_str()])
            .unwrap();
        let connects = text(&log);
        assert!(connects.contains("exited with 0"), "{connects}");
        assert!(!connects.contains("AF_INET"), "{connects}");
    }

    /// b4 as the person who sends calls it, with settings of her own.
    fn by_hand(b4: &B4, folder: &Utf8Path) -> String {
        let (program, repository) = (&b4.program, &b4.grafted.repository);
        let line = cmd!(
            PLAIN,
            "env -C {repository} {program} --offline-mode send --no-sign -o {folder}"
        );
        let line = line.env("HOME", &b4.home).envs([
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "sendemail.smtpserver"),
            ("GIT_CONFIG_VALUE_0", "mail.example.org"),
        ]);
        proc::read(line, &b4.stop).unwrap()
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn who_sends_by_hand_sends_the_same() {
        let fixture = Fixture::new();
        for grafted in [fixture.grafted(), fixture.grafted_first()] {
            let b4 = open(&grafted);
            let letters = [letter(1), {
                let mut letter = letter(2);
                letter.cover = "fs: x\n\nNo trailers.".into();
                letter
            }];
            for letter in letters {
                let dir = fixture.dir.join(&grafted.tip);
                let mails = write(&b4, &letter, &dir).unwrap();
                let settings = fixture.git(&grafted.repository, "config --local --list");
                let ours = ["sendemail.", "b4.send-"];
                assert!(!ours.iter().any(|it| settings.contains(it)), "{settings}");
                let folder = dir.join(format!("hand{}", letter.version));
                by_hand(&b4, &folder);
                for file in &mails.files {
                    let (ours, theirs) =
                        (text(file), text(&folder.join(file.file_name().unwrap())));
                    for name in ["To", "Cc", "Subject"] {
                        assert_eq!(header(&theirs, name), header(&ours, name), "{theirs}");
                    }
                    let body = |mail: &str| mail.split_once("\n\n").unwrap().1.to_owned();
                    assert_eq!(body(&theirs), body(&ours));
                }
            }
        }
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn each_gets_each_mail_once() {
        let fixture = Fixture::new();
        let b4 = open(&fixture.grafted());
        let list = |people: &[&str]| people.iter().map(ToString::to_string).collect();
        let people = People {
            to: list(&[
                "\"A. Dot\" <dot@example.org>",
                "Jörg Ä <j@example.org>",
                "J@Example.org",
            ]),
            cc: list(&[
                "Dot <DOT@example.org>",
                "\"L, \\\"F\\\"\" <l@example.org>",
                "sender@example.org",
            ]),
        };
        let letter = Letter {
            recipients: Recipients::These(people),
            ..letter(1)
        };
        let mails = write(&b4, &letter, &fixture.dir).unwrap();
        for file in &mails.files {
            let mail = fs_err::read(file).unwrap();
            let mail = mail_parser::MessageParser::default().parse(&mail).unwrap();
            let list = |list: Option<&mail_parser::Address<'_>>| {
                let list = list.unwrap().iter();
                let list = list.map(|it| (it.name().unwrap_or_default(), it.address().unwrap()));
                list.map(|(name, address)| format!("{name}|{address}"))
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                list(mail.to()),
                ["A. Dot|dot@example.org", "Jörg Ä|j@example.org"]
            );
            assert_eq!(
                list(mail.cc()),
                ["L, F|l@example.org", "|sender@example.org"]
            );
        }
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn all_kinds_of_changes_arrive() {
        let mut fixture = Fixture::new();
        let long = "long ".repeat(400);
        let message = format!("fs: {}\n\nFrom here on\n{long}\n", "ä".repeat(80));
        fixture.another_patch(&message, |tree| {
            let fs = tree.join("fs");
            fs_err::rename(fs.join("a.c"), fs.join("ä.c")).unwrap();
            fs_err::write(fs.join("long"), format!("ö{long}=\nFrom x\n.\n\n\n")).unwrap();
            std::os::unix::fs::symlink("b.c", fs.join("link")).unwrap();
            scripts::make(&fs.join("run.sh"), "#!/bin/sh\n");
            scripts::make(&fs.join("b.c"), "no newline at the end");
        });
        let grafted = fixture.grafted();
        let b4 = open(&grafted);
        let mails = write(&b4, &letter(1), &fixture.dir).unwrap();
        fixture.git(
            &fixture.dir,
            &format!("clone --quiet {} reader", fixture.upstream()),
        );
        let reader = fixture.dir.join("reader");
        let there = open(&Grafted {
            repository: reader.clone(),
            branch: "main".into(),
            ..grafted.clone()
        });
        there.am(&mails.mbox, &fixture.dir.join("am")).unwrap();
        let made = fixture.dir.join("am").read_dir_utf8().unwrap();
        let made: Vec<_> = made.map(|it| it.unwrap().into_path()).collect();
        let made = made
            .iter()
            .find(|file| file.extension() == Some("mbx"))
            .unwrap();
        let files: Vec<&str> = mails.files[1..].iter().map(|file| file.as_str()).collect();
        for given in [files.join(" "), made.to_string()] {
            fixture.git(
                &reader,
                &format!("checkout --quiet --detach {}", fixture.public),
            );
            fixture.git(&reader, &format!("am --quiet {given}"));
            let trees = "log --format=%T -4";
            let wanted = fixture.git(&grafted.repository, &format!("{trees} freeze"));
            assert_eq!(fixture.git(&reader, trees), wanted, "{given}");
        }
        assert_eq!(
            b4.diff(&mails.mbox, &mails.mbox)
                .unwrap()
                .matches(" = ")
                .count(),
            3
        );
        let patch = text(&mails.files[3]);
        let index = |line: &&str| line.starts_with("index ");
        assert!(
            patch
                .lines()
                .filter(index)
                .all(|it| it.len() >= "index ..".len() + 2 * 40),
            "{patch}"
        );
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn what_the_mails_depend_on_is_told_with_the_public_base() {
        let fixture = Fixture::new();
        let below = open(&fixture.grafted_first());
        let below = write(&below, &letter(1), &fixture.dir.join("below")).unwrap();
        let ids = fixture.dir.join("ids");
        let git = Git::at(&fixture.dir, &Stop::default());
        let id = git.pipe(
            cmd!(git, "git patch-id --stable"),
            text(&below.files[0]).as_bytes(),
        );
        fs_err::write(&ids, id.unwrap()).unwrap();
        let id = text(&ids);
        let id = id.split(' ').next().unwrap();
        let b4 = open(&fixture.grafted_second());
        let letter = Letter {
            dependencies: vec![
                format!("change-id: {}:v1", below.change_id),
                "change-id: 20260101-other-0123456789ab:v12".into(),
            ],
            ..letter(1)
        };
        let mails = write(&b4, &letter, &fixture.dir).unwrap();
        b4.check_dependencies().unwrap();
        assert_eq!(mails.files.len(), 1);
        let patch = text(&mails.files[0]);
        for line in [
            format!("base-commit: {}", fixture.public),
            format!("prerequisite-change-id: {}:v1", below.change_id),
            "prerequisite-change-id: 20260101-other-0123456789ab:v12".into(),
            format!("prerequisite-patch-id: {id}"),
        ] {
            assert_eq!(
                patch.lines().filter(|it| **it == line).count(),
                1,
                "{line} {patch}"
            );
        }
        assert_eq!(patch.matches("prerequisite-patch-id").count(), 1, "{patch}");
        // By hand as well.
        let folder = fixture.dir.join("hand");
        by_hand(&b4, &folder);
        let theirs = text(&folder.join(mails.files[0].file_name().unwrap()));
        assert_eq!(
            theirs.split_once("\n\n").unwrap().1,
            patch.split_once("\n\n").unwrap().1
        );
        b4.am(&mails.mbox, &fixture.dir.join("am")).unwrap();
        let needy = Letter {
            dependencies: vec!["message-id: <1@example.org>".into()],
            ..letter
        };
        let failure = b4.prepare(&needy).unwrap_err();
        assert!(
            failure.to_string().contains("change-id: ID:vN"),
            "{failure}"
        );
    }

    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn versions_on_different_bases_are_compared() {
        let mut fixture = Fixture::new();
        let first = open(&fixture.grafted());
        let one = write(&first, &letter(1), &fixture.dir).unwrap();
        let upstream = fixture.upstream();
        fixture.moves_onto_newer_upstream();
        let place = Upstream::Path(upstream.clone());
        let base = base::find(&place, "main", &fixture.session()).unwrap();
        let into = fixture.dir.join("private");
        let stop = Stop::default();
        let graft = || {
            let identity = Fixture::identity();
            let into = (&*into, "freeze");
            graft(&fixture.tested, &base, into, &identity, &stop).unwrap()
        };
        let second = open(&graft());
        let two = write(&second, &letter(2), &fixture.dir).unwrap();
        let old = fs_err::read(&one.mbox).unwrap();
        fixture.git(&fixture.dir, "init --quiet empty");
        let line = format!("clone --quiet --depth=1 file://{upstream} shallow");
        fixture.git(&fixture.dir, &line);
        let line =
            format!("clone --quiet --no-checkout --filter=blob:none file://{upstream} partial");
        fixture.git(&upstream, "config uploadpack.allowFilter true");
        fixture.git(&fixture.dir, &line);
        let (empty, partial) = (fixture.dir.join("empty"), fixture.dir.join("partial"));
        let lend =
            |place: &Upstream, tested: &Utf8Path| lend_files(&old, &into, (tested, place), &stop);
        let shallow = Upstream::Path(fixture.dir.join("shallow"));
        let failure = lend(&shallow, &empty).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        let said = failure.to_string();
        assert!(
            said.contains("\n    fs/b.c ") && said.contains("--upstream PATH"),
            "{said}"
        );
        for (place, tested) in [
            (&place, &empty),
            (&place, &partial),
            (&Upstream::Url(format!("file://{upstream}")), &empty),
            (&shallow, &fixture.tested.repository),
        ] {
            graft();
            assert!(second.diff(&one.mbox, &two.mbox).is_err());
            lend(place, tested).unwrap();
            let differences = second.diff(&one.mbox, &two.mbox).unwrap();
            assert!(differences.starts_with("1:  "), "{differences}");
            assert!(!differences.contains("-:  ---"), "{differences}");
            assert!(fixture.git(&into, "status --porcelain").is_empty());
        }
    }
}
