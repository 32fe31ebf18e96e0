//! Runs cases in as many guests as it takes, some at once: one that dies or hangs costs the case that ran, no other.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8Path;
use harness::wire::plan::Plan;

use super::ledger::{Ledger, Stage};
use super::queue::{Queue, Workload};
use crate::event::{CaseId, Event, Events, GuestId};
use crate::failure::{self, Kind};
use crate::host::claim::Scratch;
use crate::host::patience::Patience;
use crate::host::proc::Stop;
use crate::host::space;
use crate::vm::qemu::accel::Accel;
use crate::vm::qemu::end::{self, End};
use crate::vm::qemu::guest::{Guest, Next};
use crate::vm::qemu::lines::Line;
use crate::vm::qemu::qmp::{self, News};

/// How soon a stop, a deadline or a silent death is noticed.
const TICK: Duration = Duration::from_millis(200);
/// After this process was stopped, how long what the guest has said meanwhile may take to get here.
const REST: Duration = Duration::from_secs(1);
/// Lines that waited when a limit was reached, and are looked at first.
const OVERDUE: u32 = 2000;
/// Guests in a row, one after the other, that may end without having run a case.
const BOOT_FAILURES: u32 = 2;

/// How long the steps of a guest may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the start to the first case.
    pub boot: Duration,
    /// One case; the harness keeps it, by the guest's clock.
    pub case: Duration,
    /// How much later than that we stop waiting for the harness; also for the next case to begin, and for a guest to
    /// power off.
    pub grace: Duration,
}

impl Limits {
    /// Emulation is some ten times slower than hardware; `case` overrides its default.
    pub fn new(accel: Accel, case: Option<Duration>) -> Self {
        let (boot, default, grace) = match accel {
            Accel::Kvm => (60, 60, 15),
            Accel::Tcg => (120, 120, 30),
        };
        Self {
            boot: Duration::from_secs(boot),
            case: case.unwrap_or(Duration::from_secs(default)),
            grace: Duration::from_secs(grace),
        }
    }

    fn of(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Boots => self.boot,
            Stage::Runs => self.case + self.grace,
            Stage::Between | Stage::Ends => self.grace,
        }
    }
}

/// A guest and what must live as long as it.
#[derive(Debug)]
pub struct Rig {
    pub guest: Guest,
    /// Held for the guest's lifetime.
    pub files: Option<Scratch>,
}

/// Runs all cases; how each ends is told by events.
///
/// # Errors
/// [`Kind::NoBoot`] if guests do not come up, [`Kind::Machinery`] if that is QEMU's fault, [`Kind::Failed`] if a failure
/// has ended the run before its end, [`Kind::Interrupted`] if stopped.
pub fn supervise(
    workload: &Workload,
    limits: &Limits,
    boot: impl Fn(&Plan) -> Result<Rig> + Sync,
    events: &Events,
    stop: &Stop,
) -> failure::Result<()> {
    let expected = |id: &CaseId| (id.clone(), workload.times.expected(id));
    events.send(Event::CasesStarted {
        expected: workload.cases.iter().map(expected).collect(),
        guests: workload.guests,
    });
    let queue = Queue::new(workload, stop);
    let lane = Lane {
        queue: &queue,
        limits,
        boot: &boot,
        events,
    };
    thread::scope(|scope| {
        for _ in 0..workload.guests {
            scope.spawn(|| guarded(|| lane.run()).unwrap_or_else(|failure| queue.fail(failure)));
        }
    });
    queue.close()
}

/// Turns a panic into an error: the other lanes would wait for a share that nobody settles.
///
/// What is shared has locks that outlive a panic ([`Queue`]), or is looked at no more but to close it ([`Ledger`]).
fn guarded<T>(work: impl FnOnce() -> failure::Result<T>) -> failure::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = message(panic.as_ref());
        Err(Kind::Machinery.error(format!("a bug of xtask: a panic beside a guest: {said}")))
    })
}

/// What a panic says: a literal, or a text that was put together.
fn message(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    let text = panic.downcast_ref::<String>().map(String::as_str);
    literal.or(text).unwrap_or("(no message)")
}

