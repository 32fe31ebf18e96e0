//! Patch series: a folder of `git format-patch` mails and a quilt-style `series` file that orders them.

pub mod mutants;
pub mod notes;
mod patch;
pub mod replace;

pub use patch::Patch;

use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::Feature;

use crate::failure::{Kind, Result};
use crate::host::layout::Layout;
use crate::series::replace::Replacement;
use notes::PROVIDES;

/// The series that every base has, in the order in which they stand on top of each other.
pub const STACK: [&str; 3] = ["generic-freeze", "freeze-arg", "ext3-ioctl"];

/// The file that names the patches of a folder in the order in which they apply.
pub const INDEX: &str = "series";

#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    /// The text of its `series` file.
    pub index: String,
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

/// Where a series and what is kept with it are: `patches/BASE/SERIES`.
pub fn folder(layout: &Layout, base: &str, name: &str) -> Utf8PathBuf {
    layout.patches().join(base).join(name)
}

/// Reads `patches/BASE/NAME`; a series that does not exist or cannot be read is a usage error.
pub fn load(layout: &Layout, base: &str, name: &str) -> Result<Series> {
    let dir = folder(layout, base, name);
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
    if Replacement::left(&layout.patches().join(base)).is_some() {
        return Err(Kind::Usage.error(format!(
            "a series refresh was interrupted while it replaced files in {dir}; run it again: cargo xtask series refresh \
             --base {base} --series {name}"
        )));
    }
    let index = index(&dir)?;
    let patches = names(&dir.join(INDEX), &index)?;
    let patches = patches.iter().map(|file| read(&dir.join(file)));
    Ok(Series {
        name: name.to_owned(),
        patches: patches.collect::<Result<_>>()?,
        index,
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
        .filter(|entry| entry.path().is_dir() && !entry.file_name().starts_with('.'))
        .map(|entry| entry.file_name().to_owned())
        .collect();
    names.sort();
    names
}

pub fn index(dir: &Utf8Path) -> Result<String> {
    fs_err::read_to_string(dir.join(INDEX)).map_err(|error| {
        Kind::Usage.error(format!(
            "{error}; it should name the patches of {dir}, one a line"
        ))
    })
}

/// Reads the text of a `series` file: one name a line, `#` begins a comment.
pub fn names(path: &Utf8Path, text: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let wrong = |what| Kind::Usage.error(format!("{path}:{number}: {what}"));
        let (name, comment) = split(line);
        let name = without_options(name).map_err(wrong)?;
        if let Some(words) = notes::claim(comment)
            && !name.is_empty()
        {
            return Err(wrong(format!(
                "what a patch provides stands in the patch itself now: write `{PROVIDES} {words}` below the `---` of {name}"
            )));
        }
        if names.iter().any(|earlier| earlier == name) {
            return Err(wrong(format!("{name} a second time")));
        }
        if !name.is_empty() {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The name on a line, and the comment after it with its `#`. As for quilt, a `#` within a word begins none.
fn split(line: &str) -> (&str, &str) {
    let mut marks = line.match_indices('#').map(|(at, _)| at);
    let begins = |at: &usize| *at == 0 || line[..*at].ends_with([' ', '\t']);
    let (name, comment) = line.split_at(marks.find(begins).unwrap_or(line.len()));
    (name.trim(), comment.trim())
}

/// The name on a line of a `series` file, and all that stands after it, or instead of it.
pub fn listed(line: &str) -> (&str, &str) {
    let (name, _) = split(line);
    let file = without_options(name).unwrap_or(name);
    (file, line.trim()[file.len()..].trim())
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

/// What stands in a patch file below the `---`; nothing if it is no patch.
pub fn notes_in(path: &str, text: &[u8]) -> String {
    patch::parse(path.into(), text).map_or(String::new(), |patch| patch.notes)
}

fn read(path: &Utf8Path) -> Result<Patch> {
    let text = fs_err::read(path).map_err(|error| Kind::Usage.error(error))?;
    parse(path, &text)
}

/// Reads the text of a patch file, and what its notes say that it provides.
pub fn parse(path: &Utf8Path, text: &[u8]) -> Result<Patch> {
    let mut patch = patch::parse(path, text)?;
    let wrong = |what: &str| Kind::Usage.error(format!("{path}: {PROVIDES} {what}"));
    if notes::provides(&String::from_utf8_lossy(&patch.message))
        .is_ok_and(|features| !features.is_empty())
    {
        return Err(wrong(
            "belongs below the `---`, where it does not become a part of the commit",
        ));
    }
    patch.provides = notes::provides(&patch.notes).map_err(|what| wrong(&what))?;
    Ok(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_file() {
        for (text, expected) in [
            ("", Ok(vec![])),
            ("a.patch\nb.patch\n", Ok(vec!["a.patch", "b.patch"])),
            (
                "# why\n# provides: nonsense\n\n  a.patch # later: c.patch\r\n\tb.patch # provided: x\r\n",
                Ok(vec!["a.patch", "b.patch"]),
            ),
            (
                "a.patch -p1\n\tb.patch\t -p1\t# -R\na#b.patch\n",
                Ok(vec!["a.patch", "b.patch", "a#b.patch"]),
            ),
            (
                "\na.patch -p0\n",
                Err(
                    "x/series:2: a.patch has the option -p0; patches are applied as `git am` does it, which is -p1: write it \
                     anew for that",
                ),
            ),
            (
                "a.patch -p1 -R # back\n",
                Err(
                    "x/series:1: a.patch has the option -R; patches are applied as `git am` does it, which is -p1: write it \
                     anew for that",
                ),
            ),
            (
                "a.patch\n#\na.patch -p1\n",
                Err("x/series:3: a.patch a second time"),
            ),
            (
                "a.patch\nb.patch # provides: timeout argument\n",
                Err(
                    "x/series:2: what a patch provides stands in the patch itself now: write `Provides: timeout argument` \
                     below the `---` of b.patch",
                ),
            ),
        ] {
            let names = names(Utf8Path::new("x/series"), text);
            let names = names.map_err(|failure| failure.to_string());
            let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect());
            assert_eq!(names, expected.map_err(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn what_a_patch_provides() {
        let mail = |message: &str, notes: &str| {
            format!(
                "From: a <a@b>\nDate: Mon, 2 Nov 2026 10:00:00 +0100\nSubject: x\n\n{message}\n---\n{notes}\n\n \
                 a | 2 +-\n 1 file changed\n\ndiff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-b\n+c\n"
            )
        };
        for (message, notes, expected) in [
            ("why", "", Ok(vec![])),
            ("why", "v2\n\nProvides: timeout", Ok(vec![Feature::Timeout])),
            (
                "why",
                "Provides: tea",
                Err("0001.patch: Provides: unknown feature \"tea\""),
            ),
            (
                "why\n\nProvides: timeout",
                "",
                Err("0001.patch: Provides: belongs below"),
            ),
        ] {
            let patch = parse(Utf8Path::new("0001.patch"), mail(message, notes).as_bytes());
            match (patch, expected) {
                (Ok(patch), Ok(features)) => assert_eq!(patch.provides, features),
                (Err(failure), Err(words)) => {
                    assert!(failure.to_string().starts_with(words), "{failure}");
                }
                (got, wanted) => panic!("{got:?} {wanted:?}"),
            }
        }
    }

    #[test]
    fn series_of_this_checkout() {
        let layout = Layout::of_this_checkout().unwrap();
        // What is for other projects than the kernel is in no folder of its own, and so no series.
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
        assert_eq!(provides(0), []);
        for count in 1..=all.len() {
            let before = [provides(count - 1), all[count - 1].provides.clone()].concat();
            assert_eq!(provides(count), before);
        }
        assert!(provides(all.len()).contains(&Feature::Ext3Ioctl));
    }
}
