//! Mails as lists keep them: an mbox, read for who answers whom, and with what.

use std::sync::LazyLock;

use camino::Utf8Path;
use mail_parser::{HeaderValue, Message, MessageParser};
use regex::bytes::Regex;

use crate::failure::{Kind, OrFail, Result};

#[derive(Clone, Debug)]
pub struct Mail {
    /// Without the angle brackets.
    pub id: String,
    pub subject: Subject,
    pub from: Person,
    /// The ids of the mails that it answers, the nearest first.
    pub answers: Vec<String>,
    /// RFC 3339.
    pub date: Option<String>,
    /// The text, decoded.
    pub body: String,
    /// As it is in the mbox, without the line that begins with `From `.
    pub raw: Vec<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub address: String,
}

/// `[PATCH v2 1/5] fs: count holds`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub is_reply: bool,
    /// Whether some square brackets say so.
    pub is_patch: bool,
    pub version: u32,
    /// Which one it is of how many.
    pub place: Option<(usize, usize)>,
    /// What is left without prefixes.
    pub text: String,
}

impl Subject {
    pub fn of(header: &str) -> Self {
        let mut subject = Self {
            is_reply: false,
            is_patch: false,
            version: 1,
            place: None,
            text: String::new(),
        };
        let mut rest = header.trim_start();
        loop {
            let bracket = rest.strip_prefix('[').and_then(|it| it.split_once(']'));
            if let Some(after) = answered(rest)
                && !subject.is_patch
            {
                subject.is_reply = true;
                rest = after.trim_start();
            } else if let Some((words, after)) = bracket {
                subject.prefix(words);
                rest = after.trim_start();
            } else {
                break;
            }
        }
        subject.text = rest.split_whitespace().collect::<Vec<_>>().join(" ");
        subject
    }

    /// What stands in square brackets; a list may have put its own name into some. A place alone says that it is a patch,
    /// as in `[RFC 1/5]`.
    fn prefix(&mut self, words: &str) {
        let place = |word: &str| {
            let (number, all) = word.split_once('/')?;
            Some((number.parse().ok()?, all.parse().ok()?))
        };
        let words = words.split_whitespace();
        let says = |word: &str| word.eq_ignore_ascii_case("patch") || word.starts_with("PATCHv");
        if !words
            .clone()
            .any(|word| says(word) || place(word).is_some())
        {
            return;
        }
        self.is_patch = true;
        for word in words {
            let version = word.trim_start_matches("PATCH").strip_prefix(['v', 'V']);
            if let Some(version) = version.and_then(|number| number.parse().ok()) {
                self.version = version;
            }
            self.place = place(word).or(self.place);
        }
    }
}

/// What follows the mark of an answer, or of something that is passed on: whatever it is, it is not the mail itself.
fn answered(subject: &str) -> Option<&str> {
    const MARKS: &[&str] = &[
        "re", "aw", "antw", "sv", "vs", "odp", "rv", "res", "rif", "ynt", "fw", "fwd", "wg", "tr",
        "回复", "答复", "回覆", "转发",
    ];
    let (mark, after) = subject.split_once([':', '：'])?;
    MARKS
        .contains(&mark.trim_end().to_lowercase().as_str())
        .then_some(after)
}

/// Reads the mails of an mbox, each id once: a mail that went to two lists is there twice.
///
/// # Errors
/// [`Kind::Usage`] if it is none.
pub fn read(path: &Utf8Path) -> Result<Vec<Mail>> {
    let text = fs_err::read(path).or_fail(Kind::Usage)?;
    let mails = parse(&text);
    if mails.is_empty() {
        return Err(Kind::Usage.error(format!(
            "{path} has no mail that begins with a line `From ...`; `b4 mbox MESSAGE-ID` writes a \
             thread as an mbox (not gzipped)"
        )));
    }
    Ok(mails)
}

pub fn parse(text: &[u8]) -> Vec<Mail> {
    let mut mails: Vec<Mail> = Vec::new();
    for raw in split(text) {
        if let Some(mail) = mail(&raw)
            && mails.iter().all(|other| other.id != mail.id)
        {
            mails.push(mail);
        }
    }
    mails
}

