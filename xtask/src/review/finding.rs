//! What tools have to say about places in files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// A complaint, e.g. `fs/super.c:12: warning: …`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub file: String,
    /// From 1.
    pub line: u64,
    /// With its severity.
    pub text: String,
}

/// What is found after a change and was not found before, whatever lines it moved to.
///
/// Where a complaint got more frequent in a file, all its places are named: which of them is new, no one can tell.
pub fn added(before: &[Finding], after: &[Finding]) -> Vec<Finding> {
    let known = places(before);
    let grown = places(after)
        .into_iter()
        .filter(|(what, lines)| lines.len() > known.get(what).map_or(0, BTreeSet::len));
    let named = grown.flat_map(|((file, text), lines)| {
        lines.into_iter().map(move |line| Finding {
            file: file.to_owned(),
            line,
            text: text.to_owned(),
        })
    });
    let mut named: Vec<Finding> = named.collect();
    named.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    named
}

/// The lines of each complaint in each file. A header's complaint counts once, however many files include it.
fn places(findings: &[Finding]) -> BTreeMap<(&str, &str), BTreeSet<u64>> {
    let mut places: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
    for Finding { file, line, text } in findings {
        let lines = places.entry((file.as_str(), text.as_str())).or_default();
        lines.insert(*line);
    }
    places
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { file, line, text } = self;
        write!(f, "{file}:{line}: {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_change_adds() {
        let found = |places: &[(&str, u64, &str)]| -> Vec<Finding> {
            let finding = |(file, line, text): &(&str, u64, &str)| Finding {
                file: (*file).into(),
                line: *line,
                text: (*text).into(),
            };
            places.iter().map(finding).collect()
        };
        let old = [("a.c", 1, "x"), ("a.c", 9, "y"), ("b.h", 4, "z")];
        for (after, new) in [
            (vec![], vec![]),
            (old.to_vec(), vec![]),
            (vec![("a.c", 7, "x"), ("b.h", 5, "z")], vec![]),
            (vec![("b.h", 4, "z"), ("b.h", 4, "z")], vec![]),
            (vec![("a.c", 1, "z")], vec![("a.c", 1, "z")]),
            (
                vec![("a.c", 3, "x"), ("a.c", 2, "x")],
                vec![("a.c", 2, "x"), ("a.c", 3, "x")],
            ),
        ] {
            assert_eq!(added(&found(&old), &found(&after)), found(&new));
        }
    }
}
