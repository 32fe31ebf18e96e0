//! One patch: a mail as `git format-patch` writes it, taken apart.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use harness::case::Feature;
use mailparse::{MailAddr, MailHeaderMap};
use regex::Regex;

use super::notes;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    pub path: Utf8PathBuf,
    /// Without `[PATCH n/m]`.
    pub subject: String,
    pub author: String,
    pub email: String,
    /// As the mail has it, e.g. `Mon, 2 Nov 2026 10:00:00 +0100`.
    pub date: String,
    /// The commit message after the subject, without blank lines around it.
    pub body: String,
    /// What stands between `---` and the diff, without the diffstat: for reviewers, not for the commit.
    pub notes: String,
    pub hunks: Vec<Hunk>,
    /// From the first `diff --git` on, decoded, as `git apply` takes it.
    pub diff: Vec<u8>,
    /// The whole file.
    pub text: Vec<u8>,
    /// What a kernel has from this patch on, as the notes say.
    pub provides: Vec<Feature>,
}

impl Patch {
    /// The files that it changes, each once; a file that is only renamed is not among them.
    pub fn files(&self) -> BTreeSet<&str> {
        self.hunks.iter().map(|hunk| hunk.file.as_str()).collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Path of the patched file, without `a/` or `b/`.
    pub file: String,
    /// Where the hunk expects to begin in the old file; 0 for a new one.
    pub old_start: u64,
    /// Line of the `@@` in the patch file.
    pub line: usize,
}

/// Why a file is no patch; `line` counts from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Garbled {
    pub line: usize,
    pub what: String,
}

impl Garbled {
    fn at(line: usize, what: impl Into<String>) -> Self {
        Self {
            line,
            what: what.into(),
        }
    }
}

pub fn parse(path: &Utf8Path, text: &[u8]) -> Result<Patch, Garbled> {
    // mailparse takes the mbox separator for a broken header.
    let (skipped, mail_text) = match text.starts_with(b"From ") {
        true => (
            1,
            text.splitn(2, |byte| *byte == b'\n')
                .nth(1)
                .unwrap_or_default(),
        ),
        false => (0, text),
    };
    let mail = mailparse::parse_mail(mail_text)
        .map_err(|error| Garbled::at(1, format!("not a mail from git format-patch: {error}")))?;
    let header = |name: &str| {
        let value = mail
            .headers
            .get_first_value(name)
            .filter(|value| !value.trim().is_empty());
        value.ok_or_else(|| {
            Garbled::at(
                1,
                format!("no {name}: header; was it written by git format-patch?"),
            )
        })
    };
    let (author, email) = author(&header("From")?)?;
    let date = header("Date")?;
    if !mailparse::dateparse(&date).is_ok_and(|seconds| seconds > 0) {
        return Err(Garbled::at(1, format!("cannot read the date {date:?}")));
    }
    let subject = subject(&header("Subject")?);
    let body = mail
        .get_body_raw()
        .map_err(|error| Garbled::at(1, format!("cannot decode the mail: {error}")))?;
    let first = skipped + header_lines(mail_text) + 1;
    let parts = Parts::of(&body)
        .ok_or_else(|| Garbled::at(first, "there is no `diff --git` line in it"))?;
    let (line, diff) = (
        first + lines_in(&body[..parts.diff.start]),
        &body[parts.diff],
    );
    Ok(Patch {
        path: path.to_owned(),
        subject,
        author,
        email,
        date,
        body: String::from_utf8_lossy(&body[parts.message])
            .trim()
            .to_owned(),
        notes: notes::of(&String::from_utf8_lossy(&body[parts.notes])),
        hunks: hunks(diff, line)?,
        diff: diff.to_owned(),
        text: text.to_owned(),
        provides: Vec::new(),
    })
}

fn author(from: &str) -> Result<(String, String), Garbled> {
    let parsed = mailparse::addrparse(from).ok();
    match parsed.as_ref().and_then(|list| list.first()) {
        Some(MailAddr::Single(person)) => {
            let name = person
                .display_name
                .clone()
                .unwrap_or_else(|| person.addr.clone());
            Ok((name, person.addr.clone()))
        }
        _ => Err(Garbled::at(1, format!("cannot read the author {from:?}"))),
    }
}

