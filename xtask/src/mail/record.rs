//! The mails of each version: `patches/BASE/SERIES/sent/vN.mbx`, and `vN.json`, which says what is in it, and whether it was
//! sent as far as anybody knows.

use std::fmt::Display;
use std::io::ErrorKind;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::drawn;
use super::mbox::{self, Mail};
use crate::failure::{Failure, Kind, OrFail, Result};
use crate::host::files;
use crate::series::{Patch, parse};
use crate::words::count;

/// How far a version got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// `series mail` wrote its mails. If they were sent since, it may have been with other ids: b4 makes new ones.
    Prepared,
    /// The list has it. Records of before were of nothing else.
    #[default]
    Sent,
}

/// One version of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    pub version: u32,
    #[serde(default)]
    pub state: State,
    /// The same for all versions of the series; b4 makes it.
    pub change_id: Option<String>,
    /// 40 hex digits.
    pub base_commit: String,
    /// RFC 3339.
    pub date: String,
    /// A patch that is alone has none.
    pub cover: Option<Letter>,
    pub patches: Vec<Sent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Letter {
    pub message_id: String,
    pub subject: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sent {
    pub message_id: String,
    /// Without `[PATCH n/m]`.
    pub subject: String,
    /// [`Patch::digest`] of the patch file.
    pub digest: String,
    /// That of the mail, if it is another: there are several ways to draw the same diff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailed: Option<String>,
}

impl Record {
    pub fn is_sent(&self) -> bool {
        self.state == State::Sent
    }

    /// The mail that all others of the version answer.
    pub fn first_id(&self) -> Option<&str> {
        let first = self.patches.first().map(|patch| &patch.message_id);
        let cover = self.cover.as_ref().map(|cover| &cover.message_id);
        cover.or(first).map(String::as_str)
    }

    /// Keeps it in the folder of its series; `mbox` has its mails. The JSON goes first and comes last: without it nothing
    /// was recorded, so that a run that is killed leaves none that is of other mails.
    ///
    /// # Errors
    /// [`Kind::Machinery`] if the files cannot be written.
    pub fn write(&self, series: &Utf8Path, mbox: &[u8]) -> Result<()> {
        let text = serde_json::to_string_pretty(self).or_fail(Kind::Machinery)?;
        let json = path(series, self.version, "json");
        files::remove(&json)?;
        files::write(&path(series, self.version, "mbx"), mbox)?;
        files::write(&json, format!("{text}\n").as_bytes())?;
        Ok(())
    }
}

/// A file of a version, in the folder of its series.
pub fn path(series: &Utf8Path, version: u32, ending: &str) -> Utf8PathBuf {
    series.join("sent").join(format!("v{version}.{ending}"))
}

/// What records a version of a series.
pub fn command(base: &str, series: &str, version: u32) -> String {
    format!("cargo xtask series sent -v {version} --mbox FILE --base {base} --series {series}")
}

/// The same for the series in this folder.
fn command_of(series: &Utf8Path, version: u32) -> String {
    let base = series.parent().and_then(Utf8Path::file_name);
    let [base, name] = [base, series.file_name()].map(Option::unwrap_or_default);
    command(base, name, version)
}

/// What is recorded of a version.
///
/// # Errors
/// [`Kind::Usage`] if the file is no record of it.
pub fn read(series: &Utf8Path, version: u32) -> Result<Option<Record>> {
    let path = path(series, version, "json");
    if !path.exists() {
        return Ok(None);
    }
    let again = format!(
        "write it anew: {}, with the mbox of the list",
        command_of(series, version)
    );
    let read = serde_json::from_slice::<Record>(&fs_err::read(&path)?);
    let record = read.map_err(|error| Kind::Usage.error(format!("{path}: {error}; {again}")))?;
    if record.version != version {
        let other = record.version;
        return Err(Kind::Usage.error(format!("{path} is of v{other}; {again}")));
    }
    Ok(Some(record))
}

/// The mails that are kept of a version; none if the file is missing.
///
/// # Errors
/// [`Kind::Machinery`] if it cannot be read.
pub fn mails(series: &Utf8Path, version: u32) -> Result<Vec<Mail>> {
    match fs_err::read(path(series, version, "mbx")) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => Ok(mbox::parse(&read?)),
    }
}

/// All versions before this one, the newest first.
///
/// # Errors
/// [`Kind::Usage`] if one is missing: people want to see what has changed since.
pub fn earlier(series: &Utf8Path, version: u32) -> Result<Vec<Record>> {
    let versions = (1..version).rev();
    let records = versions.map(|version| {
        read(series, version)?.ok_or_else(|| {
            Kind::Usage.error(format!(
                "nothing is recorded of v{version}: {} is missing; with the list's mbox of v{version}: {}",
                path(series, version, "json"),
                command_of(series, version)
            ))
        })
    });
    records.collect()
}

