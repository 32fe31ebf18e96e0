//! One patch file, read by git as `git am` reads it: what is said of author, date, message and files is git's word.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::Feature;
use regex::bytes::Regex as Bytes;
use regex::{Captures, Regex};
use xshell::{Cmd, cmd};

use super::notes;
use crate::failure::{Failure, Kind, OrFail, Result};
use crate::host::files::digest;
use crate::host::git::Git;
use crate::host::proc::{self, Output, Stop};
use crate::host::space;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    pub path: Utf8PathBuf,
    /// Without `[PATCH n/m]`.
    pub subject: String,
    /// Not always UTF-8, as little as the address and the message: git mends them when it commits.
    pub author: OsString,
    pub email: OsString,
    /// As the mail has it, e.g. `Mon, 2 Nov 2026 10:00:00 +0100`.
    pub date: OsString,
    /// The whole message of the commit, the subject first.
    pub message: Vec<u8>,
    /// What stands between `---` and the diff, without the diffstat: for reviewers, not for the commit.
    pub notes: String,
    pub changes: Vec<Change>,
    /// From `---` or the first `diff` on, decoded, as `git apply` takes it.
    pub diff: Vec<u8>,
    /// Lines of the file before the diff; `None` if the file does not hold it as it is, but encoded or in parts.
    above: Option<usize>,
    /// The whole file.
    pub text: Vec<u8>,
    /// What a kernel has from this patch on, as the notes say.
    pub provides: Vec<Feature>,
}

impl Patch {
    /// The files whose text it changes, each once; a file that is only renamed is not among them.
    pub fn files(&self) -> BTreeSet<&str> {
        let changed = self.changes.iter().filter(|change| change.edits);
        changed.map(|change| change.file.as_str()).collect()
    }

    /// A name for what it changes. What is said of it does not count, nor do the ids of blobs, the diffstat and the
    /// signature of the mail.
    pub fn digest(&self) -> String {
        let hunks = self.changes.iter().flat_map(|change| &change.hunks);
        let last = hunks.map(|hunk| hunk.end).max().unwrap_or(0);
        let lines = self.diff.split(|byte| *byte == b'\n').zip(1..);
        let diff = lines.skip_while(|(line, _)| !line.starts_with(b"diff -"));
        let signed = |(line, number): &(&[u8], usize)| *number > last && line.starts_with(b"--");
        let diff = diff.take_while(|line| !signed(line)).map(|(line, _)| line);
        digest(diff.filter(|line| !line.starts_with(b"index ") && !line.is_empty()))
    }

    /// The line of the file for one of the diff; `None` if the file does not hold the diff as it is.
    pub fn line(&self, of_diff: usize) -> Option<usize> {
        Some(self.above? + of_diff)
    }

    /// Words for a line of the diff, by its number there.
    pub fn place(&self, line: usize) -> String {
        match self.above {
            Some(above) => format!("line {} of the patch", above + line),
            None => format!("line {line} of the decoded patch"),
        }
    }

    /// What `git apply` said, with its lines of the diff as places.
    pub fn placed(&self, said: &str) -> String {
        let place = |line: &Captures<'_>| match line[1].parse() {
            Ok(line) => format!(" at {}", self.place(line)),
            Err(_) => line[0].to_owned(),
        };
        LINE.replace_all(said, place).into_owned()
    }
}

/// How `git apply` names a line, in its several versions.
static LINE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?: at line | \(line | at <stdin>:)(\d+)\)?").expect("valid"));

/// What a patch does to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Path of the patched file, without `a/` or `b/`; of a file that is removed, the old one.
    pub file: String,
    /// Whether lines come or go.
    edits: bool,
    pub hunks: Vec<Hunk>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Where the hunk expects to begin in the old file; 0 for a new one.
    pub old_start: u64,
    /// Line of the `@@` in the diff.
    pub line: usize,
    /// Its last line there.
    pub end: usize,
}

