//! What goes above the patches: a cover letter, and who gets it.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use super::mbox;
use crate::failure::{Kind, Result};

/// What goes above the patches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letter {
    /// The subject without `[PATCH …]`, an empty line, and the text; no sign-off, no addresses.
    pub cover: String,
    /// 1 and up.
    pub version: u32,
    /// E.g. `RFC`.
    pub prefixes: Vec<String>,
    /// That of earlier versions; a new one is made without.
    pub change_id: Option<String>,
    /// What has to be applied before, as `b4 prep --edit-deps` has it: `change-id: ID:vN`, `message-id: <ID>`, ...; the
    /// base, and the patches that are below the series in its repository, need not be named.
    pub dependencies: Vec<String>,
    pub recipients: Recipients,
}

/// Who gets the mails: all get all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// These and nobody else, as `Name <address>`.
    These(People),
    /// Those that get_maintainer.pl in this kernel tree names, and whom the patches name.
    Maintainers(Utf8PathBuf),
}

impl Default for Recipients {
    fn default() -> Self {
        Self::These(People::default())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    pub to: Vec<String>,
    pub cc: Vec<String>,
}

impl People {
    /// # Errors
    /// If there is nobody, or what is no address.
    pub fn check(&self) -> Result<()> {
        if self.to.is_empty() && self.cc.is_empty() {
            return Err(Kind::Usage.error(
                "nobody would get the mails: name recipients, or a tree that has get_maintainer.pl",
            ));
        }
        let mut all = self.to.iter().chain(&self.cc);
        let is_one = |who: &str| {
            let names = who.replace("\\\"", "");
            let mut unquoted = names.split('"').step_by(2);
            address(who).is_some()
                && unquoted.all(|part| !part.contains([',', ';']))
                && !who.contains(char::is_control)
        };
        match all.find(|who| !is_one(who)) {
            Some(who) => Err(Kind::Usage.error(format!(
                "{who:?} is not one recipient: write `Name <address>`, or `\"Last, First\" <address>`"
            ))),
            None => Ok(()),
        }
    }

    /// Each of them once; a mail that is to nobody is to those who would have a copy, as b4 has it.
    pub fn once(mut self) -> Self {
        let mut seen = BTreeSet::new();
        let mut is_new =
            |who: &String| seen.insert(address(who).unwrap_or(who).to_ascii_lowercase());
        self.to.retain(&mut is_new);
        self.cc.retain(&mut is_new);
        if self.to.is_empty() {
            std::mem::swap(&mut self.to, &mut self.cc);
        }
        self
    }

    /// As lines below a cover letter, where b4 looks for them; without `\"` in names, of which b4 makes `\\\"`.
    pub fn lines(&self) -> String {
        let lines = |name: &'static str, list: &[String]| {
            let lines = list
                .iter()
                .map(move |who| format!("{name}: {}\n", who.replace("\\\"", "")));
            lines.collect::<String>()
        };
        lines("To", &self.to) + &lines("Cc", &self.cc)
    }
}

/// A cover letter as b4 takes it, which drops lines that begin with `#`.
///
/// # Errors
/// [`Kind::Usage`] with the line, if [`parts`] does not take it.
pub fn described(cover: &str) -> Result<String> {
    let cover = cover.trim_end();
    parts(cover).map_err(|(line, what)| {
        Kind::Usage.error(format!("the cover letter, line {line}: {what}"))
    })?;
    let kept = cover.lines().map(|line| match line.starts_with('#') {
        true => format!(">{line}\n"),
        false => format!("{line}\n"),
    });
    Ok(kept.collect())
}

