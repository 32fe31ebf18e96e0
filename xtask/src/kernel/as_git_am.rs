//! Whether patches are read and applied as by `git am`: it is the judge, mail by mail.

use End::{Neither, Refused, Same};
use camino::Utf8PathBuf;
use xshell::cmd;

use super::apply::apply;
use super::source::Source;
use crate::failure::Result;
use crate::host::environment::PLAIN;
use crate::host::git::Git;
use crate::host::layout::Layout;
use crate::host::proc::{self, Stop};
use crate::series;

/// How a mail ends for both.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The same commit: author, date, message, tree.
    Same,
    /// `git am` takes it, we do not, with this file, line and reason.
    Refused(&'static str),
    /// Neither takes it; this is what we say.
    Neither(&'static str),
}

const FROM: &str = "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n";
const WHO: &str = "From: A U Thor <author@example.org>\n";
const DATE: &str = "Date: Mon, 2 Nov 2026 10:00:00 +0100\n";
const SUBJECT: &str = "Subject: [PATCH 2/7] fs: say three\n";
const DIFF: &str = "diff --git a/fs/a.c b/fs/a.c\nindex 1111111..2222222 100644\n--- a/fs/a.c\n+++ b/fs/a.c\n\
    @@ -2,3 +2,3 @@ f\n 2\n-3\n+drei\n 4\n";
const SIGNATURE: &str = "-- \n2.47.3\n";

/// The files that the mails patch.
const FILES: &[(&str, &[u8])] = &[
    ("fs/a.c", b"1\n2\n3\n4\n5\n6\n7\n8\n"),
    ("fs/dashes", b"-- \n-- a/x\n++ b/x\nend\n"),
    ("fs/with space.c", b"1\n2\n3\n"),
    ("fs/\u{fc}ber.c", b"1\n2\n3\n"),
    ("fs/crlf.c", b"1\r\n2\r\n3\r\n"),
    ("fs/latin.c", b"1\n\xe4\n3\n"),
    ("fs/open.c", b"1\n2\n3"),
    ("fs/script", b"true\n"),
    ("logo", b"\0\x01\x02\xff"),
];

/// A mail with this head and this body.
fn mail(head: &str, body: &str) -> Vec<u8> {
    format!("{FROM}{WHO}{DATE}{SUBJECT}{head}\n{body}").into_bytes()
}

fn message(text: &str) -> Vec<u8> {
    mail(
        "",
        &format!("{text}---\n fs/a.c | 2 +-\n 1 file changed\n\n{DIFF}{SIGNATURE}"),
    )
}

fn diff(text: &str) -> Vec<u8> {
    mail("", &format!("Why.\n---\n\n{text}{SIGNATURE}"))
}

/// A mail with other lines than usual between `From ` and the empty one.
fn head(lines: &str) -> Vec<u8> {
    format!("{FROM}{lines}\nWhy.\n---\n{DIFF}{SIGNATURE}").into_bytes()
}

fn quoted_printable(text: &str) -> String {
    let escaped = |char: char| match char {
        '=' | '\u{80}'.. => char
            .to_string()
            .bytes()
            .map(|byte| format!("={byte:02X}"))
            .collect(),
        '-' => "-=\n".to_owned(),
        _ => char.to_string(),
    };
    text.chars().map(escaped).collect()
}

fn base64(text: &[u8]) -> String {
    proc::pipe(cmd!(PLAIN, "base64"), text, &Stop::default()).unwrap() + "\n"
}

fn latin(text: &str) -> Vec<u8> {
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).unwrap())
        .collect()
}

fn multipart(parts: &[&str]) -> Vec<u8> {
    let parts: String = parts
        .iter()
        .map(|part| format!("--=-b\n{part}\n"))
        .collect();
    let head = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"=-b\"\n";
    mail(
        head,
        &format!("This is a multi-part message.\n{parts}--=-b--\n"),
    )
}

fn replaced(old: &str, new: &str) -> String {
    assert!(DIFF.contains(old), "{old}");
    DIFF.replace(old, new)
}

