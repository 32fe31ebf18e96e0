//! The books of a guest: which of its cases are still to come, which one runs, how each ended.
//!
//! Knows nothing of processes: lines of a guest go in, events come out.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use harness::kmsg::is_complaint;
use harness::plan::{Plan, Run};

use crate::event::{CaseId, CaseResult, Event, Events, GuestId, Verdict};
use crate::report::ktap::{self, Line, Outcome};

/// How many console lines a failure is shown with.
const CONSOLE_LINES: usize = 50;

/// Why a guest is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// QEMU has ended; the text says how.
    Exited(String),
    /// No case began or ended for this long; it has been killed.
    Silent(Duration),
    /// Its work is done but it did not power off; it has been killed.
    Lingered,
}

/// A case from its start to the start of the next one, so that a complaint or a
/// death while it cleans up is still its own.
#[derive(Debug)]
struct Current {
    id: CaseId,
    /// Starts of this guest up to its own.
    number: usize,
    since: Instant,
    diagnostics: Vec<String>,
    complaint: Option<String>,
    /// What the guest said of it.
    said: Option<(Verdict, Duration)>,
}

#[derive(Debug)]
pub struct Ledger {
    guest: GuestId,
    events: Events,
    remaining: VecDeque<CaseId>,
    current: Option<Current>,
    /// The case before, while the console has not come to the start of the current one:
    /// results and console take different ways, and a complaint may come late.
    closing: Option<Current>,
    /// What has begun, by the results: `FS NAME`.
    starts: Vec<String>,
    /// How many of them have begun by the console.
    marks: usize,
    /// The last of these, `FS NAME`.
    marked: String,
    /// The first complaint of each case, by its number.
    complaints: BTreeMap<usize, String>,
    /// Cases that have their result, in order.
    reported: Vec<CaseId>,
    /// The (repeat, filesystem) groups of the plan that have not begun.
    groups: VecDeque<CaseId>,
    group: Option<CaseId>,
    console: VecDeque<String>,
}

impl Ledger {
    pub fn new(guest: GuestId, wanted: Vec<CaseId>, events: Events) -> Self {
        Self {
            guest,
            events,
            groups: wanted
                .chunk_by(same_group)
                .map(|cases| cases[0].clone())
                .collect(),
            remaining: wanted.into(),
            current: None,
            closing: None,
            starts: Vec::new(),
            marks: 0,
            marked: String::new(),
            complaints: BTreeMap::new(),
            reported: Vec::new(),
            group: None,
            console: VecDeque::new(),
        }
    }

    /// The guest has nothing more to say: all results are in, or a case hangs and it reboots.
    pub fn is_finishing(&self) -> bool {
        match self
            .current
            .as_ref()
            .and_then(|current| current.said.as_ref())
        {
            Some((Verdict::Hung(_), _)) => true,
            Some(_) => self.remaining.is_empty(),
            None => false,
        }
    }

    /// The cases that have their result, and those that never began.
    pub fn into_parts(self) -> (Vec<CaseId>, Vec<CaseId>) {
        (self.reported, self.remaining.into())
    }

    /// The newest console lines, oldest first.
    pub fn last_console_lines(&self) -> Vec<String> {
        self.console.iter().cloned().collect()
    }

    /// What the guest is asked to run.
    pub fn plan(&mut self, deadline: Duration) -> Plan {
        let groups = self.remaining.make_contiguous().chunk_by(same_group);
        let runs = groups.map(|cases| Run {
            filesystem: cases[0].filesystem,
            cases: cases.iter().map(|id| id.case.clone()).collect(),
        });
        Plan {
            runs: runs.collect(),
            deadline,
            ..Plan::default()
        }
    }

    /// Takes a line of the result channel; true if a case began or ended with it.
    pub fn ktap(&mut self, line: &str, now: Instant) -> bool {
        match ktap::parse(line) {
            Line::Subtest(_) => self.group = self.groups.pop_front(),
            Line::Start(name) => return self.start(&name, now),
            Line::Outcome(outcome) if outcome.of_case => return self.end(outcome, now),
            Line::Diagnostic(text) => self.diagnostic(text),
            Line::Outcome(_) | Line::Other => {}
        }
        false
    }

    /// Takes a line of the console.
    pub fn console(&mut self, line: String) {
        if self.console.len() == CONSOLE_LINES {
            self.console.pop_front();
        }
        self.console.push_back(line.clone());
        if let Some((_, case)) = line.split_once(harness::run::MARK) {
            self.mark(case.trim());
        } else if is_complaint(&line) && !self.is_expected(&line) {
            self.complaint(line.clone());
        }
        let guest = self.guest;
        self.events.send(Event::Console { guest, line });
    }