/// The newest that people have, of the newest first.
pub fn last_sent(newest_first: &[Record]) -> Option<&Record> {
    newest_first.iter().find(|record| record.is_sent())
}

/// All versions that are recorded, the newest first.
///
/// # Errors
/// [`Kind::Usage`] if a file is no record.
pub fn all(series: &Utf8Path) -> Result<Vec<Record>> {
    let entries = series.join("sent").read_dir_utf8().into_iter().flatten();
    let versions = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().strip_prefix('v')?;
        name.strip_suffix(".json")?.parse().ok()
    });
    let mut versions: Vec<u32> = versions.collect();
    versions.sort_unstable_by_key(|version| std::cmp::Reverse(*version));
    let records = versions.into_iter().map(|version| read(series, version));
    records.filter_map(Result::transpose).collect()
}

/// The failure to find any.
pub fn nothing(series: &Utf8Path) -> Failure {
    Kind::Usage.error(format!(
        "nothing is recorded in {series}/sent; with the list's mbox: {}",
        command_of(series, 1)
    ))
}

/// What is recorded of a version that is about to be prepared, perhaps once more: its change-id stays.
///
/// # Errors
/// [`Kind::Usage`] if this version, or a later one, was sent.
pub fn may_prepare(series: &Utf8Path, version: u32) -> Result<Option<Record>> {
    let records = all(series)?;
    if let Some(sent) = last_sent(&records)
        && sent.version >= version
    {
        return Err(Kind::Usage.error(format!(
            "v{} was sent already; the next is -v {}",
            sent.version,
            sent.version.saturating_add(1)
        )));
    }
    let mut records = records.into_iter();
    Ok(records.find(|record| record.version == version))
}

/// The mails of a record, its cover letter first.
pub fn of_record<'a>(record: &Record, mails: &'a [Mail]) -> Vec<&'a Mail> {
    let cover = record.cover.iter().map(|cover| &cover.message_id);
    let patches = record.patches.iter().map(|patch| &patch.message_id);
    let ids = cover.chain(patches);
    ids.filter_map(|id| find(mails, id)).collect()
}

/// What `series mail` has prepared: mails that b4 wrote of exactly these patches.
///
/// # Errors
/// [`Kind::Usage`] if a mail is missing, or of something else.
pub fn prepared(
    version: u32,
    mails: &[Mail],
    patches: &[Patch],
    base_commit: &str,
    change_id: &str,
) -> Result<Record> {
    let pieces = of_files(patches);
    let thread = Thread::of(version, mails, &pieces).map_err(refused)?;
    Ok(Record {
        state: State::Prepared,
        base_commit: base_commit.to_owned(),
        change_id: Some(change_id.to_owned()),
        ..thread.record(version, &pieces)
    })
}

/// A record, and the mails that are kept with it.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    pub record: &'a Record,
    pub mails: &'a [Mail],
}

/// What the list has of a version.
#[derive(Debug)]
pub struct OfList {
    pub record: Record,
    /// Patches of the mbox that are none of it, for people.
    pub aside: Vec<String>,
}

/// What the list has of a version, if that is what was recorded of it before, or exactly these patches: work goes on once
/// something is prepared, and what was sent stays what it was.
///
/// What was recorded tells of the base what no mail does.
///
/// # Errors
/// [`Kind::Usage`] if the mbox has other patches, or lacks one.
pub fn sent(
    version: u32,
    mails: &[Mail],
    patches: &[Patch],
    known: Option<Kept<'_>>,
) -> Result<OfList> {
    let try_them = |pieces: &[Piece]| {
        let thread = Thread::of(version, mails, pieces)?;
        match thread.other(pieces) {
            Some(what) => Err(what),
            None => Ok((thread.aside.clone(), thread.record(version, pieces))),
        }
    };
    let of_known = known.map(|known| try_them(&of_record_before(known)));
    let (aside, mut record) = match of_known {
        Some(Ok(found)) => found,
        // It may have been sent by hand, after the patches were edited.
        Some(Err(why)) => try_them(&of_files(patches)).map_err(|_| refused(why))?,
        None => try_them(&of_files(patches)).map_err(|why| {
            refused(format!(
                "{why}; if the patch files were edited after it was sent, take those of then"
            ))
        })?,
    };
    if let Some(Kept { record: known, .. }) = known {
        record.change_id = record.change_id.or_else(|| known.change_id.clone());
        if record.base_commit.is_empty() {
            record.base_commit.clone_from(&known.base_commit);
        }
    }
    match record.base_commit.is_empty() {
        true => Err(refused(
            "no mail has a line `base-commit: ` with 40 hex digits",
        )),
        false => Ok(OfList { record, aside }),
    }
}

fn refused(what: impl Display) -> Failure {
    Kind::Usage.error(format!("not recorded: {what}"))
}

