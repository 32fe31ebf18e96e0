//! What was sent of each version: `patches/BASE/SERIES/sent/vN.mbx`, and `vN.json`, which says what is in it.

use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::mbox::Mail;
use crate::failure::{Kind, OrFail, Result};
use crate::host::files;
use crate::series::{Patch, parse};
use crate::words::count;

/// One version of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    pub version: u32,
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
    /// [`Patch::digest`].
    pub digest: String,
}

impl Record {
    /// The mail that all others of the version answer.
    pub fn first_id(&self) -> Option<&str> {
        let first = self.patches.first().map(|patch| &patch.message_id);
        let cover = self.cover.as_ref().map(|cover| &cover.message_id);
        cover.or(first).map(String::as_str)
    }

    /// Keeps it in the folder of its series; `mbox` has its mails. The JSON comes last: without it nothing was recorded.
    pub fn write(&self, series: &Utf8Path, mbox: &[u8]) -> Result<()> {
        let text = serde_json::to_string_pretty(self).or_fail(Kind::Machinery)?;
        files::write(&path(series, self.version, "mbx"), mbox)?;
        files::write(
            &path(series, self.version, "json"),
            format!("{text}\n").as_bytes(),
        )?;
        Ok(())
    }
}

/// A file of a version, in the folder of its series.
pub fn path(series: &Utf8Path, version: u32, ending: &str) -> Utf8PathBuf {
    series.join("sent").join(format!("v{version}.{ending}"))
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
        "write it anew: cargo xtask series sent -v {version} --mbox FILE, with the mbox of the list"
    );
    let read = serde_json::from_slice::<Record>(&fs_err::read(&path)?);
    let record = read.map_err(|error| Kind::Usage.error(format!("{path}: {error}; {again}")))?;
    if record.version != version {
        let other = record.version;
        return Err(Kind::Usage.error(format!("{path} is of v{other}; {again}")));
    }
    Ok(Some(record))
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
                "nothing is recorded of v{version}: {} is missing; with the list's mbox of v{version}: \
                 cargo xtask series sent -v {version} --mbox FILE",
                path(series, version, "json")
            ))
        })
    });
    records.collect()
}

/// The newest version that is recorded.
///
/// # Errors
/// [`Kind::Usage`] if nothing is.
pub fn newest(series: &Utf8Path) -> Result<Record> {
    let entries = series.join("sent").read_dir_utf8().into_iter().flatten();
    let versions = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().strip_prefix('v')?;
        name.strip_suffix(".json")?.parse().ok()
    });
    let newest = versions.max().map(|version| read(series, version));
    newest.transpose()?.flatten().ok_or_else(|| {
        Kind::Usage.error(format!(
            "nothing is recorded in {series}/sent; with the list's mbox: cargo xtask series sent -v 1 \
             --mbox FILE"
        ))
    })
}

/// The mails of a record, its cover letter first.
pub fn of_record<'a>(record: &Record, mails: &'a [Mail]) -> Vec<&'a Mail> {
    let cover = record.cover.iter().map(|cover| &cover.message_id);
    let patches = record.patches.iter().map(|patch| &patch.message_id);
    let ids = cover.chain(patches);
    ids.filter_map(|id| find(mails, id)).collect()
}

/// What the list has of a version, if that is exactly these patches.
///
/// `prepared` is what `series mail` has recorded; it tells of the base what no mail does.
///
/// # Errors
/// [`Kind::Usage`] if the mbox has other patches, or lacks one.
pub fn sent(
    version: u32,
    mails: &[Mail],
    patches: &[Patch],
    prepared: Option<&Record>,
) -> Result<Record> {
    let refuse = |what: String| Err(Kind::Usage.error(format!("not recorded: {what}")));
    let (cover, by_place) = match sort(version, mails, patches.len()) {
        Ok(sorted) => sorted,
        Err(what) => return refuse(what),
    };
    let mut sent = Vec::new();
    for (patch, mail) in patches.iter().zip(by_place) {
        let digest = parse(Utf8Path::new(&mail.id), &mail.raw)?.digest();
        if mail.subject.text != patch.subject || digest != patch.digest() {
            return refuse(format!(
                "\"{}\" ({}) is not what {} has now; if that was edited after it was sent, take the \
                 file of then",
                mail.subject.text, mail.id, patch.path
            ));
        }
        sent.push(Sent {
            message_id: mail.id.clone(),
            subject: patch.subject.clone(),
            digest,
        });
    }
    let first = cover.or_else(|| find(mails, &sent.first()?.message_id));
    let body = first.map_or("", |mail| mail.body.as_str());
    let base_commit = said(&BASE, body).or_else(|| Some(prepared?.base_commit.clone()));
    let Some(base_commit) = base_commit else {
        return refuse("no mail has a line `base-commit: ` with 40 hex digits".into());
    };
    Ok(Record {
        version,
        change_id: said(&CHANGE, body).or_else(|| prepared?.change_id.clone()),
        base_commit,
        date: first.and_then(|mail| mail.date.clone()).unwrap_or_default(),
        cover: cover.map(|mail| Letter {
            message_id: mail.id.clone(),
            subject: mail.subject.text.clone(),
        }),
        patches: sent,
    })
}

static BASE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^base-commit: ([0-9a-f]{40})\b").expect("valid"));
static CHANGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^change-id: (\S+)").expect("valid"));

fn said(line: &Regex, body: &str) -> Option<String> {
    Some(line.captures(body)?[1].to_owned())
}

fn find<'a>(mails: &'a [Mail], id: &str) -> Option<&'a Mail> {
    mails.iter().find(|mail| mail.id == id)
}

/// The cover letter, and the patches in order.
type Sorted<'a> = (Option<&'a Mail>, Vec<&'a Mail>);