/// Whether a line of an mbox begins a mail. As for git, one without a time of day is a line of a mail: not every program
/// quotes those.
pub fn begins(line: &[u8]) -> bool {
    static BEGINS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?-u)^From \S+ .*[0-9]:[0-9]{2}").expect("valid"));
    BEGINS.is_match(line)
}

/// The mails as they were before they got into the mbox.
fn split(text: &[u8]) -> Vec<Vec<u8>> {
    static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?-u)^>+From ").expect("valid"));
    let mut mails: Vec<Vec<u8>> = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if begins(line) {
            mails.push(Vec::new());
        } else if let Some(mail) = mails.last_mut() {
            let quote = usize::from(QUOTED.is_match(line));
            mail.extend_from_slice(&line[quote..]);
        }
    }
    mails
}

/// Mails as an mbox again.
pub fn write<'a>(mails: impl IntoIterator<Item = &'a Mail>) -> Vec<u8> {
    join(mails.into_iter().map(|mail| mail.raw.as_slice()))
}

/// The texts of mails as an mbox, as public-inbox writes it.
pub fn join<'a>(mails: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut text = Vec::new();
    for mail in mails {
        text.extend_from_slice(b"From mboxrd@z Thu Jan  1 00:00:00 1970\n");
        for line in mail.trim_ascii_end().split(|byte| *byte == b'\n') {
            let marks = line.iter().take_while(|byte| **byte == b'>').count();
            if line[marks..].starts_with(b"From ") {
                text.push(b'>');
            }
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text.push(b'\n');
    }
    text
}

fn mail(raw: &[u8]) -> Option<Mail> {
    let message = MessageParser::default().parse(raw)?;
    let body = message.body_text(0).unwrap_or_default();
    Some(Mail {
        id: message.message_id()?.to_owned(),
        subject: Subject::of(message.subject().unwrap_or_default()),
        from: from(&message),
        answers: answers(&message),
        date: message.date().map(mail_parser::DateTime::to_rfc3339),
        body: body.replace("\r\n", "\n"),
        raw: raw.to_owned(),
    })
}

fn from(message: &Message<'_>) -> Person {
    let from = message.from().and_then(|from| from.first());
    let word = |it: Option<&str>| it.unwrap_or_default().trim().to_owned();
    Person {
        name: word(from.and_then(|from| from.name())),
        address: word(from.and_then(|from| from.address())),
    }
}

fn answers(message: &Message<'_>) -> Vec<String> {
    let mut ids = ids(message.in_reply_to());
    let references = self::ids(message.references());
    ids.extend(references.into_iter().rev());
    ids
}

