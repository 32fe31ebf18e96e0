//! What a search has found, for people: `report.md`.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

use super::{End, Found, Named, Proof, Purpose, Reverted, Runs, Side, Step, Terms};
use crate::event::CaseResult;
use crate::words::{self, clock, count};

/// As many characters of a commit's name as the kernel's developers write (Documentation/process/submitting-patches.rst).
const SHORT: usize = 12;
/// As many of the last lines that a case said are shown.
const LINES: usize = 16;

/// All that is told of a search.
#[derive(Clone, Copy, Debug)]
pub struct Dossier<'a> {
    pub found: &'a Found,
    /// None unless one commit was found.
    pub about: Option<&'a About>,
    /// The case on the commit before the change, and on the one after it, where they are known.
    pub sides: [Option<&'a CaseResult>; 2],
    /// The line that repeats it.
    pub command: &'a str,
}

/// A commit as git has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// `Name <address>`
    pub author: String,
    pub date: String,
    /// Subject, text and trailers.
    pub message: String,
    /// What `git describe --contains` calls it.
    pub release: Option<String>,
}

/// What the change does to the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Breaks,
    Fixes,
    /// It failed before, and fails in another way.
    Changes,
}

impl Change {
    /// It fixes where the first end fails and the second one does not.
    pub fn of(found: &Found) -> Self {
        let fails = |side: Side| {
            let ends = found.steps.iter().filter(|step| step.why == Purpose::End);
            let mut tests = ends.filter(|step| step.verdict == Ok(side));
            tests.any(|step| step.runs.failed > 0)
        };
        match found.plan.terms {
            Terms::OldNew if fails(Side::Old) && fails(Side::New) => Change::Changes,
            Terms::OldNew if fails(Side::Old) => Change::Fixes,
            _ => Change::Breaks,
        }
    }

    pub fn verb(self) -> &'static str {
        match self {
            Change::Breaks => "breaks",
            Change::Fixes => "fixes",
            Change::Changes => "changes the failure of",
        }
    }
}

pub fn short(commit: &str) -> &str {
    &commit[..SHORT.min(commit.len())]
}

impl Named {
    /// `123456789abc ("fs: subject")`
    pub fn cited(&self) -> String {
        format!("{} (\"{}\")", short(&self.commit), self.subject)
    }
}

/// The whole file.
pub fn markdown(dossier: &Dossier<'_>) -> String {
    let found = dossier.found;
    let mut text = format!("# {}\n\n{}\n", title(found), verdict(found));
    if let End::Culprit { culprit, .. } = &found.end {
        text += &commit(culprit, dossier.about);
        if Change::of(found) == Change::Breaks {
            let cited = culprit.cited();
            let _ = write!(
                text,
                "\nFor the patch that mends it:\n\n    Fixes: {cited}\n"
            );
        }
    }
    if let End::OneOf(commits) = &found.end {
        text += "\nOne of these; what stands between the tested commits cannot be tested:\n\n";
        for commit in commits {
            let _ = writeln!(text, "- {}", escaped(&commit.cited()));
        }
    }
    text += &facts(found);
    text += &sides(dossier);
    text += &steps(found);
    if !found.undone.is_empty() {
        text += "\n## What could not be done\n\n";
        for sentence in &found.undone {
            let _ = writeln!(text, "- {}", escaped(sentence));
        }
    }
    let _ = write!(
        text,
        "\n## Again\n\n    {}\n\n`git bisect replay bisect.log` repeats the steps without a test.\n",
        dossier.command
    );
    text
}

/// One line for a heading, a subject, a terminal.
pub fn title(found: &Found) -> String {
    let verb = Change::of(found).verb();
    let what = what(found);
    match &found.end {
        End::Culprit { culprit, .. } => format!("{} {verb} {what}", short(&culprit.commit)),
        End::OneOf(commits) => {
            format!("One of {} {verb} {what}", count(commits.len(), "commit"))
        }
        End::Nothing(_) => format!("No commit was found for {what}"),
    }
}

/// `dm_case_a on xfs`
pub fn what(found: &Found) -> String {
    match &found.signature {
        Some(it) => format!("{} on {}", it.case, it.filesystem),
        None => "the wanted cases".into(),
    }
}