/// Whether a patch changes what was recorded of one, which `mails` may have.
pub fn is_still(sent: &Sent, mails: &[Mail], patch: &Patch) -> bool {
    Piece::of_sent(sent, mails, String::new()).is(patch)
}

/// A patch that a mail may be of.
struct Piece {
    /// For people.
    what: String,
    subject: String,
    digest: String,
    /// The same, drawn otherwise.
    mailed: Option<String>,
    patch: Option<Patch>,
}

impl Piece {
    fn of_sent(sent: &Sent, mails: &[Mail], what: String) -> Self {
        let mail = find(mails, &sent.message_id);
        Self {
            what,
            subject: sent.subject.clone(),
            digest: sent.digest.clone(),
            mailed: sent.mailed.clone(),
            patch: mail.and_then(|mail| parse(Utf8Path::new(&mail.id), &mail.raw).ok()),
        }
    }

    fn is(&self, other: &Patch) -> bool {
        let digest = other.digest();
        digest == self.digest
            || Some(&digest) == self.mailed.as_ref()
            || (self.patch.as_ref()).is_some_and(|patch| drawn::alike(patch, other))
    }
}

fn of_files(patches: &[Patch]) -> Vec<Piece> {
    let pieces = patches.iter().map(|patch| Piece {
        what: format!("{} has now", patch.path),
        subject: patch.subject.clone(),
        digest: patch.digest(),
        mailed: None,
        patch: Some(patch.clone()),
    });
    pieces.collect()
}

fn of_record_before(Kept { record, mails }: Kept<'_>) -> Vec<Piece> {
    let (version, how) = match record.state {
        State::Prepared => (record.version, "prepared"),
        State::Sent => (record.version, "sent"),
    };
    let pieces = record.patches.iter().zip(1..).map(|(sent, number)| {
        let what = format!("is recorded as {how} of patch {number} of v{version}");
        Piece::of_sent(sent, mails, what)
    });
    pieces.collect()
}

/// The mails of one version among all that there are.
struct Thread<'a> {
    cover: Option<&'a Mail>,
    /// The mail that all others answer.
    first: &'a Mail,
    patches: Vec<(&'a Mail, Patch)>,
    aside: Vec<String>,
}

impl<'a> Thread<'a> {
    /// The error is what is wrong: a mail is missing, or of a patch that has another subject.
    fn of(version: u32, mails: &'a [Mail], pieces: &[Piece]) -> std::result::Result<Self, String> {
        let subjects: Vec<&str> = pieces.iter().map(|it| it.subject.as_str()).collect();
        let Sorted {
            cover,
            patches,
            aside,
        } = sort(version, mails, &subjects)?;
        let first = cover.or_else(|| patches.first().copied());
        let first = first.ok_or("the series has no patch")?;
        let parsed = pieces.iter().zip(patches).map(|(piece, mail)| {
            let (text, id) = (&mail.subject.text, &mail.id);
            if *text != piece.subject {
                let Piece { what, subject, .. } = piece;
                return Err(format!(
                    "\"{text}\" ({id}) is not what {what}, \"{subject}\""
                ));
            }
            let patch = parse(Utf8Path::new(id), &mail.raw).map_err(|why| why.to_string())?;
            Ok((mail, patch))
        });
        Ok(Self {
            cover,
            first,
            patches: parsed.collect::<std::result::Result<_, _>>()?,
            aside,
        })
    }

    /// What is wrong with the first that changes something else.
    fn other(&self, pieces: &[Piece]) -> Option<String> {
        let mut pairs = self.patches.iter().zip(pieces);
        let ((mail, _), piece) = pairs.find(|((_, patch), piece)| !piece.is(patch))?;
        let (subject, id, what) = (&piece.subject, &mail.id, &piece.what);
        Some(format!("\"{subject}\" ({id}) is not what {what}"))
    }

    /// As the mails tell it.
    fn record(self, version: u32, pieces: &[Piece]) -> Record {
        let Self {
            cover,
            first,
            patches,
            ..
        } = self;
        let patches = patches
            .into_iter()
            .zip(pieces)
            .map(|((mail, patch), piece)| {
                let mailed = patch.digest();
                Sent {
                    message_id: mail.id.clone(),
                    subject: piece.subject.clone(),
                    mailed: (mailed != piece.digest).then_some(mailed),
                    digest: piece.digest.clone(),
                }
            });
        Record {
            version,
            state: State::Sent,
            change_id: said(&CHANGE, &first.body),
            base_commit: said(&BASE, &first.body).unwrap_or_default(),
            date: first.date.clone().unwrap_or_default(),
            cover: cover.map(|mail| Letter {
                message_id: mail.id.clone(),
                subject: mail.subject.text.clone(),
            }),
            patches: patches.collect(),
        }
    }
}

