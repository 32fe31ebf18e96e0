//! What those who get the mails will do with them, done before.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use xshell::cmd;

use super::b4::{B4, Mails};
use super::base::Base;
use super::checklist::SEND_EMAIL;
use super::graft::{BASE_BRANCH, Grafted};
use crate::diff::unified;
use crate::failure::{Kind, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::session::Session;
use crate::words::count;

/// Has `b4 am` find the base and all patches, `git am` make the tested commits of them, and `git send-email` take them.
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
    finds_base(&b4.am(&mails.mbox, &work.join("am"))?, base)?;
    let reader = Reader {
        git: Git::at(work.join("reader"), &session.stop),
        grafted,
    };
    reader.open(base, touched)?;
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

/// Somebody who has the public commit. Files that no patch touches are neither fetched nor in the work tree.
struct Reader<'a> {
    git: Git,
    grafted: &'a Grafted,
}

impl Reader<'_> {
    fn open(&self, base: &Base, touched: &BTreeSet<String>) -> Result<()> {
        let (git, dir) = (&self.git, self.git.dir());
        git.read(cmd!(git, "git init --quiet {dir}"))?;
        for (key, value) in [
            ("core.repositoryFormatVersion", "1"),
            // So git believes that it could have the other files.
            ("extensions.partialClone", "public"),
            ("remote.public.promisor", "true"),
            ("remote.public.url", "/dev/null"),
            ("core.sparseCheckout", "true"),
        ] {
            git.read(cmd!(git, "git config {key} {value}"))?;
        }
        let (public, ours) = (&base.repository, &self.grafted.repository);
        let lent = format!("{public}/objects\n{ours}/.git/objects\n");
        let own = dir.join(".git");
        files::write(&own.join("objects/info/alternates"), lent.as_bytes())?;
        let shallow = public.join("shallow");
        if shallow.exists() {
            files::write(&own.join("shallow"), &fs_err::read(shallow)?)?;
        }
        let there: String = touched.iter().map(|file| pattern(file)).collect();
        files::write(&own.join("info/sparse-checkout"), there.as_bytes())?;
        let start = git.elsewhere(ours).resolve(BASE_BRANCH)?;
        let start = start.unwrap_or_default();
        git.read(cmd!(git, "git update-ref HEAD {start}"))?;
        git.read(cmd!(git, "git read-tree -m -u HEAD"))?;
        Ok(())
    }

    /// Compares what `git am` makes of patches with the commits that they were made of.
    fn applies(&self, patches: &[Utf8PathBuf]) -> Result<()> {
        let git = &self.git;
        git.read(cmd!(git, "git am --quiet --no-3way {patches...}"))
            .map_err(|failure| {
                failure
                    .or(Kind::Machinery)
                    .context("git am does not take the mails")
            })?;
        let made = |git: &Git, tip: &str| {
            let range = format!("-{}", patches.len());
            git.read(cmd!(
                git,
                "git log --format=%T%n%an%n%ae%n%at%n%B {range} {tip}"
            ))
        };
        let ours = git.elsewhere(&self.grafted.repository);
        let (sent, taken) = (made(&ours, &self.grafted.tip)?, made(git, "HEAD")?);
        match sent == taken {
            true => Ok(()),
            false => Err(Kind::Machinery.error(format!(
                "git am makes other commits of the mails:\n{}",
                unified(
                    "",
                    [&sent, &taken].map(|log| Some(log.as_bytes())),
                    ["sent", "taken"]
                )
            ))),
        }
    }
}

/// A file's name as a pattern of a sparse checkout.
fn pattern(file: &str) -> String {
    let special = |c| matches!(c, '\\' | '*' | '?' | '[' | ' ');
    let mut pattern = "/".to_owned();
    for char in file.chars() {
        if special(char) {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern + "\n"
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