/// The subject and the text of a cover letter, if programs leave it as it is: whoever wrote it, and whatever was added.
///
/// # Errors
/// The line, and what is wrong with it.
pub fn parts(cover: &str) -> std::result::Result<(&str, String), (usize, String)> {
    for (line, number) in cover.lines().zip(1..) {
        if let Some(what) = unfit(line) {
            return Err((number, what));
        }
    }
    let mut lines = cover.lines();
    let subject = lines.next().unwrap_or_default();
    if subject.trim().is_empty() || subject.starts_with(char::is_whitespace) {
        return Err((
            1,
            "no subject: it begins with that, and then an empty line".into(),
        ));
    }
    if let Some(mark) = subject.chars().next().filter(|mark| "[#-".contains(*mark)) {
        return Err((
            1,
            format!("the subject begins with {mark}; the mail gets its [PATCH n/m] by itself"),
        ));
    }
    if !lines.next().unwrap_or_default().trim().is_empty() {
        return Err((2, "an empty line belongs after the subject".into()));
    }
    let body = lines.collect::<Vec<_>>().join("\n");
    match body.trim().is_empty() {
        true => Err((3, "it does not say why the series is wanted".into())),
        false => Ok((subject, body.trim_matches('\n').trim_end().to_owned())),
    }
}

/// What no line of a cover letter may be, in small letters or great ones.
pub fn unfit(line: &str) -> Option<String> {
    let small = line.to_lowercase();
    let begins = |with: &[&str]| with.iter().any(|begin| small.starts_with(begin));
    let ends = line.trim_end() == "---"
        || line == "-- "
        || line.starts_with("diff --git ")
        || mbox::begins(line.as_bytes());
    if sign_offs(line).next().is_some() {
        Some("a cover letter has no sign-off: it becomes no commit".into())
    } else if ends {
        Some(format!(
            "{line:?} ends a message for the programs that read it; put it in other words"
        ))
    } else if begins(&["to:", "cc:"]) {
        Some(
            "b4 takes an address away; who gets the mails does not stand in the cover letter"
                .into(),
        )
    } else if begins(&["base-commit:", "change-id:"]) {
        Some("b4 writes that, and readers would take the first for it".into())
    } else if line.starts_with(">#") {
        Some("b4 makes `#` of `>#`; put a space before it".into())
    } else if line.contains('\r') {
        Some("CRLF; lines of mails end in LF here".into())
    } else {
        None
    }
}

/// Lines that sign something off.
pub fn sign_offs(text: &str) -> impl Iterator<Item = &str> {
    const BEGIN: &str = "signed-off-by:";
    let begins = |line: &str| {
        line.get(..BEGIN.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(BEGIN))
    };
    text.lines()
        .map(str::trim_end)
        .filter(move |line| begins(line))
}

/// Those that b4 has put below a cover letter.
pub fn addressed(description: &str) -> People {
    let list = |name: &str| {
        let lines = description
            .lines()
            .filter_map(|line| line.strip_prefix(name));
        lines.map(|who| who.trim().to_owned()).collect()
    };
    People {
        to: list("To: "),
        cc: list("Cc: "),
    }
}

/// The address of `Name <address>`, or of a plain one.
pub fn address(who: &str) -> Option<&str> {
    let plain = match who.rsplit_once('<') {
        Some((_, address)) => address.split('>').next()?,
        None => who.trim(),
    };
    let is = plain.contains('@') && !plain.contains(char::is_whitespace);
    is.then_some(plain)
}

/// Whom a trailer names, if that is somebody whom mail reaches, as a recipient.
pub fn person(line: &str) -> Option<String> {
    const SPECIAL: &[char] = &['(', ')', '[', ']', ':', ';', '@', '\\', ',', '.', '"'];
    let line = line.split(" #").next()?.trim();
    let address = address(line).filter(|it| it.contains('.'))?;
    let name = line.split_once('<').map_or("", |(name, _)| name);
    let name = name.trim().trim_matches('"');
    Some(match name {
        "" => address.to_owned(),
        name if name.contains(SPECIAL) => {
            let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{escaped}\" <{address}>")
        }
        name => format!("{name} <{address}>"),
    })
}

