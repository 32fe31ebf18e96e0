//! Kernel configuration: fragments on top of tinyconfig, and the proof that none of their lines got lost.

use std::collections::BTreeMap;
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::Filesystem;

use crate::failure::{Kind, Result};
use crate::host::layout::Layout;

const EXTENSION: &str = "config";
/// What every kernel gets.
const COMMON: &str = "base";

/// A file of `CONFIG_…` lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub path: Utf8PathBuf,
    pub text: String,
}

/// An asked-for line that the kernel's configuration does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub option: String,
    /// `None` stands for "is not set".
    pub asked: Option<String>,
    pub got: Option<String>,
    /// The fragment that asked last.
    pub by: Utf8PathBuf,
}

/// The fragments of a base in the order in which they are merged: files, and what filesystems take. A name of neither is
/// a usage error.
pub fn fragments(layout: &Layout, base: &str, extra: &[String]) -> Result<Vec<Fragment>> {
    let folder = layout.configs();
    let path = |name: &str| folder.join(format!("{name}.{EXTENSION}"));
    let mut fragments = vec![Fragment::read(path(COMMON))?];
    if path(base).exists() {
        fragments.push(Fragment::read(path(base))?);
    }
    for name in extra {
        fragments.push(match filesystem(name) {
            Some(filesystem) => Fragment::of(filesystem),
            None if path(name).is_file() => Fragment::read(path(name))?,
            None => {
                let known = known(&folder).join(", ");
                return Err(Kind::Usage.error(format!(
                    "no configuration {name:?}: {} is not there (known: {known})",
                    path(name)
                )));
            }
        });
    }
    Ok(fragments)
}

/// The filesystem of this name, if it takes options of its own: these are a configuration of the same name.
pub fn filesystem(name: &str) -> Option<Filesystem> {
    let filesystem = name.parse::<Filesystem>().ok();
    filesystem.filter(|it| it.is_extra())
}

/// The names of these configurations, and of those that the filesystems take, each once.
pub fn with(configs: &[String], filesystems: &[Filesystem]) -> Vec<String> {
    let extra = filesystems.iter().filter(|it| it.is_extra());
    let names = extra.map(ToString::to_string);
    let more = names.filter(|name| !configs.contains(name));
    configs.iter().cloned().chain(more).collect()
}

impl Fragment {
    fn read(path: Utf8PathBuf) -> Result<Self> {
        let text = fs_err::read_to_string(&path)?;
        Ok(Self { path, text })
    }

    fn of(filesystem: Filesystem) -> Self {
        Self {
            path: format!("the entry of {filesystem}").into(),
            text: filesystem.entry().kernel.to_owned(),
        }
    }
}

fn known(folder: &Utf8Path) -> Vec<String> {
    let files = folder.read_dir_utf8().into_iter().flatten().flatten();
    let fragments = files.filter(|file| file.path().extension() == Some(EXTENSION));
    let mut names: Vec<String> = fragments
        .filter_map(|file| file.path().file_stem().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Which lines of the fragments are not in `got`, the text of a `.config`; the last fragment that names an option counts.
pub fn lost(asked: &[Fragment], got: &str) -> Vec<Lost> {
    let got: BTreeMap<&str, &str> = options(got)
        .filter_map(|(option, value)| value.map(|value| (option, value)))
        .collect();
    let mut wanted = BTreeMap::new();
    for fragment in asked {
        wanted.extend(
            options(&fragment.text).map(|(option, value)| (option, (value, &fragment.path))),
        );
    }
    let missed = wanted
        .into_iter()
        .filter(|(option, (value, _))| got.get(option) != value.as_ref());
    missed
        .map(|(option, (value, by))| Lost {
            option: option.to_owned(),
            asked: value.map(str::to_owned),
            got: got.get(option).map(|&value| value.to_owned()),
            by: by.clone(),
        })
        .collect()
}

/// The options that a text names, in order; `None` for "is not set", which `=n` means as well.
fn options(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.lines().filter_map(|line| {
        let line = line.trim_end();
        if let Some(option) = line
            .strip_prefix("# ")
            .and_then(|rest| rest.strip_suffix(" is not set"))
        {
            return option.starts_with("CONFIG_").then_some((option, None));
        }
        let (option, value) = line
            .split_once('=')
            .filter(|(option, _)| option.starts_with("CONFIG_"))?;
        Some((option, Some(value).filter(|value| *value != "n")))
    })
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<String>| {
            value
                .as_ref()
                .map_or("not set".to_owned(), |value| format!("={value}"))
        };
        let Lost {
            option,
            asked,
            got,
            by,
        } = self;
        write!(
            f,
            "{option}: {by} asks for {}, the kernel has {}",
            show(asked),
            show(got)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(name: &str, text: &str) -> Fragment {
        Fragment {
            path: name.into(),
            text: text.into(),
        }
    }

    #[test]
    fn lost_lines() {
        let got = "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=8\nCONFIG_E=\"x y\"\n";
        for (asked, expected) in [
            (vec![], ""),
            (
                vec!["CONFIG_A=y\nCONFIG_B=m\nCONFIG_D=8\nCONFIG_E=\"x y\"\n"],
                "",
            ),
            (
                vec![
                    "# CONFIG_C is not set\n# CONFIG_ABSENT is not set\nCONFIG_ALSO=n\n# a comment\n",
                ],
                "",
            ),
            (
                vec!["CONFIG_B=y"],
                "CONFIG_B: 0 asks for =y, the kernel has =m",
            ),
            (
                vec!["CONFIG_C=y"],
                "CONFIG_C: 0 asks for =y, the kernel has not set",
            ),
            (
                vec!["CONFIG_ABSENT=y"],
                "CONFIG_ABSENT: 0 asks for =y, the kernel has not set",
            ),
            (
                vec!["# CONFIG_A is not set"],
                "CONFIG_A: 0 asks for not set, the kernel has =y",
            ),
            (
                vec!["CONFIG_D=16\n"],
                "CONFIG_D: 0 asks for =16, the kernel has =8",
            ),
            (vec!["CONFIG_B=y", "CONFIG_B=m"], ""),
            (
                vec!["CONFIG_B=m", "CONFIG_B=y"],
                "CONFIG_B: 1 asks for =y, the kernel has =m",
            ),
        ] {
            let fragments: Vec<Fragment> = asked
                .iter()
                .enumerate()
                .map(|(at, text)| fragment(&at.to_string(), text))
                .collect();
            let said: Vec<String> = lost(&fragments, got)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(said.join("\n"), expected, "{asked:?}");
        }
    }
}
