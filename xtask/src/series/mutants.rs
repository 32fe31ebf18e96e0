//! Mutants: small wrong versions of what the series make of the kernel, each of which a case has to notice.
//!
//! Each is a patch on top of the series that every base has, in `patches/mutants`. Its subject says what is wrong, and
//! its notes, below the `---`, of which class the mistake is, and which cases are thought to notice it: `Class: counts`,
//! `Likely: holds_in_all_orders owner_is_rescued`.

use super::{Patch, read};
use crate::failure::{Kind, Result};
use crate::host::layout::Layout;

const CLASS: &str = "Class:";
const LIKELY: &str = "Likely:";

#[derive(Clone, Debug)]
pub struct Mutant {
    /// Of its file.
    pub name: String,
    pub class: String,
    /// Names of the cases that run first.
    pub likely: Vec<String>,
    pub patch: Patch,
}

/// Reads all of `patches/mutants`, sorted by name.
///
/// # Errors
/// [`Kind::Usage`] with the file that is wrong.
pub fn load(layout: &Layout) -> Result<Vec<Mutant>> {
    let folder = layout.patches().join("mutants");
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.into_path())
        .filter(|path| path.extension() == Some("patch"))
        .collect();
    files.sort();
    files.iter().map(|file| of(read(file)?)).collect()
}

fn of(patch: Patch) -> Result<Mutant> {
    let wrong = |what: String| Kind::Usage.error(format!("{}: {what}", patch.path));
    let said = |key| {
        let lines = patch.notes.lines();
        lines.filter_map(move |line| line.strip_prefix(key))
    };
    let class = said(CLASS).map(str::trim).collect::<Vec<_>>().join(" ");
    if class.is_empty() {
        return Err(wrong(format!("no line `{CLASS} …` below the `---`")));
    }
    let likely = said(LIKELY).flat_map(str::split_whitespace);
    let likely: Vec<String> = likely.map(str::to_owned).collect();
    if let Some(name) = likely
        .iter()
        .find(|name| harness::cases::find(name).is_none())
    {
        return Err(wrong(format!("{LIKELY} names {name}, which is no case")));
    }
    Ok(Mutant {
        name: patch.path.file_stem().unwrap_or_default().to_owned(),
        class,
        likely,
        patch,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use camino::Utf8Path;

    use super::*;
    use crate::series::parse;

    fn mutant(notes: &str) -> Result<Mutant> {
        let mail = format!(
            "From: a <a@b>\nDate: Mon, 2 Nov 2026 10:00:00 +0100\nSubject: wrong\n\n---\n{notes}\n\n \
             a | 2 +-\n 1 file changed\n\ndiff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-b\n+c\n"
        );
        of(parse(Utf8Path::new("x/half.patch"), mail.as_bytes())?)
    }

    #[test]
    fn what_is_said_of_a_mutant() {
        let one = mutant("Class: counts\nLikely: dm_case_a\nLikely: dm_case_b dm_case_c").unwrap();
        assert_eq!((one.name.as_str(), one.class.as_str()), ("half", "counts"));
        assert_eq!(one.likely, ["dm_case_a", "dm_case_b", "dm_case_c"]);
        for (notes, words) in [
            ("Likely: dm_case_a", "no line `Class: …`"),
            ("Class: x\nLikely: dm_case_x", "dm_case_x, which is no case"),
        ] {
            let failure = mutant(notes).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage);
            let said = failure.to_string();
            assert!(
                said.starts_with("x/half.patch: ") && said.contains(words),
                "{said}"
            );
        }
    }

    #[test]
    fn mutants_of_this_checkout() {
        let mutants = load(&Layout::of_this_checkout().unwrap()).unwrap();
        assert!(mutants.len() >= 60, "{}", mutants.len());
        let changes: BTreeSet<_> = mutants.iter().map(|mutant| mutant.patch.digest()).collect();
        assert_eq!(changes.len(), mutants.len(), "two are the same");
        for Mutant { name, patch, .. } in &mutants {
            let hunks: usize = patch.changes.iter().map(|change| change.hunks.len()).sum();
            assert!((1..=3).contains(&hunks), "{name} is not small");
        }
    }
}
