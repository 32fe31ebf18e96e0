//! KTAP version 1: the guest's lines in, the merged document of a run out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use harness::case::Filesystem;
use harness::ktap::escape;

use super::model::Run;
use crate::event::{CaseId, CaseResult, Verdict};

/// Those of Documentation/dev-tools/ktap.rst.
const DIRECTIVES: [&str; 5] = ["SKIP", "TODO", "XFAIL", "TIMEOUT", "ERROR"];

/// One line of KTAP, as far as a supervisor cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `# Subtest: ext3`
    Subtest(String),
    /// `# start NAME`: the case begins now.
    Start(String),
    /// `ok …` or `not ok …`, of a case if indented, of a whole subtest if not.
    Outcome(Outcome),
    /// Any other line that starts with `#`.
    Diagnostic(String),
    /// Version, plan, and whatever else a dying guest writes.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub name: String,
    pub verdict: Verdict,
    /// What the guest measured, if it said.
    pub took: Option<Duration>,
    /// Says how a case ended, not a subtest.
    pub of_case: bool,
}

/// Reads one line. Never fails: what is not KTAP is [`Line::Other`].
pub fn parse(line: &str) -> Line {
    let text = line.trim();
    if let Some(comment) = text.strip_prefix('#') {
        return parse_comment(comment.trim());
    }
    match parse_outcome(text, line.starts_with(' ')) {
        Some(outcome) => Line::Outcome(outcome),
        None => Line::Other,
    }
}

fn parse_comment(comment: &str) -> Line {
    if let Some(name) = comment.strip_prefix("Subtest:") {
        Line::Subtest(name.trim().into())
    } else if let Some(name) = comment.strip_prefix("start ") {
        Line::Start(name.trim().into())
    } else {
        Line::Diagnostic(comment.into())
    }
}

/// `ok 1 name # SKIP reason # time=3ms`: a number, a name, then directives in any order.
fn parse_outcome(text: &str, of_case: bool) -> Option<Outcome> {
    let (ok, rest) = match text.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok ")?),
    };
    let mut parts = parts(rest).into_iter();
    let description = parts.next()?;
    let (number, name) = description.trim().split_once(' ')?;
    number.parse::<u32>().ok()?;
    let mut outcome = Outcome {
        name: name.trim_start_matches("- ").into(),
        verdict: if ok {
            Verdict::Passed
        } else {
            Verdict::Failed(String::new())
        },
        took: None,
        of_case,
    };
    for directive in parts {
        apply(directive.trim(), &mut outcome);
    }
    Some(outcome)
}

/// What is between the `#` that are not escaped, without escapes: the reverse of [`escape`].
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = characters.next_if(|next| character == '\\' && matches!(next, '\\' | '#'));
        match (escaped.unwrap_or(character), parts.last_mut()) {
            (character, Some(part)) if character != '#' || escaped.is_some() => {
                part.push(character)
            }
            _ => parts.push(String::new()),
        }
    }
    parts
}

fn apply(directive: &str, outcome: &mut Outcome) {
    let (word, reason) = directive.split_once(' ').unwrap_or((directive, ""));
    let reason = reason.trim().to_string();
    if let Some(took) = time(word) {
        outcome.took = Some(took);
    } else if word.eq_ignore_ascii_case("SKIP") && outcome.verdict == Verdict::Passed {
        outcome.verdict = Verdict::Skipped(reason);
    } else if word == "TIMEOUT" {
        outcome.verdict = Verdict::Hung(reason);
    } else if matches!(outcome.verdict, Verdict::Failed(_)) {
        outcome.verdict = Verdict::Failed(directive.into());
    }
}

/// `time=3ms`
fn time(word: &str) -> Option<Duration> {
    let ms = word.strip_prefix("time=")?.strip_suffix("ms")?;
    ms.parse().ok().map(Duration::from_millis)
}

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
    let (ok, directive) = match &result.verdict {
        Verdict::Passed => ("ok", String::new()),
        Verdict::Skipped(reason) => ("ok", format!(" # SKIP {}", escape(reason))),
        Verdict::Failed(reason) => ("not ok", format!(" # {}", failed(reason))),
        Verdict::Hung(reason) => ("not ok", format!(" # TIMEOUT {}", escape(reason))),
        Verdict::KilledGuest(reason) => {
            ("not ok", format!(" # killed the guest: {}", escape(reason)))
        }
    };
    let ms = result.took.as_millis();
    let _ = writeln!(
        out,
        "    {ok} {number} {}{directive} # time={ms}ms",
        result.id.case
    );
}

