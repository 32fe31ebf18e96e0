//! Whether two diffs change the same, however they are drawn: git has several ways, and b4 and refresh go different ones.

use std::collections::BTreeMap;

use crate::series::Patch;

/// How many digits of a blob's id are enough: patch files have no more.
const DIGITS: usize = 12;

/// Whether both make the same files of the same files, as far as their own lines tell.
///
/// The ids of the files tell it; that the lines that come and go are the same, too, finds a diff that was edited by hand.
/// Without ids, the hunks tell it: all but the words behind their second `@@`.
pub fn alike(one: &Patch, other: &Patch) -> bool {
    let (ours, theirs) = (files(one), files(other));
    let mut pairs = ours.iter().zip(&theirs);
    ours.len() == theirs.len() && pairs.all(|(one, other)| one.0 == other.0 && one.1.is(other.1))
}

/// What a diff does to one file.
#[derive(Debug, Default)]
struct File<'a> {
    /// Modes and names.
    head: Vec<&'a [u8]>,
    blobs: Option<[&'a [u8]; 2]>,
    /// How often each line comes, less how often it goes.
    lines: BTreeMap<&'a [u8], i64>,
    hunks: Vec<&'a [u8]>,
}

impl File<'_> {
    fn is(&self, other: &Self) -> bool {
        let blobs = self.blobs.zip(other.blobs).is_some_and(|(ours, theirs)| {
            let mut pairs = ours.iter().zip(theirs);
            pairs.all(|(one, other)| is_same(one, other))
        });
        let content = self.hunks == other.hunks || blobs && self.lines == other.lines;
        content && self.head == other.head
    }
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len().min(other.len()) >= DIGITS && (one.starts_with(other) || other.starts_with(one))
}

/// By their lines `diff --git`.
fn files(patch: &Patch) -> BTreeMap<&[u8], File<'_>> {
    let hunks = || patch.changes.iter().flat_map(|change| &change.hunks);
    let last = hunks().map(|hunk| hunk.end).max().unwrap_or(0);
    let mut files: BTreeMap<&[u8], File<'_>> = BTreeMap::new();
    let mut at: Option<&[u8]> = None;
    for (line, number) in patch.diff.split(|byte| *byte == b'\n').zip(1..) {
        let in_hunk = hunks().any(|hunk| (hunk.line..=hunk.end).contains(&number));
        if !in_hunk && line.starts_with(b"diff --git ") {
            at = Some(line);
        }
        let Some(file) = at.map(|at| files.entry(at).or_default()) else {
            continue;
        };
        if in_hunk {
            file.hunks.push(place(line));
        }
        match (in_hunk, line.first()) {
            (true, Some(sign @ (b'+' | b'-'))) => {
                let more = if *sign == b'+' { 1 } else { -1 };
                let count = file.lines.entry(&line[1..]).or_default();
                *count += more;
                if *count == 0 {
                    file.lines.remove(&line[1..]);
                }
            }
            (false, Some(_)) if line.starts_with(b"index ") => file.blobs = blobs(line),
            // Below the last hunk is the signature.
            (false, Some(_)) if last == 0 || number < last => file.head.push(line),
            _ => {}
        }
    }
    files
}

/// The begin of a hunk without the words that git finds for it; all of another line.
fn place(line: &[u8]) -> &[u8] {
    let end = line.strip_prefix(b"@@ ").and_then(|rest| {
        let end = rest.windows(3).position(|three| three == b" @@")?;
        Some(end + 6)
    });
    &line[..end.unwrap_or(line.len())]
}

/// `index OLD..NEW MODE`
fn blobs(line: &[u8]) -> Option<[&[u8]; 2]> {
    let ids = line.split(|byte| *byte == b' ').nth(1)?;
    let dots = ids.windows(2).position(|two| two == b"..")?;
    Some([&ids[..dots], &ids[dots + 2..]])
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::series::parse;

    fn patch(diff: &str) -> Patch {
        let mail = format!(
            "From: a <a@b>\nDate: Fri, 27 Nov 2026 10:00:00 +0100\nSubject: x\n\nWhy.\n---\n{diff}-- \n2.47\n\n"
        );
        parse(Utf8Path::new("x.patch"), mail.as_bytes()).unwrap()
    }

    #[test]
    fn the_same_drawn_in_two_ways() {
        let [old, new] = ["0123456789ab", "ab0123456789"];
        let full = |id: &str| format!("{id}{}", "c".repeat(28));
        let head =
            |index: &str| format!("diff --git a/a b/a\nindex {index} 100644\n--- a/a\n+++ b/a\n");
        let short = head(&format!("{old}..{new}"));
        let long = head(&format!("{}..{}", full(old), full(new)));
        let upper = "@@ -1,2 +1,4 @@\n a\n+x\n+-- \n b\n";
        let lower = "@@ -1,2 +1,4 @@\n+x\n+-- \n a\n b\n";
        let file = patch(&format!("{short}{upper}"));
        for (diff, wanted) in [
            (format!("{long}{upper}"), true),
            (format!("{long}{lower}"), true),
            (format!("{short}{lower}"), true),
            (format!("{}{upper}", head("0123..ab01")), true),
            (
                format!(
                    "{}{}",
                    head("0..1"),
                    upper.replacen(" @@\n", " @@ int f(void)\n", 1)
                ),
                true,
            ),
            // Edited by hand.
            (format!("{long}{}", lower.replace("+x", "+y")), false),
            // Another file, another mode, ids that tell nothing, or none.
            (
                format!("{}{lower}", long.replace(new, "ab0123456780")),
                false,
            ),
            (
                format!(
                    "{}{lower}",
                    long.replace("a/a", "a/b").replace("b/a", "b/b")
                ),
                false,
            ),
            (
                format!(
                    "{}{lower}",
                    long.replace("index", "old mode 100644\nnew mode 100755\nindex")
                ),
                false,
            ),
            (format!("{}{lower}", head("0123..ab01")), false),
            (
                format!("{}{lower}", head("x").replace("index x 100644\n", "")),
                false,
            ),
            (
                format!(
                    "{long}{lower}{}",
                    long.replace("a/a", "a/b").replace("b/a", "b/b") + upper
                ),
                false,
            ),
        ] {
            assert_eq!(alike(&file, &patch(&diff)), wanted, "{diff}");
            assert_eq!(alike(&patch(&diff), &file), wanted, "{diff}");
        }
    }
}
