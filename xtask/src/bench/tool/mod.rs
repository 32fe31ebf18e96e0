//! This program against plain virtme-ng: to build a kernel, to build it again, to start a guest.
//!
//! The builds are made in folders of their own, so that nobody's are lost: of the checkout only the sources are shared.

pub mod report;
mod static_init;
pub mod vng;
mod workshop;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use clap::ValueEnum;
use harness::wire::Filesystem;
use harness::wire::samples::Unit;
use serde::Serialize;

use super::format;
use super::machine::Machine as Described;
use crate::event::{CaseId, Event, Events, Verdict};
use crate::failure::{Kind, Result};
use crate::kernel::{Request, lock};
use crate::layout::Layout;
use crate::proc::{self, Stop};
use crate::report::model::KernelFacts;
use crate::vm::accel::Accel;
use crate::vm::bare::Outcome;
use crate::vm::claim::Scratch;
use crate::vm::queue::Workload;
use crate::vm::supervisor::Limits;
use crate::vm::{self, Machine};
use crate::words::count;
use vng::Vng;
use workshop::Workshop;

/// A measurement that takes no time, so that a guest is little more than its start.
const SHORT: &str = "getppid";
/// Guests of each kind in a round.
const STARTS: u32 = 5;
/// When a guest counts as hung.
const HUNG: Duration = Duration::from_secs(300);
/// How often a guest is started until one start goes well.
const ATTEMPTS: u32 = 4;

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Kernels are built: from nothing, after an edit of fs/super.c, after nothing
    Build,
    /// Guests are started
    Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// From the patched tree to an image, with no object and an empty compiler cache.
    ColdBuild,
    /// The same after an edit of fs/super.c.
    WarmBuild,
    /// The same after nothing.
    NoChange,
    /// From the command to the beginning of the first case, where nothing is to be built: this program finds that out
    /// each time. Not timed: its own start, what it reads of its command line and of earlier runs, the report. The bare
    /// boot's case is its init. What goes on in virtme-ng's guest is not seen from outside.
    FirstCase,
    /// The same, to the end of a guest that has nothing to do.
    WholeGuest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// This program.
    Xtask,
    /// virtme-ng with its defaults, but for `--jobs`.
    Vng,
    /// QEMU, the kernel, and a static init that ends the machine: the least that a guest can take.
    Bare,
}

/// When what happened, in seconds from the command.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Moments {
    first_case: Option<f64>,
    end: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Taken {
    pub round: u32,
    pub quantity: Quantity,
    pub side: Side,
    pub seconds: f64,
}

/// What `bench.json` of `bench tool` holds.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    pub machine: Described,
    pub kernel: KernelFacts,
    /// Local time with offset.
    pub started: String,
    pub took: Duration,
    /// In the order in which they were taken.
    pub taken: Vec<Taken>,
    /// The C and assembler files that the builds of a side made objects of. Host tools of a single file are not among them.
    pub compiled: BTreeMap<Side, usize>,
    /// What did not work at once, in one line each.
    pub problems: Vec<String>,
}

/// What is measured, how often, on what.
pub struct Plan<'a> {
    pub parts: Vec<Part>,
    pub rounds: u32,
    /// Rounds that begin with a cold build. The first does in any case.
    pub cold: u32,
    pub request: &'a Request,
    pub machine: Machine<'a>,
    /// Sees to it again that all of the machine is there, before a guest; an error if something had to be built.
    pub ready: &'a dyn Fn(&Events) -> Result<()>,
    pub vng: Vng,
    pub layout: &'a Layout,
    pub stop: &'a Stop,
}

