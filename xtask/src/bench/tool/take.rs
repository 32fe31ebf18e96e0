//! Measurements, one after the other.

use std::panic::resume_unwind;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use harness::wire::Filesystem;
use harness::wire::samples::Unit;
use xshell::cmd;

use super::model::{Benchmark, Part, Quantity, Side, Taken};
use super::plan::Plan;
use super::static_init;
use super::workshop::Workshop;
use crate::bench::format;
use crate::event::{CaseId, Event, Events, Verdict};
use crate::failure::{Kind, Result};
use crate::host::claim::Scratch;
use crate::host::session::Session;
use crate::host::{lock, proc};
use crate::vm::qemu::accel::Accel;
use crate::vm::qemu::bare::{self, Outcome};
use crate::vm::qemu::disks;
use crate::vm::run::run_cases;
use crate::vm::watch::queue::Workload;
use crate::vm::watch::supervisor::Limits;
use crate::words::count;

/// A measurement that takes no time, so that a guest is little more than its start.
const SHORT: &str = "getppid";
/// Guests of each kind in a round.
const STARTS: u32 = 5;
/// When a guest counts as hung.
const HUNG: Duration = Duration::from_secs(300);
/// How often a guest is started until one start goes well.
const ATTEMPTS: u32 = 4;

/// When what happened, in seconds from the command.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Moments {
    first_case: Option<f64>,
    end: f64,
}

impl Plan<'_> {
    /// Takes all numbers into `run`: what it has when a step fails, or the user has enough, is worth being kept.
    pub fn take(&self, run: &mut Benchmark, session: &Session) -> Result<()> {
        // Guests first: they are soon done.
        if self.parts.contains(&Part::Start) {
            self.starts(run, session)?;
        }
        if self.parts.contains(&Part::Build) {
            // Nobody else is to build meanwhile, and the sources are theirs, too.
            let _lock = lock::hold(&session.layout.work("lock"), session)?;
            let workshop = Workshop::new(self, session)?;
            let outcome = workshop
                .set_up()
                .and_then(|()| self.builds(&workshop, run, session));
            outcome.and(workshop.take_down())?;
        }
        Ok(())
    }

    fn builds(
        &self,
        workshop: &Workshop<'_>,
        run: &mut Benchmark,
        session: &Session,
    ) -> Result<()> {
        for round in 1..=self.rounds {
            let mut quantities = vec![Quantity::WarmBuild, Quantity::NoChange];
            if round <= self.cold.max(1) {
                quantities.insert(0, Quantity::ColdBuild);
            }
            for quantity in quantities {
                for side in shuffled([Side::Xtask, Side::Vng]) {
                    session
                        .events
                        .note(format!("round {round}: {quantity} with {side} …"));
                    workshop.prepare(quantity, side, round)?;
                    let seconds = seconds(|| workshop.build(side))?;
                    record(run, &session.events, (round, quantity, side, seconds));
                }
            }
            for side in [Side::Xtask, Side::Vng] {
                run.compiled.insert(side, workshop.compiled(side)?);
            }
        }
        Ok(())
    }

    fn starts(&self, run: &mut Benchmark, session: &Session) -> Result<()> {
        let folder = Scratch::new(&disks::scratch(&session.layout)?, "init-")?;
        let root = static_init::archive(folder.path(), &session.stop)?;
        for round in 1..=self.rounds * STARTS {
            for side in shuffled([Side::Xtask, Side::Vng, Side::Bare]) {
                let Moments { first_case, end } = self.start(side, &root, run, session)?;
                if let Some(seconds) = first_case {
                    record(
                        run,
                        &session.events,
                        (round, Quantity::FirstCase, side, seconds),
                    );
                }
                record(
                    run,
                    &session.events,
                    (round, Quantity::WholeGuest, side, end),
                );
            }
        }
        Ok(())
    }

    /// The time of a start that goes well: on a busy host, QEMU has been seen to die in others.
    fn start(
        &self,
        side: Side,
        root: &Utf8Path,
        run: &mut Benchmark,
        session: &Session,
    ) -> Result<Moments> {
        for _ in 1..ATTEMPTS {
            match self.try_start(side, root, session) {
                Err(failure) if failure.kind != Kind::Interrupted => {
                    let problem = format!("a guest start with {side} failed");
                    session
                        .events
                        .send(Event::Warning(format!("{problem}: {failure}")));
                    run.problems.push(problem);
                }
                outcome => return outcome,
            }
        }
        self.try_start(side, root, session)
    }

    fn try_start(&self, side: Side, root: &Utf8Path, session: &Session) -> Result<Moments> {
        match side {
            Side::Xtask => self.start_ours(session),
            Side::Vng => self.start_vng(session),
            Side::Bare => self.start_bare(root, session),
        }
    }

    fn start_ours(&self, session: &Session) -> Result<Moments> {
        let begun = Instant::now();
        let (events, receiver) = Events::channel();
        let (outcome, end, seen) = thread::scope(|scope| {
            let watcher = scope.spawn(|| with_times(receiver));
            let outcome = self.run_one(&session.told_to(events.clone()));
            let end = begun.elapsed().as_secs_f64();
            drop(events);
            let seen = watcher.join().unwrap_or_else(|panic| resume_unwind(panic));
            (outcome, end, seen)
        });
        outcome?;
        let first_case = Some((one_start(&seen)? - begun).as_secs_f64());
        Ok(Moments { first_case, end })
    }

    /// All that `test-kernel` does for one case.
    fn run_one(&self, session: &Session) -> Result<()> {
        let wanted = CaseId {
            filesystem: Filesystem::Ext3,
            case: SHORT.into(),
            repeat: 0,
        };
        (self.ready)(session)?;
        let limits = Limits::new(self.machine.kernel.accel, None);
        run_cases(
            &self.machine,
            &Workload::of_one_guest(vec![wanted]),
            &limits,
            session,
        )
    }

    fn start_bare(&self, root: &Utf8Path, session: &Session) -> Result<Moments> {
        let kernel = self.machine.kernel;
        match bare::boot(kernel, Some(root), static_init::MARK, HUNG, &session.stop)? {
            Outcome::Failed(why) => Err(Kind::Machinery.error(why)),
            Outcome::Booted(times) => Ok(Moments {
                first_case: Some(times.marked.as_secs_f64()),
                end: times.ended.as_secs_f64(),
            }),
        }
    }

    fn start_vng(&self, session: &Session) -> Result<Moments> {
        let begun = Instant::now();
        let (kernel, image) = (self.machine.kernel, self.machine.kernel.image);
        let emulated = (kernel.accel == Accel::Tcg).then_some("--disable-kvm");
        let vng = cmd!(self.vng, "vng {emulated...} --run {image} -- true");
        let output = proc::output_within(vng, HUNG, &session.stop)?;
        let end = begun.elapsed().as_secs_f64();
        match has_run(output.status.code(), &output.stderr()) {
            true => Ok(Moments {
                first_case: None,
                end,
            }),
            false => Err(Kind::Machinery.error(format!("{}: {}", output.status, output.stderr()))),
        }
    }
}

