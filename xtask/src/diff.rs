//! What differs between two texts, for people: in refusals, and in what a dry run shows.

use similar::TextDiff;

use crate::words::{count, visible};

/// Lines of a diff that an error repeats.
const SHOWN: usize = 60;

/// A unified diff of a file that may be absent on either side; the labels stand after its path. Sides that differ in any
/// way never give an empty one.
pub fn unified(path: &str, sides: [Option<&[u8]>; 2], labels: [&str; 2]) -> String {
    let label = |at: usize| match sides[at] {
        Some(_) => format!("{path}{}", labels[at]),
        None => "/dev/null".to_owned(),
    };
    let text = |at: usize| String::from_utf8_lossy(sides[at].unwrap_or_default());
    let (old, new) = (text(0), text(1));
    if old == new && sides[0] != sides[1] {
        let what = match sides {
            [Some(_), Some(_)] => "in bytes that are no UTF-8",
            _ => "in that an empty file is there",
        };
        return format!("--- {}\n+++ {}\nthey differ {what}\n", label(0), label(1));
    }
    let diff = TextDiff::from_lines(old.as_ref(), new.as_ref());
    let mut unified = diff.unified_diff();
    unified.header(&label(0), &label(1)).to_string()
}

/// A diff as the end of an error: on lines of its own, without control characters, and no longer than people read.
pub fn excerpt(diff: &str) -> String {
    let mut lines = diff.split_terminator('\n');
    let shown = lines.by_ref().take(SHOWN);
    let mut text: String = shown.map(|line| format!("\n{}", visible(line))).collect();
    if let more @ 1.. = lines.count() {
        text += &format!("\n… and {}", count(more, "more line"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_that_differ_are_told() {
        let labels = [" then", " now"];
        let table: [([Option<&[u8]>; 2], &str); 7] = [
            ([Some(b"a\n"), Some(b"a\n")], ""),
            ([None, None], ""),
            (
                [Some(b"a\nb\n"), Some(b"a\nc")],
                "--- f then\n+++ f now\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n",
            ),
            (
                [None, Some(b"a\n")],
                "--- /dev/null\n+++ f now\n@@ -0,0 +1 @@\n+a\n",
            ),
            (
                [Some(b"a\n"), None],
                "--- f then\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
            ),
            (
                [None, Some(b"")],
                "--- /dev/null\n+++ f now\nthey differ in that an empty file is there\n",
            ),
            (
                [Some(b"\xe4"), Some(b"\xf6")],
                "--- f then\n+++ f now\nthey differ in bytes that are no UTF-8\n",
            ),
        ];
        for (sides, wanted) in table {
            similar_asserts::assert_eq!(unified("f", sides, labels), wanted);
        }
    }

    #[test]
    fn a_long_diff_is_cut() {
        let text: String = (1..=100).map(|line| format!("{line}\n")).collect();
        let cut = excerpt(&text);
        assert!(cut.ends_with("\n60\n… and 40 more lines"), "{cut}");
        assert_eq!(excerpt("a\r\nb\n"), "\na\\u{d}\nb");
        assert_eq!(excerpt(""), "");
    }
}
