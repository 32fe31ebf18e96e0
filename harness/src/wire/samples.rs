//! The numbers of a measurement, on their way from the guest to the host.

use std::str::FromStr;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};

use super::names;

/// Starts a line with [`Samples`] in JSON.
pub const SAMPLES: &str = "samples: ";

/// Starts a line that says why a measurement went no further.
pub const NOTE: &str = "note: ";

/// How many samples are taken.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Display, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Effort {
    /// Few: shows that everything works.
    Quick,
    Full,
}

impl Effort {
    pub const ALL: &'static [Effort] = Effort::VARIANTS;
}

impl FromStr for Effort {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        names::find("effort", name)
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Of time; less is better.
    Nanoseconds,
    /// Of throughput; more is better.
    BytesPerSecond,
}

/// Numbers of one kind, in the order in which they were taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// Which number of its measurement it is, e.g. `thaw`; empty if there is one only.
    pub part: String,
    pub unit: Unit,
    pub values: Vec<f64>,
}

/// The parts of a measurement that compares two states of one guest, taken in turns.
pub const IDLE: &str = "none pending";
pub const PENDING: &str = "one pending";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_has_one_name() {
        for effort in Effort::ALL {
            let name = effort.to_string();
            assert_eq!(name.parse::<Effort>().unwrap(), *effort);
            assert_eq!(serde_json::to_string(effort).unwrap(), format!("{name:?}"));
        }
        assert!("Quick".parse::<Effort>().is_err());
    }
}
