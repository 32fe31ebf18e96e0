//! The filesystems under test, by name, and what is particular to each. What is done with them stands in
//! `devices::filesystem`.

pub mod entry;
mod table;

use std::str::FromStr;

use anyhow::Result;
use strum::VariantArray as _;

use super::names;

pub use table::Filesystem;

/// Stands for all of them.
const EVERY: &str = "all";

/// One word of what may be asked for: a filesystem, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked(Vec<Filesystem>);

impl Filesystem {
    pub const ALL: &'static [Filesystem] = Filesystem::VARIANTS;

    /// Those that are tested unless others are asked for.
    pub const DEFAULT: &'static [Filesystem] = &[Filesystem::Ext3, Filesystem::Xfs];

    /// What may be asked for, in words.
    pub fn choice() -> String {
        format!("{}, or {EVERY}", names::list(Filesystem::ALL, ", "))
    }

    /// Those that were asked for, or the default.
    pub fn wanted(asked: &[Filesystem]) -> &[Filesystem] {
        match asked {
            [] => Filesystem::DEFAULT,
            asked => asked,
        }
    }

    pub fn name(self) -> &'static str {
        self.into()
    }

    /// As `mount -t` takes it.
    pub const fn kind(self) -> &'static str {
        self.entry().kind
    }

    /// Why it cannot take the case of this name, if so.
    pub fn cannot(self, case: &str) -> Option<&'static str> {
        let mut cases = self.entry().cannot.iter();
        cases.find_map(|(name, reason)| (*name == case).then_some(*reason))
    }

    /// Whether the kernel has it only if it is asked for.
    pub const fn is_extra(self) -> bool {
        !self.entry().kernel.is_empty()
    }
}

impl Asked {
    /// All that was asked for, each once.
    pub fn of(words: &[Asked]) -> Vec<Filesystem> {
        let mut all: Vec<_> = words.iter().flat_map(|word| &word.0).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl FromStr for Asked {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            EVERY => Ok(Asked(Filesystem::ALL.to_vec())),
            name => Ok(Asked(vec![name.parse()?])),
        }
    }
}

impl FromStr for Filesystem {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        names::find("filesystem", name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_nobody_asks_for() {
        assert_eq!(Filesystem::wanted(&[]), Filesystem::DEFAULT);
        assert_eq!(Filesystem::wanted(&[Filesystem::Ext4]), [Filesystem::Ext4]);
    }

    #[test]
    fn a_filesystem_has_one_name() {
        for filesystem in Filesystem::ALL {
            let name = filesystem.to_string();
            assert_eq!(name.parse::<Filesystem>().unwrap(), *filesystem);
            let json = serde_json::to_string(filesystem).unwrap();
            assert_eq!(json, format!("{name:?}"));
        }
        assert!("EXT3".parse::<Filesystem>().is_err());
        assert_eq!(Filesystem::XfsLog.name(), "xfs-log");
        assert_eq!(Filesystem::XfsLog.kind(), "xfs");
    }

    #[test]
    fn all_are_asked_for_by_one_word() {
        let asked = |words: &[&str]| {
            let words: Result<Vec<Asked>> = words.iter().map(|word| word.parse()).collect();
            words.map(|words| Asked::of(&words))
        };
        assert_eq!(asked(&["all"]).unwrap(), Filesystem::ALL);
        assert_eq!(asked(&["xfs", "all", "xfs"]).unwrap(), Filesystem::ALL);
        let two = [Filesystem::Xfs, Filesystem::F2fs];
        assert_eq!(asked(&["f2fs", "xfs", "f2fs"]).unwrap(), two);
        assert_eq!(asked(&[]).unwrap(), []);
        assert!(asked(&["xfs", "every"]).is_err());
    }

    #[test]
    fn every_entry_is_whole() {
        for filesystem in Filesystem::ALL {
            let entry = filesystem.entry();
            let words = [entry.kind, entry.driver, entry.package, entry.version];
            assert!(words.iter().all(|word| !word.is_empty()), "{entry:?}");
            assert!(
                !entry.mkfs.is_empty() && !entry.check.is_empty(),
                "{entry:?}"
            );
            assert!(!entry.is_on_two || entry.second.is_some(), "{entry:?}");
            // A copy of one device is not the whole.
            assert!(!entry.is_on_two || entry.copy.is_none(), "{entry:?}");
            let is_option = |line: &str| line.contains("CONFIG_");
            assert!(entry.kernel.lines().all(is_option), "{entry:?}");
        }
        let is_extra = |it: &Filesystem| it.is_extra();
        assert!(!Filesystem::DEFAULT.iter().any(is_extra));
    }
}