/// Drops `[PATCH n/m]`, and keeps other brackets as a part of the summary.
fn subject(header: &str) -> String {
    static PREFIX: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(\[[^\]]*PATCH[^\]]*\]\s*)+").expect("valid"));
    let words: Vec<&str> = header.split_whitespace().collect();
    PREFIX.replace(&words.join(" "), "").into_owned()
}

/// Lines of the mail's head with the blank one that ends it.
fn header_lines(mail: &[u8]) -> usize {
    let lines = mail.split(|byte| *byte == b'\n');
    lines
        .take_while(|line| !matches!(line, [] | [b'\r']))
        .count()
        + 1
}

fn lines_in(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// A mail's body by its parts, as ranges of bytes.
struct Parts {
    message: Range<usize>,
    notes: Range<usize>,
    diff: Range<usize>,
}

impl Parts {
    fn of(body: &[u8]) -> Option<Self> {
        let diff = line_start(body, |line| line.starts_with(b"diff --git "))?;
        let before = &body[..diff];
        let separator = line_start(before, |line| line == b"---");
        let message = separator.unwrap_or(diff);
        let notes = separator.map_or(diff, |at| (at + b"---\n".len()).min(diff));
        Some(Self {
            message: 0..message,
            notes: notes..diff,
            diff: diff..body.len(),
        })
    }
}

fn line_start(text: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if wanted(line.trim_ascii_end()) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// Reads the hunks of a diff whose first line is `first`, and counts their lines:
/// a patch that an editor or a mail client damaged is named before git sees it.
fn hunks(diff: &[u8], first: usize) -> Result<Vec<Hunk>, Garbled> {
    static HEAD: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@").expect("valid"));
    let mut hunks = Vec::new();
    let (mut old_file, mut file) = (None, None);
    let (mut old_left, mut new_left) = (0_u64, 0_u64);
    let mut line = first;
    for raw in diff.split_inclusive(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(raw);
        let text = text.trim_end_matches(['\n', '\r']);
        if old_left > 0 || new_left > 0 {
            let (old, new) = match text.as_bytes().first() {
                Some(b'-') => (1, 0),
                Some(b'+') => (0, 1),
                Some(b' ') | None => (1, 1),
                Some(b'\\') => (0, 0),
                Some(_) => return Err(cut_short(line, old_left, new_left)),
            };
            if old > old_left || new > new_left {
                return Err(Garbled::at(
                    line,
                    "the hunk has more lines than its @@ line says",
                ));
            }
            (old_left, new_left) = (old_left - old, new_left - new);
        } else if let Some(head) = HEAD.captures(text) {
            let number = |group| {
                head.get(group)
                    .map_or(Ok(1), |found: regex::Match<'_>| found.as_str().parse())
            };
            let numbers = number(1).and_then(|start| Ok((start, number(2)?, number(3)?)));
            let (old_start, old, new) = numbers
                .map_err(|_| Garbled::at(line, "cannot read the numbers of this @@ line"))?;
            (old_left, new_left) = (old, new);
            let file: Option<String> = file.clone().or_else(|| old_file.clone());
            let file = file.ok_or_else(|| {
                Garbled::at(line, "a hunk without `---` and `+++` lines before it")
            })?;
            hunks.push(Hunk {
                file,
                old_start,
                line,
            });
        } else if text.starts_with("@@") {
            return Err(Garbled::at(
                line,
                "this is no @@ -line,count +line,count @@",
            ));
        } else if text.starts_with("diff --git ") {
            (old_file, file) = (None, None);
        } else if let Some(path) = text.strip_prefix("--- ") {
            old_file = path.strip_prefix("a/").map(str::to_owned);
        } else if let Some(path) = text.strip_prefix("+++ ") {
            file = path.strip_prefix("b/").map(str::to_owned);
        } else if text == "--" || text == "-- " {
            // The mail's signature ends the patch.
            break;
        } else if matches!(text.as_bytes().first(), Some(b'+' | b'-')) {
            return Err(Garbled::at(
                line,
                "the hunk has more lines than its @@ line says",
            ));
        }
        line += 1;
    }
    if old_left > 0 || new_left > 0 {
        return Err(cut_short(line, old_left, new_left));
    }
    Ok(hunks)
}

fn cut_short(line: usize, old_left: u64, new_left: u64) -> Garbled {
    Garbled::at(
        line,
        format!("the hunk ends too early: {old_left} old and {new_left} new lines are missing"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n\
        From: =?UTF-8?q?J=C3=B6rg=20Example?= <j@example.org>\n\
        Date: Mon, 2 Nov 2026 10:00:00 +0100\n\
        Subject: [PATCH 1/3] super: count the holders of a freeze, and\n \
        say so\n\n";
    const STAT: &str = " fs/super.c | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n\n";
    const DIFF: &str = "diff --git a/fs/super.c b/fs/super.c\nindex 1..2 100644\n--- a/fs/super.c\n+++ b/fs/super.c\n\
        @@ -3,3 +3,3 @@ int f(void)\n a\n-b\n+c\n d\n";

    fn parsed(text: &str) -> Result<Patch, Garbled> {
        parse(Utf8Path::new("0001-x.patch"), text.as_bytes())
    }

    #[test]
    fn a_whole_mail() {
        let patch = parsed(&format!(
            "{HEAD}Why.\n\nMore.\n---\nv2: less\n\n{STAT}{DIFF}-- \n2.39.5\n"
        ))
        .unwrap();
        assert_eq!(
            patch.subject,
            "super: count the holders of a freeze, and say so"
        );
        assert_eq!(
            (patch.author.as_str(), patch.email.as_str()),
            ("Jörg Example", "j@example.org")
        );
        assert_eq!(patch.body, "Why.\n\nMore.");
        assert_eq!(patch.notes, "v2: less");
        assert_eq!(
            patch.hunks,
            [Hunk {
                file: "fs/super.c".into(),
                old_start: 3,
                line: 20
            }]
        );
        assert!(patch.diff.starts_with(b"diff --git"));
    }

    #[test]
    fn parts() {
        for (body, message, notes) in [
            (format!("---\n{STAT}{DIFF}"), "", ""),
            (format!("Why.\n{DIFF}"), "Why.", ""),
            (format!("Why.\n---\n{DIFF}"), "Why.", ""),
            (
                format!("Why.\n--- not it\n---\nseen by none\n{DIFF}"),
                "Why.\n--- not it",
                "seen by none",
            ),
        ] {
            let patch = parsed(&format!("{HEAD}{body}")).unwrap();
            assert_eq!(
                (patch.body.as_str(), patch.notes.as_str()),
                (message, notes),
                "{body}"
            );
        }
    }

    #[test]
    fn subjects() {
        for (header, expected) in [
            ("[PATCH] a: b", "a: b"),
            ("[RFC PATCH v2 03/11] a: b", "a: b"),
            ("[PATCH 1/2] [media] a: b", "[media] a: b"),
            ("a: b", "a: b"),
        ] {
            assert_eq!(subject(header), expected);
        }
    }

    #[test]
    fn garbled() {
        for (text, line, what) in [
            (String::new(), 1, "no From: header"),
            ("hello\n".to_owned(), 1, "no From: header"),
            (
                format!("From: a <a@b>\nDate: nonsense\nSubject: x\n\n{DIFF}"),
                1,
                "cannot read the date",
            ),
            (format!("{HEAD}Why.\n"), 7, "no `diff --git`"),
            (
                format!("{HEAD}{}", DIFF.replace(" d\n", "")),
                15,
                "ends too early: 1 old and 1 new",
            ),
            (
                format!("{HEAD}{}", DIFF.replace(" d\n", "*d\n")),
                15,
                "ends too early",
            ),
            (format!("{HEAD}{DIFF}+e\n"), 16, "more lines than"),
            (
                format!("{HEAD}{}", DIFF.replace("-3,3 +3,3", "-3;3")),
                11,
                "no @@",
            ),
            (
                format!(
                    "{HEAD}{}",
                    DIFF.replace("--- a/fs/super.c\n+++ b/fs/super.c\n", "")
                ),
                9,
                "without `---`",
            ),
        ] {
            let garbled = parsed(&text).expect_err(&text);
            assert!(garbled.what.contains(what), "{text}\n{garbled:?}");
            assert_eq!(garbled.line, line, "{text}\n{garbled:?}");
        }
    }
}
