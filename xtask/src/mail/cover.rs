//! The cover letter: what the person wrote, and around it what can be told from data.

use std::fmt::Write as _;

use camino::Utf8Path;

use super::record::{Record, last_sent};
use super::{WIDTH, letter};
use crate::failure::{Kind, Result};

/// What the person writes: `cover`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub subject: String,
    pub body: String,
}

/// What has changed in a version: a section of `changelog`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub version: u32,
    pub text: String,
}

/// All that a cover letter is made from. What is empty is left out.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    pub text: &'a Text,
    /// The newest first, as from [`changes`].
    pub changes: &'a [Section],
    /// As from [`super::results::table`].
    pub results: &'a str,
    /// Earlier versions, the newest first.
    pub earlier: &'a [Record],
    /// Against [`last_sent`] of the earlier versions.
    pub range_diff: &'a str,
}

/// Reads `cover` from the folder of a series.
///
/// # Errors
/// [`Kind::Usage`] that says how to write it.
pub fn read(series: &Utf8Path) -> Result<Text> {
    let path = series.join("cover");
    let text = content(
        &path,
        "write there what the series is about: a line `subsystem: summary`, an empty line, and why \
         it is wanted",
    )?;
    parse(&text).map_err(|(line, what)| Kind::Usage.error(format!("{path}:{line}: {what}")))
}

fn content(path: &Utf8Path, how: &str) -> Result<String> {
    let read = match path.exists() {
        true => fs_err::read(path)?,
        false => return Err(Kind::Usage.error(format!("there is no {path}; {how}"))),
    };
    String::from_utf8(read).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Kind::Usage.error(format!("{path}:{line}: not UTF-8"))
    })
}

/// The error has the line.
type Parsed<T> = std::result::Result<T, (usize, String)>;

fn parse(text: &str) -> Parsed<Text> {
    let (subject, body) = letter::parts(text)?;
    if !subject.contains(": ") {
        return Err((
            1,
            format!("{subject:?} is no subject of the form `subsystem: summary`"),
        ));
    }
    for (line, number) in text.lines().zip(1..) {
        if let Some(what) = long(line) {
            return Err((number, what));
        }
    }
    Ok(Text {
        subject: subject.to_owned(),
        body,
    })
}

/// What people do not like to read; a link cannot be folded.
fn long(line: &str) -> Option<String> {
    let long =
        line.chars().count() > 75 && line.split_whitespace().count() > 1 && !line.contains("://");
    long.then(|| format!("a line of more than 75 characters; fold it at {WIDTH}"))
}

/// What has changed since version 1, from `changelog` in the folder of a series.
///
/// # Errors
/// [`Kind::Usage`] if it does not say what is new in this version, or cannot be read.
pub fn changes(series: &Utf8Path, version: u32) -> Result<Vec<Section>> {
    let path = series.join("changelog");
    if version == 1 && !path.exists() {
        return Ok(Vec::new());
    }
    let how = format!(
        "say there what has changed since v{}: a line `v{version}:`, and below it a line for each \
         change",
        version - 1
    );
    let text = content(&path, &how)?;
    let sections = sections(&text)
        .map_err(|(line, what)| Kind::Usage.error(format!("{path}:{line}: {what}")))?;
    if let Some(later) = sections.iter().find(|it| it.version > version) {
        let later = later.version;
        return Err(Kind::Usage.error(format!(
            "{path} has a section v{later}, and this is v{version}; which of them is wrong?"
        )));
    }
    match version == 1 || sections.iter().any(|it| it.version == version) {
        true => Ok(sections),
        false => Err(Kind::Usage.error(format!("{path} has no section `v{version}:`; {how}"))),
    }
}

/// The newest first.
fn sections(text: &str) -> Parsed<Vec<Section>> {
    let mut sections: Vec<(usize, Section)> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let version = line
            .strip_prefix('v')
            .and_then(|it| it.trim_end().strip_suffix(':'));
        if let Some(version) = version.and_then(|it| it.parse().ok()) {
            if version < 2 || sections.iter().any(|(_, it)| it.version == version) {
                return Err((
                    number,
                    format!(
                        "a section v{version} {}",
                        if version < 2 {
                            "has nothing before it"
                        } else {
                            "a second time"
                        }
                    ),
                ));
            }
            let text = String::new();
            sections.push((number, Section { version, text }));
        } else if let Some(what) = letter::unfit(line).or_else(|| long(line)) {
            return Err((number, what));
        } else if let Some((_, section)) = sections.last_mut() {
            section.text += &format!("{line}\n");
        } else if !line.trim().is_empty() {
            return Err((
                number,
                "this is in no section; a line such as `v2:` begins one".into(),
            ));
        }
    }
    for (number, section) in &mut sections {
        section.text = section.text.trim_matches('\n').trim_end().to_owned();
        if section.text.is_empty() {
            return Err((
                *number,
                format!("the section v{} is empty", section.version),
            ));
        }
    }
    sections.sort_by_key(|(_, section)| std::cmp::Reverse(section.version));
    Ok(sections.into_iter().map(|(_, section)| section).collect())
}