    /// The console has come to the start of a case, `FS NAME`; marks before it may have got lost.
    fn mark(&mut self, case: &str) {
        let ahead = self.starts.get(self.marks..).unwrap_or_default();
        self.marked = case.to_owned();
        self.marks = match ahead.iter().position(|start| start == case) {
            Some(lost) => self.marks + lost + 1,
            None => self.marks.max(self.starts.len()) + 1,
        };
        self.finish_passed();
    }

    /// Whether the case that the console is in provokes this complaint.
    fn is_expected(&self, line: &str) -> bool {
        let name = self.marked.split_once(' ').map(|(_, name)| name);
        name.and_then(harness::cases::find)
            .is_some_and(|case| case.expects(line))
    }

    /// Charges the case that the console is in.
    fn complaint(&mut self, line: String) {
        let open = self.closing.as_ref().or(self.current.as_ref());
        let oldest = open.map_or(self.starts.len() + 1, |case| case.number);
        if open.is_none() && self.marks < oldest {
            let text = format!("the kernel complains while no case runs: {line}");
            return self.events.send(Event::Warning(text));
        }
        self.complaints
            .entry(self.marks.max(oldest))
            .or_insert(line);
    }

    /// Takes the guest's end; true if the guest had run a case.
    pub fn guest_over(&mut self, end: &End, now: Instant) -> bool {
        let ran = self.current.is_some();
        self.finish_closing();
        if let Some(current) = self.current.take() {
            self.finish(current, Some(end), now);
        }
        ran
    }

    /// The run is being given up: reports the cases that have said how they ended.
    pub fn close(&mut self, now: Instant) {
        self.finish_closing();
        if let Some(current) = self.current.take_if(|current| current.said.is_some()) {
            self.finish(current, None, now);
        }
    }

    fn start(&mut self, name: &str, now: Instant) -> bool {
        self.finish_closing();
        self.closing = self.current.take();
        let Some(group) = &self.group else {
            return false;
        };
        self.starts.push(format!("{} {name}", group.filesystem));
        let wanted = |id: &CaseId| same_group(id, group) && id.case == name;
        let Some(at) = self.remaining.iter().position(wanted) else {
            self.events
                .send(Event::Warning(format!("the guest runs {name:?} unasked")));
            return false;
        };
        let id = self
            .remaining
            .remove(at)
            .expect("the position is one of its own");
        self.finish_passed();
        self.events.send(Event::CaseStarted {
            guest: self.guest,
            case: id.clone(),
        });
        self.current = Some(Current {
            id,
            number: self.starts.len(),
            since: now,
            diagnostics: Vec::new(),
            complaint: None,
            said: None,
        });
        true
    }

    fn diagnostic(&mut self, text: String) {
        let Some(current) = &mut self.current else {
            return;
        };
        let prefix = format!("{}: ", current.id.case);
        let line = text.strip_prefix(&prefix).map_or(text.clone(), Into::into);
        current.diagnostics.push(line.clone());
        if let Some(complaint) = line.strip_prefix(harness::kmsg::COMPLAINT) {
            let first = self.complaints.entry(current.number);
            first.or_insert_with(|| complaint.to_owned());
        }
        self.events.send(Event::Diagnostic {
            guest: self.guest,
            case: current.id.clone(),
            line,
        });
    }

    fn end(&mut self, outcome: Outcome, now: Instant) -> bool {
        match &mut self.current {
            Some(current) if current.id.case == outcome.name && current.said.is_none() => {
                let took = outcome.took.unwrap_or(now - current.since);
                current.said = Some((outcome.verdict, took));
                true
            }
            _ => {
                let name = outcome.name;
                self.events.send(Event::Warning(format!(
                    "the guest reports {name:?}, which does not run: not counted"
                )));
                false
            }
        }
    }

    /// Reports the case before if the console has left it.
    fn finish_passed(&mut self) {
        if self
            .closing
            .as_ref()
            .is_some_and(|case| case.number < self.marks)
        {
            self.finish_closing();
        }
    }

    /// Reports the case before: no complaint can be its own any more.
    fn finish_closing(&mut self) {
        if let Some(closing) = self.closing.take() {
            self.finish(closing, None, Instant::now());
        }
    }

