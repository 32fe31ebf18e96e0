//! Patch series: a folder of `git format-patch` mails and a quilt-style `series` file that orders them.

pub mod checkpatch;
mod patch;
pub mod refresh;

pub use patch::Patch;

use camino::Utf8Path;
use harness::case::Feature;

use crate::failure::{Kind, Result};
use crate::layout::Layout;

/// The file that names the patches of a folder in the order in which they apply.
const INDEX: &str = "series";
/// Begins the comment that says what the series offers from a patch on, e.g. `# provides: timeout argument`.
const PROVIDES: &str = "provides:";

#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub patches: Vec<Patch>,
}

impl Series {
    /// What the patches provide, in their order.
    pub fn provides(&self) -> impl Iterator<Item = Feature> {
        let provides = self.patches.iter().flat_map(|patch| &patch.provides);
        provides.copied()
    }
}

/// The first `count` patches of series that are applied one after the other; a series may end up empty.
pub fn first(stack: Vec<Series>, count: usize) -> Vec<Series> {
    let mut left = count;
    let cut = stack.into_iter().map(|mut series| {
        series.patches.truncate(left);
        left -= series.patches.len();
        series
    });
    cut.collect()
}

/// A line of the `series` file.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    file: String,
    provides: Vec<Feature>,
}

/// Reads `patches/BASE/NAME`; a series that does not exist or cannot be read is a usage error.
pub fn load(layout: &Layout, base: &str, name: &str) -> Result<Series> {
    let dir = layout.patches().join(base).join(name);
    if !dir.is_dir() {
        let known = known(layout, base);
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        return Err(Kind::Usage.error(format!(
            "no series {name:?} for base {base}: {dir} is not a folder (known: {known})"
        )));
    }
    let patches = order(&dir)?.into_iter().map(|entry| {
        let mut patch = read(&dir.join(&entry.file))?;
        patch.provides = entry.provides;
        Ok(patch)
    });
    Ok(Series {
        name: name.to_owned(),
        patches: patches.collect::<Result<_>>()?,
    })
}

/// The series that exist for a base, sorted.
pub fn known(layout: &Layout, base: &str) -> Vec<String> {
    let entries = layout
        .patches()
        .join(base)
        .read_dir_utf8()
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_owned())
        .collect();
    names.sort();
    names
}

fn order(dir: &Utf8Path) -> Result<Vec<Entry>> {
    let path = dir.join(INDEX);
    let text = fs_err::read_to_string(&path).map_err(|error| {
        Kind::Usage.error(format!(
            "{error}; it should name the patches of {dir}, one a line"
        ))
    })?;
    entries(&text).map_err(|(line, what)| Kind::Usage.error(format!("{path}:{line}: {what}")))
}

/// Reads a `series` file: one name a line, `#` begins a comment. An error is the line's number and what is wrong.
fn entries(text: &str) -> std::result::Result<Vec<Entry>, (usize, String)> {
    let mut entries: Vec<Entry> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let wrong = |what| (number, what);
        let (name, comment) = split(line);
        let file = without_options(name).map_err(wrong)?;
        if entries.iter().any(|entry| entry.file == file) {
            return Err(wrong(format!("{file} a second time")));
        }
        if !file.is_empty() {
            entries.push(Entry {
                file: file.to_owned(),
                provides: provides(comment).map_err(wrong)?,
            });
        }
    }
    Ok(entries)
}

/// The name on a line, and the comment after it with its `#`. As for quilt, a `#` within a word begins none.
fn split(line: &str) -> (&str, &str) {
    let mut marks = line.match_indices('#').map(|(at, _)| at);
    let begins = |at: &usize| *at == 0 || line[..*at].ends_with([' ', '\t']);
    let (name, comment) = line.split_at(marks.find(begins).unwrap_or(line.len()));
    (name.trim(), comment.trim())
}

