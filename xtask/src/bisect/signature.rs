//! What makes two failures the same, and which side a commit is on by how its runs ended.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use harness::linux::complaints::{contains_any, is_complaint};
use harness::wire::Filesystem;
use harness::wire::marks::{CLEANUP, COMPLAINT, STEP};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::event::{CONSOLE, CaseResult, Verdict};

use super::{How, Judgement, Reason, Runs, Side, Signature, Untestable};

/// How one run ended, as far as verdicts go by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    pub case: String,
    pub filesystem: Filesystem,
    pub came: Came,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Came {
    Passed,
    Failed(Signature),
    Skipped(String),
}

/// What the two ends look like: how the case fails there, if it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    pub old: Option<Signature>,
    pub new: Option<Signature>,
    /// What fails at the end that fails, beside what is searched for: it says nothing.
    pub known: Vec<(String, Filesystem)>,
    pub any_failure: bool,
}

impl Signature {
    /// Of a run that failed.
    pub fn of(result: &CaseResult) -> Option<Self> {
        let (how, reason) = match &result.verdict {
            Verdict::Passed | Verdict::Skipped(_) => return None,
            Verdict::Failed(reason) => (How::Failed, reason),
            Verdict::Hung(reason) => (How::Hung, reason),
            Verdict::KilledGuest(reason) => (How::KilledGuest, reason),
        };
        Some(Self {
            case: result.id.case.clone(),
            filesystem: result.id.filesystem,
            how,
            step: step(reason, &result.diagnostics).map(|step| without_numbers(&step)),
            complaint: complaint(result, reason).map(|line| without_numbers(&line)),
        })
    }

    pub fn is_of(&self, ending: &Ending) -> bool {
        (self.filesystem, &self.case) == (ending.filesystem, &ending.case)
    }

    /// For people: `dm_case_a on xfs hung at "second FITHAW"`.
    pub fn words(&self) -> String {
        let how: &str = self.how.into();
        let step = self.step.iter().map(|step| format!(" at {step:?}"));
        let complaint = self.complaint.iter().map(|line| format!(": {line}"));
        let more: String = step.chain(complaint).collect();
        format!("{} on {} {how}{more}", self.case, self.filesystem)
    }
}

impl Ending {
    pub fn of(result: &CaseResult) -> Self {
        Self {
            case: result.id.case.clone(),
            filesystem: result.id.filesystem,
            came: match (&result.verdict, Signature::of(result)) {
                (_, Some(signature)) => Came::Failed(signature),
                (Verdict::Skipped(reason), None) => Came::Skipped(reason.clone()),
                (_, None) => Came::Passed,
            },
        }
    }

    pub fn failure(&self) -> Option<&Signature> {
        match &self.came {
            Came::Failed(signature) => Some(signature),
            _ => None,
        }
    }
}

impl Ends {
    /// Which side runs speak for, and how they ended.
    ///
    /// One failure as that of an end speaks for that end, whatever the other runs did: it is flaky, and it is there. Only
    /// if none failed, they speak for the end that passes. All else says nothing.
    pub fn side(&self, endings: &[Ending]) -> (Runs, Judgement) {
        let (is_old, is_new) = (
            self.shows(&self.old, endings),
            self.shows(&self.new, endings),
        );
        let side = match (is_old, is_new) {
            (true, false) => Ok(Side::Old),
            (false, true) => Ok(Side::New),
            (true, true) => Err(other("fails as both ends do".to_owned())),
            (false, false) => self.unlike(endings),
        };
        (self.count(endings), side)
    }

    fn shows(&self, end: &Option<Signature>, endings: &[Ending]) -> bool {
        let like = |end: &Signature| endings.iter().any(|ending| self.is_like(end, ending));
        end.as_ref().is_some_and(like)
    }

    fn is_like(&self, end: &Signature, ending: &Ending) -> bool {
        let failure = ending.failure();
        failure.is_some_and(|it| it == end || self.any_failure && end.is_of(ending))
    }

