//! What commands tell at their end, in words for a terminal or a log.

use camino::Utf8Path;
use comfy_table::{Table, presets};
use console::{StyledObject, style};
use harness::case::Case;
use harness::wire::Filesystem;
use harness::wire::marks::{CLEANUP, STEP};

use super::model::{Counts, Run, case_names, cell};
use super::output::{self, say};
use super::programs::in_short;
use crate::event::{CONSOLE, CaseId, CaseResult, Verdict};
use crate::series::mutants::Mutant;
use crate::words::{self, count, seconds};

/// How many failures are told at length.
const FAILURES: usize = 20;
/// Of each, so many of the lines that the case said last, and of those on the console.
const OWN_LINES: usize = 12;
const STEPS: usize = 3;
const CONSOLE_LINES: usize = 10;
/// How many of the cases are named that were not tested.
const NAMES: usize = 3;

/// `ext3  nesting  ok  0.8 s`
pub fn case_line(result: &CaseResult) -> String {
    let reason = match result.verdict.reason() {
        "" => String::new(),
        reason => format!("  {}", words::short(reason)),
    };
    format!(
        "{:5} {:32} {:12} {:>7}{reason}",
        result.id.filesystem.name(),
        repeat_name(&result.id),
        coloured(&result.verdict),
        seconds(result.took),
    )
}

fn coloured(verdict: &Verdict) -> StyledObject<&'static str> {
    let word = style(verdict.word());
    match verdict {
        Verdict::Passed => word.green(),
        Verdict::Skipped(_) => word.yellow(),
        _ => word.red(),
    }
}

pub fn name(id: &CaseId) -> String {
    format!("{} {}", id.filesystem, repeat_name(id))
}

fn repeat_name(id: &CaseId) -> String {
    words::short(&id.name())
}

/// The end of a run: table, failures, folder, what was not tested, and as the last line the counts.
pub fn summary(run: &Run, folder: &Utf8Path) {
    say(&format!("\n{}\n", verdicts(run)));
    let all = run.results.iter();
    let mut failures = all.filter(|result| result.verdict.is_failure());
    for result in failures.by_ref().take(FAILURES) {
        say(&failure_text(result, folder));
    }
    if let more @ 1.. = failures.count() {
        say(&format!(
            "… and {} in {folder}/ktap\n",
            count(more, "more failure")
        ));
    }
    let shard = run.part.as_ref().map(|part| part.shard);
    let shard = shard.map_or(String::new(), |shard| format!("shard {shard}: "));
    say(&format!(
        "{shard}kernel {} on {}, {}, {}; reports in {folder}",
        words::short(&run.kernel.title()),
        words::short(&run.machine.accelerator),
        guests(run.machine.guests),
        seconds(run.took)
    ));
    if !run.machine.programs.is_empty() {
        say(&format!("programs: {}", in_short(&run.machine.programs)));
    }
    for line in not_run(run).into_iter().chain(not_tested(&run.results)) {
        say(&line);
    }
    say(&counts(&Counts::of(&run.results)));
}

fn guests(at_once: usize) -> String {
    match at_once {
        1 => "1 guest at a time".into(),
        several => format!("{} at once", count(several, "guest")),
    }
}

/// `19 cases were not tested: the kernel has no timeouts (timeout_thaws, timeout_values, …)`, one line for each reason.
fn not_tested(results: &[CaseResult]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&CaseResult>)> = Vec::new();
    for result in results {
        let Verdict::Skipped(reason) = &result.verdict else {
            continue;
        };
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, skipped)) => skipped.push(result),
            None => reasons.push((reason, vec![result])),
        }
    }
    let line = |(reason, skipped): &(&str, Vec<&CaseResult>)| {
        let were = if skipped.len() == 1 { "was" } else { "were" };
        let number = count(skipped.len(), "case");
        let names = some_names(skipped);
        format!(
            "{number} {were} not tested: {} ({names})",
            words::short(reason)
        )
    };
    reasons.iter().map(line).collect()
}

/// A few of the cases, each once.
fn some_names(results: &[&CaseResult]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for result in results {
        if !names.contains(&result.id.case.as_str()) {
            names.push(&result.id.case);
        }
        if names.len() > NAMES {
            names[NAMES] = "…";
            break;
        }
    }
    words::short(&names.join(", "))
}