/// The name without quilt's options for patch(1) after it: `-p1` is what `git am` does, and no other is known to it.
fn without_options(name: &str) -> std::result::Result<&str, String> {
    let at = name.find(" -").or_else(|| name.find("\t-"));
    let (file, options) = name.split_at(at.unwrap_or(name.len()));
    match options.split_whitespace().find(|option| *option != "-p1") {
        Some(option) => Err(format!(
            "{} has the option {option}; patches are applied as `git am` does it, which is -p1: write it anew for that",
            file.trim_end()
        )),
        None => Ok(file.trim_end()),
    }
}

fn provides(comment: &str) -> std::result::Result<Vec<Feature>, String> {
    let comment = comment.trim_start_matches('#').trim_start();
    let words = comment.strip_prefix(PROVIDES).unwrap_or_default();
    let known = |word: &str| {
        word.parse()
            .map_err(|error: anyhow::Error| error.to_string())
    };
    words.split_whitespace().map(known).collect()
}

fn read(path: &Utf8Path) -> Result<Patch> {
    let text = fs_err::read(path).map_err(|error| Kind::Usage.error(error))?;
    patch::parse(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_file() {
        let entry = |file: &str, provides: &[Feature]| Entry {
            file: file.into(),
            provides: provides.to_vec(),
        };
        let refused = |option: &str| {
            format!(
                "a.patch has the option {option}; patches are applied as `git am` does it, which is -p1: write it anew for that"
            )
        };
        for (text, expected) in [
            ("", Ok(vec![])),
            (
                "a.patch\nb.patch\n",
                Ok(vec![entry("a.patch", &[]), entry("b.patch", &[])]),
            ),
            (
                "# why\n# provides: nonsense\n\n  a.patch # later: c.patch\r\n\tb.patch # provides: timeout argument\r\n",
                Ok(vec![
                    entry("a.patch", &[]),
                    entry("b.patch", &[Feature::Timeout, Feature::Argument]),
                ]),
            ),
            (
                "a.patch -p1\n\tb.patch\t -p1\t# -R\na#b.patch\n",
                Ok(vec![
                    entry("a.patch", &[]),
                    entry("b.patch", &[]),
                    entry("a#b.patch", &[]),
                ]),
            ),
            ("\na.patch -p0\n", Err((2, refused("-p0")))),
            ("a.patch -p1 -R # back\n", Err((1, refused("-R")))),
            (
                "a.patch\tpatch -p1 --fuzz=3\n",
                Err((1, refused("--fuzz=3").replace("a.patch", "a.patch\tpatch"))),
            ),
            (
                "a.patch\n#\na.patch -p1\n",
                Err((3, "a.patch a second time".into())),
            ),
            (
                "a.patch\nb.patch # provides: timeout tea\n",
                Err((
                    2,
                    "unknown feature \"tea\"; known: timeout, argument, ext3_ioctl".into(),
                )),
            ),
        ] {
            assert_eq!(entries(text), expected, "{text:?}");
        }
    }

    #[test]
    fn series_of_this_checkout() {
        let layout = Layout::of_this_checkout().unwrap();
        for base in layout.patches().read_dir_utf8().unwrap().flatten() {
            for name in known(&layout, base.file_name()) {
                let series = load(&layout, base.file_name(), &name).unwrap();
                assert!(series.provides().next().is_some(), "{base:?} {name}");
            }
        }
    }

    #[test]
    fn the_first_patches() {
        let layout = Layout::of_this_checkout().unwrap();
        let names = ["generic-freeze", "ext3-ioctl"];
        let stack = names.map(|name| load(&layout, "6.12", name).unwrap());
        let all: Vec<_> = stack.iter().flat_map(|series| &series.patches).collect();
        for count in [0, 1, 3, all.len() - 1, all.len(), all.len() + 1] {
            let cut = first(stack.to_vec(), count);
            let patches: Vec<_> = cut.iter().flat_map(|series| &series.patches).collect();
            assert_eq!(patches, all[..count.min(all.len())]);
            assert_eq!(cut.len(), stack.len());
        }
        let provides = |count| -> Vec<Feature> {
            let cut = first(stack.to_vec(), count);
            cut.iter().flat_map(Series::provides).collect()
        };
        assert_eq!(provides(2), []);
        assert_eq!(provides(3), [Feature::Timeout]);
        assert_eq!(provides(all.len()), Feature::ALL);
    }
}