fn crlf(mail: &[u8]) -> Vec<u8> {
    String::from_utf8(mail.to_vec())
        .unwrap()
        .replace('\n', "\r\n")
        .into_bytes()
}

/// A diff of one hunk that turns the second line of a file into `zwei`.
fn second(old: &str, new: &str) -> String {
    format!("diff --git {old} {new}\n--- {old}\n+++ {new}\n@@ -1,3 +1,3 @@\n 1\n-2\n+zwei\n 3\n")
}

fn encodings() -> Vec<(&'static str, Vec<u8>, End)> {
    let encoded = |how: &str, charset: &str| {
        format!(
            "MIME-Version: 1.0\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {how}\n"
        )
    };
    let body = format!("W\u{e4}re = gut.\n---\n{DIFF}{SIGNATURE}");
    let crlf_diff = replaced("fs/a.c", "fs/crlf.c").replace(
        "@@ -2,3 +2,3 @@ f\n 2\n-3\n+drei\n 4\n",
        "@@ -1,3 +1,3 @@\n 1\r\n-2\r\n+zwei\r\n 3\r\n",
    );
    let flowed = "Content-Type: text/plain; format=flowed\n";
    let latin_head = encoded("8bit", "iso-8859-1");
    vec![
        (
            "quoted-printable",
            mail(
                &encoded("quoted-printable", "UTF-8"),
                &quoted_printable(&body),
            ),
            Same,
        ),
        (
            "base64",
            mail(&encoded("base64", "UTF-8"), &base64(body.as_bytes())),
            Same,
        ),
        (
            "base64 of CR LF",
            mail(&encoded("base64", "UTF-8"), &base64(crlf_diff.as_bytes())),
            Same,
        ),
        (
            "base64 of CR LF for a file without",
            mail(&encoded("base64", "UTF-8"), &base64(&crlf(body.as_bytes()))),
            Neither("CR LF"),
        ),
        (
            "base64 that is none",
            mail(&encoded("base64", "UTF-8"), "####\n"),
            Neither(":9: the mail ends without a diff"),
        ),
        ("a file of CR LF", crlf(&message("Why.\n")), Same),
        (
            "a patch of a file of CR LF",
            diff(&crlf_diff),
            Neither("CR LF"),
        ),
        (
            "Latin-1, declared",
            latin(&String::from_utf8(mail(&latin_head, &body)).unwrap()),
            Same,
        ),
        (
            "Latin-1, undeclared",
            latin(&String::from_utf8(mail("", &body)).unwrap()),
            Same,
        ),
        (
            "Latin-1 in the headers",
            latin(&format!(
                "From: J\u{f6}rg <j@example.org>\n{DATE}Subject: \u{e4}\n\n{DIFF}"
            )),
            Same,
        ),
        (
            "UTF-8 that is none",
            {
                let mut mail = mail(&encoded("8bit", "UTF-8"), "x\n");
                mail.pop();
                [mail.as_slice(), b"\xff bad\n---\n", DIFF.as_bytes()].concat()
            },
            Same,
        ),
        (
            "a character set that nobody knows",
            mail(&encoded("8bit", "klingon"), &body),
            Neither(":6: "),
        ),
        (
            "format=flowed",
            mail(flowed, &body.replace("\n ", "\n  ")),
            Same,
        ),
        (
            "format=flowed that is not",
            mail(flowed, &body),
            Neither(":5: in line 7 of the decoded patch: the hunk ends"),
        ),
        (
            "Latin-1 in the diff",
            {
                let text = second("a/fs/latin.c", "b/fs/latin.c").replace("-2\n", "-\u{e4}\n");
                latin(&String::from_utf8(diff(&text)).unwrap())
            },
            Same,
        ),
        (
            "a text and an inline patch",
            multipart(&[
                "\nWhy.\n",
                &format!("Content-Type: text/x-patch\nContent-Disposition: inline\n\n{DIFF}"),
            ]),
            Same,
        ),
        (
            "an attachment in base64",
            multipart(&[
                "Content-Type: text/plain\n\nWhy.\n",
                &format!(
                    "Content-Type: text/x-patch; name=\"a.patch\"\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"a.patch\"\n\n{}",
                    base64(DIFF.as_bytes())
                ),
            ]),
            Same,
        ),
        (
            "HTML",
            mail("Content-Type: text/html\n", "<p>Why.</p>\n"),
            Neither("the mail ends without a diff"),
        ),
        (
            "UTF-16",
            String::from_utf8(message(""))
                .unwrap()
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
            Neither(":1: "),
        ),
    ]
}