    fn finish(&mut self, mut current: Current, end: Option<&End>, now: Instant) {
        current.complaint = self.complaints.remove(&current.number);
        let took = current
            .said
            .as_ref()
            .map_or(now - current.since, |(_, took)| *took);
        let verdict = verdict(&current, end);
        let from_console = current.said.is_none() || current.complaint.is_some();
        if from_console {
            current
                .diagnostics
                .push("the last lines of the console:".into());
            current.diagnostics.extend(self.console.iter().cloned());
        }
        self.reported.push(current.id.clone());
        self.events.send(Event::CaseEnded(CaseResult {
            id: current.id,
            verdict,
            took,
            diagnostics: current.diagnostics,
        }));
    }
}

fn same_group(a: &CaseId, b: &CaseId) -> bool {
    (a.repeat, a.filesystem) == (b.repeat, b.filesystem)
}

/// What the guest said of a case, unless its kernel complained or it fell silent before.
fn verdict(current: &Current, end: Option<&End>) -> Verdict {
    let complaint = current.complaint.as_deref();
    match (&current.said, complaint) {
        (Some((Verdict::Passed | Verdict::Skipped(_), _)), Some(line)) => {
            Verdict::Failed(format!("the kernel complained: {line}"))
        }
        (Some((Verdict::Failed(reason), _)), _) if reason.is_empty() => {
            Verdict::Failed(last_words(&current.diagnostics))
        }
        (Some((verdict, _)), _) => verdict.clone(),
        (None, Some(line)) => Verdict::KilledGuest(line.into()),
        (None, None) => match end {
            Some(End::Silent(limit)) => {
                Verdict::Hung(format!("neither a result nor a timeout for {limit:.0?}"))
            }
            Some(End::Exited(how)) => Verdict::KilledGuest(how.clone()),
            Some(End::Lingered) | None => {
                Verdict::Failed("the harness went on without a result".into())
            }
        },
    }
}