/// The letter: the subject, an empty line, and what b4 takes for its body. Base and change-id are b4's to add.
pub fn letter(parts: Parts<'_>) -> String {
    let Parts { text, results, .. } = parts;
    let mut letter = format!("{}\n\n{}\n", text.subject, text.body);
    if !results.is_empty() {
        let _ = write!(letter, "\n{}\n", results.trim_end());
    }
    for part in [history(parts), range(parts)] {
        if !part.is_empty() {
            let _ = write!(letter, "\n{part}\n");
        }
    }
    letter
}

/// What has changed in each version since the first that people have, and where the one before is: if it was sent, as else
/// its ids are nobody's.
fn history(parts: Parts<'_>) -> String {
    let link = |version: u32| {
        let record = parts
            .earlier
            .iter()
            .find(|record| record.version == version && record.is_sent())?;
        Some(format!(
            "\n- Link to v{version}: https://lore.kernel.org/r/{}",
            record.first_id()?
        ))
    };
    let mut sent = parts.earlier.iter().filter(|record| record.is_sent());
    let Some(first) = sent.next_back() else {
        return String::new();
    };
    let seen = parts.changes.iter();
    let seen = seen.filter(|section| section.version > first.version);
    let changes = seen.map(|Section { version, text }| {
        format!(
            "Changes in v{version}:\n{text}{}",
            link(version - 1).unwrap_or_default()
        )
    });
    changes.collect::<Vec<_>>().join("\n\n")
}