fn heads() -> Vec<(&'static str, Vec<u8>, End)> {
    let subject = |line: &str| head(&format!("{WHO}{DATE}{line}"));
    let date = |line: &str| head(&format!("{WHO}{line}{SUBJECT}"));
    let from = |line: &str| head(&format!("{line}{DATE}{SUBJECT}"));
    vec![
        ("as git format-patch writes it", message("Why.\n"), Same),
        (
            "no From line",
            message("Why.\n")[FROM.len()..].to_vec(),
            Same,
        ),
        (
            "blank lines first",
            [b"\n\n".as_slice(), &message("Why.\n")].concat(),
            Same,
        ),
        (
            "RFC 2047 subject",
            subject("Subject: =?UTF-8?q?[PATCH]=20fs:=20z=C3=A4hle?=\n =?UTF-8?b?w6TDtg==?= x\n"),
            Same,
        ),
        (
            "RFC 2047 author",
            from("From: =?ISO-8859-1?Q?J=F6rg_=22X=22?= <j@example.org>\n"),
            Same,
        ),
        (
            "folded subject",
            subject("Subject: [RFC PATCH v2 01/11] fs: a long\n one,\n\tfolded\n"),
            Same,
        ),
        (
            "other brackets",
            subject("Subject: [PATCH 1/2] [media] fs: [x] three\n"),
            Same,
        ),
        ("Re:", subject("Subject: Re: [PATCH] fs: three\n"), Same),
        ("no subject", head(&format!("{WHO}{DATE}")), Same),
        ("empty subject", subject("Subject:\n"), Same),
        (
            "header names in another case",
            head("from: a <a@b.c>\nDATE: 1 Nov 2026 10:00:00 +0000\nsubject: x\n"),
            Same,
        ),
        (
            "author without a name",
            from("From: author@example.org\n"),
            Same,
        ),
        (
            "author in a comment",
            from("From: author@example.org (A U Thor)\n"),
            Same,
        ),
        (
            "quoted author",
            from("From: \"Thor, A U.\" <author@example.org>\n"),
            Same,
        ),
        (
            "author without an address",
            from("From: A U Thor\n"),
            Neither(":2: no From: "),
        ),
        ("no author", from(""), Neither(": no From: ")),
        (
            "negative zone",
            date("Date: Mon, 2 Nov 2026 10:00:00 -0000\n"),
            Same,
        ),
        (
            "half an hour",
            date("Date: Mon, 2 Nov 2026 10:00:00 +0530\n"),
            Same,
        ),
        (
            "a zone's name",
            date("Date: Mon, 2 Nov 2026 10:00:00 PST\n"),
            Same,
        ),
        (
            "a zone's name in a comment",
            date("Date: Mon, 2 Nov 2026 10:00:00 +0200 (CEST)\n"),
            Same,
        ),
        ("no zone", date("Date: Mon, 2 Nov 2026 10:00:00\n"), Same),
        ("ISO date", date("Date: 2026-11-02T10:00:00+01:00\n"), Same),
        ("seconds", date("Date: @1700000000 +0100\n"), Same),
        (
            "an impossible date",
            date("Date: yesterday, at tea\n"),
            Neither(":3: "),
        ),
        ("no date", date(""), Refused(":1: no Date: ")),
        (
            "two mails",
            [
                message("Why.\n"),
                diff(&second("a/fs/with space.c", "b/fs/with space.c")),
            ]
            .concat(),
            Refused(":22: a second mail begins here, and the file has 2"),
        ),
        (
            "an empty file",
            Vec::new(),
            Neither(":1: the file is empty"),
        ),
        ("a file of blanks", b" \n\t\n".to_vec(), Neither(":1: ")),
        (
            "a quilt patch",
            format!("Why, in words.\n\n{DIFF}").into_bytes(),
            Neither(":1: no mail"),
        ),
        (
            "a bare diff",
            DIFF.as_bytes().to_vec(),
            Neither(":1: no mail"),
        ),
        (
            "StGit",
            format!("Subject\n\n{WHO}{DATE}\nWhy.\n---\n{DIFF}").into_bytes(),
            Refused(":1: no mail"),
        ),
        (
            "Mercurial",
            format!("# HG changeset patch\n# User a <a@b.c>\n# Date 1700000000 0\nWhy.\n\n{DIFF}")
                .into_bytes(),
            Refused(":1: no mail"),
        ),
        ("NUL in the subject", subject("Subject: a\0b\n"), Same),
    ]
}