static BASE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^base-commit: ([0-9a-f]{40})\b").expect("valid"));
static CHANGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^change-id: (\S+)").expect("valid"));

/// What the last such line says: above it, people may quote others.
fn said(line: &Regex, body: &str) -> Option<String> {
    Some(line.captures_iter(body).last()?[1].to_owned())
}

fn find<'a>(mails: &'a [Mail], id: &str) -> Option<&'a Mail> {
    mails.iter().find(|mail| mail.id == id)
}

/// Mails of one version in their places.
struct Sorted<'a> {
    cover: Option<&'a Mail>,
    patches: Vec<&'a Mail>,
    /// Others, for people.
    aside: Vec<String>,
}

/// The error is what is wrong with the mbox. Lists keep several versions in one thread, and people answer with patches of
/// their own: those of the version and of as many patches count; of these, a thread that has all of them.
fn sort<'a>(
    version: u32,
    mails: &'a [Mail],
    subjects: &[&str],
) -> std::result::Result<Sorted<'a>, String> {
    let wanted = subjects.len();
    let patches = mails
        .iter()
        .filter(|mail| mail.subject.is_patch && !mail.subject.is_reply);
    let (mut aside, mut ours) = (Vec::new(), Vec::new());
    for mail in patches {
        let (number, all) = place(mail);
        if mail.subject.version != version {
            aside.push(format!("{} is of v{}", title(mail), mail.subject.version));
        } else if all != wanted || number > all {
            aside.push(format!(
                "{} is patch {number}/{all}, and the series has {}",
                title(mail),
                count(wanted, "patch")
            ));
        } else {
            ours.push(mail);
        }
    }
    let fits = |mail: &&Mail| {
        let (number, _) = place(mail);
        number == 0 || subjects[number - 1] == mail.subject.text
    };
    let mut whole = threads(&ours);
    whole.retain(|thread| (1..=wanted).all(|at| thread.iter().any(|mail| place(mail).0 == at)));
    if whole.len() > 1 {
        let is_it = |thread: &Vec<&Mail>| {
            (1..=wanted).all(|at| thread.iter().any(|mail| place(mail).0 == at && fits(mail)))
        };
        match whole.iter().filter(|thread| is_it(thread)).count() {
            0 => {}
            _ => whole.retain(is_it),
        }
    }
    if let [thread] = whole.as_slice() {
        let others = ours.iter().filter(|mail| !is_among(thread, mail));
        aside.extend(others.map(|mail| format!("{} is in another thread", title(mail))));
        ours.clone_from(thread);
    }
    let mut places: Vec<Vec<&Mail>> = vec![Vec::new(); wanted + 1];
    for mail in ours {
        places[place(mail).0].push(mail);
    }
    for (number, mails) in places.iter_mut().enumerate() {
        if number > 0 && mails.len() > 1 && mails.iter().filter(|mail| fits(mail)).count() == 1 {
            let others = mails.iter().filter(|mail| !fits(mail));
            aside.extend(others.map(|mail| format!("{} has another subject", title(mail))));
            mails.retain(fits);
        }
        if let [one, other, ..] = mails.as_slice() {
            return Err(format!(
                "{} and {} are both {number}/{wanted}; leave the one that counts",
                title(other),
                one.id
            ));
        }
    }
    let missing = places.iter().enumerate().skip(1);
    let missing = missing.filter(|(_, mails)| mails.is_empty());
    let missing: Vec<_> = missing.map(|(at, _)| format!("{at}/{wanted}")).collect();
    if !missing.is_empty() {
        let aside = aside.iter().map(|what| format!("; {what}"));
        return Err(format!(
            "the mbox has no [PATCH{} {}]{}",
            suffix(version),
            missing.join(", "),
            aside.collect::<String>()
        ));
    }
    let mut places = places.into_iter();
    Ok(Sorted {
        cover: places.next().and_then(|mails| mails.first().copied()),
        patches: places.flatten().collect(),
        aside,
    })
}

/// Which one of how many.
fn place(mail: &Mail) -> (usize, usize) {
    mail.subject.place.unwrap_or((1, 1))
}

fn title(mail: &Mail) -> String {
    format!("\"{}\" ({})", mail.subject.text, mail.id)
}

fn is_among(mails: &[&Mail], mail: &Mail) -> bool {
    mails.iter().any(|other| other.id == mail.id)
}

/// Those that answer each other, or the same.
fn threads<'a>(mails: &[&'a Mail]) -> Vec<Vec<&'a Mail>> {
    fn ids(mail: &Mail) -> impl Iterator<Item = &String> {
        std::iter::once(&mail.id).chain(&mail.answers)
    }
    let mut threads: Vec<Vec<&Mail>> = Vec::new();
    for mail in mails {
        let is_one = |thread: &Vec<&Mail>| {
            let mut known = thread.iter().flat_map(|other| ids(other));
            known.any(|id| ids(mail).any(|own| own == id))
        };
        let (with, mut rest): (Vec<_>, Vec<_>) = threads.into_iter().partition(is_one);
        let mut joined = with.concat();
        joined.push(*mail);
        rest.push(joined);
        threads = rest;
    }
    threads
}

