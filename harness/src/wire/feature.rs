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
    /// A filesystem is not left frozen when its device cannot be synced.
    SyncFailure,
    /// A filesystem that became read-only while frozen lets its writers go.
    ReadOnly,
    /// System suspend does not complain of what `FIFREEZE` froze.
    Resume,
    /// The block layer's holds are its own: `FITHAW` cannot take them.
    DeviceHolds,
    /// An emergency thaw gives back the holds of all devices.
    Emergency,
    /// `FIFREEZE` nests, and each file hold belongs to an open file.
    Nesting,
    /// The daemon for Hyper-V thaws just what it froze.
    HvVss,
    /// `FIFREEZE_TIMEOUT` and `FIFREEZE_RESET_TIMEOUT`.
    Timeout,
    /// Freezes that overlap for ever do not keep writers waiting for ever.
    Chains,
    /// `/proc/PID/fdinfo` says who holds a filesystem frozen.
    Fdinfo,
    /// The sysctl that makes `FIFREEZE` take a timeout.
    Argument,
    /// `EXT3_IOC_FREEZE` and `EXT3_IOC_THAW`.
    Ext3Ioctl,
}

impl Feature {
    pub const ALL: &'static [Feature] = Feature::VARIANTS;

    /// Whether a kernel can be asked for it by a request that freezes nothing. What cannot be asked for is
    /// what a stock kernel does wrong: there the cases run, and are seen to fail.
    pub fn can_be_asked_for(self) -> bool {
        matches!(
            self,
            Feature::Timeout | Feature::Argument | Feature::Ext3Ioctl
        )
    }

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