/// The error is what is wrong with the mbox.
fn sort(version: u32, mails: &[Mail], wanted: usize) -> std::result::Result<Sorted<'_>, String> {
    let mut places: Vec<Option<&Mail>> = vec![None; wanted + 1];
    let patches = mails
        .iter()
        .filter(|mail| mail.subject.is_patch && !mail.subject.is_reply);
    for mail in patches {
        let (subject, id) = (&mail.subject, &mail.id);
        let (number, all) = subject.place.unwrap_or((1, 1));
        let title = format!("\"{}\" ({id})", subject.text);
        if subject.version != version {
            return Err(format!(
                "{title} is of v{}, not of v{version}; take it out of the mbox",
                subject.version
            ));
        }
        if all != wanted || number > all {
            return Err(format!(
                "{title} is patch {number}/{all}, and the series has {}",
                count(wanted, "patch")
            ));
        }
        if let Some(other) = places[number].replace(mail) {
            return Err(format!(
                "{title} and {} are both {number}/{all}; leave the one that counts",
                other.id
            ));
        }
    }
    let cover = places.remove(0);
    let missing = |(place, number): (&Option<&Mail>, usize)| {
        place.is_none().then(|| format!("{number}/{wanted}"))
    };
    let missing: Vec<_> = places.iter().zip(1..).filter_map(missing).collect();
    if !missing.is_empty() {
        return Err(format!(
            "the mbox has no [PATCH{} {}]",
            suffix(version),
            missing.join(", ")
        ));
    }
    Ok((cover, places.into_iter().flatten().collect()))
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
        });
        Record {
            version,
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
    use crate::mail::mbox::{self, samples::mail};
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

    fn letter(id: &str, subject: &str, body: &str) -> String {
        mail(id, "a <a@b>", subject, "", body)
    }

    #[test]
    fn a_record_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        assert_eq!(read(dir, 1).unwrap(), None);
        let said = earlier(dir, 3).unwrap_err().to_string();
        assert!(said.contains("series sent -v 2 --mbox FILE"), "{said}");
        let records = [2, 1].map(|version| record(version, &["fs: x"]));
        for record in &records {
            record.write(dir, b"From x\n").unwrap();
        }
        assert_eq!(earlier(dir, 3).unwrap(), records);
        assert_eq!(earlier(dir, 1).unwrap(), []);
        assert_eq!(records[0].first_id(), Some("v2-0@x"));
        assert_eq!(newest(dir).unwrap(), records[0]);
        newest(&dir.join("other")).unwrap_err();
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
    fn what_was_really_sent() {
        let cover = letter(
            "0@l",
            "[PATCH v2 0/2] fs: all",
            &format!("Why.\n---\nbase-commit: {BASE_COMMIT}\nchange-id: c-1\n"),
        );
        let bare = letter("0@l", "[PATCH v2 0/2] fs: all", "Why.");
        let one = letter("1@l", "[PATCH v2 1/2] fs: one", &diff("c"));
        let two = letter("2@l", "[PATCH v2 2/2] fs: two", &diff("d"));
        let reply = letter("9@l", "Re: [PATCH v2 1/2] fs: one", "Good.");
        let other = letter("2@l", "[PATCH v2 2/2] fs: two", &diff("e"));
        let renamed = letter("2@l", "[PATCH v2 2/2] fs: too", &diff("d"));
        let old = letter("7@l", "[PATCH 1/2] fs: one", &diff("c"));
        let three = letter("3@l", "[PATCH v2 3/3] fs: three", &diff("c"));
        let again = letter("4@l", "[PATCH v2 1/2] fs: one", &diff("c"));
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
            (
                vec![&cover, &one, &two, &old],
                None,
                Some("(7@l) is of v1, not of v2"),
            ),
            (
                vec![&cover, &one, &two, &three],
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
            let got = sent(2, &mbox::parse(text.as_bytes()), &patches, prepared);
            match (got, wrong) {
                (Ok(record), None) => {
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

    /// As git and b4 write them, and as a list gives them back.
    #[test]
    fn the_series_of_this_checkout() {
        let layout = Layout::of_this_checkout().unwrap();
        let series = load(&layout, "mainline", "generic-freeze").unwrap();
        let mut text = letter(
            "0@l",
            "[PATCH v3 0/5] fs: all",
            &format!("base-commit: {BASE_COMMIT}\n"),
        );
        for (patch, number) in series.patches.iter().zip(1..) {
            let mail = String::from_utf8(patch.text.clone()).unwrap();
            let (_, mail) = mail.split_once('\n').unwrap();
            let mail = mail.replacen("[PATCH]", &format!("[PATCH v3 {number}/5]"), 1);
            text += &format!(
                "From x Thu Jan  1 00:00:00 1970\nMessage-ID: <{number}@l>\nIn-Reply-To: <0@l>\n{mail}\n"
            );
        }
        let record = sent(3, &mbox::parse(text.as_bytes()), &series.patches, None).unwrap();
        let subjects: Vec<_> = record.patches.iter().map(|it| &it.subject).collect();
        let wanted: Vec<_> = series.patches.iter().map(|it| &it.subject).collect();
        assert_eq!(subjects, wanted);
    }

    #[test]
    fn a_patch_alone_has_no_cover() {
        let only = letter(
            "1@l",
            "[PATCH] fs: one",
            &format!("{}-- \nbase-commit: {BASE_COMMIT}\n", diff("c")),
        );
        let record = sent(
            1,
            &mbox::parse(only.as_bytes()),
            &[patch("fs: one", "c")],
            None,
        )
        .unwrap();
        assert_eq!(
            (record.cover.as_ref(), record.first_id()),
            (None, Some("1@l"))
        );
    }
}