/// One guest after the other, beside those of the other lanes.
struct Lane<'a, B> {
    queue: &'a Queue<'a>,
    limits: &'a Limits,
    boot: &'a B,
    events: &'a Events,
}

impl<B: Fn(&Plan) -> Result<Rig>> Lane<'_, B> {
    fn run(&self) -> failure::Result<()> {
        let mut failures = 0;
        while let Some((guest, cases)) = self.queue.take()? {
            let mut ledger = Ledger::new(guest, cases, self.limits.case, self.events.clone());
            let end = self.guest(guest, &mut ledger)?;
            let ran = ledger.guest_over(&end, Instant::now());
            self.events.send(Event::GuestEnded {
                guest,
                reason: describe(&end),
            });
            failures = if ran { 0 } else { failures + 1 };
            if failures == BOOT_FAILURES {
                return Err(no_boot(&ledger, &end));
            }
            let failed = ledger.has_failed();
            self.queue.settle(ledger.into_left())?;
            if failed {
                self.queue.case_failed();
            }
        }
        Ok(())
    }

    /// From boot to end. The guest dies with the thread that started it (see [`Guest::start`]), hence here.
    fn guest(&self, guest: GuestId, ledger: &mut Ledger) -> failure::Result<End> {
        let plan = ledger.plan();
        let cases = plan
            .subtests
            .iter()
            .map(|subtest| subtest.cases.len())
            .sum();
        self.events.send(Event::GuestStarted { guest, cases });
        // The guest ends in here, whatever happens.
        let end = guarded(|| {
            let mut rig = (self.boot)(&plan)?;
            let disks = rig.files.as_ref().map(Scratch::path);
            watch(&mut rig.guest, disks, ledger, self.limits, self.queue)
        });
        // What a case has said counts, whatever stopped the run.
        end.inspect_err(|_| ledger.close(Instant::now()))
    }
}

/// Reads a guest to its end, which may be ours to set.
fn watch(
    guest: &mut Guest,
    disks: Option<&Utf8Path>,
    ledger: &mut Ledger,
    limits: &Limits,
    queue: &Queue<'_>,
) -> failure::Result<End> {
    let mut vigil = Vigil::new(Instant::now());
    let mut reason = None;
    loop {
        if ledger.has_failed() {
            queue.case_failed();
        }
        queue.check()?;
        let next = guest.next(vigil.wait);
        let now = Instant::now();
        let limit = limits.of(ledger.stage());
        if let Some(time) = vigil.look(now, limit) {
            ledger.stopped(time);
        }
        if vigil.is_over(next == Next::Quiet) {
            return Ok(given_up(guest, ledger, limit));
        }
        match next {
            // Only cases count as progress: a stuck kernel can fill its console for ever.
            Next::Line(Line::Ktap(line)) => {
                if ledger.ktap(&line, now) {
                    vigil = Vigil::new(now);
                }
            }
            Next::Line(Line::Console(line)) => ledger.console(line),
            Next::Line(Line::Qmp(line)) => match qmp::news(&line) {
                Some(News::Shutdown(why)) => reason = reason.or(Some(why)),
                Some(News::DiskError(what)) => return Err(host_failure(&what, disks)),
                None => {}
            },
            Next::Line(Line::Failure(why)) => return Err(host_failure(&why, disks)),
            Next::Quiet => ledger.caught_up(),
            Next::Over => return Ok(end::of_qemu(guest.wait()?, reason.as_deref())),
        }
    }
}

/// The wait for a guest to come further: what it has said already is read before it is given up.
struct Vigil {
    patience: Patience,
    /// How long to wait for the next line.
    wait: Duration,
    /// Looks since the limit was reached.
    overdue: u32,
}

impl Vigil {
    fn new(now: Instant) -> Self {
        Self {
            patience: Patience::new(now),
            wait: TICK,
            overdue: 0,
        }
    }