/// Why a file is no patch; `line` counts from 1.
#[derive(Debug, PartialEq, Eq)]
struct Garbled {
    line: usize,
    what: String,
}

impl Garbled {
    fn at(line: usize, what: impl Into<String>) -> Self {
        Self {
            line,
            what: what.into(),
        }
    }

    /// From a line of the diff to one of the file: where that holds it encoded, the header that says so.
    fn in_diff(self, above: Option<usize>, mail: &Mail) -> Self {
        let Self { line, what } = self;
        let header = || {
            let headers = ["Content-Transfer-Encoding", "Content-Type"];
            headers.iter().find_map(|name| mail.find(name)).unwrap_or(1)
        };
        match above {
            Some(above) => Self::at(above + line, what),
            None => Self::at(
                header(),
                format!("in line {line} of the decoded patch: {what}"),
            ),
        }
    }

    fn in_file(self, path: &Utf8Path) -> Failure {
        Kind::Usage.error(format!("{path}:{}: {}", self.line, self.what))
    }
}

/// Reads the text of a patch file. What `git am` would refuse is refused with file and line; so is what it takes and guesses at:
/// a mail without a date, several mails in a file, a hunk with more lines than it says, of which git drops the rest.
pub fn parse(path: &Utf8Path, text: &[u8]) -> Result<Patch> {
    let scratch = tempfile::tempdir()?;
    let place = scratch.path().canonicalize()?;
    let place = Utf8PathBuf::try_from(place).or_fail(Kind::Machinery)?;
    parse_in(&place, path, text)
}

/// The same with an empty folder for git to work in, named by its real path.
fn parse_in(scratch: &Utf8Path, path: &Utf8Path, text: &[u8]) -> Result<Patch> {
    let garbled = |garbled: Garbled| garbled.in_file(path);
    is_mail(text).map_err(garbled)?;
    let git = Git::at(scratch, &Stop::default());
    let mail = split(&git, text)?.map_err(garbled)?;
    let parts = take_apart(&git, &mail)?.map_err(garbled)?;
    let above = above(&mail, &parts.diff);
    let in_file = |at: Garbled| garbled(at.in_diff(above, &mail));
    let changes = changes(&git, &parts.diff)?.map_err(in_file)?;
    date_is_good(&git, &parts, &mail)?.map_err(garbled)?;
    Ok(Patch {
        path: path.to_owned(),
        subject: subject(&parts.message),
        notes: notes::of(&below(&parts.diff)),
        changes,
        above,
        author: parts.author,
        email: parts.email,
        date: parts.date,
        message: parts.message,
        diff: parts.diff,
        text: text.to_owned(),
        provides: Vec::new(),
    })
}

/// A mail as `git mailsplit` leaves it: without blank lines before it, and with LF for CR LF.
struct Mail {
    text: Vec<u8>,
    /// Lines of the file before it.
    skipped: usize,
}

impl Mail {
    /// The line of the file that has this header; the first if there is none.
    fn line_of(&self, header: &str) -> usize {
        self.find(header).unwrap_or(self.skipped + 1)
    }

    fn find(&self, header: &str) -> Option<usize> {
        let begins = |line: &[u8]| {
            line.len() > header.len()
                && line[..header.len()].eq_ignore_ascii_case(header.as_bytes())
                && line[header.len()] == b':'
        };
        let mut lines = self.text.split(|byte| *byte == b'\n');
        lines.position(begins).map(|at| self.skipped + 1 + at)
    }
}

/// Git without any repository: of one around its folder, `git apply` would take that folder for all. Takes
/// milliseconds, so a stop of the run need not end it.
///
/// # Errors
/// When git came to no answer: that says nothing of the patch.
fn run(git: &Git, line: Cmd<'_>, input: &[u8]) -> Result<Output> {
    let around = git.dir().parent().unwrap_or(git.dir());
    let mut command = Command::from(line.env("GIT_CEILING_DIRECTORIES", around));
    let output = proc::output(&mut command, input, &Stop::default())?;
    let stderr = output.stderr();
    if output.status.code().is_some() && space::full_disk(&stderr).is_none() {
        return Ok(output);
    }
    let line = proc::line_of(&command);
    Err(Kind::Machinery.error(format!("`{line}` failed ({}) {stderr}", output.status)))
}

