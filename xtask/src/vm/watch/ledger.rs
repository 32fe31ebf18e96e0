//! The books of a guest: which of its cases are still to come, which one runs, how each ended.
//!
//! Knows nothing of processes: lines of a guest go in, events come out.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use harness::linux::complaints::{contains_any, is_complaint};
use harness::wire::ktap::{self, CANNOT_START, END, Line, Outcome, unseal};
use harness::wire::marks::{Ending, MARK};
use harness::wire::plan::{Plan, Secrets, Subtest};

use super::clock::{self, Clock};
use crate::event::{CONSOLE, CaseId, CaseResult, Event, Events, GuestId, Verdict};
use crate::vm::qemu::end::End;

/// How many cases the console may be behind the results before it is not waited for.
const BEHIND: usize = 8;
/// How many console lines a failure is shown with.
const CONSOLE_LINES: usize = 50;
/// Bytes of the console that are kept from the beginning of one case to that of the next.
const CONSOLE_BYTES: usize = 8 << 20;

/// What a guest is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Boots,
    Runs,
    /// A case has ended, and the next has not begun.
    Between,
    /// It has said that it is about to end.
    Ends,
}

/// A case from its start until it is clear that nothing more can be its own: a complaint, a death, a guest that
/// cannot start the next.
#[derive(Debug)]
struct Open {
    id: CaseId,
    /// Its place among the guest's cases, from 1.
    number: usize,
    since: Instant,
    diagnostics: Vec<String>,
    /// A process of its own has run: it has said something, or did not just end as skipped.
    has_run: bool,
    /// What the guest said of it.
    said: Option<(Verdict, Duration)>,
    /// Why a failure would not be its own.
    doubt: Option<String>,
}

impl Open {
    fn passes(&self) -> bool {
        let verdict = self.said.as_ref().map(|(verdict, _)| verdict);
        matches!(verdict, Some(Verdict::Passed | Verdict::Skipped(_)))
    }
}

/// What a guest leaves.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Cases that have their result, in order.
    pub reported: Vec<CaseId>,
    /// Those that never began.
    pub waiting: Vec<CaseId>,
    /// Those that ran, but failed for a reason that is not theirs, which is told.
    pub in_vain: Vec<(CaseId, String)>,
}

#[derive(Debug)]
pub struct Ledger {
    guest: GuestId,
    events: Events,
    /// In the order of the plan, which the guest keeps.
    wanted: Vec<CaseId>,
    deadline: Duration,
    secrets: Secrets,
    /// How many have begun, by the results.
    begun: usize,
    /// How many have begun by the marks of the console: results and console take different ways.
    marks: usize,
    /// Those that have begun and are not settled, oldest first; only the last can be running.
    open: VecDeque<Open>,
    /// The first complaint of each case, by its number.
    complaints: BTreeMap<usize, String>,
    reported: Vec<CaseId>,
    /// One of them has failed.
    failed: bool,
    in_vain: Vec<(CaseId, String)>,
    /// The guest has said that it ends, and how.
    farewell: Option<String>,
    clock: Clock,
    /// Why what the guest says now is doubtful: it says what it had to say while nobody looked.
    backlog: Option<String>,
    console: VecDeque<String>,
    /// Bytes of the console since the last mark.
    console_bytes: usize,
    /// A line came that is not init's.
    intruded: bool,
}

impl Ledger {
    pub fn new(guest: GuestId, wanted: Vec<CaseId>, deadline: Duration, events: Events) -> Self {
        Self {
            guest,
            events,
            deadline,
            secrets: secrets(wanted.len()),
            wanted,
            begun: 0,
            marks: 0,
            open: VecDeque::new(),
            complaints: BTreeMap::new(),
            reported: Vec::new(),
            failed: false,
            in_vain: Vec::new(),
            farewell: None,
            clock: Clock::default(),
            backlog: None,
            console: VecDeque::new(),
            console_bytes: 0,
            intruded: false,
        }
    }

