//! A run as data: what was tested, on what, and how every case ended.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use harness::wire::Feature;
use serde::{Deserialize, Serialize};

use crate::event::{CaseId, CaseResult, Verdict};
use crate::shard::Part;

/// Everything the reports are written from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub kernel: KernelFacts,
    pub machine: MachineFacts,
    /// Local time with offset.
    pub started: String,
    pub took: Duration,
    pub results: Vec<CaseResult>,
    /// Wanted, and without a result.
    pub not_run: Vec<CaseId>,
    /// Why the run ended before every case had its turn.
    pub failure: Option<String>,
    /// If these are not all cases that were chosen, but a share of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

impl Run {
    /// Every case that was wanted has had its turn.
    pub fn is_complete(&self) -> bool {
        self.failure.is_none() && self.not_run.is_empty()
    }

    /// Why the run is not whole, in one line.
    pub fn why(&self) -> Option<&str> {
        self.failure.as_deref().and_then(|why| why.lines().next())
    }
}

/// The kernel under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFacts {
    pub base: String,
    pub version: String,
    /// Package and version; none for a tree of the user's.
    pub source: Option<String>,
    pub series: Vec<String>,
    /// Subjects of the patches, in order.
    pub patches: Vec<String>,
    /// What the patches provide; reports of before did not say.
    #[serde(default)]
    pub provides: Vec<Feature>,
    pub configs: Vec<String>,
    /// What the build was made from, hashed.
    pub fingerprint: String,
    /// What was built, by content; reports of before did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// What was built: names tell sources and patches apart only as long as nobody edits them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Git's tree object of the source, before any patch was applied.
    pub source: String,
    /// Git's tree object of what was built, edits included.
    pub built: String,
    /// Whether the work tree was another than the patch files make it.
    pub edited: bool,
    /// The digest of each patch, in order; empty where a commit of the tree was tested in the place of a patch.
    pub patches: Vec<String>,
}

/// The machine it ran on: nothing in here names a host, a user or a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    pub accelerator: String,
    pub qemu: String,
    pub host_kernel: String,
    pub host_cpus: usize,
    /// How many guests ran at once.
    #[serde(default = "one")]
    pub guests: usize,
    /// What the programs that the guest has from the host say of their versions, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, String>,
}

/// Runs from before there could be more.
fn one() -> usize {
    1
}

/// How many cases ended how; hung and killed count as failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Verdict {
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Verdict::Failed(_) | Verdict::Hung(_) | Verdict::KilledGuest(_)
        )
    }

    /// One word for tables.
    pub fn word(&self) -> &'static str {
        self.into()
    }

    pub fn reason(&self) -> &str {
        match self {
            Verdict::Passed => "",
            Verdict::Failed(reason) | Verdict::Skipped(reason) | Verdict::Hung(reason) => reason,
            Verdict::KilledGuest(reason) => reason,
        }
    }
}

impl Counts {
    pub fn of(results: &[CaseResult]) -> Self {
        let mut counts = Self::default();
        for result in results {
            match &result.verdict {
                Verdict::Passed => counts.passed += 1,
                Verdict::Skipped(_) => counts.skipped += 1,
                _ => counts.failed += 1,
            }
        }
        counts
    }
}

impl KernelFacts {
    /// A column heading: `6.12.117 stock`, `6.12.117 generic-freeze`.
    pub fn title(&self) -> String {
        let series = if self.series.is_empty() {
            "stock".into()
        } else {
            self.series.join(" + ")
        };
        format!("{} {series}", self.version)
    }
}