/// What `git am` looks at before it reads: it takes a file for mail if it begins with `From`, or with headers alone.
fn is_mail(text: &[u8]) -> std::result::Result<(), Garbled> {
    static HEADER: LazyLock<Bytes> =
        LazyLock::new(|| Bytes::new(r"(?-u)^(?:[!-9;-~]+:|[ \t])").expect("valid"));
    let lines = text.split(|byte| *byte == b'\n').zip(1..);
    let lines = lines.map(|(line, number)| (line.strip_suffix(b"\r").unwrap_or(line), number));
    let mut head = lines.skip_while(|(line, _)| line.is_empty()).peekable();
    let from = |line: &[u8]| line.starts_with(b"From ") || line.starts_with(b"From: ");
    if text.trim_ascii().is_empty() {
        return Err(Garbled::at(1, "the file is empty"));
    }
    if head.peek().is_some_and(|(first, _)| from(first)) {
        return Ok(());
    }
    let mut head = head.take_while(|(line, _)| !line.is_empty());
    match head.find(|(line, _)| !HEADER.is_match(line)) {
        Some((_, number)) => Err(Garbled::at(
            number,
            "no mail, since this is no header; `git format-patch` writes mails that `git am` takes",
        )),
        None => Ok(()),
    }
}

fn split(git: &Git, text: &[u8]) -> Result<std::result::Result<Mail, Garbled>> {
    let out = git.dir();
    let output = run(git, cmd!(git, "git mailsplit -d4 -o{out} -b"), text)?;
    if !output.status.success() {
        return Ok(Err(Garbled::at(1, told(&output.stderr()))));
    }
    let blank = text.iter().take_while(|byte| byte.is_ascii_whitespace());
    let mail = Mail {
        text: fs_err::read(git.dir().join("0001"))?,
        skipped: blank.filter(|byte| **byte == b'\n').count(),
    };
    Ok(match String::from_utf8_lossy(&output.stdout).trim() {
        "1" => Ok(mail),
        count => Err(Garbled::at(
            mail.skipped + lines_in(&mail.text) + 1,
            format!("a second mail begins here, and the file has {count}; a patch file holds one"),
        )),
    })
}

/// What `git mailinfo` finds in a mail.
#[derive(Debug)]
struct Parts {
    author: OsString,
    email: OsString,
    date: OsString,
    message: Vec<u8>,
    diff: Vec<u8>,
}

fn take_apart(git: &Git, mail: &Mail) -> Result<std::result::Result<Parts, Garbled>> {
    // This is what `git am` does unless the user's configuration says otherwise. (--encoding turns recoding off.)
    let mailinfo = cmd!(
        git,
        "git -c i18n.commitEncoding=UTF-8 mailinfo --no-scissors --quoted-cr=warn message diff"
    );
    let output = run(git, mailinfo, &mail.text)?;
    if !output.status.success() {
        let line = mail.line_of("Content-Type");
        return Ok(Err(Garbled::at(line, told(&output.stderr()))));
    }
    let (body, diff) = (
        fs_err::read(git.dir().join("message"))?,
        fs_err::read(git.dir().join("diff"))?,
    );
    Ok(parts(mail, &output.stdout, &body, diff))
}