    fn is_known(&self, ending: &Ending) -> bool {
        let pair = |(case, filesystem): &(String, Filesystem)| {
            (*filesystem, case) == (ending.filesystem, &ending.case)
        };
        self.known.iter().any(pair)
    }

    /// Of runs that did not fail as an end does.
    fn unlike(&self, endings: &[Ending]) -> Judgement {
        let counted = endings.iter().filter(|ending| !self.is_known(ending));
        if let Some(failure) = counted.clone().find_map(Ending::failure) {
            return Err(other(failure.words()));
        }
        let searched = counted.filter(|ending| self.is_searched(ending));
        for ending in searched {
            if let Came::Skipped(why) = &ending.came {
                return Err(Untestable {
                    reason: Reason::LacksFeature,
                    words: why.clone(),
                });
            }
        }
        match (&self.old, &self.new) {
            (None, Some(_)) => Ok(Side::Old),
            (Some(_), None) => Ok(Side::New),
            _ => Err(other("passes, as neither end does".to_owned())),
        }
    }

    fn is_searched(&self, ending: &Ending) -> bool {
        let ends = [&self.old, &self.new].into_iter().flatten();
        ends.into_iter().any(|end| end.is_of(ending))
    }

    fn count(&self, endings: &[Ending]) -> Runs {
        let mut runs = Runs::default();
        for ending in endings.iter().filter(|ending| self.is_searched(ending)) {
            let like_an_end = [&self.old, &self.new]
                .into_iter()
                .flatten()
                .any(|end| self.is_like(end, ending));
            match ending.came {
                Came::Passed => runs.passed += 1,
                Came::Failed(_) if like_an_end => runs.failed += 1,
                _ => runs.other += 1,
            }
        }
        runs
    }
}

fn other(words: String) -> Untestable {
    Untestable {
        reason: Reason::OtherFailure,
        words,
    }
}

/// How an end fails: as most of the runs do of the case that fails most often. With it, what else fails there.
pub fn look(endings: &[Ending]) -> (Option<Signature>, Vec<(String, Filesystem)>) {
    let pair = |it: &&Signature| (it.filesystem, it.case.clone());
    let mut failures: BTreeMap<_, Vec<&Signature>> = BTreeMap::new();
    for failure in endings.iter().filter_map(Ending::failure) {
        failures.entry(pair(&failure)).or_default().push(failure);
    }
    let Some(searched) = failures
        .keys()
        .max_by_key(|it| failures[*it].len())
        .cloned()
    else {
        return (None, Vec::new());
    };
    let of_it = failures.remove(&searched).unwrap_or_default();
    let times = |wanted: &&&Signature| of_it.iter().filter(|it| it == wanted).count();
    // Of two that are equally frequent, the first.
    let most = of_it.iter().rev().max_by_key(times).copied().cloned();
    let known = failures
        .into_keys()
        .map(|(filesystem, case)| (case, filesystem));
    (most, known.collect())
}

/// Where a case was when it failed.
fn step(reason: &str, diagnostics: &[String]) -> Option<String> {
    static STUCK: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"^stuck in step "(.*)"$"#).unwrap());
    if let Some(stuck) = STUCK.captures(reason) {
        return Some(stuck[1].to_owned());
    }
    if reason.starts_with(COMPLAINT) {
        return None; // the case passed, and which step the kernel was at nobody says
    }
    // What it said is between the step that failed and the next, which is its cleanup.
    let said = diagnostics.iter().rposition(|line| line == reason);
    let cleanup = || {
        diagnostics
            .iter()
            .position(|line| line.starts_with(CLEANUP))
    };
    let end = said.or_else(cleanup).unwrap_or(diagnostics.len());
    let steps = diagnostics[..end].iter().rev();
    let step = steps.filter_map(|line| line.strip_prefix(STEP)).next();
    step.map(str::to_owned)
}