/// All events until the last sender is gone, and when they came.
fn with_times(events: Receiver<Event>) -> Vec<(Instant, Event)> {
    let now = |event| (Instant::now(), event);
    events.into_iter().map(now).collect()
}

/// When the case began. Fails unless one guest was started, and measured: the time of a second one is not that of a start.
fn one_start(events: &[(Instant, Event)]) -> Result<Instant> {
    let all = || events.iter().map(|(_, event)| event);
    let started = |event: &&Event| matches!(event, Event::GuestStarted { .. });
    let passed = |event: &Event| matches!(event, Event::CaseEnded(result) if result.verdict == Verdict::Passed);
    let is_begin = |(_, event): &&(Instant, Event)| matches!(event, Event::CaseStarted { .. });
    match (all().filter(started).count(), events.iter().find(is_begin)) {
        (1, Some((when, _))) if all().any(passed) => Ok(*when),
        (1, _) => Err(Kind::Machinery.error("the guest measured nothing")),
        (guests, _) => Err(Kind::Machinery.error(format!("it took {}", count(guests, "guest")))),
    }
}

/// Where the host has no udev, virtme-ng's guest runs the script without its ports, and ends with 255 for want of a
/// result (virtme-ng 1.42). When QEMU dies it says why.
fn has_run(code: Option<i32>, stderr: &str) -> bool {
    code == Some(0) || (code == Some(255) && stderr.trim().is_empty())
}

fn record(
    run: &mut Benchmark,
    events: &Events,
    (round, quantity, side, seconds): (u32, Quantity, Side, f64),
) {
    let time = format::value(seconds * 1e9, Unit::Nanoseconds);
    events.note(format!("round {round}: {quantity} with {side}: {time}"));
    run.taken.push(Taken {
        round,
        quantity,
        side,
        seconds,
    });
}

fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}

fn shuffled<const N: usize>(mut sides: [Side; N]) -> [Side; N] {
    fastrand::shuffle(&mut sides);
    sides
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::samples;

    #[test]
    fn two_guests_are_no_start() {
        let start = |guest| Event::GuestStarted { guest, cases: 1 };
        let result = |verdict| samples::result(Filesystem::Ext3, SHORT, 0, verdict);
        let begin = || Event::CaseStarted {
            guest: 1,
            case: result(Verdict::Passed).id,
        };
        let end = |verdict| Event::CaseEnded(result(verdict));
        let outcome = |events: Vec<Event>| {
            let (sender, receiver) = Events::channel();
            events.into_iter().for_each(|event| sender.send(event));
            drop(sender);
            one_start(&with_times(receiver))
        };
        let good = || end(Verdict::Passed);
        let before = Instant::now();
        assert!(outcome(vec![start(1), begin(), good()]).unwrap() >= before);
        let failed = end(Verdict::Failed("no".into()));
        for events in [
            vec![],
            vec![start(1)],
            vec![start(1), good()],
            vec![start(1), begin(), failed],
            vec![start(1), start(2), begin(), good()],
        ] {
            let said = format!("{events:?}");
            assert!(outcome(events).is_err(), "{said}");
        }
    }

    #[test]
    fn virtme_ng_without_udev_has_run() {
        let table = [
            (Some(0), "", true),
            (Some(0), "a warning", true),
            (Some(255), "\n", true),
            (Some(255), "qemu-system-x86_64: Assertion failed", false),
            (Some(1), "", false),
            (None, "", false),
        ];
        for (code, stderr, wanted) in table {
            assert_eq!(has_run(code, stderr), wanted, "{code:?} {stderr}");
        }
    }
}