/// The reason of a failure, which no reader must take for a directive.
fn failed(reason: &str) -> String {
    let text = escape(reason);
    let word = text.split(' ').next().unwrap_or_default();
    let is_directive = DIRECTIVES.iter().any(|it| word.eq_ignore_ascii_case(it));
    match is_directive || time(word).is_some() {
        true => format!("failed: {text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use harness::ktap;

    use super::*;
    use crate::report::model::samples;

    fn outcome(name: &str, verdict: Verdict, ms: Option<u64>, of_case: bool) -> Line {
        let took = ms.map(Duration::from_millis);
        Line::Outcome(Outcome {
            name: name.into(),
            verdict,
            took,
            of_case,
        })
    }

    #[test]
    fn lines() {
        let failed = |reason: &str| Verdict::Failed(reason.into());
        let table = [
            ("KTAP version 1", Line::Other),
            ("1..2", Line::Other),
            ("", Line::Other),
            ("\u{fffd}\u{fffd} ok", Line::Other),
            ("ok", Line::Other),
            ("ok then", Line::Other),
            ("    # Subtest: ext3", Line::Subtest("ext3".into())),
            ("    # start nesting", Line::Start("nesting".into())),
            (
                "    # nesting: thaw took 12 ms",
                Line::Diagnostic("nesting: thaw took 12 ms".into()),
            ),
            ("ok 1 ext3", outcome("ext3", Verdict::Passed, None, false)),
            (
                "    ok 1 a # time=812ms",
                outcome("a", Verdict::Passed, Some(812), true),
            ),
            (
                "    ok 3 a - b",
                outcome("a - b", Verdict::Passed, None, true),
            ),
            ("    ok 3 - a", outcome("a", Verdict::Passed, None, true)),
            (
                "    ok 3 a # SKIP needs patch 1",
                outcome("a", Verdict::Skipped("needs patch 1".into()), None, true),
            ),
            (
                "    ok 3 a # SKIP no # time=3ms",
                outcome("a", Verdict::Skipped("no".into()), Some(3), true),
            ),
            (
                "    not ok 2 c # TIMEOUT in FITHAW",
                outcome("c", Verdict::Hung("in FITHAW".into()), None, true),
            ),
            ("    not ok 2 c", outcome("c", failed(""), None, true)),
            (
                "    not ok 2 c # write went on",
                outcome("c", failed("write went on"), None, true),
            ),
            (
                r"    not ok 2 c # Oops: 0000 [\#1] in C:\\d # time=3ms",
                outcome("c", failed(r"Oops: 0000 [#1] in C:\d"), Some(3), true),
            ),
            (
                "    not ok 2 c # SKIP no",
                outcome("c", failed("SKIP no"), None, true),
            ),
            (
                "    not ok 2 c # time=xms",
                outcome("c", failed("time=xms"), None, true),
            ),
        ];
        for (text, wanted) in table {
            assert_eq!(parse(text), wanted, "{text:?}");
        }
    }

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
    fn what_the_guest_writes_is_what_the_host_reads() {
        for reason in [
            "Oops: 0000 [#1] PREEMPT SMP",
            "# SKIP",
            r"stuck in step \#\",
            r"\\##\\",
            "time=3ms",
            "ok",
        ] {
            for (said, wanted) in [
                (
                    ktap::Verdict::TimedOut(reason.into()),
                    Verdict::Hung(reason.into()),
                ),
                (
                    ktap::Verdict::Skipped(reason.into()),
                    Verdict::Skipped(reason.into()),
                ),
            ] {
                let mut written = Vec::new();
                let mut guest = ktap::Ktap::new(&mut written, "secret");
                guest.result(7, "a", &said).unwrap();
                let line = String::from_utf8(written).unwrap();
                let (_, line) = ktap::unseal(line.trim_end(), "secret").unwrap();
                assert_eq!(parse(line), outcome("a", wanted, None, true));
            }
        }
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
                Line::Outcome(outcome) if outcome.of_case => Some(outcome.verdict),
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
