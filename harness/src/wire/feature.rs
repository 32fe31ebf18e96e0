//! What not every kernel with the series provides.

use std::str::FromStr;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};

use super::names;

/// Something that not every kernel with the series provides.
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
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Feature {
    /// `FIFREEZE_TIMEOUT` and `FIFREEZE_RESET_TIMEOUT`.
    Timeout,
    /// The sysctl that makes `FIFREEZE` take a timeout.
    Argument,
    /// `EXT3_IOC_FREEZE` and `EXT3_IOC_THAW`.
    Ext3Ioctl,
}

impl Feature {
    pub const ALL: &'static [Feature] = Feature::VARIANTS;

    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl FromStr for Feature {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        names::find("feature", name)
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