    pub fn stage(&self) -> Stage {
        match self.open.back() {
            _ if self.farewell.is_some() => Stage::Ends,
            None => Stage::Boots,
            Some(case) if case.said.is_none() => Stage::Runs,
            Some(_) => Stage::Between,
        }
    }

    /// Whether a case has failed, beyond doubt.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    pub fn into_left(self) -> Left {
        Left {
            reported: self.reported,
            waiting: self.wanted[self.begun..].to_vec(),
            in_vain: self.in_vain,
        }
    }

    /// The newest console lines, oldest first.
    pub fn last_console_lines(&self) -> Vec<String> {
        self.console.iter().cloned().collect()
    }

    /// What the guest is asked to run.
    pub fn plan(&self) -> Plan {
        let subtests = self.wanted.chunk_by(same_group).map(|cases| Subtest {
            filesystem: cases[0].filesystem,
            cases: cases.iter().map(|id| id.case.clone()).collect(),
        });
        Plan {
            subtests: subtests.collect(),
            deadline: self.deadline,
            secrets: self.secrets.clone(),
            ..Plan::default()
        }
    }

    /// Takes a line of the result channel; true if the guest has come further with it.
    pub fn ktap(&mut self, line: &str, now: Instant) -> bool {
        let Some((time, line)) = unseal(line, &self.secrets.line) else {
            self.intrusion(line);
            return false;
        };
        self.clock.sample(time, now);
        match ktap::parse(line) {
            Line::Start(name) => self.start(&name, now),
            Line::Case(outcome) => self.end(outcome, now),
            Line::Diagnostic(text) => self.comment(text),
            Line::Subtest(_) | Line::Whole(_) | Line::Other => false,
        }
    }

    /// Something else than init has written to its port.
    fn intrusion(&mut self, line: &str) {
        if !self.intruded {
            self.intruded = true;
            let line: String = line.chars().take(200).collect();
            self.events.send(Event::Warning(format!(
                "a process of the guest writes to the port of the results: {line:?} and the like are not counted"
            )));
        }
    }

    /// Takes a line of the console.
    pub fn console(&mut self, line: String) {
        if self.console.len() == CONSOLE_LINES {
            self.console.pop_front();
        }
        self.console.push_back(line.clone());
        if let Some(number) = self.marked(&line) {
            self.mark(number);
        } else if is_complaint(&line) && !self.is_expected(&line) {
            self.complaint(line.clone());
        }
        self.show(line);
    }

    fn show(&mut self, line: String) {
        let shown = self.console_bytes;
        self.console_bytes += line.len() + 1;
        let line = match shown {
            _ if self.console_bytes <= CONSOLE_BYTES => line,
            ..=CONSOLE_BYTES => {
                "=== too much: what follows is left out, up to the next case".into()
            }
            _ => return,
        };
        let guest = self.guest;
        self.events.send(Event::Console { guest, line });
    }

    /// The number of the case that the line is the mark of. Who repeats one that is over gets nothing by it.
    fn marked(&self, line: &str) -> Option<usize> {
        let (_, mark) = line.rsplit_once(MARK)?;
        let secret = mark.split_whitespace().last()?;
        let mut ahead = self.secrets.marks.iter().skip(self.marks);
        let lost = ahead.position(|it| it == secret)?;
        Some(self.marks + lost + 1)
    }

    /// The console has come to the start of this case; marks before it may have got lost.
    fn mark(&mut self, number: usize) {
        self.marks = number;
        self.console_bytes = 0;
        self.settle();
    }

    /// Whether the case that the console is in provokes this complaint.
    fn is_expected(&self, line: &str) -> bool {
        let current = self.marks.checked_sub(1).map(|at| &self.wanted[at].case);
        current
            .and_then(|name| harness::cases::find(name))
            .is_some_and(|case| contains_any(line, case.complaints))
    }

    /// Charges the case that the console is in.
    fn complaint(&mut self, line: String) {
        let open = self.open.front();
        let oldest = open.map_or(self.begun + 1, |case| case.number);
        if open.is_none() && self.marks < oldest {
            let text = format!("the kernel complains while no case runs: {line}");
            return self.events.send(Event::Warning(text));
        }
        self.complaints
            .entry(self.marks.max(oldest))
            .or_insert(line);
    }

    /// This process could not look for so long, nor could the guest get rid of what it had to say.
    pub fn stopped(&mut self, time: Duration) {
        self.clock = Clock::default();
        let doubt = format!("xtask was stopped for {time:.0?} meanwhile");
        if let Some(case) = self.open.back_mut() {
            case.doubt.get_or_insert(doubt.clone());
        }
        self.backlog = Some(doubt);
    }

    /// What the guest has said so far has been read.
    pub fn caught_up(&mut self) {
        if self.backlog.take().is_some() {
            self.clock = Clock::default();
        }
    }

    /// Takes the guest's end; true if the guest had run a case.
    pub fn guest_over(&mut self, end: &End, now: Instant) -> bool {
        while let Some(case) = self.open.pop_front() {
            let end = self.open.is_empty().then_some(end);
            self.finish(case, end, now);
        }
        self.begun > 0
    }

    /// The run is being given up: reports the cases that have said how they ended.
    pub fn close(&mut self, now: Instant) {
        while self.open.front().is_some_and(|case| case.said.is_some()) {
            self.finish_first(now);
        }
    }

    fn start(&mut self, name: &str, now: Instant) -> bool {
        let next = self.wanted.get(self.begun);
        let Some(id) = next.filter(|id| id.case == name).cloned() else {
            let text = format!("the guest runs {name:?} unasked: not counted");
            self.events.send(Event::Warning(text));
            return false;
        };
        // The console may have lost a mark: it is not waited for any longer.
        while self.is_followed() && self.open.len() >= BEHIND {
            self.finish_first(now);
        }
        self.begun += 1;
        self.events.send(Event::CaseStarted {
            guest: self.guest,
            case: id.clone(),
        });
        self.open.push_back(Open {
            id,
            number: self.begun,
            since: now,
            diagnostics: Vec::new(),
            has_run: false,
            said: None,
            doubt: self.backlog.clone(),
        });
        true
    }

    fn comment(&mut self, text: String) -> bool {
        if let Some(failed) = text.strip_prefix(CANNOT_START) {
            return self.cannot_start(failed);
        }
        if let Some(ending) = text.strip_prefix(END) {
            self.farewell = Some(ending.to_owned());
            return true;
        }
        self.diagnostic(&text);
        false
    }

    /// The case that has begun has not, as init says: the one before has left the guest so.
    fn cannot_start(&mut self, failed: &str) -> bool {
        if self.stage() != Stage::Runs {
            return false;
        }
        self.open.pop_back();
        self.begun -= 1;
        let id = &self.wanted[self.begun];
        self.events.send(Event::Warning(format!(
            "guest {} could not start {} {}: it runs in another",
            self.guest, id.filesystem, failed
        )));
        // What was skipped for want of a feature had no process.
        let culprit = self.open.iter_mut().rev().find(|case| case.has_run);
        if let Some(case) = culprit.filter(|case| case.passes()) {
            let reason = format!("it left the guest unable to start the next case: {failed}");
            let took = case.said.take().map_or(Duration::ZERO, |(_, took)| took);
            case.said = Some((Verdict::Failed(reason), took));
        }
        true
    }

    fn diagnostic(&mut self, text: &str) {
        let Some(case) = self.open.back_mut() else {
            return;
        };
        case.has_run = true;
        let prefix = format!("{}: ", case.id.case);
        let line = text.strip_prefix(&prefix).unwrap_or(text).to_owned();
        case.diagnostics.push(line.clone());
        if let Some(complaint) = line.strip_prefix(harness::wire::marks::COMPLAINT) {
            let first = self.complaints.entry(case.number);
            first.or_insert_with(|| complaint.to_owned());
        }
        self.events.send(Event::Diagnostic {
            guest: self.guest,
            case: case.id.clone(),
            line,
        });
        self.settle();
    }

    fn end(&mut self, outcome: Outcome, now: Instant) -> bool {
        let running = |case: &&mut Open| case.id.case == outcome.name && case.said.is_none();
        let Some(case) = self.open.back_mut().filter(running) else {
            let name = outcome.name;
            self.events.send(Event::Warning(format!(
                "the guest reports {name:?}, which does not run: not counted"
            )));
            return false;
        };
        let host = now - case.since;
        let verdict = Verdict::from(outcome.verdict);
        if matches!(verdict, Verdict::Hung(_)) && clock::is_early(self.deadline, host) {
            let deadline = self.deadline;
            let doubt = format!("the guest's clock is wrong: {deadline:.0?} passed in {host:.1?}");
            case.doubt.get_or_insert(doubt);
        }
        case.has_run |= !matches!(verdict, Verdict::Skipped(_));
        case.said = Some((verdict, outcome.took.unwrap_or(host)));
        self.settle();
        true
    }

    /// Whether the oldest case has left a guest in which another could run.
    fn is_followed(&self) -> bool {
        self.open.iter().skip(1).any(|case| case.has_run)
    }

    /// Reports the cases of which nothing more can come: the console has left them, too.
    fn settle(&mut self) {
        let left = |case: &Open| case.number < self.marks;
        if self.is_followed() && self.open.front().is_some_and(left) {
            self.finish_first(Instant::now());
            self.settle();
        }
    }

    fn finish_first(&mut self, now: Instant) {
        if let Some(case) = self.open.pop_front() {
            self.finish(case, None, now);
        }
    }

    /// Reports a case, with the guest's end if it was the last.
    fn finish(&mut self, mut case: Open, end: Option<&End>, now: Instant) {
        let complaint = self.complaints.remove(&case.number);
        let verdict = self.verdict(&case, complaint.as_deref(), end);
        if let Some(doubt) = self.doubt(&case, &verdict, complaint.as_deref(), end) {
            return self.again(case.id, &verdict, doubt);
        }
        let said = case.said.as_ref();
        if verdict.is_failure() && (said.is_none_or(|_| case.passes()) || complaint.is_some()) {
            let console = self.console.iter().cloned();
            case.diagnostics
                .extend([CONSOLE.into()].into_iter().chain(console));
        }
        self.failed |= verdict.is_failure();
        self.reported.push(case.id.clone());
        self.events.send(Event::CaseEnded(CaseResult {
            id: case.id,
            verdict,
            took: case.said.map_or(now - case.since, |(_, took)| took),
            diagnostics: case.diagnostics,
        }));
    }

    /// Why the verdict is not to be counted. Passes are: a case measures all by one clock, the guest's.
    /// Nor does a clock or a stop explain what a kernel complains of, unless that is how long something takes.
    fn doubt(
        &self,
        case: &Open,
        verdict: &Verdict,
        complaint: Option<&str>,
        end: Option<&End>,
    ) -> Option<String> {
        if complaint.is_some_and(|line| !is_of_time(line)) {
            return None;
        }
        match end {
            Some(End::Broken(how)) if case.said.is_none() || case.passes() => Some(how.clone()),
            _ if !verdict.is_failure() => None,
            _ => case.doubt.clone().or_else(|| self.clock.fault()),
        }
    }

    fn again(&mut self, id: CaseId, verdict: &Verdict, doubt: String) {
        self.events.send(Event::Warning(format!(
            "{} {}: {} ({}) is not counted, it runs again: {doubt}",
            id.filesystem,
            id.case,
            verdict.word(),
            verdict.reason()
        )));
        self.in_vain.push((id, doubt));
    }

    /// What the guest said of a case, unless its kernel complained, or the guest did not survive it.
    fn verdict(&self, case: &Open, complaint: Option<&str>, end: Option<&End>) -> Verdict {
        let aftermath = end.and_then(|end| self.aftermath(end));
        match (&case.said, complaint) {
            (Some(_), Some(line)) if case.passes() => match aftermath {
                Some(Verdict::KilledGuest(_)) => Verdict::KilledGuest(line.into()),
                _ => Verdict::Failed(format!("the kernel complained: {line}")),
            },
            (Some((Verdict::Failed(reason), _)), _) if reason.is_empty() => {
                Verdict::Failed(last_words(&case.diagnostics))
            }
            (Some((verdict, _)), _) if case.passes() => aftermath.unwrap_or(verdict.clone()),
            (Some((verdict, _)), _) => verdict.clone(),
            (None, Some(line)) => Verdict::KilledGuest(line.into()),
            (None, None) => unfinished(end),
        }
    }

    /// What a guest has come to after its last case, unless it had done all, and powered off as it said.
    fn aftermath(&self, end: &End) -> Option<Verdict> {
        let said = |ending: Ending| self.farewell == Some(ending.to_string());
        if said(Ending::Spoilt) {
            return None; // the case that spoilt it has failed already
        }
        let complete = said(Ending::Complete);
        let killed = |what: &str| Some(Verdict::KilledGuest(format!("after its end, {what}")));
        let hung = |what: String| Some(Verdict::Hung(format!("after its end, {what}")));
        match end {
            End::PoweredOff if complete => None,
            End::PoweredOff => killed("the guest powered off before its time"),
            End::Reset => killed("the guest was reset"),
            End::Broken(how) => killed(how),
            End::Silent(limit) => hung(format!("the guest did nothing for {limit:.0?}")),
            End::Lingered => hung("the guest did not power off".into()),
        }
    }
}