/// What the kernel complained of first: what the verdict or init names, or else the console has.
fn complaint(result: &CaseResult, reason: &str) -> Option<String> {
    if let Some(line) = reason.strip_prefix(COMPLAINT) {
        return Some(line.to_owned());
    }
    if is_complaint(reason) {
        return Some(reason.to_owned());
    }
    let lines = || result.diagnostics.iter();
    let named = lines().find_map(|line| line.strip_prefix(COMPLAINT));
    let provoked = harness::cases::find(&result.id.case).map_or(&[][..], |case| case.complaints);
    // Of a hang, the watchdog may say so as well, if it is in time.
    let is_hang = matches!(result.verdict, Verdict::Hung(_));
    let says_more = |line: &str| !(is_hang && WATCHDOG.is_match(line));
    let on_console = || {
        let mut console = lines().skip_while(|line| *line != CONSOLE);
        console.find(|line| is_complaint(line) && says_more(line) && !contains_any(line, provoked))
    };
    named.map(str::to_owned).or_else(|| on_console().cloned())
}

/// `INFO: task writer:83 blocked for more than 120 seconds.`
static WATCHDOG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"INFO: task \S.* blocked\b").unwrap());

/// What stays the same from one boot, and one commit, to another: no times, addresses, numbers, identifiers, nothing of
/// what the compiler makes of a function or whom the watchdog sees first, and of a warning only where it is.
fn without_numbers(line: &str) -> String {
    static WARNING: LazyLock<Regex> = LazyLock::new(|| {
        // As it was until 6.19: `WARNING: CPU: 1 PID: 71 at fs/super.c:2079 freeze_super+0x1e5/0x2a0`; and since:
        // `WARNING: fs/super.c:2079 at freeze_super+0x1e5/0x2a0, CPU#1: fsfreeze/71`.
        Regex::new(r"WARNING: (?:CPU: \d+ PID: \d+ at )?(\S+):\d+ (?:at )?([\w.]+)\+0x.*").unwrap()
    });
    static PARTS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (r"^\[ *\d+\.\d+\](?:\[ *\w+\])? ", ""),
            (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
            (r"\+0x[0-9a-f]+/0x[0-9a-f]+", ""),
            (r"(?:\.(?:isra|part|constprop|cold|llvm)\b(?:\.\d+)?)+", ""),
            (r"\b(?:0x)?[0-9a-f]{8,}\b|\b0x[0-9a-f]+\b", "N"),
            (r"\d+", "N"),
        ]
        .map(|(pattern, by)| (Regex::new(pattern).unwrap(), by))
        .into()
    });
    let line = WARNING.replace(line, "WARNING: $1 $2");
    let line = WATCHDOG.replace(&line, "INFO: task blocked").into_owned();
    let less = |line: String, (part, by): &(Regex, &str)| part.replace_all(&line, *by).into_owned();
    PARTS.iter().fold(line, less)
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::{Ext3, Xfs};

    use super::*;
    use crate::report::model::samples;

    fn result(verdict: Verdict, diagnostics: &[&str]) -> CaseResult {
        CaseResult {
            diagnostics: diagnostics.iter().map(|line| (*line).to_owned()).collect(),
            ..samples::result(Xfs, "a", 0, verdict)
        }
    }

    fn signature(how: How, step: Option<&str>, complaint: Option<&str>) -> Signature {
        Signature {
            case: "a".into(),
            filesystem: Xfs,
            how,
            step: step.map(str::to_owned),
            complaint: complaint.map(str::to_owned),
        }
    }

    #[test]
    fn signatures() {
        let failed = |reason: &str| Verdict::Failed(reason.to_owned());
        let busy = [
            "step: first FITHAW",
            "step: second FITHAW of 3",
            "FITHAW: EINVAL",
            "step: cleanup: umount",
            "step: cleanup: fsck",
        ];
        let warned =
            "[    1.2] WARNING: CPU: 1 PID: 71 at fs/super.c:2079 freeze_super+0x1e5/0x2a0";
        let place = "WARNING: fs/super.c freeze_super";
        let second = Some("second FITHAW of N");
        for (verdict, diagnostics, wanted) in [
            (Verdict::Passed, &busy[..], None),
            (Verdict::Skipped("x".into()), &busy, None),
            (
                failed("FITHAW: EINVAL"),
                &busy,
                Some(signature(How::Failed, second, None)),
            ),
            (
                failed("of old"),
                &busy,
                Some(signature(How::Failed, second, None)),
            ),
            (
                failed("FITHAW: EINVAL"),
                &["step: x", "FITHAW: EINVAL", CONSOLE, warned, "BUG: later"],
                Some(signature(How::Failed, Some("x"), Some(place))),
            ),
            (
                failed(&format!("{COMPLAINT}{warned}")),
                &busy,
                Some(signature(How::Failed, None, Some(place))),
            ),
            (
                Verdict::Hung("stuck in step \"second FITHAW of 7\"".into()),
                &busy[..1],
                Some(signature(How::Hung, second, None)),
            ),
            // Whether the watchdog says so before the time is over is chance.
            (
                Verdict::Hung("stuck in step \"second FITHAW of 7\"".into()),
                &[
                    busy[0],
                    CONSOLE,
                    "INFO: task writer:83 blocked for more than 120 seconds.",
                ],
                Some(signature(How::Hung, second, None)),
            ),
            (
                Verdict::Hung("stuck in step \"second FITHAW of 7\"".into()),
                &[busy[0], CONSOLE, "INFO: task x:8 blocked", warned],
                Some(signature(How::Hung, second, Some(place))),
            ),
            (
                Verdict::KilledGuest(warned.into()),
                &busy[..1],
                Some(signature(
                    How::KilledGuest,
                    Some("first FITHAW"),
                    Some(place),
                )),
            ),
        ] {
            let result = result(verdict, diagnostics);
            assert_eq!(Signature::of(&result), wanted, "{result:?}");
        }
    }

    #[test]
    fn what_is_the_same_in_each_boot() {
        for (line, wanted) in [
            (
                "WARNING: fs/super.c:2079 at freeze_super+0x1e5/0x2a0, CPU#1: fsfreeze/71",
                "WARNING: fs/super.c freeze_super",
            ),
            (
                "BUG: unable to handle page fault for address: ffffffffffffffe8",
                "BUG: unable to handle page fault for address: N",
            ),
            (
                "[   10.4][  T71] XFS (vda): Corruption of 196dd0ab-1b56-4298-bf8c-d6719c16737e",
                "XFS (vda): Corruption of UUID",
            ),
            (
                "BUG: KASAN: slab-use-after-free in thaw_super+0x1/0x2",
                "BUG: KASAN: slab-use-after-free in thaw_super",
            ),
            ("3 holds, not 0x1f", "N holds, not N"),
            // What the compiler makes of a function is another thing at each commit.
            (
                "WARNING: CPU: 0 PID: 9 at fs/super.c:11 freeze_super.isra.0+0x1e5/0x2a0",
                "WARNING: fs/super.c freeze_super",
            ),
            (
                "BUG: KASAN: use-after-free in thaw.constprop.0.cold+0x1/0x2",
                "BUG: KASAN: use-after-free in thaw",
            ),
            // Whom the watchdog sees first is chance.
            (
                "[  130.1] INFO: task kworker/u4:2:30 blocked for more than 120 seconds.",
                "INFO: task blocked for more than N seconds.",
            ),
        ] {
            assert_eq!(without_numbers(line), wanted);
        }
    }

    fn ending(filesystem: Filesystem, case: &str, mut came: Came) -> Ending {
        if let Came::Failed(signature) = &mut came {
            (signature.case, signature.filesystem) = (case.into(), filesystem);
        }
        Ending {
            case: case.into(),
            filesystem,
            came,
        }
    }

    fn of(came: Came) -> Ending {
        ending(Xfs, "a", came)
    }

    fn at(step: &str) -> Came {
        Came::Failed(signature(How::Failed, Some(step), None))
    }

    fn word(side: &Judgement) -> &'static str {
        match side {
            Ok(Side::Old) => "old",
            Ok(Side::New) => "new",
            Err(untestable) => untestable.reason.into(),
        }
    }

    #[test]
    fn sides() {
        let failing = Some(signature(How::Failed, Some("x"), None));
        let ends = |old, new| Ends {
            old,
            new,
            known: vec![("b".into(), Ext3)],
            any_failure: false,
        };
        let broke = ends(None, failing.clone());
        let fixed = ends(failing.clone(), None);
        let changed = ends(Some(signature(How::Hung, Some("x"), None)), failing);
        let hung = Came::Failed(signature(How::Hung, Some("x"), None));
        let pass = || of(Came::Passed);
        let skip = || of(Came::Skipped("no".into()));
        let elsewhere = |case, filesystem| ending(filesystem, case, at("x"));
        let (skipped, differs) = ("the case lacks a feature", "fails in another way");
        for (ends, endings, wanted) in [
            (&broke, vec![pass(), pass()], "old"),
            (&broke, vec![pass(), of(at("x")), pass()], "new"),
            (&broke, vec![of(at("x")), of(at("y"))], "new"),
            (&broke, vec![pass(), of(at("y"))], differs),
            (&broke, vec![of(hung.clone())], differs),
            (&broke, vec![skip(), skip()], skipped),
            (&broke, vec![pass(), skip()], skipped),
            (&broke, vec![pass(), elsewhere("a", Ext3)], differs),
            (&broke, vec![pass(), elsewhere("b", Xfs)], differs),
            (&broke, vec![pass(), elsewhere("b", Ext3)], "old"),
            (&fixed, vec![pass()], "new"),
            (&fixed, vec![pass(), of(at("x"))], "old"),
            (&changed, vec![of(hung.clone())], "old"),
            (&changed, vec![of(at("x"))], "new"),
            (&changed, vec![of(at("x")), of(hung)], differs),
            (&changed, vec![pass()], differs),
        ] {
            let (_, side) = ends.side(&endings);
            assert_eq!(word(&side), wanted, "{endings:?}");
        }
    }

    #[test]
    fn any_failure_is_the_failure_if_that_is_asked() {
        let ends = Ends {
            old: None,
            new: Some(signature(How::Failed, Some("x"), None)),
            known: vec![],
            any_failure: true,
        };
        let (runs, side) = ends.side(&[of(at("y")), of(Came::Passed)]);
        assert_eq!(side, Ok(Side::New));
        assert_eq!((runs.passed, runs.failed, runs.other), (1, 1, 0));
        // Of the case: another one says nothing, however it fails.
        let (_, side) = ends.side(&[ending(Xfs, "b", at("x")), of(Came::Passed)]);
        assert_eq!(word(&side), "fails in another way");
    }

    #[test]
    fn an_end_looks_as_most_of_its_runs() {
        let endings = [
            of(Came::Passed),
            of(at("x")),
            ending(Ext3, "b", at("z")),
            of(at("y")),
            of(at("y")),
        ];
        let (most, known) = look(&endings);
        assert_eq!(most.unwrap().step.as_deref(), Some("y"));
        assert_eq!(known, [("b".to_owned(), Ext3)]);
        assert_eq!(look(&[of(Came::Passed)]), (None, vec![]));
        // One that fails now and then is not what the search is about, wherever it comes.
        let endings = [ending(Ext3, "b", at("z")), of(at("y")), of(at("y"))];
        let (most, known) = look(&endings);
        assert_eq!(most.unwrap().case, "a");
        assert_eq!(known, [("b".to_owned(), Ext3)]);
    }
}