/// What is to be made of it, in sentences.
pub fn verdict(found: &Found) -> String {
    match &found.end {
        End::Nothing(why) => format!("**No verdict.** {}", escaped(why)),
        End::OneOf(_) => {
            let [old, new] = [Side::Old, Side::New].map(|side| found.plan.terms.word(side));
            format!(
                "**No verdict.** Only commits that cannot be tested are left between {old} and {new}."
            )
        }
        End::Culprit { proof, .. } => {
            let head = match (proof.holds(), found.is_sure()) {
                (true, true) => "Found and verified.",
                (true, false) => "Found, and too flaky to be sure.",
                (false, _) => "Found, and not verified.",
            };
            format!("**{head}** {}", proof_words(found, proof))
        }
    }
}

pub fn proof_words(found: &Found, proof: &Proof) -> String {
    let name = |side: Side| found.plan.terms.word(side);
    let again = |side: Option<Side>| match side {
        Some(side) => format!("is {} again", name(side)),
        None => "could not be tested again".into(),
    };
    let mut sentences = vec![format!("The commit {}.", again(proof.culprit))];
    for (parent, side) in &proof.parents {
        sentences.push(format!(
            "Its parent {} {}.",
            short(&parent.commit),
            again(*side)
        ));
    }
    let end = short(&found.new.commit);
    sentences.push(match &proof.reverted {
        Reverted::NotAsked => "It was not asked what comes of taking it back.".into(),
        Reverted::Is(side) => format!("{end} without it is {}.", name(*side)),
        Reverted::Unknown(why) => format!(
            "What {end} is without it is not known: {}, {}.",
            <&str>::from(why.reason),
            escaped(&why.words)
        ),
    });
    sentences.join(" ")
}

fn commit(culprit: &Named, about: Option<&About>) -> String {
    let mut text = format!("\n    commit {}\n", culprit.commit);
    let Some(about) = about else {
        return text + &format!("\n        {}\n", culprit.subject);
    };
    let _ = writeln!(
        text,
        "    Author: {}\n    Date:   {}",
        about.author, about.date
    );
    if let Some(release) = &about.release {
        let _ = writeln!(text, "    In:     {release}");
    }
    text.push('\n');
    for line in about.message.trim_end().lines() {
        let _ = writeln!(text, "{}", format!("        {line}").trim_end());
    }
    text
}

fn facts(found: &Found) -> String {
    let [old, new] = [Side::Old, Side::New].map(|side| found.plan.terms.word(side));
    let mut text = "\n## The search\n\n".to_owned();
    let _ = writeln!(
        text,
        "- from {old} {} to {new} {}",
        escaped(&end(&found.plan.old, &found.old)),
        escaped(&end(&found.plan.new, &found.new))
    );
    if let Some(it) = &found.signature {
        let how: &str = it.how.into();
        let step = it.step.as_ref().map(|step| format!(" at \"{step}\""));
        let complaint = it.complaint.as_ref();
        let complaint = complaint.map(|it| format!(", and the kernel says: {it}"));
        let _ = writeln!(
            text,
            "- the failure: {} on {} {how}{}{}",
            it.case,
            it.filesystem,
            step.unwrap_or_default(),
            escaped(&complaint.unwrap_or_default())
        );
        if let Some(about) = about_case(&it.case) {
            let _ = writeln!(text, "- what the case is about: {}", escaped(about));
        }
    }
    text += &reliance(found);
    let took = words::sum(found.steps.iter().map(|step| step.took));
    let _ = writeln!(
        text,
        "- {} in {}",
        count(found.steps.len(), "test"),
        clock(took)
    );
    text
}

/// What the answer rests on, as far as there is one.
fn reliance(found: &Found) -> String {
    let mut text = String::new();
    if found.rate.failed > 0 {
        let _ = writeln!(
            text,
            "- at the end that fails, {} of {} failed; each step ran the case {}",
            found.rate.failed,
            count(found.rate.total() as usize, "run"),
            times(found.runs)
        );
    }
    if !matches!(found.end, End::Nothing(_)) {
        let _ = writeln!(
            text,
            "- all verdicts that this rests on are right with a confidence of {}",
            percent(found.confidence)
        );
    }
    text
}

/// What a case is about, in a sentence.
pub fn about_case(name: &str) -> Option<&'static str> {
    harness::cases::find(name).map(|case| case.about)
}

/// As it was given, if that is the same commit everywhere: `HEAD` and branches of this machine are not.
pub fn revision<'a>(given: &'a str, commit: &'a Named) -> &'a str {
    static TAG: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?:v\d+\.\d[\d.]*(?:-rc\d+)?|next-\d{8})(?:[~^]\d*)*$").unwrap()
    });
    match TAG.is_match(given) {
        true => given,
        false => short(&commit.commit),
    }
}

