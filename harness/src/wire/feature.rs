//! What not every kernel with the series provides.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

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
