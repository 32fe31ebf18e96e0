//! Runs as a Markdown table: one row for each case, one column for each run.

use std::fmt::Write;

use harness::wire::Filesystem;

use super::model::{Run, case_names, cell};
use crate::words::{self, count};

/// A run, and the words that tell it apart if nothing in it does.
pub type Column<'a> = (&'a str, &'a Run);

pub fn table(columns: &[Column<'_>]) -> String {
    let runs = || columns.iter().map(|(_, run)| *run);
    let wanted = runs().flat_map(|run| {
        let ran = run.results.iter().map(|result| &result.id);
        ran.chain(&run.not_run)
    });
    let mut out = String::from("| case |");
    for head in heads(columns) {
        let _ = write!(out, " {} |", inline(&head));
    }
    let _ = writeln!(out, "\n| --- |{}", " --- |".repeat(columns.len()));
    for case in case_names(wanted) {
        let _ = write!(out, "| {} |", inline(case));
        for run in runs() {
            let _ = write!(out, " {} |", on_all(run, case));
        }
        out.push('\n');
    }
    out
}

/// Which of the runs are not whole, one line for each, and why.
pub fn incomplete(columns: &[Column<'_>]) -> Vec<String> {
    let named = heads(columns).into_iter().zip(columns);
    let cut_short = named.filter(|(_, (_, run))| !run.is_complete());
    let line = |(head, (_, run)): (String, &Column<'_>)| {
        let why = words::short(run.why().unwrap_or("nobody knows why"));
        let missing = count(run.not_run.len(), "case");
        format!("{}: {missing} did not run: {why}", inline(&head))
    };
    cut_short.map(line).collect()
}

/// Kernel and series, and of what else runs differ in no more than tells them apart.
fn heads(columns: &[Column<'_>]) -> Vec<String> {
    let title = |run: &Run| match run.is_complete() {
        true => run.kernel.title(),
        false => format!("{} (incomplete)", run.kernel.title()),
    };
    let mut heads: Vec<_> = columns.iter().map(|(_, run)| title(run)).collect();
    for fact in FACTS {
        let told: Vec<_> = columns.iter().map(fact).collect();
        let before = heads.clone();
        for (at, head) in heads.iter_mut().enumerate() {
            let mut alike = (0..columns.len()).filter(|other| before[*other] == before[at]);
            if alike.any(|other| told[other] != told[at]) {
                *head = format!("{head}, {}", told[at]);
            }
        }
    }
    heads
}

/// What may tell runs apart, in words; what says most comes first.
const FACTS: &[fn(&Column<'_>) -> String] = &[
    |(_, run)| match run.kernel.configs.as_slice() {
        [] => "default configuration".into(),
        configs => configs.join(" + "),
    },
    |(_, run)| run.kernel.source.clone().unwrap_or("own tree".into()),
    |(_, run)| run.machine.accelerator.clone(),
    |(_, run)| match &run.part {
        Some(part) => format!("shard {}", part.shard),
        None => "all shards".into(),
    },
    |(_, run)| {
        format!(
            "build {}",
            run.kernel.fingerprint.chars().take(8).collect::<String>()
        )
    },
    |(_, run)| run.started.clone(),
    |(name, _)| (*name).to_owned(),
];

/// Fit for a cell: bounded, in one line, and no end of the cell.
fn inline(text: &str) -> String {
    words::short(text).replace('|', "\\|")
}

/// One word if the case ended alike on all filesystems that it ran on, or else a word for each.
fn on_all(run: &Run, case: &str) -> String {
    let results = &run.results;
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
        [] if run.not_run.iter().any(|id| id.case == case) => "did not run".into(),
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
    use harness::wire::Filesystem::{Ext3, Xfs};

    use super::*;
    use crate::event::Verdict;
    use crate::report::model::samples::{aborted, result, run};

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
        similar_asserts::assert_eq!(table(&[("", &stock), ("", &patched)]), wanted);
    }

    #[test]
    fn heads_differ_by_no_more_than_it_takes() {
        let series: &[&str] = &["generic-freeze"];
        let like = |change: &dyn Fn(&mut Run)| {
            let mut run = run(series, vec![]);
            change(&mut run);
            run
        };
        let plain = || like(&|_| ());
        let debug = || like(&|run| run.kernel.configs = vec!["debug".into()]);
        let rebuilt = || like(&|run| run.kernel.fingerprint = "beefbeefbeef".into());
        let later = || like(&|run| run.started = "2026-11-22".into());
        let cut = || like(&|run| run.failure = Some("interrupted".into()));
        let stock = || run(&[], vec![]);
        let table: &[(&[Run], &[&str])] = &[
            (&[plain(), stock()], &["generic-freeze", "stock"]),
            (
                &[plain(), debug(), stock()],
                &[
                    "generic-freeze, default configuration",
                    "generic-freeze, debug",
                    "stock",
                ],
            ),
            (
                &[plain(), rebuilt()],
                &[
                    "generic-freeze, build f00d",
                    "generic-freeze, build beefbeef",
                ],
            ),
            (
                &[plain(), later(), debug()],
                &[
                    "generic-freeze, default configuration, 2026-11-21T01:00:00+00:00",
                    "generic-freeze, default configuration, 2026-11-22",
                    "generic-freeze, debug",
                ],
            ),
            (
                &[plain(), cut()],
                &["generic-freeze", "generic-freeze (incomplete)"],
            ),
            (
                &[plain(), plain()],
                &["generic-freeze, runs/0", "generic-freeze, runs/1"],
            ),
        ];
        for (runs, wanted) in table {
            let names: Vec<_> = (0..runs.len()).map(|at| format!("runs/{at}")).collect();
            let columns: Vec<_> = names.iter().map(String::as_str).zip(*runs).collect();
            let wanted: Vec<_> = wanted.iter().map(|it| format!("6.12.117 {it}")).collect();
            assert_eq!(heads(&columns), wanted);
        }
    }

    #[test]
    fn a_run_that_was_cut_short_says_so() {
        let columns = [("", &aborted())];
        let wanted = "\
| case | 6.12.117 stock (incomplete) |
| --- | --- |
| a | ok |
| b | did not run |
";
        similar_asserts::assert_eq!(table(&columns), wanted);
        let line = "6.12.117 stock (incomplete): 2 cases did not run: interrupted";
        assert_eq!(incomplete(&columns), [line]);
    }

    #[test]
    fn no_name_breaks_the_table() {
        let long = format!("a|b\n{}", "x".repeat(1_000_000));
        let run = run(&[], vec![result(Ext3, &long, 0, Verdict::Passed)]);
        let text = table(&[("", &run)]);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.contains("| a\\|b\\u{a}x") && text.len() < 1000,
            "{text}"
        );
    }
}