pub fn times(runs: u32) -> String {
    match runs {
        1 => "once".into(),
        runs => format!("{runs} times"),
    }
}

/// A revision, and the commit that it is.
fn end(revision: &str, commit: &Named) -> String {
    match commit.commit.starts_with(revision) {
        true => commit.cited(),
        false => format!("{revision}, {}", commit.cited()),
    }
}

/// Rounded down: it is not to promise more than there is.
pub fn percent(confidence: f64) -> String {
    format!("{:.1} %", (confidence * 1000.0).floor() / 10.0)
}

fn sides(dossier: &Dossier<'_>) -> String {
    let mut text = String::new();
    for (result, words) in dossier.sides.iter().zip(["before", "after"]) {
        if let Some(result) = result {
            let heading = format!("The case {words} the change");
            let _ = write!(text, "\n## {heading}\n\n{}", indented(&said(result)));
        }
    }
    text
}

/// How a case ended, and what it said last.
pub fn said(result: &CaseResult) -> String {
    let reason = match result.verdict.reason() {
        "" => String::new(),
        reason => format!(": {}", words::short(reason)),
    };
    let mut text = format!(
        "{} {} {}{reason}\n",
        result.id.filesystem,
        result.id.name(),
        result.verdict.word()
    );
    let lines = &result.diagnostics;
    let shown = &lines[lines.len().saturating_sub(LINES)..];
    if result.verdict.is_failure() {
        for line in shown {
            let _ = writeln!(text, "  {}", words::short(line));
        }
    }
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn steps(found: &Found) -> String {
    let mut text = "\n## Steps\n\n| | commit | for | verdict | runs | took |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (step, number) in found.steps.iter().zip(1..) {
        let _ = writeln!(
            text,
            "| {number} | {} | {} | {} | {} | {} |",
            escaped(&step.of.cited()),
            purpose(step.why),
            escaped(&step_verdict(found.plan.terms, step)),
            runs(step.runs),
            clock(step.took)
        );
    }
    text + "\nWhat was said of each of them is in `commits/`.\n"
}

fn purpose(why: Purpose) -> &'static str {
    match why {
        Purpose::End => "end",
        Purpose::MergeBase => "merge base",
        Purpose::Search => "search",
        Purpose::Proof => "proof",
        Purpose::Revert => "without the culprit",
    }
}

pub fn step_verdict(terms: Terms, step: &Step) -> String {
    let verdict = match &step.verdict {
        Ok(side) => terms.word(*side).to_owned(),
        Err(why) => format!("skipped: {}: {}", <&str>::from(why.reason), why.words),
    };
    match &step.same_as {
        Some(other) => format!("{verdict}, the image of {}", short(other)),
        None => verdict,
    }
}

/// `3 ok, 7 failed`
pub fn runs(runs: Runs) -> String {
    let counts = [
        (runs.passed, "ok"),
        (runs.failed, "failed"),
        (runs.other, "other"),
    ];
    let counts = counts.iter().filter(|(number, _)| *number > 0);
    let words: Vec<String> = counts
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    match words.is_empty() {
        true => "–".into(),
        false => words.join(", "),
    }
}

/// For one cell or line of Markdown.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('\n', " ")
}

#[cfg(test)]
pub mod samples {
    use std::time::Duration;

    use harness::wire::Filesystem::Xfs;

    use super::super::{How, Manner, Plan, Reason, Signature, Untestable};
    use super::*;
    use crate::event::Verdict;
    use crate::report::model::samples::result;

    pub fn named(digit: char, subject: &str) -> Named {
        Named {
            commit: digit.to_string().repeat(40),
            subject: subject.into(),
        }
    }

    fn step(of: Named, why: Purpose, side: Side) -> Step {
        let (passed, failed) = match side {
            Side::Old => (5, 0),
            Side::New => (0, 5),
        };
        Step {
            of,
            why,
            verdict: Ok(side),
            runs: Runs {
                passed,
                failed,
                other: 0,
            },
            image: Some("f00d".into()),
            same_as: None,
            took: Duration::from_secs(30),
        }
    }

    pub fn culprit() -> Named {
        named('c', "fs: simplify the count | of holds")
    }

    pub fn about() -> About {
        About {
            author: "Jörg Example <joerg@example.org>".into(),
            date: "2026-11-20T12:00:00+01:00".into(),
            message: "fs: simplify the count | of holds\n\nIt is 1.\n\n\
                      Reported-by: R <r@example.org>\n\
                      Reviewed-by: Some One <one@example.org>\n\
                      Signed-off-by: Jörg Example <joerg@example.org>\n"
                .into(),
            release: Some("v6.12-rc1~3".into()),
        }
    }

