//! One or two runs as a Markdown table: a row a case, a column a run and filesystem.

use std::fmt::Write;

use harness::case::Filesystem;

use crate::report::model::{Run, case_names, cell};

pub fn table(runs: &[&Run]) -> String {
    let results: Vec<_> = runs
        .iter()
        .flat_map(|run| run.results.iter().cloned())
        .collect();
    let columns: Vec<(&Run, Filesystem)> = runs
        .iter()
        .flat_map(|run| Filesystem::ALL.iter().map(|filesystem| (*run, *filesystem)))
        .filter(|(run, filesystem)| {
            run.results
                .iter()
                .any(|result| result.id.filesystem == *filesystem)
        })
        .collect();
    let mut out = String::from("| case |");
    for (run, filesystem) in &columns {
        let _ = write!(out, " {}, {filesystem} |", run.kernel.title());
    }
    let _ = writeln!(out, "\n| --- |{}", " --- |".repeat(columns.len()));
    for case in case_names(&results) {
        let _ = write!(out, "| {case} |");
        for (run, filesystem) in &columns {
            let _ = write!(out, " {} |", cell(&run.results, *filesystem, case));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use harness::case::Filesystem::{Ext3, Xfs};

    use super::*;
    use crate::event::Verdict;
    use crate::report::model::samples::{result, run};

    #[test]
    fn two_runs_side_by_side() {
        let stock = run(
            &[],
            vec![
                result(Ext3, "case_c", 0, Verdict::Hung("stuck".into())),
                result(Xfs, "case_c", 0, Verdict::Failed("no".into())),
            ],
        );
        let patched = run(
            &["generic-freeze"],
            vec![
                result(Ext3, "case_c", 0, Verdict::Passed),
                result(Xfs, "case_c", 0, Verdict::Passed),
            ],
        );
        let wanted = "\
| case | 6.12.117 stock, ext3 | 6.12.117 stock, xfs | 6.12.117 generic-freeze, ext3 | 6.12.117 generic-freeze, xfs |
| --- | --- | --- | --- | --- |
| case_c | HUNG | FAILED | ok | ok |
";
        assert_eq!(table(&[&stock, &patched]), wanted);
    }
}