fn parts(
    mail: &Mail,
    info: &[u8],
    body: &[u8],
    diff: Vec<u8>,
) -> std::result::Result<Parts, Garbled> {
    let said = |name: &str| -> Vec<u8> {
        let lines = info.split(|byte| *byte == b'\n');
        let values: Vec<_> = lines
            .filter_map(|line| line.strip_prefix(name.as_bytes()))
            .collect();
        values.join(&b'\n')
    };
    let word = |name: &str, header: &str| match said(name) {
        word if word.trim_ascii().is_empty() => Err(Garbled::at(
            mail.line_of(header),
            format!("no {header}: that can be read; was it written by git format-patch?"),
        )),
        word => Ok(OsString::from_vec(word)),
    };
    let message = stripped(&[&said("Subject: "), b"\n\n".as_slice(), body].concat());
    if let Some(at) = mail.text.iter().position(|byte| *byte == 0)
        && (message.contains(&0) || info.contains(&0))
    {
        let line = mail.skipped + 1 + lines_in(&mail.text[..at]);
        return Err(Garbled::at(line, "a NUL byte: git keeps none in a message"));
    }
    let parts = Parts {
        author: word("Author: ", "From")?,
        email: word("Email: ", "From")?,
        date: word("Date: ", "Date")?,
        message,
        diff,
    };
    if parts.message.is_empty() {
        let line = mail.line_of("Subject");
        return Err(Garbled::at(line, "neither a subject nor a message"));
    }
    if parts.diff.is_empty() {
        let line = mail.skipped + lines_in(&mail.text);
        return Err(Garbled::at(line.max(1), "the mail ends without a diff"));
    }
    Ok(parts)
}

/// What `git stripspace` makes of a text: `git am` does the same to a message.
fn stripped(text: &[u8]) -> Vec<u8> {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let mut kept = Vec::new();
    let mut blank = false;
    for line in text.split(|byte| *byte == b'\n') {
        let end = line.iter().rposition(|byte| !space(byte));
        let Some(end) = end else {
            blank = !kept.is_empty();
            continue;
        };
        if std::mem::take(&mut blank) {
            kept.push(b'\n');
        }
        kept.extend_from_slice(&line[..=end]);
        kept.push(b'\n');
    }
    kept
}

