//! The filesystems under test, by name. What is particular to each stands in `devices::filesystem`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// A filesystem under test, by the name `mount -t` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filesystem {
    /// Served by the ext4 driver on every base (fs/ext4/super.c registers the name).
    Ext3,
    Xfs,
}

impl Filesystem {
    pub const ALL: &'static [Filesystem] = &[Filesystem::Ext3, Filesystem::Xfs];

    pub fn name(self) -> &'static str {
        match self {
            Filesystem::Ext3 => "ext3",
            Filesystem::Xfs => "xfs",
        }
    }
}

impl fmt::Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Filesystem {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|fs| fs.name() == name);
        match found {
            Some(fs) => Ok(*fs),
            None => {
                let known: Vec<_> = Self::ALL.iter().map(|fs| fs.name()).collect();
                bail!("unknown filesystem {name:?}; known: {}", known.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