fn ids(header: &HeaderValue<'_>) -> Vec<String> {
    match header {
        HeaderValue::Text(id) => vec![id.to_string()],
        HeaderValue::TextList(ids) => ids.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
pub mod samples {
    /// A mail of an mbox; `headers` are whole lines.
    pub fn mail(id: &str, from: &str, subject: &str, headers: &str, body: &str) -> String {
        format!(
            "From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: {from}\n\
             Date: Fri, 27 Nov 2026 10:00:00 +0100\n\
             Message-ID: <{id}>\nSubject: {subject}\n{headers}\n{body}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        for (header, is_reply, is_patch, version, place, text) in [
            ("fs: x", false, false, 1, None, "fs: x"),
            ("[PATCH] fs: x", false, true, 1, None, "fs: x"),
            (
                "[PATCH v2 1/5] fs: x",
                false,
                true,
                2,
                Some((1, 5)),
                "fs: x",
            ),
            (
                "[RFC PATCH v12 00/16] a  b",
                false,
                true,
                12,
                Some((0, 16)),
                "a b",
            ),
            ("[PATCHv3 2/3] x", false, true, 3, Some((2, 3)), "x"),
            ("Re: [PATCH 2/3] x", true, true, 1, Some((2, 3)), "x"),
            ("[list] RE: Re: [PATCH RFC v2] x", true, true, 2, None, "x"),
            ("Aw: [PATCH v2] x", true, true, 2, None, "x"),
            ("SV: Re: [PATCH v2] x", true, true, 2, None, "x"),
            ("回复：[PATCH v2] x", true, true, 2, None, "x"),
            ("Fwd: [PATCH v2] x", true, true, 2, None, "x"),
            (
                "[PATCH RESEND v2 01/05] vs: x",
                false,
                true,
                2,
                Some((1, 5)),
                "vs: x",
            ),
            ("[RFC v2 1/5] x", false, true, 2, Some((1, 5)), "x"),
            ("[RFC] x", false, false, 1, None, "x"),
            ("[ANNOUNCE v2] x", false, false, 1, None, "x"),
            ("[open", false, false, 1, None, "[open"),
        ] {
            let wanted = Subject {
                is_reply,
                is_patch,
                version,
                place,
                text: text.into(),
            };
            assert_eq!(Subject::of(header), wanted, "{header}");
        }
    }

    #[test]
    fn mails_of_an_mbox() {
        let first = samples::mail(
            "1@x",
            "=?UTF-8?q?J=C3=B6rg?= <j@x>",
            "Re: [PATCH] fs:\n x",
            "In-Reply-To: <b@x>\nReferences: <a@x>\n\t<b@x>\n\
             Content-Type: text/plain; charset=utf-8\n\
             Content-Transfer-Encoding: quoted-printable\n",
            ">From here\nReviewed-by: J=C3=B6rg <j@x>",
        );
        let mails =
            parse(format!("{first}{first}{}", samples::mail("2@x", "b@x", "y", "", "")).as_bytes());
        let [mail, other] = mails.as_slice() else {
            panic!("{mails:?}")
        };
        assert_eq!((mail.id.as_str(), other.id.as_str()), ("1@x", "2@x"));
        assert_eq!(mail.from.name, "Jörg");
        assert_eq!(other.from.address, "b@x");
        assert_eq!(mail.subject.text, "fs: x");
        assert_eq!(mail.answers, ["b@x", "b@x", "a@x"]);
        assert_eq!(mail.date.as_deref(), Some("2026-11-27T10:00:00+01:00"));
        assert!(
            mail.body.starts_with("From here\nReviewed-by: Jörg <j@x>"),
            "{}",
            mail.body
        );
    }

    /// As the programs of lists and people keep them.
    #[test]
    fn mails_of_many_kinds() {
        let latin = "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: ";
        let base64 = samples::mail("1@x", "a@x", "s", &format!("{latin}base64\n"), "SvZyZwo=");
        let quoted = samples::mail(
            "2@x",
            "a@x",
            "s",
            &format!("{latin}quoted-printable\n"),
            "J=F6rg",
        );
        let unquoted = samples::mail("3@x", "a@x", "s", "", "J\n\nFrom here on\n>From there\n");
        let text = [base64, quoted, unquoted].concat();
        for text in [text.replace('\n', "\r\n"), text] {
            let mails = parse(text.as_bytes());
            let bodies: Vec<_> = mails.iter().map(|mail| mail.body.trim_end()).collect();
            assert_eq!(bodies, ["Jörg", "Jörg", "J\n\nFrom here on\nFrom there"]);
            assert_eq!(parse(&write(&mails)).len(), 3);
        }
    }

    #[test]
    fn an_mbox_is_written_as_it_was() {
        let body = ">From here\n>>From there\n\nto x";
        let text = ["1@x", "2@x"].map(|id| samples::mail(id, "a@x", "s", "", body));
        let text = text.map(|mail| format!("{mail}\n")).concat();
        let written = write(&parse(text.as_bytes()));
        assert_eq!(String::from_utf8(written).unwrap(), text);
    }

    #[test]
    fn what_is_no_mbox() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("x");
        assert!(read(&file).is_err());
        fs_err::write(&file, "hello\n").unwrap();
        let failure = read(&file).unwrap_err();
        assert!(failure.to_string().contains("b4 mbox"), "{failure}");
    }
}