/// The first paragraph of a message, on one line.
fn subject(message: &[u8]) -> String {
    let message = String::from_utf8_lossy(message);
    let lines = message.lines().take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// Git itself says whether it can read the date, in the words of the commit that it would make.
fn date_is_good(git: &Git, parts: &Parts, mail: &Mail) -> Result<std::result::Result<(), Garbled>> {
    let var = cmd!(git, "git var GIT_AUTHOR_IDENT")
        .env("GIT_AUTHOR_NAME", &parts.author)
        .env("GIT_AUTHOR_EMAIL", &parts.email)
        .env("GIT_AUTHOR_DATE", &parts.date);
    let output = run(git, var, b"")?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let said = output.stderr();
    let header = if said.contains("date") {
        "Date"
    } else {
        "From"
    };
    Ok(Err(Garbled::at(mail.line_of(header), told(&said))))
}

/// What git says of its failure, on one line.
fn told(stderr: &str) -> String {
    let lines = stderr.lines().map(|line| {
        let line = line.strip_prefix("error: ").unwrap_or(line);
        line.strip_prefix("fatal: ").unwrap_or(line).trim()
    });
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}

fn lines_in(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// How many lines of the file come before the diff, if the file holds it as it is.
fn above(mail: &Mail, diff: &[u8]) -> Option<usize> {
    let at = mail.text.windows(diff.len()).position(|part| part == diff);
    at.map(|at| mail.skipped + lines_in(&mail.text[..at]))
}

/// The files of a diff as git sees them, with their hunks. Lines count from 1.
fn changes(git: &Git, diff: &[u8]) -> Result<std::result::Result<Vec<Change>, Garbled>> {
    let output = run(git, cmd!(git, "git apply --numstat -z -"), diff)?;
    Ok(hunks(diff).and_then(|hunks| {
        if !output.status.success() {
            return Err(complaint(&output.stderr()));
        }
        let files = output.stdout.split(|byte| *byte == 0);
        let mut changes: Vec<Change> = files.filter_map(change).collect();
        // They are of the same files unless git read the diff in another way, and then places stay untold.
        if changes.len() == hunks.len() {
            let both = changes.iter_mut().zip(hunks);
            both.for_each(|(change, hunks)| change.hunks = hunks);
        }
        Ok(changes)
    }))
}

/// Reads `1\t2\tfs/super.c`; for a binary file the counts are `-`.
fn change(numstat: &[u8]) -> Option<Change> {
    let text = String::from_utf8_lossy(numstat);
    let (added, rest) = text.split_once('\t')?;
    let (removed, file) = rest.split_once('\t')?;
    Some(Change {
        file: file.to_owned(),
        edits: (added, removed) != ("0", "0"),
        hunks: Vec::new(),
    })
}

/// What `git apply` says is wrong with a diff; its number of the line depends on the version's wording.
fn complaint(stderr: &str) -> Garbled {
    let line = LINE.captures(stderr).and_then(|line| line[1].parse().ok());
    let what = told(&LINE.replace_all(stderr, ""));
    let what = what.trim_start_matches("git apply: ");
    Garbled::at(line.unwrap_or(1), format!("git apply: {what}"))
}

/// What stands between a first line of `---` and the first file's diff.
fn below(diff: &[u8]) -> Cow<'_, str> {
    static BELOW: LazyLock<Bytes> = LazyLock::new(|| {
        let diff = r"(?m-u:^(?:diff -|Index: |--- \S[^\n]*\n\+\+\+ ))";
        Bytes::new(&format!(r"\A---[ \t]*\n((?s).*?)(?:{diff}|\z)")).expect("valid")
    });
    let below = BELOW.captures(diff).and_then(|below| below.get(1));
    let below = below.map_or(b"".as_slice(), |below| below.as_bytes());
    String::from_utf8_lossy(below)
}

/// Finds the hunks of a diff, file by file, and counts their lines: a patch that an editor or a mail client damaged
/// is named in better words than git's, and lines past a hunk's end, which git drops, are not lost in silence.
fn hunks(diff: &[u8]) -> std::result::Result<Vec<Vec<Hunk>>, Garbled> {
    let lines: Vec<&[u8]> = diff.split_inclusive(|byte| *byte == b'\n').collect();
    let mut files: Vec<Vec<Hunk>> = Vec::new();
    // After `diff --git`, `---` and `+++` begin no other file.
    let mut named = false;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        if line.starts_with(b"diff --git ") {
            files.push(Vec::new());
            named = true;
        } else if is_head(&lines[at..]) && !named {
            files.push(Vec::new());
        } else if let Some(head) = Head::of(line, at + 1)? {
            let file = files.last_mut().ok_or_else(|| {
                Garbled::at(at + 1, "a hunk without `---` and `+++` lines before it")
            })?;
            let end = head.end(&lines, at + 1)?;
            file.push(Hunk {
                old_start: head.start,
                line: at + 1,
                end,
            });
            named = false;
            at = end;
            continue;
        } else if line.starts_with(b"@@") && !files.is_empty() {
            return Err(Garbled::at(
                at + 1,
                "this is no @@ -line,count +line,count @@",
            ));
        }
        at += 1;
    }
    Ok(files)
}

/// Whether lines are the head of a file's diff without `diff --git`.
fn is_head(lines: &[&[u8]]) -> bool {
    matches!(lines, [old, new, ..] if old.starts_with(b"--- ") && new.starts_with(b"+++ "))
}

/// What a `@@` line says: where the hunk begins in the old file, and the lines that it has.
struct Head {
    start: u64,
    old: u64,
    new: u64,
}

