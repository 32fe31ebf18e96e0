//! KTAP version 1: the merged document of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use harness::wire::Filesystem;
use harness::wire::ktap::{self, Outcome};

use super::model::Run;
use crate::event::{CaseId, CaseResult, Verdict};

/// The merged document: one subtest a filesystem and repeat, whatever number of guests it took.
/// The plans count what was wanted.
pub fn document(run: &Run) -> String {
    let mut missing = BTreeMap::new();
    for id in &run.not_run {
        *missing.entry(subtest(id)).or_insert(0) += 1;
    }
    let wanted: BTreeSet<_> = (run.results.iter().map(|result| subtest(&result.id)))
        .chain(missing.keys().copied())
        .collect();
    let mut out = format!("KTAP version 1\n1..{}\n", wanted.len());
    let subtests = run
        .results
        .chunk_by(|a, b| subtest(&a.id) == subtest(&b.id));
    for (number, cases) in (1..).zip(subtests) {
        let missing = missing.get(&subtest(&cases[0].id));
        write_subtest(&mut out, number, cases, missing.copied().unwrap_or(0));
    }
    if let Some(why) = run.why() {
        let _ = writeln!(out, "Bail out! {why}");
    }
    out
}

/// So many of its cases are `missing`: they have no result.
fn write_subtest(out: &mut String, number: usize, cases: &[CaseResult], missing: usize) {
    let (_, name) = subtest(&cases[0].id);
    let planned = cases.len() + missing;
    let _ = writeln!(
        out,
        "    KTAP version 1\n    # Subtest: {name}\n    1..{planned}"
    );
    for (number, case) in (1..).zip(cases) {
        write_case(out, number, case);
    }
    let good = missing == 0 && cases.iter().all(|case| !case.verdict.is_failure());
    let ok = if good { "ok" } else { "not ok" };
    let _ = writeln!(out, "{ok} {number} {name}");
}

fn subtest(id: &CaseId) -> (u32, Filesystem) {
    (id.repeat, id.filesystem)
}

/// A case by itself, for a reader of a run that never got to its document.
pub fn single(number: usize, result: &CaseResult) -> String {
    let mut out = format!("    # Subtest: {}\n", result.id.filesystem);
    write_case(&mut out, number, result);
    out
}

fn write_case(out: &mut String, number: usize, result: &CaseResult) {
    for line in &result.diagnostics {
        let _ = writeln!(out, "    # {}: {line}", result.id.case);
    }
    let outcome = Outcome {
        name: result.id.case.clone(),
        verdict: as_written(&result.verdict),
        took: Some(result.took),
    };
    let _ = writeln!(out, "    {}", outcome.line(number));
}

/// KTAP knows of no guest that is killed.
fn as_written(verdict: &Verdict) -> ktap::Verdict {
    match verdict.clone() {
        Verdict::Passed => ktap::Verdict::Passed,
        Verdict::Skipped(reason) => ktap::Verdict::Skipped(reason),
        Verdict::Failed(reason) => ktap::Verdict::Failed(reason),
        Verdict::Hung(reason) => ktap::Verdict::TimedOut(reason),
        Verdict::KilledGuest(reason) => {
            ktap::Verdict::Failed(format!("killed the guest: {reason}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use harness::wire::ktap::{Line, parse};

    use super::*;
    use crate::report::model::samples;

    #[test]
    fn an_aborted_run_bails_out() {
        let text = document(&samples::aborted());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(&lines[..2], ["KTAP version 1", "1..2"]);
        assert!(lines.contains(&"    1..2"), "{text}");
        let last = ["not ok 1 ext3", "Bail out! interrupted"];
        assert_eq!(&lines[lines.len() - 2..], last);
    }

    #[test]
    fn a_document_reads_back() {
        let result = |filesystem, repeat, case: &str, verdict| CaseResult {
            id: CaseId {
                filesystem,
                case: case.into(),
                repeat,
            },
            verdict,
            took: Duration::from_millis(5),
            diagnostics: vec!["said so".into()],
        };
        let results = vec![
            result(Filesystem::Ext3, 0, "a", Verdict::Passed),
            result(Filesystem::Ext3, 0, "b", Verdict::Skipped("no".into())),
            result(Filesystem::Ext3, 1, "a", Verdict::Hung("stuck # 1".into())),
            result(Filesystem::Xfs, 1, "a", Verdict::Failed("Oops [#1]".into())),
            result(Filesystem::Xfs, 1, "b", Verdict::Failed("skip me".into())),
        ];
        let text = document(&samples::run(&[], results));
        let subtests: Vec<_> = text.lines().filter(|line| !line.starts_with(' ')).collect();
        similar_asserts::assert_eq!(
            subtests,
            [
                "KTAP version 1",
                "1..3",
                "ok 1 ext3",
                "not ok 2 ext3",
                "not ok 3 xfs"
            ]
        );
        let verdicts: Vec<_> = text
            .lines()
            .filter_map(|line| match parse(line) {
                Line::Case(outcome) => Some(Verdict::from(outcome.verdict)),
                _ => None,
            })
            .collect();
        let wanted = [
            Verdict::Passed,
            Verdict::Skipped("no".into()),
            Verdict::Hung("stuck # 1".into()),
            Verdict::Failed("Oops [#1]".into()),
            Verdict::Failed("failed: skip me".into()),
        ];
        similar_asserts::assert_eq!(verdicts, wanted);
    }
}
