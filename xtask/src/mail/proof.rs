//! What those who get the mails will do with them, done before.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use xshell::cmd;

use super::b4::{B4, Mails};
use super::base::{Base, entries};
use super::checklist::SEND_EMAIL;
use super::graft::{BASE_BRANCH, Grafted};
use crate::diff::unified;
use crate::failure::{Kind, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::session::Session;
use crate::words::count;

/// Has b4 find what the series depends on, `b4 am` the base and all patches, `git am` make the tested commits of them, and
/// `git send-email` take them.
///
/// # Errors
/// [`Kind::Machinery`] with what the program said: mails that anybody else could not use are not to be sent.
pub fn of(
    mails: &Mails,
    (b4, grafted): (&B4, &Grafted),
    (base, touched): (&Base, &BTreeSet<String>),
    session: &Session,
) -> Result<()> {
    let (_guard, work) = files::temporary(&session.layout.work("mail"))?;
    b4.check_dependencies()?;
    finds_base(&b4.am(&mails.mbox, &work.join("am"))?, base)?;
    let reader = Reader {
        git: Git::at(work.join("reader"), &session.stop),
        grafted,
        touched,
    };
    reader.open()?;
    reader.applies(patches(mails))?;
    takes(mails, grafted, session)
}

/// The cover letter of several is no patch.
fn patches(mails: &Mails) -> &[Utf8PathBuf] {
    match mails.files.as_slice() {
        [_, patches @ ..] if !patches.is_empty() => patches,
        one => one,
    }
}

/// b4 tells readers where the patches belong.
fn finds_base(said: &str, base: &Base) -> Result<()> {
    let commit = &base.commit;
    let checkout =
        |line: &str| line.contains("git checkout -b ") && line.ends_with(commit.as_str());
    match said.lines().any(checkout) {
        true => Ok(()),
        false => {
            Err(Kind::Machinery.error(format!("b4 am does not find the base {commit}:\n{said}")))
        }
    }
}

/// Somebody who has the touched files as they are in the public commit; `git am` looks at no others.
struct Reader<'a> {
    git: Git,
    grafted: &'a Grafted,
    touched: &'a BTreeSet<String>,
}

impl Reader<'_> {
    fn open(&self) -> Result<()> {
        let (git, dir) = (&self.git, self.git.dir());
        fs_err::create_dir(dir)?;
        git.read(cmd!(git, "git init --quiet {dir}"))?;
        let lent = format!("{}/.git/objects\n", self.grafted.repository);
        files::write(&dir.join(".git/objects/info/alternates"), lent.as_bytes())?;
        let files = entries(&self.sender(), BASE_BRANCH, self.touched)?;
        let index: String = files
            .iter()
            .map(|(name, entry)| format!("{entry}\t{name}\0"))
            .collect();
        let add = cmd!(git, "git update-index --add -z --index-info");
        git.pipe(add, index.as_bytes())?;
        git.read(cmd!(git, "git commit --quiet --allow-empty -m public"))?;
        git.read(cmd!(git, "git reset --quiet --hard"))?;
        Ok(())
    }

    /// Compares what `git am` makes of patches with the commits that they were made of, but for the dates: those of mails.
    fn applies(&self, patches: &[Utf8PathBuf]) -> Result<()> {
        let git = &self.git;
        let taken = git.read(cmd!(git, "git am --quiet --no-3way {patches...}"));
        taken.map_err(|failure| {
            let failure = failure.or(Kind::Machinery);
            failure.context("git am does not take the mails")
        })?;
        let sent = self.commits(&self.sender(), &self.grafted.tip, patches.len())?;
        let taken = self.commits(git, "HEAD", patches.len())?;
        if sent == taken {
            return Ok(());
        }
        let sides = [&sent, &taken].map(|log| Some(log.as_bytes()));
        Err(Kind::Machinery.error(format!(
            "git am makes other commits of the mails:\n{}",
            unified("commits", sides, [" that are sent", " that git am makes"])
        )))
    }

    /// The last so many commits: authors, messages, and the touched files.
    fn commits(&self, git: &Git, tip: &str, count: usize) -> Result<String> {
        let mut text = String::new();
        for back in 0..count {
            let commit = format!("{tip}~{back}");
            text += &git.read(cmd!(git, "git log -1 --format=%an%n%ae%n%B {commit}"))?;
            for (name, entry) in entries(git, &commit, self.touched)? {
                text += &format!("\n{entry} {name}");
            }
            text.push('\n');
        }
        Ok(text)
    }

    fn sender(&self) -> Git {
        self.git.elsewhere(&self.grafted.repository)
    }
}

/// Has git send-email read them, and connect to nobody.
fn takes(mails: &Mails, grafted: &Grafted, session: &Session) -> Result<()> {
    let git = Git::at(&grafted.repository, &session.stop);
    let (files, options) = (&mails.files, SEND_EMAIL);
    let from = grafted.identity.to_string();
    let line = cmd!(
        git,
        "git send-email --dry-run --validate --confirm=never --from={from} {options...} {files...}"
    );
    let output = git.output(line, b"")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr();
    let taken = said.lines().filter(|line| line.starts_with("Dry-")).count();
    match output.status.success() && taken == files.len() {
        true => Ok(()),
        false => Err(Kind::Machinery.error(format!(
            "git send-email would send {taken} of {}:\n{said}",
            count(files.len(), "mail")
        ))),
    }
}