impl Plan<'_> {
    /// Takes all numbers into `run`: what it has when a step fails, or the user has enough, is worth being kept.
    pub fn take(&self, run: &mut Run, events: &Events) -> Result<()> {
        // Guests first: they are soon done.
        if self.parts.contains(&Part::Start) {
            self.starts(run, events)?;
        }
        if self.parts.contains(&Part::Build) {
            // Nobody else is to build meanwhile, and the sources are theirs, too.
            let _lock = lock::hold(&self.layout.work("lock"), events, self.stop)?;
            let workshop = Workshop::new(self, events)?;
            let outcome = workshop
                .set_up()
                .and_then(|()| self.builds(&workshop, run, events));
            outcome.and(workshop.take_down())?;
        }
        Ok(())
    }

    fn builds(&self, workshop: &Workshop<'_>, run: &mut Run, events: &Events) -> Result<()> {
        for round in 1..=self.rounds {
            let mut quantities = vec![Quantity::WarmBuild, Quantity::NoChange];
            if round <= self.cold.max(1) {
                quantities.insert(0, Quantity::ColdBuild);
            }
            for quantity in quantities {
                for side in shuffled([Side::Xtask, Side::Vng]) {
                    events.note(format!("round {round}: {quantity} with {side} …"));
                    workshop.prepare(quantity, side, round)?;
                    let seconds = seconds(|| workshop.build(side))?;
                    record(run, events, (round, quantity, side, seconds));
                }
            }
            for side in [Side::Xtask, Side::Vng] {
                run.compiled.insert(side, workshop.compiled(side)?);
            }
        }
        Ok(())
    }

    fn starts(&self, run: &mut Run, events: &Events) -> Result<()> {
        let folder = Scratch::new(&vm::scratch(self.layout)?, "init-")?;
        let root = static_init::archive(folder.path(), self.stop)?;
        for round in 1..=self.rounds * STARTS {
            for side in shuffled([Side::Xtask, Side::Vng, Side::Bare]) {
                let Moments { first_case, end } = self.start(side, &root, run, events)?;
                if let Some(seconds) = first_case {
                    record(run, events, (round, Quantity::FirstCase, side, seconds));
                }
                record(run, events, (round, Quantity::WholeGuest, side, end));
            }
        }
        Ok(())
    }

    /// The time of a start that goes well: on a busy host, QEMU has been seen to die in others.
    fn start(
        &self,
        side: Side,
        root: &Utf8Path,
        run: &mut Run,
        events: &Events,
    ) -> Result<Moments> {
        for _ in 1..ATTEMPTS {
            match self.try_start(side, root) {
                Err(failure) if failure.kind != Kind::Interrupted => {
                    let problem = format!("a guest start with {side} failed");
                    events.send(Event::Warning(format!("{problem}: {failure}")));
                    run.problems.push(problem);
                }
                outcome => return outcome,
            }
        }
        self.try_start(side, root)
    }

    fn try_start(&self, side: Side, root: &Utf8Path) -> Result<Moments> {
        match side {
            Side::Xtask => self.start_ours(),
            Side::Vng => self.start_vng(),
            Side::Bare => self.start_bare(root),
        }
    }

    fn start_ours(&self) -> Result<Moments> {
        let begun = Instant::now();
        let (events, receiver) = Events::channel();
        let (outcome, end, seen) = thread::scope(|scope| {
            let watcher = scope.spawn(|| with_times(receiver));
            let outcome = self.run_one(&events);
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
    fn run_one(&self, events: &Events) -> Result<()> {
        let wanted = CaseId {
            filesystem: Filesystem::Ext3,
            case: SHORT.into(),
            repeat: 0,
        };
        (self.ready)(events)?;
        let limits = Limits::new(self.machine.kernel.accel, None);
        vm::run_cases(
            &self.machine,
            &Workload::of_one_guest(vec![wanted]),
            &limits,
            self.layout,
            events,
            self.stop,
        )
    }

    fn start_bare(&self, root: &Utf8Path) -> Result<Moments> {
        let kernel = self.machine.kernel;
        match vm::bare::boot(kernel, Some(root), static_init::MARK, HUNG, self.stop)? {
            Outcome::Failed(why) => Err(Kind::Machinery.error(why)),
            Outcome::Booted(times) => Ok(Moments {
                first_case: Some(times.marked.as_secs_f64()),
                end: times.ended.as_secs_f64(),
            }),
        }
    }

    fn start_vng(&self) -> Result<Moments> {
        let begun = Instant::now();
        let mut vng = self.vng.command();
        let kernel = self.machine.kernel;
        vng.args((kernel.accel == Accel::Tcg).then_some("--disable-kvm"));
        vng.args(["--run", kernel.image.as_str(), "--", "true"]);
        let output = proc::output_within(&mut vng, HUNG, self.stop)?;
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
    run: &mut Run,
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

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantity::ColdBuild => "cold build",
            Quantity::WarmBuild => "warm build",
            Quantity::NoChange => "no change",
            Quantity::FirstCase => "first case",
            Quantity::WholeGuest => "whole guest",
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Xtask => "xtask",
            Side::Vng => "virtme-ng",
            Side::Bare => "bare boot",
        })
    }
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