/// Why a case failed, by its own words: the last line that neither names a step nor belongs to a stack,
/// before the cleanup if there is one, as what fails there may only follow from it.
fn last_words(diagnostics: &[String]) -> String {
    let is_cleanup = |line: &String| line.starts_with(harness::run::CLEANUP);
    let says_nothing = |line: &str| line.starts_with(harness::run::STEP) || line.starts_with(' ');
    let cleanup = diagnostics.iter().position(is_cleanup);
    let (own, later) = diagnostics.split_at(cleanup.unwrap_or(diagnostics.len()));
    [own, later]
        .into_iter()
        .find_map(|lines| lines.iter().rfind(|line| !says_nothing(line)))
        .map_or("the case did not say why".into(), Clone::clone)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use harness::case::Filesystem::{self, Ext3, Xfs};

    use super::*;

    fn id(filesystem: Filesystem, case: &str, repeat: u32) -> CaseId {
        CaseId {
            filesystem,
            case: case.into(),
            repeat,
        }
    }

    fn ledger(wanted: &[(Filesystem, &str, u32)]) -> (Ledger, Receiver<Event>) {
        let (events, receiver) = Events::channel();
        let wanted = wanted
            .iter()
            .map(|(fs, case, repeat)| id(*fs, case, *repeat))
            .collect();
        (Ledger::new(1, wanted, events), receiver)
    }

    fn verdicts(ledger: Ledger, receiver: Receiver<Event>) -> Vec<(CaseId, Verdict)> {
        drop(ledger);
        receiver
            .into_iter()
            .filter_map(|event| match event {
                Event::CaseEnded(result) => Some((result.id, result.verdict)),
                _ => None,
            })
            .collect()
    }

    fn feed(ledger: &mut Ledger, lines: &[&str]) {
        for line in lines {
            match line.strip_prefix("console ") {
                Some(line) => ledger.console(line.into()),
                None => {
                    ledger.ktap(line, Instant::now());
                }
            }
        }
    }

    /// One case "a" on ext3, and how it ends.
    fn single(lines: &[&str], end: &End) -> Verdict {
        let (mut ledger, receiver) = ledger(&[(Ext3, "a", 0)]);
        feed(&mut ledger, &["    # Subtest: ext3", "    # start a"]);
        feed(&mut ledger, lines);
        assert!(ledger.guest_over(end, Instant::now()));
        verdicts(ledger, receiver).remove(0).1
    }

    #[test]
    fn endings_of_a_case() {
        let exited = End::Exited("QEMU ended".into());
        let silent = End::Silent(Duration::from_secs(9));
        let warning = "console [ 1.2] WARNING: CPU: 1 PID: 71 at fs/super.c:2079";
        let failed = |reason: &str| Verdict::Failed(reason.into());
        let killed = |reason: &str| Verdict::KilledGuest(reason.into());
        let complained =
            failed("the kernel complained: [ 1.2] WARNING: CPU: 1 PID: 71 at fs/super.c:2079");
        let table: &[(&[&str], &End, Verdict)] = &[
            (&["    ok 1 a # time=5ms"], &exited, Verdict::Passed),
            (
                &["    ok 1 a # SKIP why"],
                &exited,
                Verdict::Skipped("why".into()),
            ),
            (
                &["    not ok 1 a"],
                &exited,
                failed("the case did not say why"),
            ),
            (
                &[
                    "    # a: step: write",
                    "    # a: it went on",
                    "    # a:   [<0>] f+0x1/0x2",
                    "    # a: step: thaw",
                    "    not ok 1 a # time=5ms",
                ],
                &exited,
                failed("it went on"),
            ),
            (
                &[
                    "    # a: step: cleanup: fsck",
                    "    # a: damaged",
                    "    not ok 1 a",
                ],
                &exited,
                failed("damaged"),
            ),
            (
                &[
                    "    # a: too early",
                    "    # a: step: cleanup: fsck",
                    "    # a: damaged",
                    "    not ok 1 a",
                ],
                &exited,
                failed("too early"),
            ),
            (
                &["    not ok 1 a # TIMEOUT stuck"],
                &exited,
                Verdict::Hung("stuck".into()),
            ),
            (&[warning, "    ok 1 a"], &exited, complained.clone()),
            (&["    ok 1 a", warning], &exited, complained),
            (
                &["    # a: the kernel complained: INFO: x", "    ok 1 a"],
                &exited,
                failed("the kernel complained: INFO: x"),
            ),
            (
                &[
                    "    ok 1 a # SKIP why",
                    "    # a: the kernel complained: late",
                ],
                &exited,
                failed("the kernel complained: late"),
            ),
            (
                &[warning, "    # a: other", "    not ok 1 a"],
                &exited,
                failed("other"),
            ),
            (&["    ok 1 b"], &exited, killed("QEMU ended")),
            (
                &["console [ 2.0] Kernel panic - not syncing"],
                &exited,
                killed("[ 2.0] Kernel panic - not syncing"),
            ),
            (&[], &exited, killed("QEMU ended")),
            (
                &[],
                &silent,
                Verdict::Hung("neither a result nor a timeout for 9s".into()),
            ),
        ];
        for (lines, end, wanted) in table {
            assert_eq!(&single(lines, end), wanted, "{lines:?}");
        }
    }

    /// Results and console come by two threads: what one says first the other may say last.
    #[test]
    fn a_complaint_is_charged_by_the_marks_of_the_console() {
        let (start_a, start_b) = (
            "console [ 1.0] harness: start ext3 a",
            "console [ 2.0] harness: start ext3 b",
        );
        let warning = "console [ 1.5] WARNING: at fs/super.c:2079";
        let (head, a, ok_a) = ("    # Subtest: ext3", "    # start a", "    ok 1 a");
        let (b, ok_b) = ("    # start b", "    ok 2 b");
        let table: &[(&[&str], &str)] = &[
            (&[start_a, head, a, warning, ok_a, start_b, b, ok_b], "a"),
            (&[start_a, head, a, ok_a, b, warning, start_b, ok_b], "a"),
            (&[head, a, ok_a, b, ok_b, start_a, warning, start_b], "a"),
            (&[start_a, head, a, ok_a, start_b, warning, b, ok_b], "b"),
            (&[start_a, head, a, ok_a, b, start_b, warning, ok_b], "b"),
            (&[start_a, start_b, warning, head, a, ok_a, b, ok_b], "b"),
            (&[head, a, ok_a, b, ok_b, start_b, warning], "b"),
        ];
        for (lines, wanted) in table {
            let (mut ledger, receiver) = ledger(&[(Ext3, "a", 0), (Ext3, "b", 0)]);
            feed(&mut ledger, lines);
            ledger.guest_over(&End::Exited(String::new()), Instant::now());
            let failed: Vec<_> = verdicts(ledger, receiver)
                .into_iter()
                .filter(|(_, verdict)| verdict.is_failure())
                .map(|(id, _)| id.case)
                .collect();
            assert_eq!(failed, [*wanted], "{lines:?}");
        }
    }

    #[test]
    fn a_case_may_provoke_complaints_of_its_own() {
        let provoked = harness::cases::all()
            .iter()
            .find(|case| !case.complaints.is_empty())
            .expect("there is one");
        let [mine, other] = [provoked.complaints[0], "EXT4-fs error (device vda)"];
        for (case, line, fails) in [
            (provoked.name, mine, false),
            (provoked.name, other, true),
            ("dm_case_a", mine, true),
        ] {
            let (mut ledger, receiver) = ledger(&[(Ext3, case, 0)]);
            for line in [
                "    # Subtest: ext3".to_owned(),
                format!("    # start {case}"),
                format!("console harness: start ext3 {case}"),
                format!("console [ 1.0] {line}"),
                format!("    ok 1 {case}"),
            ] {
                feed(&mut ledger, &[&line]);
            }
            ledger.guest_over(&End::Exited(String::new()), Instant::now());
            let failed = verdicts(ledger, receiver)[0].1.is_failure();
            assert_eq!(failed, fails, "{case}: {line}");
        }
    }

    #[test]
    fn a_result_in_hand_outlives_the_run() {
        let (mut ledger, receiver) = ledger(&[(Ext3, "a", 0), (Ext3, "b", 0)]);
        feed(
            &mut ledger,
            &["    # Subtest: ext3", "    # start a", "    ok 1 a"],
        );
        ledger.close(Instant::now());
        feed(&mut ledger, &["    # start b"]);
        ledger.close(Instant::now());
        let wanted = vec![(id(Ext3, "a", 0), Verdict::Passed)];
        assert_eq!(verdicts(ledger, receiver), wanted);
    }

    #[test]
    fn repeats_are_told_apart() {
        let (mut ledger, receiver) = ledger(&[(Ext3, "a", 0), (Xfs, "a", 0), (Ext3, "a", 1)]);
        feed(
            &mut ledger,
            &["    # Subtest: ext3", "    # start a", "    ok 1 a"],
        );
        feed(
            &mut ledger,
            &["    # Subtest: xfs", "    # start a", "    ok 1 a"],
        );
        assert!(!ledger.is_finishing());
        feed(
            &mut ledger,
            &[
                "    # Subtest: ext3",
                "    # start a",
                "    not ok 1 a # no",
            ],
        );
        assert!(ledger.is_finishing());
        ledger.guest_over(&End::Exited(String::new()), Instant::now());
        let wanted = vec![
            (id(Ext3, "a", 0), Verdict::Passed),
            (id(Xfs, "a", 0), Verdict::Passed),
            (id(Ext3, "a", 1), Verdict::Failed("no".into())),
        ];
        assert_eq!(verdicts(ledger, receiver), wanted);
    }

    #[test]
    fn what_has_not_begun_is_left_for_another_guest() {
        let (mut ledger, _receiver) = ledger(&[
            (Ext3, "a", 0),
            (Ext3, "b", 0),
            (Ext3, "c", 0),
            (Xfs, "a", 0),
        ]);
        let run = |filesystem, cases: &[&str]| Run {
            filesystem,
            cases: cases.iter().map(|case| (*case).into()).collect(),
        };
        let plan = ledger.plan(Duration::from_secs(1));
        assert_eq!(plan.runs, [run(Ext3, &["a", "b", "c"]), run(Xfs, &["a"])]);
        let lines = ["    # Subtest: ext3", "    # start a", "    ok 1 a"];
        feed(&mut ledger, &lines);
        feed(&mut ledger, &["    # start b"]);
        assert!(ledger.guest_over(&End::Exited(String::new()), Instant::now()));
        let (reported, left) = ledger.into_parts();
        assert_eq!(reported, [id(Ext3, "a", 0), id(Ext3, "b", 0)]);
        assert_eq!(left, [id(Ext3, "c", 0), id(Xfs, "a", 0)]);
    }

    #[test]
    fn an_unasked_case_counts_for_nothing() {
        let (mut ledger, receiver) = ledger(&[(Ext3, "a", 0)]);
        feed(&mut ledger, &["    # start a", "    ok 1 a"]);
        feed(
            &mut ledger,
            &["    # Subtest: ext3", "    # start b", "    ok 1 b"],
        );
        assert!(!ledger.guest_over(&End::Exited(String::new()), Instant::now()));
        assert_eq!(ledger.remaining, [id(Ext3, "a", 0)]);
        assert_eq!(verdicts(ledger, receiver), []);
    }
}
