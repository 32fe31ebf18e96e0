//! Runs as a Markdown table: a row a case, a column a run.

use std::fmt::Write;

use harness::case::Filesystem;

use crate::event::CaseResult;
use crate::report::model::{Run, case_names, cell};

pub fn table<'a>(runs: impl IntoIterator<Item = &'a Run> + Clone) -> String {
    let runs = || runs.clone().into_iter();
    let results: Vec<_> = runs().flat_map(|run| run.results.clone()).collect();
    let mut out = String::from("| case |");
    for run in runs() {
        let _ = write!(out, " {} |", run.kernel.title());
    }
    let _ = writeln!(out, "\n| --- |{}", " --- |".repeat(runs().count()));
    for case in case_names(&results) {
        let _ = write!(out, "| {case} |");
        for run in runs() {
            let _ = write!(out, " {} |", on_all(&run.results, case));
        }
        out.push('\n');
    }
    out
}

/// One word if the case ended alike on all filesystems that it ran on, or else a word for each.
fn on_all(results: &[CaseResult], case: &str) -> String {
    let ran = |filesystem: &&Filesystem| {
        let mut ids = results.iter().map(|result| &result.id);
        ids.any(|id| id.filesystem == **filesystem && id.case == case)
    };
    let words: Vec<_> = Filesystem::ALL
        .iter()
        .filter(ran)
        .map(|filesystem| (filesystem, cell(results, *filesystem, case)))
        .collect();
    match words.as_slice() {
        [] => "–".into(),
        [(_, first), others @ ..] if others.iter().all(|(_, word)| word == first) => first.clone(),
        several => {
            let named = several.iter().map(|(name, word)| format!("{name} {word}"));
            named.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use harness::case::Filesystem::{Ext3, Xfs};

    use super::*;
    use crate::event::Verdict;
    use crate::report::model::samples::{result, run};

    #[test]
    fn runs_side_by_side() {
        let failed = || Verdict::Failed("no".into());
        let stock = run(
            &[],
            vec![
                result(Ext3, "case_b", 0, failed()),
                result(Ext3, "case_c", 0, Verdict::Hung("stuck".into())),
                result(Xfs, "case_b", 0, failed()),
                result(Xfs, "case_c", 0, failed()),
            ],
        );
        let patched = run(
            &["generic-freeze"],
            vec![
                result(Ext3, "case_c", 0, Verdict::Passed),
                result(Ext3, "case_d", 0, Verdict::Passed),
                result(Xfs, "case_c", 0, Verdict::Passed),
            ],
        );
        let wanted = "\
| case | 6.12.117 stock | 6.12.117 generic-freeze |
| --- | --- | --- |
| case_b | FAILED | – |
| case_c | ext3 HUNG, xfs FAILED | ok |
| case_d | – | ok |
";
        assert_eq!(table([&stock, &patched]), wanted);
    }
}
