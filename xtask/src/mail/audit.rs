//! Whether mails that b4 has written are what was asked for: it says nothing if they are not.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use mail_parser::{Address, Message, MessageParser};

use super::checklist::mails;
use super::letter::{People, address, sign_offs};
use crate::failure::{Kind, Result};

/// What the mails of a series have to have.
#[derive(Debug)]
pub struct Asked<'a> {
    pub patches: usize,
    /// The messages of the commits.
    pub messages: &'a str,
    /// The public commit.
    pub base: &'a str,
    /// Lines of the cover letter, and below it.
    pub lines: &'a [String],
    pub people: &'a People,
}

impl Asked<'_> {
    /// # Errors
    /// [`Kind::Machinery`] with the first mail that is wrong.
    pub fn audit(&self, files: &[Utf8PathBuf]) -> Result<()> {
        let wanted = mails(self.patches);
        if files.len() != wanted {
            let count = files.len();
            return Err(Kind::Machinery.error(format!("{count} mails instead of {wanted}")));
        }
        let mut first = None;
        for file in files {
            let mail = fs_err::read(file)?;
            let checked = self.check(&mail, first.as_deref());
            let id = checked.map_err(|what| Kind::Machinery.error(format!("{file}: {what}")))?;
            first.get_or_insert(id);
        }
        Ok(())
    }

    /// Returns the mail's id; `first` is that of the mail that it answers. The error is what is wrong.
    fn check(&self, raw: &[u8], first: Option<&str>) -> std::result::Result<String, String> {
        let mail = MessageParser::default().parse(raw).ok_or("it is no mail")?;
        let text = mail.body_text(0).unwrap_or_default();
        let signed: BTreeSet<&str> = sign_offs(self.messages).collect();
        if let Some(line) = sign_offs(&text).find(|line| !signed.contains(line)) {
            return Err(format!("no patch has the line {line:?}"));
        }
        self.goes_to(&mail)?;
        let answered = mail.in_reply_to().as_text();
        if answered != first {
            return Err(format!("it answers {answered:?} instead of {first:?}"));
        }
        if first.is_none() {
            self.ends(&text)?;
        }
        let id = mail.message_id().ok_or("it has no Message-Id")?;
        Ok(id.to_owned())
    }

    fn goes_to(&self, mail: &Message<'_>) -> std::result::Result<(), String> {
        let People { to, cc } = self.people;
        for (name, wanted, found) in [("To", to, mail.to()), ("Cc", cc, mail.cc())] {
            let wanted: Vec<&str> = wanted.iter().filter_map(|who| address(who)).collect();
            let found: Vec<&str> = found.into_iter().flat_map(addresses).collect();
            if wanted != found {
                return Err(format!("{name}: {found:?} instead of {wanted:?}"));
            }
        }
        Ok(())
    }

    /// What stands below a cover letter.
    fn ends(&self, text: &str) -> std::result::Result<(), String> {
        let there: BTreeSet<String> = text.lines().map(squeezed).collect();
        let missing = |line: &&String| !there.contains(&squeezed(line));
        if let Some(line) = self.lines.iter().find(missing) {
            return Err(format!("it has no line {line:?}"));
        }
        // b4 am takes the first one for the base, wherever it is, and others the last one.
        let mut bases = text.split("base-commit: ").skip(1).peekable();
        let first = bases.peek().is_some();
        match first && bases.all(|it| it.starts_with(self.base)) {
            true => Ok(()),
            false => Err(format!("`base-commit: ` is not always {}", self.base)),
        }
    }
}

/// b4 has ways of its own to write a trailer.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<String>().to_lowercase()
}

fn addresses<'a>(list: &'a Address<'a>) -> impl Iterator<Item = &'a str> {
    list.iter().filter_map(|it| it.address())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: A <a@x.y>\nTo: B <b@x.y>\nCc: c@x.y, \"D, E\" <d@x.y>\nSubject: s\nMessage-Id: <1@x.y>\n\
        Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nWhy.\n\n\
        Signed-off-by: Zoë <z@x.y>\n---\nbase-commit: 0123\nchange-id: 1-a-2\n";

    fn checked(mail: &str, first: Option<&str>) -> std::result::Result<String, String> {
        let list = |people: &[&str]| people.iter().map(ToString::to_string).collect();
        Asked {
            patches: 1,
            messages: "fs: x\n\nSigned-off-by: Zoë <z@x.y>\n",
            base: "0123",
            lines: &["change-id: 1-a-2".to_owned()],
            people: &People {
                to: list(&["B <b@x.y>"]),
                cc: list(&["c@x.y", "\"D, E\" <d@x.y>"]),
            },
        }
        .check(mail.as_bytes(), first)
    }

    #[test]
    fn what_is_wrong_with_a_mail() {
        assert_eq!(checked(MAIL, None).as_deref(), Ok("1@x.y"));
        let reply = MAIL.replace("Subject", "In-Reply-To: <0@x.y>\nSubject");
        assert_eq!(checked(&reply, Some("0@x.y")).as_deref(), Ok("1@x.y"));
        for (old, new, wrong) in [
            ("Zoë <z", "Z <z", "no patch has the line"),
            ("To: B", "To: q@x.y, B", "To: "),
            ("c@x.y, ", "", "Cc: "),
            ("<b@x", "<bb@x", "To: "),
            ("Subject", "In-Reply-To: <0@x.y>\nSubject", "it answers"),
            ("change-id: 1", "change-id: 2", "no line"),
            ("commit: 0123", "commit: 1234", "not always 0123"),
            ("Why.", "Why? See base-commit: that.", "not always 0123"),
            ("base-commit: 0123\n", "", "not always 0123"),
        ] {
            assert!(MAIL.contains(old));
            let found = checked(&MAIL.replace(old, new), None).unwrap_err();
            assert!(found.contains(wrong), "{old} {new}: {found}");
        }
    }

    #[test]
    fn a_mail_that_is_missing_is_noticed() {
        let people = People::default();
        let asked = Asked {
            patches: 2,
            messages: "",
            base: "",
            lines: &[],
            people: &people,
        };
        let failure = asked.audit(&[]).unwrap_err();
        assert!(
            failure.to_string().contains("0 mails instead of 3"),
            "{failure}"
        );
    }
}