/// `17 did not run: interrupted`
fn not_run(run: &Run) -> Option<String> {
    let why = words::short(run.why().unwrap_or("nobody knows why"));
    match run.not_run.len() {
        0 => None,
        count => Some(format!("{count} did not run: {why}")),
    }
}

/// One row for each case, one column for each filesystem.
fn verdicts(run: &Run) -> Table {
    let columns: Vec<_> = Filesystem::ALL
        .iter()
        .filter(|fs| {
            run.results
                .iter()
                .any(|result| result.id.filesystem == **fs)
        })
        .collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(std::iter::once("").chain(columns.iter().map(|fs| fs.name())));
    for case in case_names(run.results.iter().map(|result| &result.id)) {
        let cells = columns.iter().map(|fs| cell(&run.results, **fs, case));
        table.add_row(std::iter::once(words::short(case)).chain(cells));
    }
    table
}

/// Why a case failed, and what led to it; the rest is in the file that it names.
fn failure_text(result: &CaseResult, folder: &Utf8Path) -> String {
    let mut text = format!(
        "{} {}: {}\n",
        name(&result.id),
        coloured(&result.verdict),
        words::short(result.verdict.reason())
    );
    let shown = excerpt(result);
    for line in &shown {
        text += &format!("    {}\n", words::short(line));
    }
    if let more @ 1.. = result.diagnostics.len() - shown.len() {
        text += &format!("    … {} in {folder}/ktap\n", count(more, "more line"));
    }
    text
}

/// The last lines of what the case said, and of the console. Left out are the reason, which stands above, steps that
/// are long past, and those of a cleanup in which nothing went wrong.
fn excerpt(result: &CaseResult) -> Vec<&String> {
    let lines = &result.diagnostics;
    let console = lines.iter().position(|line| line == CONSOLE);
    let (own, console) = lines.split_at(console.unwrap_or(lines.len()));
    let is_step = |line: &String| line.starts_with(STEP);
    // A case that failed went on after its last step.
    let went_on = matches!(result.verdict, Verdict::Failed(_));
    let passed_by = |at: usize| own.get(at + 1).map_or(went_on, is_step);
    let mut steps = 0;
    let told = own.iter().enumerate().rev().filter(|(at, line)| {
        if line.starts_with(CLEANUP) && passed_by(*at) {
            return false;
        }
        steps += usize::from(is_step(line));
        *line != result.verdict.reason() && !(is_step(line) && steps > STEPS)
    });
    let mut told: Vec<_> = told.map(|(_, line)| line).take(OWN_LINES).collect();
    told.reverse();
    let head = console.iter().take(1);
    let tail = last(console.get(1..).unwrap_or_default(), CONSOLE_LINES);
    told.into_iter().chain(head).chain(tail).collect()
}

fn last<T>(lines: &[T], most: usize) -> &[T] {
    &lines[lines.len().saturating_sub(most)..]
}

/// Programs read this line: its form does not change.
pub fn counts(counts: &Counts) -> String {
    let Counts {
        passed,
        failed,
        skipped,
    } = counts;
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}

/// For `--list`.
pub fn cases(cases: &[(&Case, Vec<Filesystem>)]) {
    for (case, filesystems) in cases {
        let names: Vec<_> = filesystems.iter().map(|fs| fs.name()).collect();
        say(&format!(
            "{:32} {:10} {}",
            case.name,
            names.join(","),
            case.about
        ));
    }
}

/// The same for mutants.
pub fn mutants(mutants: &[Mutant]) {
    for mutant in mutants {
        say(&format!(
            "{:32} {:12} {}",
            mutant.name, mutant.class, mutant.patch.subject
        ));
    }
}

pub fn text(text: &str) {
    say(text);
}