    pub fn found() -> Found {
        let (good, bad) = (named('a', "Linux 6.11"), named('b', "Linux 6.12"));
        let skipped = Step {
            verdict: Err(Untestable {
                reason: Reason::DoesNotCompile,
                words: "fs/super.c:9: error: x".into(),
            }),
            runs: Runs::default(),
            image: None,
            ..step(named('d', "fs: half of it"), Purpose::Search, Side::Old)
        };
        let same = Step {
            same_as: Some("a".repeat(40)),
            ..step(named('e', "fs: a comment"), Purpose::Search, Side::Old)
        };
        let parent = named('e', "fs: a comment");
        Found {
            plan: Plan {
                tree: "/home/me/linux".into(),
                old: "v6.11".into(),
                new: "v6.12".into(),
                terms: Terms::GoodBad,
                manner: Manner::default(),
                judged_by: vec![],
            },
            signature: Some(Signature {
                case: "n_freezes_need_n_thaws".into(),
                filesystem: Xfs,
                how: How::Failed,
                step: Some("first thaw".into()),
                complaint: None,
            }),
            rate: Runs {
                passed: 0,
                failed: 5,
                other: 0,
            },
            runs: 5,
            steps: vec![
                step(good.clone(), Purpose::End, Side::Old),
                step(bad.clone(), Purpose::End, Side::New),
                skipped,
                same,
                step(culprit(), Purpose::Search, Side::New),
                step(bad.clone(), Purpose::Revert, Side::Old),
            ],
            old: good,
            new: bad,
            end: End::Culprit {
                culprit: culprit(),
                proof: Proof {
                    culprit: Some(Side::New),
                    parents: vec![(parent, Some(Side::Old))],
                    reverted: Reverted::Is(Side::Old),
                },
            },
            confidence: 0.99987,
            undone: vec![],
        }
    }

    pub fn sides() -> [CaseResult; 2] {
        let case = "n_freezes_need_n_thaws";
        let failed = Verdict::Failed("it went on".into());
        let mut results = [Verdict::Passed, failed].map(|verdict| result(Xfs, case, 0, verdict));
        results[1].diagnostics = vec!["step: first thaw".into(), "it went on".into()];
        results
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Reason, Untestable};
    use super::samples::{about, culprit, found, sides};
    use super::*;

    fn text(found: &Found) -> String {
        let [before, after] = sides();
        let about = about();
        markdown(&Dossier {
            found,
            about: Some(&about),
            sides: [Some(&before), Some(&after)],
            command: "cargo xtask bisect --tree linux --good v6.11 --bad v6.12",
        })
    }