fn messages() -> Vec<(&'static str, Vec<u8>, End)> {
    vec![
        ("no message", message(""), Same),
        (
            "in-body headers",
            message(
                "From: B <b@example.org>\nDate: Tue, 3 Nov 2026 11:00:00 +0000\nSubject: fs: in the body\n\nWhy.\n",
            ),
            Same,
        ),
        (
            "in-body headers that fold",
            message("From: B\n <b@example.org>\nSubject: fs: a long one,\n folded\n\nWhy.\n"),
            Same,
        ),
        (
            "a quoted in-body author",
            message(">From: B <b@example.org>\n\nWhy.\n"),
            Same,
        ),
        (
            "a mail forwarded",
            message("Why.\n\nFrom: B <b@example.org>\n"),
            Same,
        ),
        ("mboxrd", message(">From here on\n>>From there\n"), Same),
        (
            "From within",
            message("Why.\n\nFrom here on it counts.\n"),
            Same,
        ),
        (
            "scissors",
            message("Hi, take this:\n\n-- >8 --\nSubject: fs: cut\n\nWhy.\n"),
            Same,
        ),
        ("a line of ---", message("Before.\n---\nAfter.\n"), Same),
        (
            "more dashes",
            message("Before.\n----\n--- not it\n---not it\nAfter.\n"),
            Same,
        ),
        (
            "diff in the message",
            message("Why.\ndiff -u says more.\n"),
            Same,
        ),
        (
            "a diff in the message",
            message(&format!(
                "Why.\n\n{}\nMore.\n",
                second("a/fs/open.c", "b/fs/open.c")
            )),
            Neither("fs/open.c"),
        ),
        (
            "a diff in the message, indented",
            message("Why.\n\n  diff --git a/x b/x\n  @@ -1 +1 @@\n  -a\n  +b\n"),
            Same,
        ),
        ("Index in the message", message("Why.\nIndex: none\n"), Same),
        (
            "much white space",
            message("\n\n\nWhy.  \n\n\n\n\tMore.\t\n   \n\n"),
            Same,
        ),
        (
            "trailers",
            message("Why.\n\nReviewed-by: R <r@example.org>\nLink: https://example.org/\n"),
            Same,
        ),
        ("comment lines", message("# not a comment\nWhy.\n"), Same),
        (
            "NUL in the message",
            message("Why\0not.\n"),
            Neither(":6: a NUL byte"),
        ),
        ("form feed", message("Why.\x0c\n\x0b\nMore.\n"), Same),
    ]
}