impl Head {
    fn of(line: &[u8], number: usize) -> std::result::Result<Option<Self>, Garbled> {
        static HEAD: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"^@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@").expect("valid")
        });
        let line = String::from_utf8_lossy(line);
        let Some(head) = HEAD.captures(&line) else {
            return Ok(None);
        };
        let count = |group| {
            let digits = head.get(group).map_or("1", |found| found.as_str());
            let wrong = |_| Garbled::at(number, "cannot read the numbers of this @@ line");
            digits.parse().map_err(wrong)
        };
        Ok(Some(Self {
            start: count(1)?,
            old: count(2)?,
            new: count(3)?,
        }))
    }

    /// The index after the hunk's last line.
    fn end(&self, lines: &[&[u8]], first: usize) -> std::result::Result<usize, Garbled> {
        let (mut old, mut new) = (self.old, self.new);
        let mut at = first;
        while old > 0 || new > 0 {
            let whole = lines.get(at).filter(|line| line.ends_with(b"\n"));
            let (gone, come) = match whole.and_then(|line| line.first()) {
                Some(b'-') => (1, 0),
                Some(b'+') => (0, 1),
                Some(b' ' | b'\n') => (1, 1),
                Some(b'\\') => (0, 0),
                _ => return Err(cut_short(at + 1, old, new)),
            };
            if gone > old || come > new {
                return Err(too_long(at + 1));
            }
            (old, new) = (old - gone, new - come);
            at += 1;
        }
        for (index, line) in lines.iter().enumerate().skip(at) {
            match line.first() {
                _ if is_signature(line) || is_head(&lines[index..]) => break,
                Some(b'-' | b'+') => return Err(too_long(index + 1)),
                Some(b' ' | b'\\') => {}
                _ => break,
            }
        }
        Ok(at)
    }
}

/// What mail programs put before a signature.
fn is_signature(line: &[u8]) -> bool {
    line.trim_ascii_end() == b"--"
}

fn too_long(line: usize) -> Garbled {
    Garbled::at(line, "the hunk has more lines than its @@ line says")
}