/// Whether a kernel with a wrong clock may complain so.
fn is_of_time(complaint: &str) -> bool {
    ["blocked", "lockup", "stall"]
        .iter()
        .any(|word| complaint.contains(word))
}

/// Of a case that said nothing.
fn unfinished(end: Option<&End>) -> Verdict {
    match end {
        None => Verdict::Failed("the harness went on without a result".into()),
        Some(End::Silent(limit)) => {
            Verdict::Hung(format!("neither a result nor a timeout for {limit:.0?}"))
        }
        Some(End::PoweredOff) => Verdict::KilledGuest("the guest powered off".into()),
        Some(End::Reset) => Verdict::KilledGuest("the guest was reset".into()),
        Some(End::Broken(how)) => Verdict::KilledGuest(how.clone()),
        Some(End::Lingered) => Verdict::Hung("the guest said that it ends, and did not".into()),
    }
}

fn same_group(a: &CaseId, b: &CaseId) -> bool {
    (a.repeat, a.filesystem) == (b.repeat, b.filesystem)
}

fn secrets(cases: usize) -> Secrets {
    let secret = || format!("{:016x}", fastrand::u64(..));
    Secrets {
        line: secret(),
        marks: (0..cases).map(|_| secret()).collect(),
    }
}

/// Why a case failed, by its own words: the last line that neither names a step nor belongs to a stack,
/// before the cleanup if there is one, as what fails there may only follow from it.
fn last_words(diagnostics: &[String]) -> String {
    let is_cleanup = |line: &String| line.starts_with(harness::wire::marks::CLEANUP);
    let says_nothing =
        |line: &str| line.starts_with(harness::wire::marks::STEP) || line.starts_with(' ');
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

    use harness::wire::Filesystem::{self, Ext3, Xfs};

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
        (Ledger::new(1, wanted, Duration::ZERO, events), receiver)
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

    /// Lines of the console, whose marks get their secrets, and of init.
    fn feed(ledger: &mut Ledger, lines: &[&str]) {
        for line in lines {
            match line.strip_prefix("console ") {
                Some(line) => {
                    let secret = mark_of(ledger, line);
                    ledger.console(format!("{line}{secret}"));
                }
                None => {
                    let now = Instant::now();
                    ledger.ktap(&sealed(ledger, 0, line), now);
                }
            }
        }
    }

    fn mark_of(ledger: &Ledger, line: &str) -> String {
        let Some((_, case)) = line.split_once(MARK) else {
            return String::new();
        };
        let name = |id: &CaseId| format!("{} {}", id.filesystem, id.case) == case;
        let at = ledger.wanted.iter().position(name).unwrap();
        format!(" {}", ledger.secrets.marks[at])
    }

    /// A line as init writes it after so many ms.
    fn sealed(ledger: &Ledger, ms: u64, line: &str) -> String {
        format!("{} {ms} {line}", ledger.secrets.line)
    }

    /// Ends the guest in order; true if it had run a case.
    fn over(ledger: &mut Ledger) -> bool {
        feed(ledger, &["# end complete"]);
        ledger.guest_over(&OFF, Instant::now())
    }

    const OFF: End = End::PoweredOff;

    /// One case "a" on ext3, and how it ends.
    fn single(lines: &[&str], end: &End) -> Verdict {
        let (mut ledger, receiver) = ledger(&[(Ext3, "a", 0)]);
        feed(&mut ledger, &["    # start a"]);
        feed(&mut ledger, lines);
        if *end == OFF {
            feed(&mut ledger, &["# end complete"]);
        }
        assert!(ledger.guest_over(end, Instant::now()));
        verdicts(ledger, receiver).remove(0).1
    }

    #[test]
    fn endings_of_a_case() {
        let reset = End::Reset;
        let silent = End::Silent(Duration::from_secs(9));
        let warning = "console [ 1.2] WARNING: CPU: 1 PID: 71 at fs/super.c:2079";
        let failed = |reason: &str| Verdict::Failed(reason.into());
        let killed = |reason: &str| Verdict::KilledGuest(reason.into());
        let complained =
            failed("the kernel complained: [ 1.2] WARNING: CPU: 1 PID: 71 at fs/super.c:2079");
        let table: &[(&[&str], &End, Verdict)] = &[
            (&["    ok 1 a # time=5ms"], &OFF, Verdict::Passed),
            (
                &["    ok 1 a # SKIP why"],
                &OFF,
                Verdict::Skipped("why".into()),
            ),
            (
                &["    not ok 1 a"],
                &OFF,
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
                &OFF,
                failed("it went on"),
            ),
            (
                &[
                    "    # a: step: cleanup: fsck",
                    "    # a: damaged",
                    "    not ok 1 a",
                ],
                &OFF,
                failed("damaged"),
            ),
            (
                &[
                    "    # a: too early",
                    "    # a: step: cleanup: fsck",
                    "    # a: damaged",
                    "    not ok 1 a",
                ],
                &OFF,
                failed("too early"),
            ),
            (
                &["    not ok 1 a # TIMEOUT stuck"],
                &OFF,
                Verdict::Hung("stuck".into()),
            ),
            (&[warning, "    ok 1 a"], &OFF, complained.clone()),
            (&["    ok 1 a", warning], &OFF, complained),
            (
                &["    # a: the kernel complained: INFO: x", "    ok 1 a"],
                &OFF,
                failed("the kernel complained: INFO: x"),
            ),
            (
                &[
                    "    ok 1 a # SKIP why",
                    "    # a: the kernel complained: late",
                ],
                &OFF,
                failed("the kernel complained: late"),
            ),
            (
                &[warning, "    # a: other", "    not ok 1 a"],
                &OFF,
                failed("other"),
            ),
            (&["    ok 1 b"], &reset, killed("the guest was reset")),
            (
                &["console [ 2.0] Kernel panic - not syncing"],
                &reset,
                killed("[ 2.0] Kernel panic - not syncing"),
            ),
            (&[], &reset, killed("the guest was reset")),
            (
                &["    ok 1 a"],
                &reset,
                killed("after its end, the guest was reset"),
            ),
            (
                &["    ok 1 a # SKIP no", "# end complete"],
                &End::Lingered,
                Verdict::Hung("after its end, the guest did not power off".into()),
            ),
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
            over(&mut ledger);
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
        let provoked = harness::cases::find("timeout_device_gone").expect("there is one");
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
            over(&mut ledger);
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
        assert_eq!(ledger.stage(), Stage::Between);
        feed(
            &mut ledger,
            &[
                "    # Subtest: ext3",
                "    # start a",
                "    not ok 1 a # no",
            ],
        );
        assert_eq!(ledger.stage(), Stage::Between);
        over(&mut ledger);
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
        let subtest = |filesystem, cases: &[&str]| Subtest {
            filesystem,
            cases: cases.iter().map(|case| (*case).into()).collect(),
        };
        let plan = ledger.plan();
        assert_eq!(plan.secrets.marks.len(), 4);
        assert_eq!(
            plan.subtests,
            [subtest(Ext3, &["a", "b", "c"]), subtest(Xfs, &["a"])]
        );
        let lines = ["    # Subtest: ext3", "    # start a", "    ok 1 a"];
        feed(&mut ledger, &lines);
        feed(&mut ledger, &["    # start b"]);
        assert!(over(&mut ledger));
        let left = ledger.into_left();
        assert_eq!(left.reported, [id(Ext3, "a", 0), id(Ext3, "b", 0)]);
        assert_eq!(left.waiting, [id(Ext3, "c", 0), id(Xfs, "a", 0)]);
        assert_eq!(left.in_vain, []);
    }

    #[test]
    fn an_unasked_case_counts_for_nothing() {
        let (mut ledger, receiver) = ledger(&[(Ext3, "a", 0)]);
        feed(
            &mut ledger,
            &["    # Subtest: ext3", "    # start b", "    ok 1 b"],
        );
        assert!(!over(&mut ledger));
        assert_eq!(ledger.wanted[ledger.begun..], [id(Ext3, "a", 0)]);
        assert_eq!(verdicts(ledger, receiver), []);
    }

    #[test]
    fn a_mark_is_one_only_with_its_secret_and_only_once() {
        let (mut ledger, receiver) = ledger(&[(Ext3, "a", 0), (Ext3, "b", 0)]);
        let [first, second] = ["a", "b"].map(|case| {
            let line = format!("{MARK}ext3 {case}");
            let secret = mark_of(&ledger, &line);
            format!("{line}{secret}")
        });
        ledger.console(first.clone());
        feed(&mut ledger, &["    # start a"]);
        ledger.console(format!("{MARK}ext3 b"));
        ledger.console(format!("{MARK}ext3 b 0123456789abcdef"));
        assert_eq!(ledger.marks, 1);
        // On one line with what a case left without a newline.
        ledger.console(format!("{MARK}ext3 b [ 1.0] {second}"));
        assert_eq!(ledger.marks, 2);
        ledger.console(first);
        assert_eq!(ledger.marks, 2);
        drop(receiver);
    }

    #[test]
    fn a_flood_of_the_console_is_cut_until_the_next_case() {
        let (mut ledger, receiver) = ledger(&[(Ext3, "a", 0), (Ext3, "b", 0)]);
        feed(&mut ledger, &["    # start a"]);
        for _ in 0..3 * CONSOLE_BYTES / 1000 {
            ledger.console("x".repeat(999));
        }
        ledger.console("BUG: seen all the same".into());
        feed(
            &mut ledger,
            &["    ok 1 a", "console harness: start ext3 b"],
        );
        feed(&mut ledger, &["    # start b", "    ok 2 b"]);
        assert!(over(&mut ledger));
        drop(ledger);
        let (mut bytes, mut failed) = (0, Vec::new());
        for event in receiver {
            match event {
                Event::Console { line, .. } => bytes += line.len(),
                Event::CaseEnded(result) => failed.push(result.verdict.is_failure()),
                _ => {}
            }
        }
        assert!(bytes < CONSOLE_BYTES + 1000, "{bytes}");
        assert_eq!(failed, [true, false]);
    }

    #[test]
    fn what_ran_while_nobody_looked_is_doubtful() {
        for caught_up in [false, true] {
            let (mut ledger, receiver) = ledger(&[(Ext3, "a", 0), (Ext3, "b", 0)]);
            feed(&mut ledger, &["    # start a"]);
            ledger.stopped(Duration::from_secs(60));
            feed(&mut ledger, &["    ok 1 a"]);
            if caught_up {
                ledger.caught_up();
            }
            feed(&mut ledger, &["    # start b", "    not ok 2 b # no"]);
            over(&mut ledger);
            let left = ledger.into_left();
            let counted = left.reported.len();
            assert_eq!(
                (counted, left.in_vain.is_empty()),
                (1 + usize::from(caught_up), caught_up)
            );
            drop(receiver);
        }
    }

    #[test]
    fn no_stop_and_no_clock_explains_a_bug_of_the_kernel() {
        for (line, counted) in [
            ("BUG: KASAN: slab-use-after-free in thaw_super", 1),
            ("Kernel panic - not syncing: no", 1),
            ("INFO: task writer:83 blocked for more than 120 seconds.", 0),
            ("watchdog: BUG: soft lockup - CPU#0 stuck for 26s!", 0),
        ] {
            for end in [End::PoweredOff, End::Broken("QEMU was killed".into())] {
                let (mut ledger, _receiver) = ledger(&[(Ext3, "a", 0)]);
                feed(
                    &mut ledger,
                    &["    # start a", "console harness: start ext3 a"],
                );
                ledger.stopped(Duration::from_secs(60));
                feed(
                    &mut ledger,
                    &[&format!("console [ 1.0] {line}"), "    ok 1 a"],
                );
                ledger.guest_over(&end, Instant::now());
                assert_eq!(ledger.into_left().reported.len(), counted, "{line} {end:?}");
            }
        }
    }

    #[test]
    fn a_failure_is_not_counted_after_a_stop_or_by_a_wrong_clock() {
        type Trouble = fn(&mut Ledger, Instant);
        let hour = Duration::from_secs(3600);
        let table: [(&str, Trouble, Duration); 3] = [
            (
                "xtask was stopped",
                |ledger, _| ledger.stopped(Duration::from_secs(60)),
                hour,
            ),
            (
                "clock",
                |ledger, now| {
                    ledger.ktap(
                        &sealed(ledger, 1000, "    # a: late"),
                        now + Duration::from_secs(90),
                    );
                },
                hour,
            ),
            (
                "the guest's clock is wrong",
                |_, _| {},
                Duration::from_secs(3),
            ),
        ];
        for (wanted, trouble, after) in table {
            for result in ["not ok 1 a # TIMEOUT stuck", "ok 1 a"] {
                let (mut ledger, receiver) = ledger(&[(Ext3, "a", 0)]);
                ledger.deadline = Duration::from_secs(100);
                let begun = Instant::now();
                ledger.ktap(&sealed(&ledger, 0, "    # start a"), begun);
                trouble(&mut ledger, begun);
                let ms = match wanted {
                    "clock" => 2000,
                    _ => after.as_millis().try_into().unwrap(),
                };
                ledger.ktap(
                    &sealed(&ledger, ms, &format!("    {result}")),
                    begun + after,
                );
                ledger.ktap(&sealed(&ledger, ms, "# end complete"), begun + after);
                ledger.guest_over(&OFF, begun + after);
                let left = ledger.into_left();
                let counted = left.reported.len();
                match &left.in_vain[..] {
                    [] => assert_eq!((result, counted), ("ok 1 a", 1), "{wanted}"),
                    [(_, why)] => assert!(why.contains(wanted) && counted == 0, "{why}"),
                    more => panic!("{more:?}"),
                }
                drop(receiver);
            }
        }
    }
}
