//! What stands between the `---` and the diff of a patch file: the diffstat, and notes for reviewers and for this
//! program, which `git am` drops.

use std::sync::LazyLock;

use harness::wire::Feature;
use regex::Regex;

/// Begins a note that says what a kernel has from this patch on, e.g. `Provides: timeout argument`.
pub const PROVIDES: &str = "Provides:";
/// Ends the head and the message of a mail; the message of a commit cannot hold it.
const SEPARATOR: &[u8] = b"\n---\n";

/// All that is no diffstat. Some people write above it, some below.
pub fn of(below: &str) -> String {
    static STAT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?m)^(?: \S.* \| +(?:\d+ ?[+-]*|Bin.*)\n)* \d+ files? changed.*(?:\n (?:create|delete|mode|rename|copy|rewrite) .*)*$",
        )
        .expect("valid")
    });
    // The last one: what comes before may be quoted in a note.
    let Some(stat) = STAT.find_iter(below).last() else {
        return trim_lines(below).to_owned();
    };
    join([&below[..stat.start()], &below[stat.end()..]].map(trim_lines))
}

/// Puts notes into a mail of `git format-patch`, above the diffstat.
pub fn put(mail: &[u8], notes: &str) -> Vec<u8> {
    let at = mail
        .windows(SEPARATOR.len())
        .position(|window| window == SEPARATOR);
    match at.map(|at| mail.split_at(at + SEPARATOR.len())) {
        Some((head, rest)) if !notes.is_empty() => {
            let rest = &rest[usize::from(rest.starts_with(b"\n"))..];
            [head, notes.as_bytes(), b"\n\n", rest].concat()
        }
        _ => mail.to_owned(),
    }
}

/// What notes say that the patch provides; the error is what is wrong with such a line.
pub fn provides(notes: &str) -> Result<Vec<Feature>, String> {
    let mut features = Vec::new();
    for words in notes.lines().filter_map(claim) {
        let words = words.split([' ', '\t', ',']);
        for word in words.filter(|word| !word.is_empty()) {
            let feature = word.parse().map_err(|error| format!("{error}"))?;
            if !features.contains(&feature) {
                features.push(feature);
            }
        }
    }
    Ok(features)
}

/// What a line says that something provides, if it does, however it is written.
pub fn claim(line: &str) -> Option<&str> {
    let line = line.trim_start_matches(['#', ' ', '\t']);
    let key = line.get(..PROVIDES.len())?;
    key.eq_ignore_ascii_case(PROVIDES)
        .then(|| line[PROVIDES.len()..].trim())
}

/// Notes after notes, with an empty line between them.
pub fn join<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("\n\n")
}

/// Without the empty lines around it.
fn trim_lines(text: &str) -> &str {
    text.trim_start_matches('\n').trim_end()
}

/// Git appends the notes of a commit to themselves where a rewrite made the same commit again.
pub fn once(notes: &str) -> String {
    let parts: Vec<&str> = trim_lines(notes).split("\n\n").collect();
    let repeats = |size: &usize| {
        parts.len().is_multiple_of(*size)
            && parts.chunks(*size).all(|chunk| chunk == &parts[..*size])
    };
    let size = (1..=parts.len()).find(repeats).unwrap_or(parts.len());
    parts[..size].join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = " fs/super.c | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n";
    const MORE: &str = " .../a.rst      |   2 +-\n fs/b.bin        | Bin 0 -> 3 bytes\n b => c | 0\n \
        3 files changed, 2 insertions(+)\n create mode 100644 fs/b.bin\n rename b => c (100%)\n";

    #[test]
    fn notes_are_what_is_no_diffstat() {
        for (below, expected) in [
            (String::new(), ""),
            ("\n\n".to_owned(), ""),
            (format!("{STAT}\n"), ""),
            (format!("{MORE}\n"), ""),
            ("why\n\n".to_owned(), "why"),
            (format!("v2: less\n\n{STAT}\n"), "v2: less"),
            (format!("{MORE}\nv2: less\n\n"), "v2: less"),
            (
                format!("above\n\n{STAT}\nbelow\n\nmore\n\n"),
                "above\n\nbelow\n\nmore",
            ),
            (
                format!("it said\n a | b\n fs/super.c | 9 +\n\n{STAT}\n"),
                "it said\n a | b\n fs/super.c | 9 +",
            ),
        ] {
            assert_eq!(of(&below), expected, "{below}");
        }
    }

    #[test]
    fn notes_come_back_as_they_were() {
        let mail = |below: &str| format!("Subject: x\n\nwhy\n---\n{below}\ndiff --git a/b b/b\n");
        for notes in [
            "",
            "v2",
            "  indented\n\n\nfar below",
            "Provides: timeout\n\nv2",
        ] {
            let text = put(mail(STAT).as_bytes(), notes);
            let text = String::from_utf8(text).unwrap();
            let (_, below) = text.split_once("\n---\n").unwrap();
            let (below, _) = below.split_once("diff --git").unwrap();
            assert_eq!(of(below), notes);
        }
    }

    #[test]
    fn features() {
        use Feature::{Argument, Timeout};
        for (notes, expected) in [
            ("", Ok(vec![])),
            ("Provides nothing: timeout", Ok(vec![])),
            ("Provides: timeout", Ok(vec![Timeout])),
            (
                "v2\nprovides:timeout,  argument",
                Ok(vec![Timeout, Argument]),
            ),
            (
                "Provides: timeout\n\n# Provides: argument timeout",
                Ok(vec![Timeout, Argument]),
            ),
            (
                "Provides: tea",
                Err(format!(
                    "unknown feature \"tea\"; known: {}",
                    Feature::ALL
                        .iter()
                        .map(|feature| feature.name())
                        .collect::<Vec<_>>()
                        .join(", ")
                )),
            ),
        ] {
            assert_eq!(provides(notes), expected, "{notes}");
        }
    }

    #[test]
    fn doubled_notes() {
        for (notes, expected) in [
            ("", ""),
            ("a\n\nb", "a\n\nb"),
            ("a\n\na\n", "a"),
            ("a\n\nb\n\na\n\nb\n\na\n\nb", "a\n\nb"),
            ("a\n\nb\n\na", "a\n\nb\n\na"),
        ] {
            assert_eq!(once(notes), expected, "{notes:?}");
        }
    }
}
