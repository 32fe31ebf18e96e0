//! Reads a line of KTAP.

use super::outcome::{Outcome, Verdict};
use super::text::{parts, time};

/// One line of KTAP, as far as a supervisor cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `# Subtest: ext3`
    Subtest(String),
    /// `# start NAME`: the case begins now.
    Start(String),
    /// `ok …` or `not ok …` of a case, which is indented.
    Case(Outcome),
    /// The same of a whole subtest, which is not.
    Whole(Outcome),
    /// Any other line that starts with `#`.
    Diagnostic(String),
    /// Version, plan, and whatever else a dying guest writes.
    Other,
}

/// Reads one line. Never fails: what is not KTAP is [`Line::Other`].
pub fn parse(line: &str) -> Line {
    let text = line.trim();
    if let Some(comment) = text.strip_prefix('#') {
        return parse_comment(comment.trim());
    }
    match parse_outcome(text) {
        Some(outcome) if line.starts_with(' ') => Line::Case(outcome),
        Some(outcome) => Line::Whole(outcome),
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
fn parse_outcome(text: &str) -> Option<Outcome> {
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
    };
    for directive in parts {
        apply(directive.trim(), &mut outcome);
    }
    Some(outcome)
}

fn apply(directive: &str, outcome: &mut Outcome) {
    let (word, reason) = directive.split_once(' ').unwrap_or((directive, ""));
    let reason = reason.trim().to_string();
    if let Some(took) = time(word) {
        outcome.took = Some(took);
    } else if word.eq_ignore_ascii_case("SKIP") && outcome.verdict == Verdict::Passed {
        outcome.verdict = Verdict::Skipped(reason);
    } else if word == "TIMEOUT" {
        outcome.verdict = Verdict::TimedOut(reason);
    } else if matches!(outcome.verdict, Verdict::Failed(_)) {
        outcome.verdict = Verdict::Failed(directive.into());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcome(name: &str, verdict: Verdict, ms: Option<u64>, of_case: bool) -> Line {
        let outcome = Outcome {
            name: name.into(),
            verdict,
            took: ms.map(Duration::from_millis),
        };
        match of_case {
            true => Line::Case(outcome),
            false => Line::Whole(outcome),
        }
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
                outcome("c", Verdict::TimedOut("in FITHAW".into()), None, true),
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
}