fn diffs() -> Vec<(&'static str, Vec<u8>, End)> {
    let plain = |text: &str| {
        text.split_once("index").map_or(String::new(), |(_, rest)| {
            rest[rest.find("---").unwrap()..].to_owned()
        })
    };
    let made = "diff --git a/fs/new b/fs/new\nnew file mode 100644\n";
    let binary = "diff --git a/logo b/logo\nindex ";
    vec![
        (
            "no signature",
            mail("", &format!("Why.\n---\n{DIFF}")),
            Same,
        ),
        (
            "a list's footer",
            mail(
                "",
                &format!("Why.\n---\n{DIFF}\n_____\nlist mailing list\nlist@example.org\n"),
            ),
            Same,
        ),
        (
            "text before the end",
            mail("", &format!("Why.\n---\n{DIFF}\n--\nA U Thor\n")),
            Same,
        ),
        (
            "a space in a name",
            diff(
                &second("a/fs/with space.c", "b/fs/with space.c")
                    .replace("space.c\n@", "space.c\t\n@"),
            ),
            Same,
        ),
        (
            "a quoted name",
            diff(&second(
                "\"a/fs/\\303\\274ber.c\"",
                "\"b/fs/\\303\\274ber.c\"",
            )),
            Same,
        ),
        (
            "a name that is not ASCII",
            diff(&second("a/fs/\u{fc}ber.c", "b/fs/\u{fc}ber.c")),
            Same,
        ),
        ("only --- and +++", diff(&plain(DIFF)), Same),
        (
            "times after the names",
            diff(&plain(DIFF).replace("a.c\n", "a.c\t2026-11-02 10:00:00.000000000 +0100\n")),
            Same,
        ),
        (
            "Index:",
            diff(&format!(
                "Index: linux/fs/a.c\n{}\n{}",
                "=".repeat(67),
                plain(DIFF)
            )),
            Same,
        ),
        (
            "Index: without a/",
            diff(&format!(
                "Index: fs/a.c\n{}\n{}",
                "=".repeat(67),
                plain(DIFF).replace("a/fs", "fs").replace("b/fs", "fs")
            )),
            Neither("a.c: does not exist in index"),
        ),
        (
            "diff -up",
            diff(&format!("diff -up a/fs/a.c b/fs/a.c\n{}", plain(DIFF))),
            Same,
        ),
        (
            "no prefix, by git",
            diff(&replaced("a/fs", "fs").replace("b/fs", "fs")),
            Neither(": "),
        ),
        (
            "two files",
            diff(&format!(
                "{DIFF}{}",
                second("a/fs/open.c", "b/fs/open.c")
                    .replace(" 3\n", " 3\n\\ No newline at end of file\n")
            )),
            Same,
        ),
        (
            "two files without diff --git",
            diff(&format!(
                "{}{}",
                plain(DIFF),
                second("a/fs/with space.c", "b/fs/with space.c")
                    .replace("space.c\n@", "space.c\t\n@")
                    .replace("diff --git a/fs/with space.c b/fs/with space.c\n", "")
            )),
            Same,
        ),
        (
            "lines like a header",
            diff(
                "diff --git a/fs/dashes b/fs/dashes\n--- a/fs/dashes\n+++ b/fs/dashes\n@@ -1,4 +1,4 @@\n--- \n--- a/x\n-++ b/x\n+-- \n+-- a/y\n+++ b/y\n end\n",
            ),
            Same,
        ),
        (
            "no newline at a file's end",
            diff(
                "diff --git a/fs/open.c b/fs/open.c\n--- a/fs/open.c\n+++ b/fs/open.c\n@@ -1,3 +1,3 @@\n 1\n 2\n-3\n\\ No newline at end of file\n+drei\n\\ No newline at end of file\n",
            ),
            Same,
        ),
        (
            "a mode",
            diff("diff --git a/fs/script b/fs/script\nold mode 100644\nnew mode 100755\n"),
            Same,
        ),
        (
            "a rename",
            diff(
                "diff --git a/fs/a.c b/fs/b.c\nsimilarity index 100%\nrename from fs/a.c\nrename to fs/b.c\n",
            ),
            Same,
        ),
        (
            "a rename with edits",
            diff(
                &replaced(
                    "index",
                    "similarity index 80%\nrename from fs/a.c\nrename to fs/b.c\nindex",
                )
                .replace("b/fs/a.c", "b/fs/b.c"),
            ),
            Same,
        ),
        (
            "a copy",
            diff(
                "diff --git a/fs/a.c b/fs/b.c\nsimilarity index 100%\ncopy from fs/a.c\ncopy to fs/b.c\n",
            ),
            Same,
        ),
        (
            "an empty file",
            diff(&format!("{made}index 0000000..e69de29\n")),
            Same,
        ),
        (
            "a new file",
            diff(&format!(
                "{made}--- /dev/null\n+++ b/fs/new\n@@ -0,0 +1 @@\n+1\n"
            )),
            Same,
        ),
        (
            "a new file that is there",
            diff(
                &format!("{made}--- /dev/null\n+++ b/fs/new\n@@ -0,0 +1 @@\n+1\n")
                    .replace("fs/new", "fs/a.c"),
            ),
            Neither("fs/a.c: already exists"),
        ),
        (
            "a file removed",
            diff(
                "diff --git a/fs/script b/fs/script\ndeleted file mode 100644\n--- a/fs/script\n+++ /dev/null\n@@ -1 +0,0 @@\n-true\n",
            ),
            Same,
        ),
        (
            "a symbolic link",
            diff(
                "diff --git a/fs/link b/fs/link\nnew file mode 120000\n--- /dev/null\n+++ b/fs/link\n@@ -0,0 +1 @@\n+a.c\n\\ No newline at end of file\n",
            ),
            Same,
        ),
        (
            "binary",
            diff(
                "diff --git a/new.bin b/new.bin\nnew file mode 100644\nindex 0000000000000000000000000000000000000000..eaf36c1daccfdf325514461cd1a2ffbc139b5464\nGIT binary patch\nliteral 4\nLcmZQzWMT#Y01f~L\n\nliteral 0\nHcmV?d00001\n\n",
            ),
            Same,
        ),
        (
            "binary, of which nothing is there",
            diff(&format!(
                "{binary}1111111..2222222 100644\nBinary files a/logo and b/logo differ\n"
            )),
            Neither("logo"),
        ),
        (
            "binary, damaged",
            diff(&format!(
                "{binary}1111111..2222222 100644\nGIT binary patch\nliteral 4\nLcm!\n\n"
            )),
            Neither(": git apply: "),
        ),
        (
            "an empty context line without its space",
            diff(
                "diff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n@@ -8 +8,3 @@\n 8\n+\n+9\n",
            ),
            Same,
        ),
        (
            "another place",
            diff(&replaced("-2,3 +2,3", "-4,3 +4,3")),
            Same,
        ),
        (
            "a place that is not there",
            diff(&replaced(" 4\n", " vier\n")),
            Neither("fs/a.c: hunk 1 of 1 (line 13 of the patch) belongs near line 2"),
        ),
        (
            "a file that is not there",
            diff(&replaced("fs/a.c", "fs/none.c")),
            Neither("fs/none.c: does not exist in index"),
        ),
        (
            "cut short",
            mail("", &format!("Why.\n---\n{}", replaced(" 4\n", ""))),
            Neither(": the hunk ends too early"),
        ),
        (
            "cut within a line",
            mail("", &format!("Why.\n---\n{}", DIFF.trim_end())),
            Neither(":16: the hunk ends too early"),
        ),
        (
            "wrapped by a mail program",
            diff(&replaced("+drei\n", "+dr\nei\n")),
            Neither(": the hunk ends too early"),
        ),
        (
            "spaces at the ends of lines lost",
            diff(&replaced(" 2\n", "2\n")),
            Neither(": the hunk ends too early"),
        ),
        (
            "more lines than counted",
            diff(&replaced(" 4\n", " 4\n+neun\n")),
            Refused(":18: the hunk has more lines"),
        ),
        (
            "no hunks",
            diff(
                "diff --git a/fs/a.c b/fs/a.c\nindex 1111111..2222222 100644\n--- a/fs/a.c\n+++ b/fs/a.c\n",
            ),
            Neither("only garbage at line 13 of the patch"),
        ),
        (
            "a hunk of nothing",
            diff("@@ -2,3 +2,3 @@ f\n 2\n-3\n+drei\n 4\n"),
            Neither(": a hunk without"),
        ),
        (
            "notes without a diff",
            diff("not much\n"),
            Neither(": git apply: No valid patches"),
        ),
        (
            "out of the tree",
            diff(&second("a/../x", "b/../x")),
            Neither("../x"),
        ),
        (
            "into .git",
            diff(
                "diff --git a/.git/x b/.git/x\nnew file mode 100644\n--- /dev/null\n+++ b/.git/x\n@@ -0,0 +1 @@\n+1\n",
            ),
            Neither(".git/x"),
        ),
        (
            "NUL in a line",
            diff(&replaced("+drei\n", "+d\0rei\n")),
            Same,
        ),
        (
            "nothing that changes",
            diff("diff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1 +1 @@\n-1\n+1\n"),
            Neither("hunk 1 of 1 (line 12 of the patch)"),
        ),
    ]
}

