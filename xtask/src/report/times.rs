//! How long cases took in earlier runs. Only a hint: nothing but the order of work depends on it.

use std::collections::HashMap;
use std::time::Duration;

use camino::Utf8Path;
use harness::wire::Filesystem;

use super::inputs::{Input, RESULTS};
use super::output;
use crate::event::{CaseId, CaseResult, Verdict};

/// How many runs are looked at, from the newest on.
const RUNS: usize = 20;
/// What a case is thought to take that has never been seen to pass.
const UNKNOWN: Duration = Duration::from_secs(1);
/// No case takes longer, whatever a file says.
const MOST: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug, Default)]
pub struct Times(HashMap<(Filesystem, String), Duration>);

impl Times {
    /// Reads the newest runs in this folder; what cannot be read is told, and passed over.
    pub fn of_runs(runs: &Utf8Path) -> Self {
        let (times, passed_over) = Self::read(runs);
        for error in passed_over {
            output::warn(&format!("what an earlier run took is not known: {error:#}"));
        }
        times
    }

    fn read(runs: &Utf8Path) -> (Self, Vec<anyhow::Error>) {
        let entries = runs.read_dir_utf8().into_iter().flatten().flatten();
        // Named after the time. A link such as `latest` is one of them again, a hidden one is not whole.
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_owned())
            .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
            .collect();
        names.sort_unstable();
        let (mut times, mut passed_over) = (Self::default(), Vec::new());
        for name in names.iter().rev().take(RUNS) {
            let file = runs.join(name).join(RESULTS);
            // A pipe, say, would be waited for; and a run that left no file leaves nothing to tell.
            if !file.is_file() {
                continue;
            }
            match Input::read(file) {
                Ok(input) => times.learn(&input.run.results),
                Err(error) => passed_over.push(error),
            }
        }
        (times, passed_over)
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
            self.0.entry(key).or_insert((*took).min(MOST));
        }
    }
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::{Ext3, Xfs};

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
    fn what_others_wrote_is_only_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Utf8Path::from_path(dir.path()).unwrap();
        let write = |name: &str, text: &str| {
            fs_err::create_dir(runs.join(name)).unwrap();
            fs_err::write(runs.join(name).join(RESULTS), text).unwrap();
        };
        let mut ever = samples::result(Ext3, "a", 0, Verdict::Passed);
        ever.took = Duration::MAX;
        let ever = serde_json::to_string(&samples::run(&[], vec![ever])).unwrap();
        write("1-ever", &ever);
        write("2-half", &ever[..ever.len() / 2]);
        write("3-none", "");
        write("4-negative", &ever.replace(&u64::MAX.to_string(), "-1"));
        fs_err::create_dir_all(runs.join("5-folder").join(RESULTS)).unwrap();
        fs_err::write(runs.join("6-file"), "").unwrap();
        let (times, passed_over) = Times::read(runs);
        let told: Vec<_> = passed_over.iter().map(|it| format!("{it:#}")).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("4-negative/results.json"), "{told:?}");
        let expected = times.expected(&samples::result(Ext3, "a", 0, Verdict::Passed).id);
        let total: Duration = std::iter::repeat_n(expected, 1_000_000).sum();
        assert!(total > expected);
    }

    #[test]
    fn no_runs_are_no_error() {
        let times = Times::of_runs("/nonexistent".into());
        let id = samples::result(Ext3, "a", 0, Verdict::Passed).id;
        assert_eq!(times.expected(&id), UNKNOWN);
    }
}