/// A filesystem by case table, with every verdict of every repeat: `ok`, or `ok 4, HUNG 1`.
pub fn cell(results: &[CaseResult], filesystem: harness::wire::Filesystem, case: &str) -> String {
    let words: Vec<_> = results
        .iter()
        .filter(|result| result.id.filesystem == filesystem && result.id.case == case)
        .map(|result| result.verdict.word())
        .collect();
    let mut distinct = words.clone();
    distinct.sort_unstable();
    distinct.dedup();
    match distinct.as_slice() {
        [] => "–".into(),
        [word] => (*word).into(),
        several => several
            .iter()
            .map(|word| {
                format!(
                    "{word} {}",
                    words.iter().filter(|other| other == &word).count()
                )
            })
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// The names of the cases, each once, in the order of their first run.
pub fn case_names<'a>(ids: impl IntoIterator<Item = &'a CaseId>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    let names = ids.into_iter().map(|id| id.case.as_str());
    names.filter(|name| seen.insert(*name)).collect()
}

#[cfg(test)]
pub mod samples {
    use harness::wire::Filesystem;

    use super::*;
    use crate::event::CaseId;

    pub fn result(filesystem: Filesystem, case: &str, repeat: u32, verdict: Verdict) -> CaseResult {
        let id = CaseId {
            filesystem,
            case: case.into(),
            repeat,
        };
        CaseResult {
            id,
            verdict,
            took: Duration::from_millis(812),
            diagnostics: vec!["said & <so>".into()],
        }
    }

    /// A run of three wanted cases that Ctrl-C ended after the first.
    pub fn aborted() -> Run {
        let results = vec![result(Filesystem::Ext3, "a", 0, Verdict::Passed)];
        let not_run = [(Filesystem::Ext3, "b"), (Filesystem::Xfs, "a")];
        Run {
            not_run: not_run
                .map(|(filesystem, case)| result(filesystem, case, 0, Verdict::Passed).id)
                .to_vec(),
            failure: Some("interrupted\nin the middle".into()),
            ..run(&[], results)
        }
    }

    pub fn run(series: &[&str], results: Vec<CaseResult>) -> Run {
        Run {
            kernel: KernelFacts {
                base: "6.12".into(),
                version: "6.12.117".into(),
                source: None,
                series: series.iter().map(|name| (*name).into()).collect(),
                patches: vec![],
                provides: vec![],
                configs: vec![],
                fingerprint: "f00d".into(),
                content: None,
            },
            machine: MachineFacts {
                accelerator: "tcg".into(),
                qemu: "10.0.2".into(),
                host_kernel: "6.18".into(),
                host_cpus: 2,
                guests: 1,
                programs: BTreeMap::new(),
            },
            started: "2026-11-21T01:00:00+00:00".into(),
            took: Duration::from_secs(9),
            results,
            not_run: Vec::new(),
            failure: None,
            part: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::{Ext3, Xfs};

    use super::samples::result;
    use super::*;

    #[test]
    fn hung_and_killed_count_as_failed() {
        let results = [
            result(Ext3, "a", 0, Verdict::Passed),
            result(Ext3, "b", 0, Verdict::Failed("x".into())),
            result(Ext3, "c", 0, Verdict::Hung("x".into())),
            result(Ext3, "d", 0, Verdict::KilledGuest("x".into())),
            result(Ext3, "e", 0, Verdict::Skipped("x".into())),
        ];
        assert_eq!(
            Counts::of(&results),
            Counts {
                passed: 1,
                failed: 3,
                skipped: 1
            }
        );
    }

    #[test]
    fn cells() {
        let results = [
            result(Ext3, "a", 0, Verdict::Passed),
            result(Ext3, "a", 1, Verdict::Passed),
            result(Ext3, "b", 0, Verdict::Passed),
            result(Ext3, "b", 1, Verdict::Hung(String::new())),
        ];
        assert_eq!(cell(&results, Ext3, "a"), "ok");
        assert_eq!(cell(&results, Ext3, "b"), "HUNG 1, ok 1");
        assert_eq!(cell(&results, Xfs, "a"), "–");
        let ids = results.iter().map(|result| &result.id);
        assert_eq!(case_names(ids), ["a", "b"]);
    }
}