/// A repository, and a layout whose only patch is the mail that is tried.
struct Court {
    _dir: tempfile::TempDir,
    git: Git,
    layout: Layout,
    base: String,
}

impl Court {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(dir.path().to_owned()).unwrap();
        let git = Git::at(root.join("linux"), &Stop::default());
        for (name, content) in FILES {
            let path = git.dir().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        for line in [
            cmd!(git, "git init --quiet"),
            cmd!(git, "git config core.autocrlf false"),
            cmd!(git, "git add --all"),
            cmd!(git, "git commit --quiet --message=base"),
        ] {
            git.read(line).unwrap();
        }
        let layout = Layout::at(root);
        let series = layout.patches().join("6.12/s");
        fs_err::create_dir_all(&series).unwrap();
        fs_err::write(series.join("series"), "x.patch -p1\n").unwrap();
        Self {
            base: git.read(cmd!(git, "git rev-parse HEAD")).unwrap(),
            _dir: dir,
            layout,
            git,
        }
    }

    fn patch(&self) -> Utf8PathBuf {
        self.layout.patches().join("6.12/s/x.patch")
    }

    /// The commit that `git am` makes, or what it says. The committer is the same as ours.
    fn theirs(&self) -> std::result::Result<String, String> {
        let Self { git, base, .. } = self;
        let patch = self.patch();
        let am = git.output(cmd!(git, "git am --quiet {patch}"), b"");
        let head = git.read(cmd!(git, "git rev-parse HEAD")).unwrap();
        let _ = git.output(cmd!(git, "git am --abort"), b"").unwrap();
        let reset = cmd!(git, "git reset --quiet --hard {base}");
        for line in [reset, cmd!(git, "git clean --quiet --force -d")] {
            git.read(line).unwrap();
        }
        let am = am.unwrap();
        if am.status.success() {
            Ok(head)
        } else {
            Err(am.stderr())
        }
    }