fn suffix(version: u32) -> String {
    match version {
        1 => String::new(),
        version => format!(" v{version}"),
    }
}

#[cfg(test)]
pub mod samples {
    use super::*;

    pub const BASE_COMMIT: &str = "0123456789012345678901234567890123456789";

    pub fn record(version: u32, subjects: &[&str]) -> Record {
        let patches = subjects.iter().zip(1..).map(|(subject, number)| Sent {
            message_id: format!("v{version}-{number}@x"),
            subject: (*subject).into(),
            digest: format!("d{number}"),
            mailed: None,
        });
        Record {
            version,
            state: State::Sent,
            change_id: Some("20261127-freeze-0123456789ab".into()),
            base_commit: BASE_COMMIT.into(),
            date: "2026-11-27T10:00:00+01:00".into(),
            cover: Some(Letter {
                message_id: format!("v{version}-0@x"),
                subject: "fs: all of it".into(),
            }),
            patches: patches.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{BASE_COMMIT, record};
    use super::*;
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;
    use crate::host::session::Session;
    use crate::mail::b4::B4;
    use crate::mail::fixture::Fixture;
    use crate::mail::letter::{self, People, Recipients};
    use crate::mail::mbox::samples::mail;
    use crate::series::load;

    fn diff(line: &str) -> String {
        format!(
            "Why.\n\n---\n a | 2 +-\n\ndiff --git a/a b/a\nindex 1..2 100644\n--- a/a\n+++ b/a\n\
             @@ -1 +1 @@\n-b\n+{line}\n"
        )
    }

    fn patch(subject: &str, line: &str) -> Patch {
        let mail = format!(
            "From: a <a@b>\nDate: Fri, 27 Nov 2026 10:00:00 +0100\nSubject: {subject}\n\n{}",
            diff(line)
        );
        parse(Utf8Path::new("0001-x.patch"), mail.as_bytes()).unwrap()
    }

    fn sample(id: &str, subject: &str, body: &str) -> String {
        mail(id, "a <a@b>", subject, "", body)
    }

    #[test]
    fn a_record_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        assert_eq!(read(dir, 1).unwrap(), None);
        let said = earlier(dir, 3).unwrap_err().to_string();
        let folder = dir.join("6.1").join("s");
        let command = "series sent -v 2 --mbox FILE --base 6.1 --series s";
        assert!(said.contains("series sent -v 2 --mbox FILE"), "{said}");
        let said = earlier(&folder, 3).unwrap_err().to_string();
        assert!(said.ends_with(command), "{said}");
        let records = [2, 1].map(|version| record(version, &["fs: x"]));
        for record in &records {
            record.write(dir, b"From x\n").unwrap();
        }
        assert_eq!(earlier(dir, 3).unwrap(), records);
        assert_eq!(earlier(dir, 1).unwrap(), []);
        assert_eq!(records[0].first_id(), Some("v2-0@x"));
        assert_eq!(all(dir).unwrap()[0], records[0]);
        assert!(all(&dir.join("other")).unwrap().is_empty());
        let text = fs_err::read_to_string(path(dir, 2, "json")).unwrap();
        for word in ["\"change-id\"", "\"base-commit\"", "\"message-id\""] {
            assert!(text.contains(word), "{text}");
        }
        for wrong in ["{", &text.replace("\"version\": 2", "\"version\": 3")] {
            fs_err::write(path(dir, 2, "json"), wrong).unwrap();
            let said = read(dir, 2).unwrap_err().to_string();
            assert!(
                said.contains("v2.json") && said.contains("write it anew"),
                "{said}"
            );
        }
    }

    #[test]
    fn prepared_is_not_sent() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        assert_eq!(may_prepare(dir, 1).unwrap(), None);
        let prepared = Record {
            state: State::Prepared,
            ..record(1, &["fs: x"])
        };
        prepared.write(dir, b"").unwrap();
        assert_eq!(may_prepare(dir, 1).unwrap(), Some(prepared.clone()));
        assert_eq!(may_prepare(dir, 2).unwrap(), None);
        assert_eq!(earlier(dir, 2).unwrap(), [prepared]);
        let json = path(dir, 1, "json");
        let text = fs_err::read_to_string(&json).unwrap();
        assert!(text.contains("\"state\": \"prepared\""), "{text}");
        // One of before says nothing, and is of what was sent.
        fs_err::write(&json, text.replace("\"state\": \"prepared\",", "")).unwrap();
        assert!(read(dir, 1).unwrap().unwrap().is_sent());
        record(3, &["fs: x"]).write(dir, b"").unwrap();
        for version in 1..=3 {
            let said = may_prepare(dir, version).unwrap_err();
            assert_eq!(said.kind, Kind::Usage);
            assert_eq!(
                said.to_string(),
                "v3 was sent already; the next is -v 4",
                "{version}"
            );
        }
        assert_eq!(may_prepare(dir, 4).unwrap(), None);
    }