    /// To be called after each wait. Returns for how long this process was stopped meanwhile, if it was.
    fn look(&mut self, now: Instant, limit: Duration) -> Option<Duration> {
        let stopped = self.patience.look(now);
        let late = self.patience.spent() > limit && stopped.is_none();
        self.overdue = if late { self.overdue + 1 } else { 0 };
        self.wait = match stopped {
            Some(_) => REST,
            None if late => Duration::ZERO,
            None => TICK,
        };
        stopped
    }

    fn is_over(&self, quiet: bool) -> bool {
        self.overdue > if quiet { 0 } else { OVERDUE }
    }
}

fn given_up(guest: &Guest, ledger: &Ledger, limit: Duration) -> End {
    match ledger.stage() {
        _ if guest.is_stopped() => End::Broken("somebody has stopped QEMU".into()),
        Stage::Ends => End::Lingered,
        _ => End::Silent(limit),
    }
}

/// No case has a part in it that the host cannot keep a disk, as when its own is full.
fn host_failure(why: &str, disks: Option<&Utf8Path>) -> failure::Failure {
    let place = disks.map_or(String::new(), |folder| match space::free(folder) {
        Ok(free) => format!(" ({} MB are free in {folder})", free / 1_000_000),
        Err(_) => format!(" (in {folder})"),
    });
    Kind::Machinery.error(format!(
        "{why}{place}: this is no fault of a case; make room, or look after the disk, and run it again"
    ))
}

fn describe(end: &End) -> String {
    match end {
        End::PoweredOff => "it powered off".into(),
        End::Reset => "it was reset".into(),
        End::Broken(how) => how.clone(),
        End::Silent(limit) => format!("killed after {limit:.0?} without a result"),
        End::Lingered => "killed: it had no more to do and did not power off".into(),
    }
}

fn no_boot(ledger: &Ledger, end: &End) -> failure::Failure {
    let console = ledger.last_console_lines();
    let console = if console.is_empty() {
        "(nothing)".into()
    } else {
        console.join("\n    ")
    };
    let kind = match end {
        End::Broken(_) => Kind::Machinery,
        _ => Kind::NoBoot,
    };
    kind.error(format!(
        "{BOOT_FAILURES} guests in a row ended without having run a case ({}); the console said last:\n    {console}",
        describe(end)
    ))
}

#[cfg(test)]
mod tests {
    //! Shell scripts stand in for QEMU: what they print is the console, what they write to descriptor 3 is KTAP,
    //! and to descriptor 4 what QEMU's monitor says.

    use std::fs::File;
    use std::process::Command;
    use std::sync::Mutex;

    use harness::wire::Filesystem::Ext3;

    use super::*;
    use crate::event::{CaseId, CaseResult};
    use crate::report::times::Times;
    use crate::vm::qemu::lines::forward;

    /// What init and QEMU say, as functions.
    const SAYS: &str = r#"
        say() { read -r up _ </proc/uptime; echo "$LINE ${up%.*}${up#*.}0 $1" >&3; }
        start() { echo "harness: start ext3 $1 $(mark $1)"; say "    # start $1"; }
        ok() { say "    ok 1 $1 # time=1ms"; }
        quit() { echo "{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"$1\"}}" >&4; exit; }
        off() { say '# end complete'; quit guest-shutdown; }
        reboot() { say '# end spoilt'; quit guest-reset; }
    "#;

    /// Long enough that a busy machine does not make a test fail.
    fn limits() -> Limits {
        Limits {
            boot: Duration::from_secs(20),
            case: Duration::from_secs(2),
            grace: Duration::from_secs(2),
        }
    }