    fn ours(&self) -> Result<String> {
        let source = Source {
            name: "x".into(),
            label: "the base".into(),
            repository: self.git.dir().join(".git"),
            commit: self.base.clone(),
        };
        let series = series::load(&self.layout, "6.12", "s")?;
        apply(&source, &[series], &Stop::default())
    }

    fn show(&self, commit: &str) -> String {
        let show = cmd!(self.git, "git show --format=raw {commit}");
        self.git.read(show).unwrap()
    }

    /// What is wrong with how a mail ended, if anything is.
    fn judge(&self, mail: &[u8], end: End) -> Option<String> {
        fs_err::write(self.patch(), mail).unwrap();
        let (theirs, ours) = (
            self.theirs(),
            self.ours().map_err(|failure| failure.to_string()),
        );
        let says = |said: &str, words: &str| said.contains("x.patch") && said.contains(words);
        let right = match (&theirs, &ours, end) {
            (Ok(theirs), Ok(ours), Same) => theirs == ours,
            (Ok(_), Err(said), Refused(words)) | (Err(_), Err(said), Neither(words)) => {
                says(said, words)
            }
            _ => false,
        };
        let shown = |end: &std::result::Result<String, String>| match end {
            Ok(commit) => self.show(commit),
            Err(said) => said.clone(),
        };
        (!right).then(|| {
            format!(
                "expected {end:?}\n--- git am:\n{}\n--- ours:\n{}",
                shown(&theirs),
                shown(&ours)
            )
        })
    }
}

#[test]
fn each_mail_ends_as_with_git_am() {
    let court = Court::new();
    let mails = [encodings(), heads(), messages(), diffs()].concat();
    let wrong: Vec<String> = mails
        .iter()
        .filter_map(|(name, mail, end)| Some(format!("=== {name}: {}", court.judge(mail, *end)?)))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        mails.len(),
        wrong.join("\n\n")
    );
}
