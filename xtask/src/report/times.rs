//! How long cases took in earlier runs. Only a hint: nothing but the order of work depends on it.

use std::collections::HashMap;
use std::time::Duration;

use camino::Utf8Path;
use harness::case::Filesystem;

use crate::event::{CaseId, CaseResult, Verdict};
use crate::report::model::Run;

/// How many runs are looked at, from the newest on.
const RUNS: usize = 20;
/// What a case is thought to take that has never been seen to pass.
const UNKNOWN: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
pub struct Times(HashMap<(Filesystem, String), Duration>);

impl Times {
    /// Reads the newest runs in this folder; what cannot be read is passed over.
    pub fn of_runs(runs: &Utf8Path) -> Self {
        let entries = runs.read_dir_utf8().into_iter().flatten().flatten();
        // Named after the time. A link such as `latest` is one of them again, a hidden one is not whole.
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_owned())
            .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
            .collect();
        names.sort_unstable();
        let mut times = Self::default();
        for name in names.iter().rev().take(RUNS) {
            let text = fs_err::read_to_string(runs.join(name).join("results.json"));
            let run = text.ok().and_then(|text| serde_json::from_str(&text).ok());
            times.learn(run.iter().flat_map(|run: &Run| &run.results));
        }
        times
    }

    pub fn expected(&self, case: &CaseId) -> Duration {
        let key = (case.filesystem, case.case.clone());
        self.0.get(&key).copied().unwrap_or(UNKNOWN)
    }

    /// What is known already stays. A failure or a skip says nothing about how long a pass takes.
    fn learn<'a>(&mut self, results: impl IntoIterator<Item = &'a CaseResult>) {
        let passed = results
            .into_iter()
            .filter(|result| result.verdict == Verdict::Passed);
        for CaseResult { id, took, .. } in passed {
            let key = (id.filesystem, id.case.clone());
            self.0.entry(key).or_insert(*took);
        }
    }
}

#[cfg(test)]
mod tests {
    use harness::case::Filesystem::{Ext3, Xfs};

    use super::*;
    use crate::report::model::samples;

    #[test]
    fn the_newest_pass_counts() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Utf8Path::from_path(dir.path()).unwrap();
        let write = |name: &str, verdict: Verdict, seconds| {
            let mut result = samples::result(Ext3, "a", 0, verdict);
            result.took = Duration::from_secs(seconds);
            let text = serde_json::to_string(&samples::run(&[], vec![result])).unwrap();
            fs_err::create_dir(runs.join(name)).unwrap();
            fs_err::write(runs.join(name).join("results.json"), text).unwrap();
        };
        write("2026-11-21T01-00-00", Verdict::Passed, 3);
        write("2026-11-21T02-00-00", Verdict::Passed, 5);
        write("2026-11-21T03-00-00", Verdict::Hung(String::new()), 120);
        fs_err::create_dir(runs.join("2026-11-21T04-00-00")).unwrap();
        let times = Times::of_runs(runs);
        let expected = |fs| times.expected(&samples::result(fs, "a", 7, Verdict::Passed).id);
        assert_eq!(expected(Ext3), Duration::from_secs(5));
        assert_eq!(expected(Xfs), UNKNOWN);
    }

    #[test]
    fn no_runs_are_no_error() {
        let times = Times::of_runs("/nonexistent".into());
        let id = samples::result(Ext3, "a", 0, Verdict::Passed).id;
        assert_eq!(times.expected(&id), UNKNOWN);
    }
}