fn cut_short(line: usize, old: u64, new: u64) -> Garbled {
    let what = format!("the hunk ends too early: {old} old and {new} new lines are missing");
    Garbled::at(line, what)
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

    fn parsed(text: &str) -> Result<Patch> {
        parse(Utf8Path::new("x.patch"), text.as_bytes())
    }

    #[test]
    fn a_whole_mail() {
        let text = format!("{HEAD}Why.\n\nMore.\n---\nv2: less\n\n{STAT}{DIFF}-- \n2.39.5\n");
        let patch = parsed(&text).unwrap();
        let subject = "super: count the holders of a freeze, and say so";
        assert_eq!(patch.subject, subject);
        let message = String::from_utf8(patch.message.clone()).unwrap();
        assert_eq!(message, format!("{subject}\n\nWhy.\n\nMore.\n"));
        assert_eq!(patch.notes, "v2: less");
        let [change] = patch.changes.as_slice() else {
            panic!("{:?}", patch.changes)
        };
        assert_eq!(change.file, "fs/super.c");
        let hunk = Hunk {
            old_start: 3,
            line: 11,
            end: 15,
        };
        assert_eq!(change.hunks, [hunk]);
        assert_eq!(patch.place(11), "line 20 of the patch");
        let said = patch.placed("corrupt patch at line 2; x (line 4)");
        let placed = "corrupt patch at line 11 of the patch; x at line 13 of the patch";
        assert_eq!(said, placed);
        assert_eq!(patch.files(), BTreeSet::from(["fs/super.c"]));
        let author = (patch.author, patch.email);
        assert_eq!(author, ("Jörg Example".into(), "j@example.org".into()));
    }

    #[test]
    fn a_digest_is_of_what_is_changed() {
        let digest = |text: String| parsed(&text).unwrap().digest();
        let same = digest(format!("{HEAD}{DIFF}"));
        let described = format!("{HEAD}Why.\n---\nv2: less\n\n{STAT}{DIFF}-- \n2.39.5\n");
        for (text, is_same) in [
            (described, true),
            (format!("{HEAD}{}", DIFF.replace("index ", "index 0")), true),
            (format!("{HEAD}{DIFF}").replace('\n', "\r\n"), true),
            (format!("{HEAD}{}", DIFF.replace("+c", "+x")), false),
            (format!("{HEAD}{}", DIFF.replace("-b", "-- ")), false),
            (format!("{HEAD}{}", DIFF.replace("@@ -3", "@@ -4")), false),
        ] {
            assert_eq!(digest(text.clone()) == same, is_same, "{text}");
        }
    }

    #[test]
    fn a_temporary_folder_in_a_repository() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let dir = dir.canonicalize_utf8().unwrap();
        let git = Git::at(&dir, &Stop::default());
        git.read(cmd!(git, "git init --quiet")).unwrap();
        let scratch = dir.join("scratch");
        fs_err::create_dir(&scratch).unwrap();
        let text = format!("{HEAD}{DIFF}");
        let patch = parse_in(&scratch, Utf8Path::new("x.patch"), text.as_bytes()).unwrap();
        assert_eq!(patch.files(), BTreeSet::from(["fs/super.c"]));
    }

    #[test]
    fn messages_and_notes() {
        for (body, message, notes) in [
            (format!("---\n{STAT}{DIFF}"), "", ""),
            (format!("Why.\n{DIFF}"), "\nWhy.\n", ""),
            (format!("Why.\n---\n{DIFF}"), "\nWhy.\n", ""),
            (
                format!("Why.\n---not it\n---\nseen by none\n---\nand more\n{DIFF}"),
                "\nWhy.\n---not it\n",
                "seen by none\n---\nand more",
            ),
        ] {
            let patch = parsed(&format!("{HEAD}{body}")).unwrap();
            let read = String::from_utf8_lossy(&patch.message);
            let (_, read) = read.split_once('\n').unwrap();
            assert_eq!((read, patch.notes.as_str()), (message, notes), "{body}");
        }
    }

    #[test]
    fn garbled() {
        let quoted = "From: a <a@b>\nDate: 1 Nov 2026 10:00 +0000\nSubject: x\n\
            Content-Transfer-Encoding: quoted-printable\n\n";
        for (text, line, what) in [
            (String::new(), 1, "empty"),
            ("\nhello\n".to_owned(), 2, "no mail"),
            ("Subject: x\n\n---\n".to_owned(), 1, "no From: that"),
            (
                format!("From: a <a@b>\nSubject: x\n\n{DIFF}"),
                1,
                "no Date:",
            ),
            (
                format!("From: a <a@b>\nDate: nonsense\nSubject: x\n\n{DIFF}"),
                2,
                "invalid date",
            ),
            (format!("{HEAD}Why.\n"), 7, "without a diff"),
            (format!("{HEAD}---\nnote\n"), 7, "No valid patches"),
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
            (format!("\n\n{HEAD}{DIFF}+e\n"), 18, "more lines than"),
            (format!("{HEAD}{DIFF} e\n-f\n"), 17, "more lines than"),
            (
                format!("{HEAD}{}", DIFF.replace("-3,3 +3,3", "-3;3")),
                11,
                "no @@",
            ),
            (
                format!("{quoted}{}", DIFF.replace("-b\n+c\n d\n", "=2Db\n+c\n")),
                4,
                "in line 9 of the decoded patch: the hunk ends too early",
            ),
            (format!("{HEAD}{DIFF}\n{HEAD}{DIFF}"), 17, "the file has 2"),
        ] {
            let failure = parsed(&text).expect_err(&text);
            assert_eq!(failure.kind, Kind::Usage, "{text}\n{failure}");
            let said = failure.to_string();
            assert!(
                said.starts_with(&format!("x.patch:{line}: ")),
                "{text}\n{said}"
            );
            assert!(said.contains(what), "{text}\n{said}");
        }
    }

    #[test]
    fn lines_that_git_passes_over() {
        for after in [
            "-- \n2.39.5\n",
            "\n--\nsigned\n",
            "\n- not a line of it\n",
            " e\n\n",
        ] {
            parsed(&format!("{HEAD}{DIFF}{after}")).expect(after);
        }
        let other = DIFF.split_once("--- a").unwrap().1;
        let two = parsed(&format!("{HEAD}{DIFF}--- a{other}")).unwrap();
        assert_eq!(two.changes.len(), 2);
        assert!(two.changes.iter().all(|change| change.hunks.len() == 1));
    }
}
