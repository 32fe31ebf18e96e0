//! What a case is. The cases themselves are in [`crate::cases`].

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::bench::Bench;

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
        match Self::ALL.iter().find(|fs| fs.name() == name) {
            Some(fs) => Ok(*fs),
            None => bail!("unknown filesystem {name:?}; known: ext3, xfs"),
        }
    }
}

/// Something that not every kernel with the series provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// `FIFREEZE_TIMEOUT` and `FIFREEZE_RESET_TIMEOUT`.
    Timeout,
    /// The sysctl that makes `FIFREEZE` take a timeout.
    Argument,
    /// `EXT3_IOC_FREEZE` and `EXT3_IOC_THAW`.
    Ext3Ioctl,
}

impl Feature {
    pub const ALL: &'static [Feature] = &[Feature::Timeout, Feature::Argument, Feature::Ext3Ioctl];

    pub fn name(self) -> &'static str {
        match self {
            Feature::Timeout => "timeout",
            Feature::Argument => "argument",
            Feature::Ext3Ioctl => "ext3_ioctl",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Feature {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match Self::ALL.iter().find(|feature| feature.name() == name) {
            Some(feature) => Ok(*feature),
            None => bail!("unknown feature {name:?}; known: timeout, argument, ext3_ioctl"),
        }
    }
}

/// One thing that a kernel must do, run in a process of its own in the guest.
#[derive(Debug)]
pub struct Case {
    /// Unique, snake_case; what `--filter` matches.
    pub name: &'static str,
    /// One sentence for `--list`.
    pub about: &'static str,
    /// Where it makes sense; most cases run on all.
    pub filesystems: &'static [Filesystem],
    /// What the kernel must provide; `None` if every patched kernel must pass.
    pub needs: Option<Feature>,
    /// Words of what the kernel is right to complain of here; any other complaint is a failure.
    pub complaints: &'static [&'static str],
    /// `Err` is a failure; a case that cannot run here returns [`crate::bench::skip`].
    pub run: fn(&Bench) -> Result<()>,
}

impl Case {
    /// Whether this complaint of the kernel belongs to what the case does.
    pub fn expects(&self, complaint: &str) -> bool {
        contains_any(complaint, self.complaints)
    }
}

/// Whether the line has some of these words.
pub(crate) fn contains_any(line: &str, words: &[&str]) -> bool {
    words.iter().any(|words| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_has_one_name() {
        for feature in Feature::ALL {
            let name = feature.to_string();
            assert_eq!(name.parse::<Feature>().unwrap(), *feature);
            assert_eq!(serde_json::to_string(feature).unwrap(), format!("{name:?}"));
        }
        assert!("Timeout".parse::<Feature>().is_err());
    }
}
