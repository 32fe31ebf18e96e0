//! What the host asks of one guest, sent as one line of JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::feature::Feature;
use super::filesystem::Filesystem;
use super::samples::Effort;

/// The cases that one guest runs, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub subtests: Vec<Subtest>,
    /// How long one case may take before it counts as hung.
    pub deadline: Duration,
    /// What the kernel should provide; cases that need anything else are skipped.
    #[serde(default)]
    pub provides: Vec<Feature>,
    /// Whether it has no patch at all.
    #[serde(default)]
    pub stock: bool,
    #[serde(default)]
    pub work: Work,
    #[serde(default)]
    pub secrets: Secrets,
}

/// What the host and init know, and no case: it tells what init has written from what a case may write to the same
/// places. A case is root, and could read init's memory; this is meant for accidents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Begins each line on [`super::port::KTAP`].
    pub line: String,
    /// Ends the mark of each case in the kernel log, in the order of the plan: one each, as cases can read the log.
    pub marks: Vec<String>,
}

/// What the names in a plan are names of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Cases: each passes or fails.
    #[default]
    Cases,
    /// Measurements: each gives numbers.
    Measurements(Effort),
    /// Work that misbehaves: each shall be seen for what it is.
    Faults,
}

impl Work {
    /// The arguments with which `harness` does the work of this name.
    pub fn arguments(self, filesystem: Filesystem, name: &str, deadline: Duration) -> Vec<String> {
        let verb = match self {
            Work::Cases => "case",
            Work::Measurements(_) => "measure",
            Work::Faults => "fault",
        };
        let seconds = deadline.as_secs_f64().to_string();
        let mut arguments = vec![
            verb.to_owned(),
            filesystem.to_string(),
            name.to_owned(),
            seconds,
        ];
        if let Work::Measurements(effort) = self {
            arguments.push(effort.to_string());
        }
        arguments
    }
}

/// The cases of one filesystem: one KTAP subtest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subtest {
    pub filesystem: Filesystem,
    /// Names of what [`Plan::work`] says.
    pub cases: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trip() {
        let subtest = |filesystem, cases: &[&str]| Subtest {
            filesystem,
            cases: cases.iter().copied().map(String::from).collect(),
        };
        let plan = Plan {
            subtests: vec![
                subtest(Filesystem::Ext3, &["a", "b"]),
                subtest(Filesystem::Xfs, &[]),
            ],
            deadline: Duration::from_millis(90_500),
            provides: vec![Feature::Timeout],
            stock: true,
            work: Work::Measurements(Effort::Quick),
            secrets: Secrets {
                line: "1f".to_owned(),
                marks: vec!["2f".to_owned(), "3f".to_owned()],
            },
        };
        let line = serde_json::to_string(&plan).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(serde_json::from_str::<Plan>(&line).unwrap(), plan);
    }

    #[test]
    fn work_becomes_arguments() {
        let arguments = |work: Work| work.arguments(Filesystem::Xfs, "x", Duration::from_secs(3));
        assert_eq!(arguments(Work::Cases), ["case", "xfs", "x", "3"]);
        let quick = Work::Measurements(Effort::Quick);
        assert_eq!(arguments(quick), ["measure", "xfs", "x", "3", "quick"]);
    }

    #[test]
    fn a_plan_may_provide_nothing() {
        let line = r#"{"subtests":[],"deadline":{"secs":0,"nanos":0}}"#;
        assert_eq!(serde_json::from_str::<Plan>(line).unwrap(), Plan::default());
    }
}