    #[test]
    fn a_culprit_with_its_proof() {
        let (c, d) = ("c".repeat(12), "d".repeat(12));
        let (a, e, b) = ("a".repeat(12), "e".repeat(12), "b".repeat(12));
        let wanted = format!(
            "# {c} breaks n_freezes_need_n_thaws on xfs

**Found and verified.** The commit is bad again. Its parent {e} is good again. {b} without it is good.

    commit {}
    Author: Jörg Example <joerg@example.org>
    Date:   2026-11-20T12:00:00+01:00
    In:     v6.12-rc1~3

        fs: simplify the count | of holds

        It is 1.

        Reported-by: R <r@example.org>
        Reviewed-by: Some One <one@example.org>
        Signed-off-by: Jörg Example <joerg@example.org>

For the patch that mends it:

    Fixes: {c} (\"fs: simplify the count | of holds\")

## The search

- from good v6.11, {a} (\"Linux 6.11\") to bad v6.12, {b} (\"Linux 6.12\")
- the failure: n_freezes_need_n_thaws on xfs failed at \"first thaw\"
- what the case is about: five FIFREEZE need five FITHAW; a writer waits for the last
- at the end that fails, 5 of 5 runs failed; each step ran the case 5 times
- all verdicts that this rests on are right with a confidence of 99.9 %
- 6 tests in 3m00s

## The case before the change

    xfs n_freezes_need_n_thaws ok

## The case after the change

    xfs n_freezes_need_n_thaws FAILED: it went on
      step: first thaw
      it went on

## Steps

| | commit | for | verdict | runs | took |
| --- | --- | --- | --- | --- | --- |
| 1 | {a} (\"Linux 6.11\") | end | good | 5 ok | 30s |
| 2 | {b} (\"Linux 6.12\") | end | bad | 5 failed | 30s |
| 3 | {d} (\"fs: half of it\") | search | skipped: does not compile: fs/super.c:9: error: x | – | 30s |
| 4 | {e} (\"fs: a comment\") | search | good, the image of {a} | 5 ok | 30s |
| 5 | {c} (\"fs: simplify the count \\| of holds\") | search | bad | 5 failed | 30s |
| 6 | {b} (\"Linux 6.12\") | without the culprit | good | 5 ok | 30s |

What was said of each of them is in `commits/`.

## Again

    cargo xtask bisect --tree linux --good v6.11 --bad v6.12

`git bisect replay bisect.log` repeats the steps without a test.
",
            "c".repeat(40)
        );
        similar_asserts::assert_eq!(text(&found()), wanted);
    }

    #[test]
    fn what_is_not_proved_is_not_promised() {
        let with = |proof: Proof| Found {
            end: End::Culprit {
                culprit: culprit(),
                proof,
            },
            ..found()
        };
        let unknown = Reverted::Unknown(Untestable {
            reason: Reason::DoesNotApply,
            words: "conflict".into(),
        });
        for (proof, words) in [
            (
                Proof {
                    culprit: Some(Side::Old),
                    ..Proof::default()
                },
                "**Found, and not verified.** The commit is good again.",
            ),
            (Proof::default(), "The commit could not be tested again."),
            (
                Proof {
                    culprit: Some(Side::New),
                    parents: vec![],
                    reverted: unknown,
                },
                "without it is not known: does not apply, conflict.",
            ),
        ] {
            let text = text(&with(proof));
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn no_verdict_says_what_is_left() {
        let left = Found {
            end: End::OneOf(vec![culprit()]),
            ..found()
        };
        let said = text(&left);
        assert!(said.starts_with("# One of 1 commit breaks"), "{said}");
        assert!(said.contains(&format!("- {}", culprit().cited().replace('|', "\\|"))));
        let nothing = Found {
            end: End::Nothing("v6.11 is bad, too.".into()),
            undone: vec!["no <paths>".into()],
            ..found()
        };
        let said = text(&nothing);
        assert!(
            said.contains("**No verdict.** v6.11 is bad, too."),
            "{said}"
        );
        assert!(said.contains("- no &lt;paths>"), "{said}");
        let passing = Found {
            signature: None,
            rate: Runs::default(),
            runs: 0,
            ..nothing
        };
        let said = text(&passing);
        for words in ["0 times", "at the end that fails", "a confidence"] {
            assert!(!said.contains(words), "{said}");
        }
    }

    #[test]
    fn what_is_too_flaky_is_not_called_verified() {
        let flaky = Found {
            confidence: 0.5,
            ..found()
        };
        assert_eq!(flaky.exit_code(), 1);
        let said = text(&flaky);
        assert!(
            said.contains("**Found, and too flaky to be sure.** The commit is bad again."),
            "{said}"
        );
    }

    #[test]
    fn what_ends_a_failure_is_a_fix() {
        let mut fixed = found();
        fixed.plan.terms = Terms::OldNew;
        assert_eq!(Change::of(&fixed), Change::Breaks);
        fixed.steps[0].runs.failed = 5;
        fixed.steps[1].runs.failed = 0;
        assert_eq!(Change::of(&fixed), Change::Fixes);
        assert!(title(&fixed).contains(" fixes "));
        assert!(
            !text(&fixed).contains("Fixes:"),
            "it is the patch that mends it"
        );
        // It has always failed, and now in another way.
        fixed.steps[1].runs.failed = 5;
        assert_eq!(Change::of(&fixed), Change::Changes);
        assert!(title(&fixed).contains(" changes "));
        assert!(!text(&fixed).contains("Fixes:"));
    }

    #[test]
    fn what_a_revision_is_called_elsewhere() {
        let linux = super::samples::named('a', "Linux 6.11");
        for (given, wanted) in [
            ("v6.11", "v6.11"),
            ("v6.12-rc3", "v6.12-rc3"),
            ("next-20261120", "next-20261120"),
            (&linux.commit, "aaaaaaaaaaaa"),
            ("HEAD~40", "aaaaaaaaaaaa"),
            ("main", "aaaaaaaaaaaa"),
            ("v6.11~3", "v6.11~3"),
            ("vfs-next", "aaaaaaaaaaaa"),
        ] {
            assert_eq!(revision(given, &linux), wanted);
        }
    }

    #[test]
    fn confidence_is_never_rounded_up() {
        assert_eq!(percent(0.99999), "99.9 %");
        assert_eq!(percent(1.0), "100.0 %");
    }
}