    /// A guest that knows the plan's secrets, and plays the script.
    fn rig(plan: &Plan, script: &str) -> Result<Rig> {
        let dir = Scratch::new(&crate::host::claim::temporary()?, "guest-")?;
        let [ktap, qmp] = ["ktap", "qmp"].map(|name| dir.path().join(name));
        let mut mkfifo = Command::new("mkfifo");
        assert!(mkfifo.args([&ktap, &qmp]).status()?.success());
        let cases = plan.subtests.iter().flat_map(|subtest| &subtest.cases);
        let marks = cases.zip(&plan.secrets.marks);
        let marks: String = marks
            .map(|(case, mark)| format!("{case}) echo {mark};; "))
            .collect();
        let line = &plan.secrets.line;
        let script = format!(
            "exec 3>{ktap} 4>{qmp}; LINE={line}; mark() {{ case $1 in {marks} esac; }}; {SAYS}\n{script}"
        );
        let mut guest = Guest::start(&["sh".into(), "-c".into(), script])?;
        let sender = guest.sender()?;
        forward(File::open(&ktap)?, Line::Ktap, sender.clone());
        forward(File::open(&qmp)?, Line::Qmp, sender);
        Ok(Rig {
            guest,
            files: Some(dir),
        })
    }

    /// Runs the cases a, b, c in guests that play one script after the other.
    fn play(scripts: &[&str], stop: &Stop) -> (failure::Result<()>, Vec<CaseResult>) {
        play_within(&limits(), scripts, stop)
    }

    fn play_within(
        limits: &Limits,
        scripts: &[&str],
        stop: &Stop,
    ) -> (failure::Result<()>, Vec<CaseResult>) {
        let scripts = Mutex::new(scripts.iter());
        let boot = |plan: &Plan| {
            let script = scripts.lock().unwrap().next();
            rig(plan, script.expect("one guest more than scripts"))
        };
        play_at_once(1, "abc", limits, boot, stop)
    }

    /// Runs cases that are named by a letter.
    fn play_at_once(
        guests: usize,
        cases: &str,
        limits: &Limits,
        boot: impl Fn(&Plan) -> Result<Rig> + Sync,
        stop: &Stop,
    ) -> (failure::Result<()>, Vec<CaseResult>) {
        play_all(&workload(guests, cases), limits, boot, stop)
    }

    fn workload(guests: usize, cases: &str) -> Workload {
        let id = |case: char| CaseId {
            filesystem: Ext3,
            case: case.into(),
            repeat: 0,
        };
        Workload {
            cases: cases.chars().map(id).collect(),
            times: Times::default(),
            guests,
            fail_fast: false,
        }
    }

    fn play_all(
        workload: &Workload,
        limits: &Limits,
        boot: impl Fn(&Plan) -> Result<Rig> + Sync,
        stop: &Stop,
    ) -> (failure::Result<()>, Vec<CaseResult>) {
        let (events, receiver) = Events::channel();
        let outcome = supervise(workload, limits, boot, &events, stop);
        drop(events);
        let results = receiver.into_iter().filter_map(|event| match event {
            Event::CaseEnded(result) => Some(result),
            _ => None,
        });
        (outcome, results.collect())
    }

    /// A guest that does its plan, each case by a script.
    fn obey(plan: &Plan, script: impl Fn(&str) -> String) -> Result<Rig> {
        let cases = plan.subtests.iter().flat_map(|subtest| &subtest.cases);
        rig(
            plan,
            &(cases.map(|case| script(case)).collect::<String>() + "off"),
        )
    }

    /// Sorted, as guests that run at once end their cases in any order.
    fn sorted(results: &[CaseResult]) -> String {
        let mut words: Vec<_> = words(results)
            .iter()
            .map(|(case, word)| format!("{case} {word}"))
            .collect();
        words.sort();
        words.join(", ")
    }

    /// Cases that only the end of all guests ends.
    fn patient() -> Limits {
        Limits {
            case: Duration::from_secs(60),
            ..limits()
        }
    }