/// Whether mail for both goes to one place.
pub fn same(one: &str, other: &str) -> bool {
    let pair = address(one).zip(address(other));
    pair.is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cover_letters() {
        for (cover, wrong) in [
            ("", "line 1: no subject"),
            ("\nfs: x\n\nWhy.\n", "line 1: no subject"),
            ("fs: x\nwhy\n", "line 2: an empty line"),
            ("fs: x\n", "line 3: it does not say why"),
            (
                "[PATCH] fs: x\n\nWhy.\n",
                "line 1: the subject begins with [",
            ),
            (
                "fs: x\n\nWhy.\n\nsigned-off-BY: A <a@example.org>\n",
                "line 5: a cover letter has no sign-off",
            ),
            (
                "fs: x\n\nWhy.\n\nCc: A <a@example.org>\n",
                "line 5: b4 takes an address",
            ),
            ("fs: x\n\nWhy.\nto: all\n", "line 4: b4 takes an address"),
            ("fs: x\n\nWhy.\nBase-Commit: 1\n", "line 4: b4 writes that"),
            ("fs: x\n\nWhy.\n---\nmore\n", "line 4: \"---\" ends"),
            ("fs: x\n\nWhy.\ndiff --git a/a b/a\n", "line 4: "),
        ] {
            let failure = described(cover).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage);
            assert!(failure.to_string().contains(wrong), "{cover:?} {failure}");
        }
        assert_eq!(
            described("fs: x\n\n#1\nWhy.\n\n").unwrap(),
            "fs: x\n\n>#1\nWhy.\n"
        );
    }

    #[test]
    fn addresses() {
        for (who, wanted) in [
            ("A <a@example.org>", Some("a@example.org")),
            ("a@example.org", Some("a@example.org")),
            ("A <a@example.org> # 6.12", Some("a@example.org")),
            ("https://example.org/a", None),
            ("a sentence @ home", None),
        ] {
            assert_eq!(address(who), wanted, "{who}");
        }
        let found = addressed("x\n\nTo: A <a@b>\nCc: c@d\nCc: e@f\n");
        assert_eq!(addressed(&format!("x\n\n{}", found.lines())), found);
        assert!(found.check().is_ok() && People::default().check().is_err());
        assert_eq!(
            (found.to, found.cc),
            (vec!["A <a@b>".into()], vec!["c@d".into(), "e@f".into()])
        );
    }

    #[test]
    fn each_once() {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        for (to, cc, wanted) in [
            ("a@b A@B", "c@d a@B C@d", ("a@b", "c@d")),
            ("", "c@d e@f", ("c@d e@f", "")),
        ] {
            let people = People {
                to: list(to),
                cc: list(cc),
            }
            .once();
            assert_eq!(
                (people.to.join(" ").as_str(), people.cc.join(" ").as_str()),
                wanted
            );
        }
    }

    #[test]
    fn one_recipient_each() {
        for (who, one) in [
            ("\"L, F\" <a@b>", true),
            ("F L <a@b>", true),
            ("L, F <a@b>", false),
            ("a@b, c@d", false),
            ("\"A\" <a@b>, B <c@d>", false),
            ("\"A \\\"B, C\\\"\" <a@b>", true),
            ("A\nCc: B <a@b>", false),
            ("a", false),
        ] {
            let people = People {
                cc: vec![who.into()],
                ..People::default()
            };
            assert_eq!(people.check().is_ok(), one, "{who}");
        }
        for (line, wanted) in [
            ("A B <a@b.c>", Some("A B <a@b.c>")),
            ("L, F (X) <a@b.c>", Some("\"L, F (X)\" <a@b.c>")),
            ("\"A. B\" <a@b.c>", Some("\"A. B\" <a@b.c>")),
            ("<a@b.c> # 6.12", Some("a@b.c")),
            ("stable@b.c # 6.12+", Some("stable@b.c")),
            ("freeze <freeze@localhost>", None),
            ("why not", None),
        ] {
            assert_eq!(person(line).as_deref(), wanted, "{line}");
        }
    }
}
