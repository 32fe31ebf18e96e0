//! What the host asks of one guest, sent as one line of JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::case::{Feature, Filesystem};

/// The cases that one guest runs, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub runs: Vec<Run>,
    /// How long one case may take before it counts as hung.
    pub deadline: Duration,
    /// What the kernel should provide; cases that need anything else are skipped.
    #[serde(default)]
    pub provides: Vec<Feature>,
}

/// The cases of one filesystem: one KTAP subtest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub filesystem: Filesystem,
    /// Names of [`crate::case::Case`]s.
    pub cases: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trip() {
        let run = |filesystem, cases: &[&str]| Run {
            filesystem,
            cases: cases.iter().copied().map(String::from).collect(),
        };
        let plan = Plan {
            runs: vec![
                run(Filesystem::Ext3, &["a", "b"]),
                run(Filesystem::Xfs, &[]),
            ],
            deadline: Duration::from_millis(90_500),
            provides: vec![Feature::Timeout],
        };
        let line = serde_json::to_string(&plan).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(serde_json::from_str::<Plan>(&line).unwrap(), plan);
    }

    #[test]
    fn a_plan_may_provide_nothing() {
        let line = r#"{"runs":[],"deadline":{"secs":0,"nanos":0}}"#;
        assert_eq!(serde_json::from_str::<Plan>(line).unwrap(), Plan::default());
    }
}