    /// One of two guests fails with these words; the other has passed case a, and is ended.
    fn ends_all(kind: Kind, boot: impl Fn(&Plan) -> Result<Rig> + Sync, words: &str) {
        let (outcome, results) = play_at_once(2, "abcd", &patient(), boot, &Stop::default());
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind, kind);
        assert!(failure.to_string().ends_with(words), "{failure}");
        // It may have said more than anybody has read by then.
        assert!(
            results.is_empty() || sorted(&results) == "a ok",
            "{results:?}"
        );
    }

    fn start(case: &str) -> String {
        format!("start {case}; ")
    }

    fn pass(case: &str) -> String {
        start(case) + &pass_on(case)
    }

    /// What is left of a pass after its start.
    fn pass_on(case: &str) -> String {
        format!("ok {case}; ")
    }

    /// Passes these cases, as ever, and does something then.
    fn pass_and(cases: &str, then: &str) -> String {
        let passed = cases.chars().map(|case| pass(&case.to_string()));
        passed.collect::<String>() + then
    }

    fn words(results: &[CaseResult]) -> Vec<(&str, &str)> {
        results
            .iter()
            .map(|result| (result.id.case.as_str(), result.verdict.word()))
            .collect()
    }

    /// What comes of the cases a, b, c in guests that play these scripts.
    fn verdicts(scripts: &[&str], wanted: &str) -> Vec<CaseResult> {
        let (outcome, results) = play(scripts, &Stop::default());
        outcome.unwrap();
        assert_eq!(sorted(&results), wanted, "{scripts:?}");
        results
    }

    /// Ctrl-Z for a minute, shortly before the limit: what the guest has said meanwhile can still be read.
    #[test]
    fn a_stop_is_no_silence_of_the_guest() {
        let begun = Instant::now();
        let limit = Duration::from_secs(10);
        let at = |tenths: u64| begun + Duration::from_millis(100 * tenths);
        let mut vigil = Vigil::new(begun);
        for tenths in 1..=99 {
            assert_eq!(vigil.look(at(tenths), limit), None);
            assert!(!vigil.is_over(true), "{tenths}");
        }
        let minute = vigil.look(at(699), limit);
        assert_eq!(minute, Some(Duration::from_secs(60)));
        assert!(!vigil.is_over(true));
        assert_eq!(vigil.wait, REST);
        // A flood of the console is read no longer than what may hide a result.
        for line in 0..=OVERDUE {
            assert!(!vigil.is_over(false), "{line}");
            vigil.look(at(700), limit);
        }
        assert!(vigil.is_over(false));
        let mut silent = Vigil::new(begun);
        silent.look(at(699), limit);
        for second in 0..12 {
            silent.look(at(700 + 10 * second), limit);
        }
        assert!(silent.is_over(true));
    }

    #[test]
    fn a_good_guest() {
        verdicts(&[&pass_and("abc", "off")], "a ok, b ok, c ok");
    }

    #[test]
    fn a_death_costs_one_case() {
        let first =
            pass("a") + &start("b") + "echo 'Kernel panic - not syncing: no'; quit guest-reset";
        let second = pass_and("c", "off");
        let results = verdicts(&[&first, &second], "a ok, b KILLED GUEST, c ok");
        let last = results[1].diagnostics.last().map(String::as_str);
        assert_eq!(last, Some("Kernel panic - not syncing: no"));
    }

    /// A guest has to end as it was asked to, after all was done: else the last case did it.
    #[test]
    fn the_end_of_a_guest_is_part_of_the_verdict() {
        let table = [
            ("off", "c ok"),
            ("quit guest-shutdown", "c KILLED GUEST"),
            ("quit guest-reset", "c KILLED GUEST"),
            ("quit guest-panic", "c KILLED GUEST"),
            ("say '# end complete'; quit guest-reset", "c KILLED GUEST"),
            ("say '# end complete'; exec sleep 60", "c HUNG"),
            ("exec sleep 60", "c HUNG"),
            ("echo 'BUG: no'; off", "c FAILED"),
            ("echo 'BUG: no'; quit guest-reset", "c KILLED GUEST"),
            (
                "echo '# end complete' >&3; quit guest-shutdown",
                "c KILLED GUEST",
            ),
        ];
        for (end, wanted) in table {
            verdicts(&[&pass_and("abc", end)], &format!("a ok, b ok, {wanted}"));
        }
        let then = pass_and("bc", "off");
        for (end, wanted) in [
            ("quit guest-reset", "KILLED GUEST"),
            ("exec sleep 60", "HUNG"),
        ] {
            let wanted = format!("a {wanted}, b ok, c ok");
            verdicts(&[&pass_and("a", end), &then], &wanted);
        }
    }

    #[test]
    fn a_guest_that_cannot_start_a_case_was_spoilt_by_the_one_before() {
        let cannot = "say '    # cannot start c: EAGAIN'; reboot";
        let first = pass("a") + &pass("b") + &start("c") + cannot;
        let results = verdicts(&[&first, &pass_and("c", "off")], "a ok, b FAILED, c ok");
        assert!(results[1].verdict.reason().ends_with("c: EAGAIN"));
        // What was skipped for want of a feature did nothing.
        let skipped = start("b") + "say '    ok 1 b # SKIP no'; ";
        let first = pass("a") + &skipped + &start("c") + cannot;
        verdicts(
            &[&first, &pass_and("c", "off")],
            "a FAILED, b skipped, c ok",
        );
        // Nobody was before: the kernel does not come up.
        let none = start("a") + "say '    # cannot start a: EAGAIN'; reboot";
        let (outcome, results) = play(&[&none, &none], &Stop::default());
        assert_eq!(outcome.unwrap_err().kind, Kind::NoBoot);
        assert_eq!(results, []);
    }

    #[test]
    fn who_kills_qemu_is_no_case() {
        let killed = [
            "kill -9 $$",
            "quit host-signal",
            "exit 1",
            "exit 0",
            "kill -STOP $$",
        ];
        for end in killed {
            let (first, again) = (pass("a") + &start("b") + end, pass_and("bc", "off"));
            verdicts(&[&first, &again], "a ok, b ok, c ok");
            let last = pass_and("abc", end);
            verdicts(&[&last, &pass_and("c", "off")], "a ok, b ok, c ok");
        }
        // A failure is one, whoever ends the guest.
        let failed = start("a") + "say '    not ok 1 a # no'; kill -9 $$";
        verdicts(&[&failed, &pass_and("bc", "off")], "a FAILED, b ok, c ok");
        // Not for ever.
        let killed = start("a") + "kill -9 $$";
        let (outcome, _) = play(&[killed.as_str(); 3], &Stop::default());
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery);
        assert!(failure.to_string().contains("signal: 9"), "{failure}");
    }

    #[test]
    fn a_deadline_that_comes_too_early_is_the_clocks_fault() {
        let limits = Limits {
            case: Duration::from_secs(60),
            ..limits()
        };
        let early = start("a") + "say '    not ok 1 a # TIMEOUT stuck'; reboot";
        let again = pass_and("abc", "off");
        let (outcome, results) = play_within(&limits, &[&early, &again], &Stop::default());
        outcome.unwrap();
        assert_eq!(sorted(&results), "a ok, b ok, c ok");
        let (outcome, results) = play_within(&limits, &[early.as_str(); 3], &Stop::default());
        assert_eq!(outcome.unwrap_err().kind, Kind::Machinery);
        assert_eq!(results, []);
    }

    #[test]
    fn failures_by_a_wrong_clock_are_not_counted() {
        // The last line is an hour later.
        let later = "echo \"$LINE 9999999999999     not ok 1 a # no\" >&3; ";
        let wrong = start("a") + later + "quit guest-reset";
        verdicts(&[&wrong, &pass_and("abc", "off")], "a ok, b ok, c ok");
        // A pass is one by any clock.
        let wrong = start("a") + &later.replace("not ok", "ok") + &pass_and("bc", "off");
        verdicts(&[&wrong], "a ok, b ok, c ok");
    }

    #[test]
    fn what_is_not_of_init_does_not_count() {
        let forge =
            "echo '    ok 1 a' >&3; echo '1234 5     ok 1 a' >&3; echo 'harness: start ext3 b'; ";
        let failed = start("a") + forge + "say '    not ok 1 a # no'; " + &pass_and("bc", "off");
        verdicts(&[&failed], "a FAILED, b ok, c ok");
        let complaint = start("a") + forge + "echo 'BUG: no'; ok a; " + &pass_and("bc", "off");
        verdicts(&[&complaint], "a FAILED, b ok, c ok");
    }

    #[test]
    fn silence_costs_one_case_however_much_the_console_says() {
        for flood in [
            "while sleep 0.05; do echo rcu stall; done",
            "exec yes rcu stall",
        ] {
            let first = start("a") + flood;
            let second = pass_and("bc", "off");
            let limits = Limits {
                case: Duration::from_millis(300),
                grace: Duration::from_millis(700),
                ..limits()
            };
            let (outcome, results) = play_within(&limits, &[&first, &second], &Stop::default());
            outcome.unwrap();
            assert_eq!(words(&results), [("a", "HUNG"), ("b", "ok"), ("c", "ok")]);
        }
    }

    #[test]
    fn no_boot_twice_is_a_failure_with_the_console() {
        let first = pass("a") + "quit guest-reset";
        let (outcome, results) = play(
            &[
                &first,
                "echo no root; quit guest-panic",
                "echo no root again; quit guest-panic",
            ],
            &Stop::default(),
        );
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind, Kind::NoBoot);
        assert!(failure.to_string().ends_with("no root again"), "{failure}");
        assert_eq!(words(&results), [("a", "KILLED GUEST")]);
    }

    #[test]
    fn a_qemu_that_does_not_start_is_no_fault_of_the_kernel() {
        let (outcome, _) = play(&["exit 1", "exit 1"], &Stop::default());
        assert_eq!(outcome.unwrap_err().kind, Kind::Machinery);
    }

    #[test]
    fn a_disk_of_the_host_that_fails_is_no_fault_of_a_case() {
        let event = r#"{"event": "BLOCK_IO_ERROR", "data": {"device": "scratch0", "operation": "write", "reason": "No space left on device"}}"#;
        let script = format!("start a; ok a; start b; echo '{event}' >&4; exec sleep 60");
        let boot = |plan: &Plan| rig(plan, &script);
        let (outcome, results) = play_at_once(1, "abc", &patient(), boot, &Stop::default());
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery);
        let said = failure.to_string();
        assert!(
            said.starts_with(
                "the host fails at the guest's disk scratch0: No space left on device"
            ) && said.contains("free in"),
            "{said}"
        );
        assert!(
            results.iter().all(|result| !result.verdict.is_failure()),
            "{results:?}"
        );
    }

    #[test]
    fn a_stop_interrupts() {
        let stop = Stop::default();
        stop.request();
        let (outcome, _) = play(&["exec sleep 60"], &stop);
        assert_eq!(outcome.unwrap_err().kind, Kind::Interrupted);
    }

    /// Says in a folder that it is there, and waits until so many are.
    fn meet(dir: &Scratch, many: usize) -> String {
        let dir = dir.path();
        format!("touch {dir}/$$; until [ $(ls {dir} | wc -l) -ge {many} ]; do sleep 0.05; done; ")
    }

    fn scratch() -> Scratch {
        Scratch::new(&crate::host::claim::temporary().unwrap(), "meet-").unwrap()
    }

    #[test]
    fn guests_run_at_once() {
        let dir = scratch();
        let boot = |plan: &Plan| obey(plan, |case| start(case) + &meet(&dir, 3) + &pass_on(case));
        let (outcome, results) = play_at_once(3, "abcde", &limits(), boot, &Stop::default());
        outcome.unwrap();
        assert_eq!(sorted(&results), "a ok, b ok, c ok, d ok, e ok");
    }

    /// `--fail-fast`. Nothing is left out of what the guest had said, and a failure that does not count ends nothing.
    #[test]
    fn the_first_failure_ends_the_run() {
        let fail = |case: &str| start(case) + &format!("say '    not ok 1 {case} # no'; ");
        let goes_on = "say '    # c: step'; exec sleep 60";
        let table = [
            (vec![pass_and("abc", "off")], "a ok, b ok, c ok", None),
            (
                vec![pass("a") + &fail("b") + &start("c") + goes_on],
                "a ok, b FAILED",
                Some(Kind::Failed),
            ),
            (
                vec![pass("a") + &start("b") + "quit guest-reset"],
                "a ok, b KILLED GUEST",
                Some(Kind::Failed),
            ),
            (
                vec![pass("a") + &pass("b") + &fail("c") + "off"],
                "a ok, b ok, c FAILED",
                None,
            ),
            (
                vec![
                    pass("a") + &start("b") + "kill -9 $$",
                    pass_and("bc", "off"),
                ],
                "a ok, b ok, c ok",
                None,
            ),
        ];
        for (scripts, wanted, kind) in table {
            let workload = Workload {
                fail_fast: true,
                ..workload(1, "abc")
            };
            let left = Mutex::new(scripts.iter());
            let boot = |plan: &Plan| rig(plan, left.lock().unwrap().next().unwrap());
            let (outcome, results) = play_all(&workload, &patient(), boot, &Stop::default());
            assert_eq!(outcome.err().map(|failure| failure.kind), kind, "{wanted}");
            assert_eq!(sorted(&results), wanted);
        }
    }

    #[test]
    fn deaths_cost_a_case_each() {
        let table = [
            ("", "a ok, b ok, c ok, d ok, e ok"),
            ("c", "a ok, b ok, c KILLED GUEST, d ok, e ok"),
            ("ab", "a KILLED GUEST, b KILLED GUEST, c ok, d ok, e ok"),
            (
                "abcde",
                "a KILLED GUEST, b KILLED GUEST, c KILLED GUEST, d KILLED GUEST, e KILLED GUEST",
            ),
        ];
        for (deadly, wanted) in table {
            let boot = |plan: &Plan| {
                obey(plan, |case| match deadly.contains(case) {
                    true => start(case) + "quit guest-reset; ",
                    false => pass(case),
                })
            };
            let (outcome, results) = play_at_once(2, "abcde", &limits(), boot, &Stop::default());
            outcome.unwrap();
            assert_eq!(sorted(&results), wanted, "{deadly:?}");
        }
    }

    #[test]
    fn a_stop_kills_all_guests() {
        let (dir, stop) = (scratch(), Stop::default());
        let boot = |plan: &Plan| obey(plan, |case| start(case) + &meet(&dir, 9));
        let all_there = || dir.path().read_dir_utf8().unwrap().count() >= 3;
        let (outcome, results) = thread::scope(|scope| {
            scope.spawn(|| {
                while !all_there() {
                    thread::sleep(TICK);
                }
                stop.request();
            });
            play_at_once(2, "ab", &patient(), boot, &stop)
        });
        assert_eq!(outcome.unwrap_err().kind, Kind::Interrupted);
        assert_eq!(results, []);
        assert_gone(&dir);
    }

    /// None of those that met is left.
    fn assert_gone(dir: &Scratch) {
        let mut pids = dir.path().read_dir_utf8().unwrap().flatten();
        assert!(pids.all(|pid| !std::path::Path::new("/proc").join(pid.file_name()).exists()));
    }

    #[test]
    fn a_panic_is_an_error_and_ends_all() {
        let dir = scratch();
        let boot = |plan: &Plan| match plan.subtests[0].cases[0].as_str() {
            "a" => rig(
                plan,
                &(pass("a") + &start("c") + "say '    # c: step'; " + &meet(&dir, 9)),
            ),
            _ => {
                let _rig = rig(plan, &meet(&dir, 9));
                while dir.path().read_dir_utf8().unwrap().count() < 3 {
                    thread::sleep(TICK);
                }
                panic!("no {}", "way");
            }
        };
        ends_all(Kind::Machinery, boot, "no way");
        assert_gone(&dir);
    }

    #[test]
    fn a_panic_without_a_text_is_an_error_too() {
        let failure = guarded(|| -> failure::Result<()> { std::panic::panic_any(1) }).unwrap_err();
        assert!(failure.to_string().ends_with("(no message)"), "{failure}");
    }

    #[test]
    fn one_that_does_not_boot_ends_all() {
        let boot = |plan: &Plan| match plan.subtests[0].cases[0].as_str() {
            "a" => rig(
                plan,
                &(pass("a") + &start("c") + "say '    # c: step'; exec sleep 60"),
            ),
            _ => rig(plan, "echo no root; quit guest-panic"),
        };
        ends_all(Kind::NoBoot, boot, "no root");
    }
}