    /// Killed after the mails and before the JSON: then there is none, rather than one that is of other mails.
    #[test]
    fn no_record_is_of_other_mails() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let record = record(1, &["fs: x"]);
        record.write(dir, b"old").unwrap();
        let mbx = path(dir, 1, "mbx");
        fs_err::remove_file(&mbx).unwrap();
        fs_err::create_dir(&mbx).unwrap();
        record.write(dir, b"new").unwrap_err();
        assert_eq!(read(dir, 1).unwrap(), None);
    }

    /// Git draws diffs in several ways: what b4 has written is known again if the file is the same still.
    #[test]
    fn mails_with_another_diff_of_the_same() {
        let drawn = |id: &str, line: &str| {
            sample(
                id,
                "[PATCH] fs: one",
                &diff(line).replace("@@ -1 +1 @@", "@@ -1,1 +1,1 @@"),
            )
        };
        let file = patch("fs: one", "c");
        let written = mbox::parse(drawn("b4@x", "c").as_bytes());
        let patches = std::slice::from_ref(&file);
        let prepared = prepared(1, &written, patches, BASE_COMMIT, "c-1").unwrap();
        assert_eq!(prepared.state, State::Prepared);
        assert_eq!(prepared.patches[0].digest, file.digest());
        assert_ne!(prepared.patches[0].mailed, None);
        let of_list = mbox::parse(drawn("list@x", "c").as_bytes());
        let known = Kept {
            record: &prepared,
            mails: &[],
        };
        let record = sent(1, &of_list, patches, Some(known)).unwrap().record;
        assert!(record.is_sent());
        assert_eq!(record.first_id(), Some("list@x"));
        assert_eq!(record.change_id.as_deref(), Some("c-1"));
        // Work goes on: the file is another by then, or there are more.
        let more = [patch("fs: new", "a"), patch("fs: one", "d")];
        assert_eq!(
            sent(1, &of_list, &more, Some(known)).unwrap().record,
            record
        );
        let other = mbox::parse(drawn("x@x", "d").as_bytes());
        for (mails, known, words) in [
            (&of_list, None, "is not what 0001-x.patch has"),
            (&other, Some(known), "recorded as prepared of patch 1 of v1"),
        ] {
            let said = sent(1, mails, patches, known).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
        // Or it was sent by hand, of the patches as they are.
        let sent = sent(
            1,
            &mbox::parse(sample("h@x", "[PATCH] fs: one", &diff("d")).as_bytes()),
            &more[1..],
            Some(known),
        );
        assert_eq!(sent.unwrap().record.first_id(), Some("h@x"));
    }

    #[test]
    fn what_was_really_sent() {
        let cover = sample(
            "0@l",
            "[PATCH v2 0/2] fs: all",
            &format!(
                "As b4 has it:\nbase-commit: {}\n---\nbase-commit: {BASE_COMMIT}\nchange-id: c-1\n",
                "f".repeat(40)
            ),
        );
        let bare = sample("0@l", "[PATCH v2 0/2] fs: all", "Why.");
        let one = sample("1@l", "[PATCH v2 1/2] fs: one", &diff("c"));
        let two = sample("2@l", "[PATCH v2 2/2] fs: two", &diff("d"));
        let reply = sample("9@l", "Re: [PATCH v2 1/2] fs: one", "Good.");
        let other = sample("2@l", "[PATCH v2 2/2] fs: two", &diff("e"));
        let renamed = sample("2@l", "[PATCH v2 2/2] fs: too", &diff("d"));
        let old = sample("7@l", "[PATCH 1/2] fs: one", &diff("c"));
        let three = sample("3@l", "[PATCH v2 3/3] fs: three", &diff("c"));
        let again = sample("4@l", "[PATCH v2 1/2] fs: one", &diff("c"));
        let patches = [patch("fs: one", "c"), patch("fs: two", "d")];
        let prepared = record(2, &[]);
        for (parts, prepared, wrong) in [
            (vec![&two, &reply, &one, &cover, &one], None, None),
            (vec![&one, &two], Some(&prepared), None),
            (vec![&bare, &one, &two], None, Some("base-commit: ")),
            (vec![&cover, &one], None, Some("no [PATCH v2 2/2]")),
            (vec![&reply], None, Some("no [PATCH v2 1/2, 2/2]")),
            (
                vec![&cover, &one, &other],
                None,
                Some("\"fs: two\" (2@l) is not what 0001-x.patch has"),
            ),
            (
                vec![&cover, &one, &renamed],
                None,
                Some("\"fs: too\" (2@l) is not"),
            ),
            (vec![&cover, &one, &two, &old], None, None),
            (vec![&cover, &one, &two, &three], None, None),
            (
                vec![&cover, &three],
                None,
                Some("is patch 3/3, and the series has 2 patches"),
            ),
            (
                vec![&cover, &one, &two, &again],
                None,
                Some("(4@l) and 1@l are both 1/2"),
            ),
        ] {
            let text: String = parts.into_iter().map(String::as_str).collect();
            let known = prepared.map(|record: &Record| Kept { record, mails: &[] });
            let got = sent(2, &mbox::parse(text.as_bytes()), &patches, known);
            match (got, wrong) {
                (Ok(OfList { record, .. }), None) => {
                    let ids: Vec<_> = record
                        .patches
                        .iter()
                        .map(|it| it.message_id.as_str())
                        .collect();
                    assert_eq!(ids, ["1@l", "2@l"]);
                    assert_eq!(record.base_commit, BASE_COMMIT);
                    assert!(record.change_id.is_some());
                    assert_eq!(record.date, "2026-11-27T10:00:00+01:00");
                }
                (Err(failure), Some(words)) => {
                    assert!(failure.to_string().contains(words), "{failure}")
                }
                (got, wrong) => panic!("{got:?} {wrong:?}"),
            }
        }
    }

    /// A fresh clone has no record, and b4 draws with other options than refresh, and with whole ids.
    #[test]
    fn without_a_record_ids_tell_that_it_is_the_same() {
        let [old, new] = ["0123456789ab", "9876543210ab"];
        let ids = |more: &str| format!("index {old}{more}..{new}{more} 100644");
        let upper = "@@ -1,2 +1,4 @@\n a\n+x\n+a\n b\n";
        let lower = "@@ -1,2 +1,4 @@\n+a\n+x\n a\n b\n";
        let drawn = |ids: &str, hunk: &str| {
            format!(
                "Why.\n\n---\ndiff --git a/a b/a\n{ids}\n--- a/a\n+++ b/a\n{hunk}-- \nbase-commit: {BASE_COMMIT}\n"
            )
        };
        let file = sample("f@x", "[PATCH] fs: one", &drawn(&ids(""), upper));
        let (_, file) = file.split_once('\n').unwrap();
        let file = parse(Utf8Path::new("0001-x.patch"), file.as_bytes()).unwrap();
        let patches = std::slice::from_ref(&file);
        let of_list = |ids: &str, hunk: &str| {
            let mail = sample("l@x", "[PATCH] fs: one", &drawn(ids, hunk));
            sent(1, &mbox::parse(mail.as_bytes()), patches, None)
        };
        let whole = ids(&"c".repeat(28));
        let record = of_list(&whole, lower).unwrap().record;
        assert_eq!(record.patches[0].digest, file.digest());
        assert_ne!(record.patches[0].mailed, None);
        of_list(&whole, &lower.replace("+x", "+y")).unwrap_err();
        of_list(&whole.replace(new, old), lower).unwrap_err();
    }

    /// Lists keep all in one thread, and people answer with patches of their own.
    #[test]
    fn what_is_left_aside() {
        let of = |id: &str, subject: &str, answers: &str, body: &str| {
            let answers = match answers {
                "" => String::new(),
                id => format!("In-Reply-To: <{id}>\n"),
            };
            mail(id, "a <a@b>", subject, &answers, body)
        };
        let base = format!("base-commit: {BASE_COMMIT}\n");
        let cover = of("0@l", "[PATCH 0/2] fs: all", "", &base);
        let one = of("1@l", "[PATCH 1/2] fs: one", "0@l", &diff("c"));
        let two = of("2@l", "[PATCH 2/2] fs: two", "0@l", &diff("d"));
        let next = of("3@l", "[PATCH v2 1/2] fs: one", "0@l", &diff("e"));
        let other = of("4@l", "[PATCH 2/2] fs: mine", "2@l", &diff("f"));
        let alone = of("5@l", "[PATCH 1/2] fs: one", "", &diff("c"));
        let cover_of = of("6@l", "[PATCH 0/2] fs: part", "", "");
        let stray = of("7@l", "[PATCH] fs: other", "0@l", &diff("g"));
        let patches = [patch("fs: one", "c"), patch("fs: two", "d")];
        let mails = [cover, other, alone, cover_of, stray, one, two, next].concat();
        let OfList { record, aside } =
            sent(1, &mbox::parse(mails.as_bytes()), &patches, None).unwrap();
        let ids = record.patches.iter().map(|it| it.message_id.as_str());
        assert_eq!(ids.collect::<Vec<_>>(), ["1@l", "2@l"]);
        assert_eq!(record.first_id(), Some("0@l"));
        assert_eq!(
            aside,
            [
                "\"fs: other\" (7@l) is patch 1/1, and the series has 2 patches",
                "\"fs: one\" (3@l) is of v2",
                "\"fs: one\" (5@l) is in another thread",
                "\"fs: part\" (6@l) is in another thread",
                "\"fs: mine\" (4@l) has another subject",
            ]
        );
    }

    /// As git and b4 write them, and as a list gives them back.
    #[test]
    fn the_series_of_this_checkout() {
        let layout = Layout::of_this_checkout().unwrap();
        let series = load(&layout, "mainline", "generic-freeze").unwrap();
        let last = series.patches.len();
        let mut text = sample(
            "0@l",
            &format!("[PATCH v3 0/{last}] fs: all"),
            &format!("base-commit: {BASE_COMMIT}\n"),
        );
        for (patch, number) in series.patches.iter().zip(1..) {
            let mail = String::from_utf8(patch.text.clone()).unwrap();
            let (_, mail) = mail.split_once('\n').unwrap();
            let mail = mail.replacen("[PATCH]", &format!("[PATCH v3 {number}/{last}]"), 1);
            text += &format!(
                "From x Thu Jan  1 00:00:00 1970\nMessage-ID: <{number}@l>\nIn-Reply-To: <0@l>\n{mail}\n"
            );
        }
        let record = sent(3, &mbox::parse(text.as_bytes()), &series.patches, None);
        let record = record.unwrap().record;
        let subjects: Vec<_> = record.patches.iter().map(|it| &it.subject).collect();
        let wanted: Vec<_> = series.patches.iter().map(|it| &it.subject).collect();
        assert_eq!(subjects, wanted);
    }

    /// From the tree of a series by b4 to the record, and as a list gives the mails back.
    #[test]
    #[ignore = "takes b4 from PyPI; cargo xtask ci sees to it"]
    fn mails_that_b4_wrote() {
        let fixture = Fixture::new();
        let session = Session::new(Layout::of_this_checkout().unwrap(), Stop::default());
        for count in [2, 1] {
            let grafted = match count {
                1 => fixture.grafted_first(),
                _ => fixture.grafted(),
            };
            let b4 = B4::open(&grafted, &crate::deps::b4(&session).unwrap(), &session).unwrap();
            let letter = letter::Letter {
                cover: "fs: all\n\nFrom here on it\nis another.\n".into(),
                version: 2,
                prefixes: vec!["RFC".into()],
                recipients: Recipients::These(People {
                    to: vec!["list@example.org".into()],
                    cc: Vec::new(),
                }),
                ..letter::Letter::default()
            };
            let folder = fixture.dir.join(format!("mails{count}"));
            let written = b4.write(&letter, &folder, &folder.join("mbx")).unwrap();
            let line = "format-patch --quiet --zero-commit --no-renames --abbrev=12 --no-signature -o files";
            let tested = &fixture.tested;
            let range = format!("{line}{count} {}..{}", tested.base, tested.tip);
            fixture.git(&tested.repository, &range);
            let files = tested.repository.join(format!("files{count}"));
            let mut names: Vec<_> = files.read_dir_utf8().unwrap().flatten().collect();
            names.sort_by_key(|entry| entry.path().to_owned());
            let patches = names.iter().take(count).map(|entry| {
                let path = entry.path();
                parse(path, &fs_err::read(path).unwrap()).unwrap()
            });
            let patches: Vec<_> = patches.collect();
            let mails = mbox::read(&written.mbox).unwrap();
            let (base, id) = (&fixture.public, &written.change_id);
            let prepared = prepared(2, &mails, &patches, base, id).unwrap();
            assert_eq!(prepared.cover.is_some(), count > 1);
            assert!(
                prepared.patches.iter().all(|it| it.mailed.is_none()),
                "{prepared:?}"
            );
            let list = mbox::write(of_record(&prepared, &mails));
            let list = String::from_utf8(list).unwrap().replace('\n', "\r\n");
            let record = sent(2, &mbox::parse(list.as_bytes()), &patches, None);
            let record = record.unwrap().record;
            assert_eq!(
                Record {
                    state: State::Prepared,
                    ..record
                },
                prepared
            );
        }
    }

    #[test]
    fn a_patch_alone_has_no_cover() {
        let only = sample(
            "1@l",
            "[PATCH] fs: one",
            &format!("{}-- \nbase-commit: {BASE_COMMIT}\n", diff("c")),
        );
        let record = sent(
            1,
            &mbox::parse(only.as_bytes()),
            &[patch("fs: one", "c")],
            None,
        );
        let record = record.unwrap().record;
        assert_eq!(
            (record.cover.as_ref(), record.first_id()),
            (None, Some("1@l"))
        );
    }
}
