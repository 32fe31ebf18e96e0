//! Runs cases in as many guests as it takes, some at once: one that dies or hangs costs the case that ran, no other.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8Path;
use harness::plan::Plan;

use super::accel::Accel;
use super::claim::Scratch;
use super::guest::{Guest, Line, Next};
use super::ledger::{End, Ledger};
use super::queue::{Queue, Workload};
use crate::event::{Event, Events, GuestId};
use crate::failure::{self, Kind};
use crate::kernel::space;
use crate::proc::Stop;

/// How soon a stop, a deadline or a silent death is noticed.
const TICK: Duration = Duration::from_millis(200);
/// Guests in a row, one after the other, that may end without having run a case.
const BOOT_FAILURES: u32 = 2;

/// How long the steps of a guest may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the start to the first case.
    pub boot: Duration,
    /// One case; the harness keeps it.
    pub case: Duration,
    /// How much later than that we stop waiting for the harness; also for a guest to power off.
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
/// [`Kind::Machinery`] if guests do not come up, [`Kind::Interrupted`] if stopped.
pub fn supervise(
    workload: &Workload,
    limits: &Limits,
    boot: impl Fn(&Plan) -> Result<Rig> + Sync,
    events: &Events,
    stop: &Stop,
) -> failure::Result<()> {
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
            let mut ledger = Ledger::new(guest, cases, self.events.clone());
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
            let (reported, left) = ledger.into_parts();
            self.queue.settle(reported, left);
        }
        Ok(())
    }

    /// From boot to end. The guest dies with the thread that started it (see [`Guest::start`]), hence here.
    fn guest(&self, guest: GuestId, ledger: &mut Ledger) -> failure::Result<End> {
        let plan = ledger.plan(self.limits.case);
        let cases = plan.runs.iter().map(|run| run.cases.len()).sum();
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
    let mut limit = limits.boot;
    let mut since = Instant::now();
    loop {
        queue.check()?;
        if since.elapsed() > limit {
            return Ok(if ledger.is_finishing() {
                End::Lingered
            } else {
                End::Silent(limit)
            });
        }
        match guest.next(TICK) {
            Next::Line(Line::Failure(why)) => return Err(host_failure(&why, disks)),
            Next::Line(Line::Console(line)) => ledger.console(line),
            Next::Line(Line::Ktap(line)) => {
                // Only cases count as progress: a stuck kernel can fill its console for ever.
                if ledger.ktap(&line, Instant::now()) {
                    since = Instant::now();
                    let finishing = ledger.is_finishing();
                    limit = if finishing {
                        limits.grace
                    } else {
                        limits.case + limits.grace
                    };
                }
            }
            Next::Quiet => {}
            Next::Over => {
                return Ok(End::Exited(format!(
                    "the guest ended, QEMU with {}",
                    guest.wait()?
                )));
            }
        }
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
        End::Exited(how) => how.clone(),
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
    Kind::Machinery.error(format!(
        "{BOOT_FAILURES} guests in a row ended without having run a case ({}); the console said last:\n    {console}",
        describe(end)
    ))
}

#[cfg(test)]
mod tests {
    //! Shell scripts stand in for QEMU: what they print is the console, what they write to descriptor 3 is KTAP.

    use std::fs::File;
    use std::process::Command;
    use std::sync::Mutex;

    use harness::case::Filesystem::Ext3;

    use super::super::guest::forward;
    use super::*;
    use crate::event::{CaseId, CaseResult, Verdict};
    use crate::report::times::Times;

    const HEAD: &str = "echo '    # Subtest: ext3' >&3; ";

    /// Long enough that a busy machine does not make a test fail.
    fn limits() -> Limits {
        Limits {
            boot: Duration::from_secs(20),
            case: Duration::from_secs(2),
            grace: Duration::from_secs(2),
        }
    }

    fn rig(script: &str) -> Result<Rig> {
        rig_that_tells(script, "")
    }

    /// A guest whose host fails for a reason, unless that is empty.
    fn rig_that_tells(script: &str, failure: &'static str) -> Result<Rig> {
        let dir = Scratch::new(&super::super::claim::temporary()?, "guest-")?;
        let fifo = dir.path().join("ktap");
        assert!(Command::new("mkfifo").arg(&fifo).status()?.success());
        let script = format!("exec 3>{}; {HEAD}{script}", fifo);
        let mut guest = Guest::start(&["sh".into(), "-c".into(), script])?;
        let sender = guest.sender()?;
        forward(failure.as_bytes(), Line::Failure, sender.clone());
        forward(File::open(&fifo)?, Line::Ktap, sender);
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
        let boot = |_: &Plan| {
            let script = scripts.lock().unwrap().next();
            rig(script.expect("one guest more than scripts"))
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
        let id = |case: char| CaseId {
            filesystem: Ext3,
            case: case.into(),
            repeat: 0,
        };
        let workload = Workload {
            cases: cases.chars().map(id).collect(),
            times: Times::default(),
            guests,
        };
        let (events, receiver) = Events::channel();
        let outcome = supervise(&workload, limits, boot, &events, stop);
        drop(events);
        let results = receiver.into_iter().filter_map(|event| match event {
            Event::CaseEnded(result) => Some(result),
            _ => None,
        });
        (outcome, results.collect())
    }

    /// A guest that does its plan, each case by a script.
    fn obey(plan: &Plan, script: impl Fn(&str) -> String) -> Result<Rig> {
        let cases = plan.runs.iter().flat_map(|run| &run.cases);
        rig(&cases.map(|case| script(case)).collect::<String>())
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
    fn ends_all(boot: impl Fn(&Plan) -> Result<Rig> + Sync, words: &str) {
        let (outcome, results) = play_at_once(2, "abcd", &patient(), boot, &Stop::default());
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery);
        assert!(failure.to_string().ends_with(words), "{failure}");
        // It may have said more than anybody has read by then.
        assert!(
            results.is_empty() || sorted(&results) == "a ok",
            "{results:?}"
        );
    }

    fn start(case: &str) -> String {
        format!("echo 'harness: start ext3 {case}'; echo '    # start {case}' >&3; ")
    }

    fn pass(case: &str) -> String {
        start(case) + &pass_on(case)
    }

    /// What is left of a pass after its start.
    fn pass_on(case: &str) -> String {
        format!("echo '    ok 1 {case} # time=1ms' >&3; ")
    }

    fn words(results: &[CaseResult]) -> Vec<(&str, &str)> {
        results
            .iter()
            .map(|result| (result.id.case.as_str(), result.verdict.word()))
            .collect()
    }

    #[test]
    fn a_good_guest() {
        let script = pass("a") + &pass("b") + &pass("c");
        let (outcome, results) = play(&[&script], &Stop::default());
        outcome.unwrap();
        assert_eq!(words(&results), [("a", "ok"), ("b", "ok"), ("c", "ok")]);
    }

    #[test]
    fn a_death_costs_one_case() {
        let first = pass("a") + &start("b") + "echo 'Kernel panic - not syncing: no'; kill -9 $$";
        let second = pass("c");
        let (outcome, results) = play(&[&first, &second], &Stop::default());
        outcome.unwrap();
        assert_eq!(
            words(&results),
            [("a", "ok"), ("b", "KILLED GUEST"), ("c", "ok")]
        );
        let last = results[1].diagnostics.last().map(String::as_str);
        assert_eq!(last, Some("Kernel panic - not syncing: no"));
    }

    #[test]
    fn silence_costs_one_case_however_much_the_console_says() {
        let first = start("a") + "while sleep 0.05; do echo rcu stall; done";
        let second = pass("b") + &pass("c");
        let limits = Limits {
            case: Duration::from_millis(300),
            grace: Duration::from_millis(700),
            ..limits()
        };
        let (outcome, results) = play_within(&limits, &[&first, &second], &Stop::default());
        outcome.unwrap();
        assert_eq!(words(&results), [("a", "HUNG"), ("b", "ok"), ("c", "ok")]);
    }

    #[test]
    fn a_guest_that_does_not_power_off_costs_none() {
        let script = pass("a") + &pass("b") + &pass("c") + "exec sleep 60";
        let (outcome, results) = play(&[&script], &Stop::default());
        outcome.unwrap();
        assert!(
            results
                .iter()
                .all(|result| result.verdict == Verdict::Passed)
        );
    }

    #[test]
    fn no_boot_twice_is_a_failure_with_the_console() {
        let first = pass("a");
        let (outcome, results) = play(
            &[&first, "echo no root", "echo no root again"],
            &Stop::default(),
        );
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery);
        assert!(failure.to_string().ends_with("no root again"), "{failure}");
        assert_eq!(words(&results), [("a", "ok")]);
    }

    #[test]
    fn a_disk_of_the_host_that_fails_is_no_fault_of_a_case() {
        let boot = |_: &Plan| {
            let script = pass("a") + &start("b") + "exec sleep 60";
            rig_that_tells(&script, "No space left on device")
        };
        let (outcome, results) = play_at_once(1, "abc", &patient(), boot, &Stop::default());
        let failure = outcome.unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery);
        let said = failure.to_string();
        assert!(
            said.starts_with("No space left on device") && said.contains("free in"),
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
        Scratch::new(&super::super::claim::temporary().unwrap(), "meet-").unwrap()
    }

    #[test]
    fn guests_run_at_once() {
        let dir = scratch();
        let boot = |plan: &Plan| obey(plan, |case| start(case) + &meet(&dir, 3) + &pass_on(case));
        let (outcome, results) = play_at_once(3, "abcde", &limits(), boot, &Stop::default());
        outcome.unwrap();
        assert_eq!(sorted(&results), "a ok, b ok, c ok, d ok, e ok");
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
                    true => start(case) + "kill -9 $$; ",
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
        let boot = |plan: &Plan| match plan.runs[0].cases[0].as_str() {
            "a" => rig(&(pass("a") + &start("c") + &meet(&dir, 9))),
            _ => {
                let _rig = rig(&meet(&dir, 9));
                while dir.path().read_dir_utf8().unwrap().count() < 3 {
                    thread::sleep(TICK);
                }
                panic!("no {}", "way");
            }
        };
        ends_all(boot, "no way");
        assert_gone(&dir);
    }

    #[test]
    fn a_panic_without_a_text_is_an_error_too() {
        let failure = guarded(|| -> failure::Result<()> { std::panic::panic_any(1) }).unwrap_err();
        assert!(failure.to_string().ends_with("(no message)"), "{failure}");
    }

    #[test]
    fn one_that_does_not_boot_ends_all() {
        let boot = |plan: &Plan| match plan.runs[0].cases[0].as_str() {
            "a" => rig(&(pass("a") + &start("c") + "exec sleep 60")),
            _ => rig("echo no root"),
        };
        ends_all(boot, "no root");
    }
}
