//! The filesystems under test, by name. What is particular to each stands in `devices::filesystem`.

use std::str::FromStr;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};

use super::names;

/// A filesystem under test, by the name `mount -t` takes.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Display,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Filesystem {
    /// Served by the ext4 driver on every base (fs/ext4/super.c registers the name).
    Ext3,
    Xfs,
    Ext4,
}

impl Filesystem {
    pub const ALL: &'static [Filesystem] = Filesystem::VARIANTS;

    /// Those that are tested unless others are asked for.
    pub const DEFAULT: &'static [Filesystem] = &[Filesystem::Ext3, Filesystem::Xfs];

    /// What may be asked for, in words.
    pub fn choice() -> String {
        names::list(Filesystem::ALL, ", ")
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
    }
}