fn range(parts: Parts<'_>) -> String {
    match (last_sent(parts.earlier), parts.range_diff.trim_end()) {
        (Some(last), range) if !range.is_empty() => {
            format!("Range-diff against v{}:\n{range}", last.version)
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::layout::Layout;
    use crate::mail::record::State;
    use crate::mail::record::samples::record;

    #[test]
    fn covers() {
        let good = "fs: count freezes\n\nWhy.\n\nMore.\n";
        for (text, wrong) in [
            (good.to_owned(), None),
            (good.replace("More", "https://example.org/a/very/long/link/that/nobody/can/fold/in/two/parts/at/all see"), None),
            (String::new(), Some((1, "no subject"))),
            (good.replace("fs: ", "fs "), Some((1, "no subject"))),
            (format!("[PATCH 0/5] {good}"), Some((1, "begins with ["))),
            ("fs: x\nWhy.\n".into(), Some((2, "an empty line"))),
            ("fs: x\n\n\n".into(), Some((3, "why"))),
            (format!("{good}\nsigned-off-by: a <a@b>\n"), Some((7, "no sign-off"))),
            (format!("{good}---\n"), Some((6, "ends a message"))),
            (format!("{good}diff --git a/a b/a\n"), Some((6, "ends a message"))),
            (format!("{good}From 1 on\n"), None),
            (format!("{good}From 1 to 2, at 10:30\n"), Some((6, "ends a message"))),
            (format!("{good}\nCc: a <a@b>\n"), Some((7, "an address"))),
            (format!("{good}To: all\n"), Some((6, "an address"))),
            (format!("{good}to: all\n"), Some((6, "an address"))),
            (format!("{good}Change-Id: 1\n"), Some((6, "b4 writes that"))),
            (format!("{good}base-commit: 1\n"), Some((6, "b4 writes that"))),
            (format!("{good}>#1\n"), Some((6, "put a space"))),
            (format!("#{good}"), Some((1, "begins with #"))),
            (good.replace("More", "#1 is a heading"), None),
            (format!("{good}a\r\n\r"), Some((7, "CRLF"))),
            (format!("{good}{}\n", "words ".repeat(13)), Some((6, "fold it"))),
        ] {
            match (parse(&text), wrong) {
                (Ok(read), None) => assert_eq!(read.subject, "fs: count freezes"),
                (Err((line, what)), Some((at, words))) => {
                    assert!(line == at && what.contains(words), "{text}{line}: {what}");
                }
                (got, wrong) => panic!("{text}{got:?} {wrong:?}"),
            }
        }
    }

    #[test]
    fn files_that_are_missing_say_how_to_write_them() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let said = read(dir).unwrap_err().to_string();
        assert!(
            said.contains("there is no") && said.contains("why it is wanted"),
            "{said}"
        );
        assert_eq!(changes(dir, 1).unwrap(), []);
        for (text, version, words) in [
            (None, 2, "a line `v2:`"),
            (Some("v2:\n- x\n"), 3, "no section `v3:`"),
            (Some("v3:\n- x\n"), 2, "a section v3"),
            (Some("- x\n"), 2, "changelog:1: this is in no section"),
            (
                Some("v2:\n\nv3:\n- x\n"),
                3,
                "changelog:1: the section v2 is empty",
            ),
            (
                Some("v2:\n- x\nv2:\n- y\n"),
                2,
                "changelog:3: a section v2 a second time",
            ),
            (
                Some("v1:\n- x\n"),
                2,
                "changelog:1: a section v1 has nothing before",
            ),
            (Some("v2:\n---\n"), 2, "changelog:2: \"---\" ends"),
        ] {
            if let Some(text) = text {
                fs_err::write(dir.join("changelog"), text).unwrap();
            }
            let said = changes(dir, version).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
        fs_err::write(dir.join("cover"), b"fs: x\n\nJ\xf6rg\n").unwrap();
        let said = read(dir).unwrap_err().to_string();
        assert!(said.contains("cover:3: not UTF-8"), "{said}");
    }

    #[test]
    fn a_letter() {
        let text = parse("fs: x\n\nWhy.\n").unwrap();
        let changes = sections("v2:\n- less\n\nv3:\n- more\n  of it\n").unwrap();
        let earlier = [2, 1].map(|version| record(version, &[]));
        let parts = Parts {
            text: &text,
            changes: &changes,
            results: "case  stock\n",
            earlier: &earlier,
            range_diff: "1: a = 1: b fs: y\n",
        };
        assert_eq!(
            letter(parts),
            "fs: x\n\nWhy.\n\ncase  stock\n\nChanges in v3:\n- more\n  of it\n\
             - Link to v2: https://lore.kernel.org/r/v2-0@x\n\nChanges in v2:\n- less\n\
             - Link to v1: https://lore.kernel.org/r/v1-0@x\n\n\
             Range-diff against v2:\n1: a = 1: b fs: y\n"
        );
        let unsent = earlier.clone().map(|record| Record {
            state: State::Prepared,
            ..record
        });
        let prepared = letter(Parts {
            earlier: &unsent,
            ..parts
        });
        // Readers have seen none of it: nothing has changed for them.
        assert_eq!(prepared, "fs: x\n\nWhy.\n\ncase  stock\n");
        // Or v1 only, or v2 only.
        let [two, one] = &earlier;
        for (two_is, one_is, wanted) in [
            (
                State::Prepared,
                State::Sent,
                "Changes in v3:\n- more\n  of it\n\nChanges in v2:\n- less\n\
                 - Link to v1: https://lore.kernel.org/r/v1-0@x\n\n\
                 Range-diff against v1:\n1: a = 1: b fs: y\n",
            ),
            (
                State::Sent,
                State::Prepared,
                "Changes in v3:\n- more\n  of it\n\
                 - Link to v2: https://lore.kernel.org/r/v2-0@x\n\n\
                 Range-diff against v2:\n1: a = 1: b fs: y\n",
            ),
        ] {
            let earlier = [(two, two_is), (one, one_is)].map(|(record, state)| Record {
                state,
                ..record.clone()
            });
            let letter = letter(Parts {
                earlier: &earlier,
                ..parts
            });
            let (_, history) = letter.split_once("stock\n\n").unwrap();
            assert_eq!(history, wanted);
        }
        let bare = Parts {
            changes: &[],
            results: "",
            earlier: &[],
            ..parts
        };
        assert_eq!(letter(bare), "fs: x\n\nWhy.\n");
    }

    #[test]
    fn covers_of_this_checkout() {
        let folder = Layout::of_this_checkout()
            .unwrap()
            .patches()
            .join("mainline");
        for series in ["generic-freeze", "ext3-ioctl"] {
            let text = read(&folder.join(series)).unwrap();
            assert!(text.body.contains("Takashi Sato"), "{series}");
        }
    }
}