/// On standard error.
pub fn aside(text: &str) {
    output::aside(text);
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::{Ext3, Xfs};

    use super::*;
    use crate::report::model::samples::{aborted, result, run};

    #[test]
    fn the_last_line_is_stable() {
        let counts = super::counts(&Counts {
            passed: 12,
            failed: 1,
            skipped: 0,
        });
        assert_eq!(counts, "12 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn an_aborted_run_says_so() {
        let line = not_run(&aborted());
        assert_eq!(line.as_deref(), Some("2 did not run: interrupted"));
        assert_eq!(not_run(&run(&[], vec![])), None);
    }

    /// A failure of a case that said this, as it is shown.
    fn shown(verdict: Verdict, lines: &[&str]) -> Vec<String> {
        let mut failed = result(Ext3, "a", 0, verdict);
        failed.diagnostics = lines.iter().map(|line| (*line).into()).collect();
        let text = failure_text(&failed, "runs/1".into());
        let text = console::strip_ansi_codes(&text).into_owned();
        text.lines().map(|line| line.trim().into()).collect()
    }

    #[test]
    fn a_failure_is_told_by_what_led_to_it() {
        let failed = || Verdict::Failed("it went on".into());
        let hung = || Verdict::Hung("stuck".into());
        let (thaw, said) = ("step: thaw", "it went on");
        let (umount, fsck) = ("step: cleanup: umount", "step: cleanup: fsck");
        let head = "ext3 a FAILED: it went on";
        let more = |number| format!("… {number} in runs/1/ktap");
        let (one, two, three) = (
            more("1 more line"),
            more("2 more lines"),
            more("3 more lines"),
        );
        let table: &[(Verdict, &[&str], &[&str])] = &[
            (failed(), &[thaw, said], &[head, thaw, &one]),
            (failed(), &[thaw, said, umount, fsck], &[head, thaw, &three]),
            (
                failed(),
                &["step: a", "step: b", thaw, thaw, "x", said],
                &[head, "step: b", thaw, thaw, "x", &two],
            ),
            (
                failed(),
                &[said, umount, fsck, "damaged"],
                &[head, fsck, "damaged", &two],
            ),
            (
                hung(),
                &[thaw, umount],
                &["ext3 a HUNG: stuck", thaw, umount],
            ),
            (
                hung(),
                &[umount, "  [<0>] f", CONSOLE, "[1.0] x"],
                &["ext3 a HUNG: stuck", umount, "[<0>] f", CONSOLE, "[1.0] x"],
            ),
        ];
        for (verdict, lines, wanted) in table {
            similar_asserts::assert_eq!(shown(verdict.clone(), lines), *wanted, "{lines:?}");
        }
    }

    #[test]
    fn a_failure_is_told_in_some_lines() {
        let long = "x".repeat(1_000_000);
        assert!(shown(Verdict::Hung(long.clone()), &[])[0].len() < 600);
        let mut lines = vec![long.as_str(); 50];
        lines.push(CONSOLE);
        lines.extend(["[1.0] y"; 50]);
        let text = shown(Verdict::Hung("stuck".into()), &lines);
        let wanted = 1 + OWN_LINES + 1 + CONSOLE_LINES + 1;
        assert_eq!(text.len(), wanted);
        assert!(text.iter().all(|line| line.len() < 600));
        assert_eq!(text[wanted - 1], "… 78 more lines in runs/1/ktap");
    }

    #[test]
    fn what_was_not_tested_is_told_by_reason() {
        let skipped =
            |case, repeat, why: &str| result(Ext3, case, repeat, Verdict::Skipped(why.into()));
        let lines = not_tested(&[
            result(Xfs, "ok", 0, Verdict::Passed),
            skipped("a", 0, "no timeouts"),
            skipped("a", 1, "no timeouts"),
            skipped("b", 0, "no tool"),
            skipped("c", 0, "no timeouts"),
            skipped("d", 0, "no timeouts"),
            skipped("e", 0, "no timeouts"),
        ]);
        let wanted = [
            "5 cases were not tested: no timeouts (a, c, d, …)",
            "1 case was not tested: no tool (b)",
        ];
        similar_asserts::assert_eq!(lines, wanted);
    }

    #[test]
    fn case_lines() {
        let hung = result(Ext3, "nesting", 1, Verdict::Hung("stuck".into()));
        let line = console::strip_ansi_codes(&case_line(&hung)).into_owned();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "ext3", "nesting", "(repeat", "2)", "HUNG", "0.8", "s", "stuck"
            ]
        );
    }

    #[test]
    fn the_table_has_the_filesystems_that_ran() {
        let run = run(
            &[],
            vec![
                result(Xfs, "a", 0, Verdict::Passed),
                result(Xfs, "b", 0, Verdict::Failed("x".into())),
            ],
        );
        let text = verdicts(&run).to_string();
        let rows: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows, [vec!["xfs"], vec!["a", "ok"], vec!["b", "FAILED"]]);
    }
}
