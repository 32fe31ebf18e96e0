//! Takes the numbers: guests of both kernels, one after the other, each round in an order of its own.

use std::io::Write;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use fs_err::File;
use harness::measure::Measurement;
use harness::wire::samples::{NOTE, SAMPLES, Samples};
use harness::wire::{Feature, Filesystem};

use super::model::{Benchmark, Guest, Measured, Side};
use crate::event::{CaseId, CaseResult, Event, Events, Verdict};
use crate::failure::Result;
use crate::host::session::Session;
use crate::report::model::Counts;
use crate::vm::boot::Machine;
use crate::vm::run::run_cases;
use crate::vm::watch::queue::Workload;
use crate::vm::watch::supervisor::Limits;

/// When a measurement counts as hung: the longest take minutes under emulation.
const LIMIT: Duration = Duration::from_secs(1800);

/// Something to measure, and the filesystem to take it on.
pub type Chosen = (Filesystem, &'static Measurement);

/// What is measured, how often, on what.
#[derive(Debug)]
pub struct Plan<'a> {
    pub chosen: Vec<Chosen>,
    pub rounds: u32,
    pub base: Machine<'a>,
    pub other: Machine<'a>,
}

impl Plan<'_> {
    /// Takes all numbers into `run`: what it has when a guest fails, or the user has enough, is worth being kept.
    pub fn take(&self, run: &mut Benchmark, console: &mut File, session: &Session) -> Result<()> {
        for round in 1..=self.rounds {
            let mut sides = [Side::Base, Side::Other];
            fastrand::shuffle(&mut sides);
            for side in sides {
                let name = run.side_name(side);
                log(console, &format!("=== round {round}: {name}"));
                let begun = Instant::now();
                let (results, outcome) = self.guest(round, side, console, session);
                let took = begun.elapsed();
                session.events.note(format!(
                    "round {round} of {}: {name}, {took:.0?}",
                    self.rounds
                ));
                run.problems
                    .extend(results.iter().flat_map(|result| problems(result, &name)));
                run.failed += Counts::of(&results).failed;
                let kept = measured(&results).map(|measured| {
                    run.guests.push(Guest {
                        round,
                        side,
                        took,
                        measured,
                    });
                });
                outcome.and(kept)?;
            }
        }
        Ok(())
    }

    /// Runs one guest (more, if it dies), and returns what it measured, whatever came of it.
    fn guest(
        &self,
        round: u32,
        side: Side,
        console: &mut File,
        session: &Session,
    ) -> (Vec<CaseResult>, Result<()>) {
        let machine = match side {
            Side::Base => &self.base,
            Side::Other => &self.other,
        };
        let limits = Limits::new(machine.kernel.accel, Some(LIMIT));
        let workload = Workload::of_one_guest(wanted(&self.chosen, machine.provides, round));
        thread::scope(|scope| {
            let (sender, receiver) = Events::channel();
            let collector = scope.spawn(|| collect(receiver, console, &session.events));
            let outcome = run_cases(
                machine,
                &workload,
                &limits,
                &session.told_to(sender.clone()),
            );
            drop(sender);
            (collector.join().expect("it does not panic"), outcome)
        })
    }
}

/// What one guest is asked for: nothing that its kernel lacks.
fn wanted(chosen: &[Chosen], provides: &[Feature], round: u32) -> Vec<CaseId> {
    let has = |need: Option<Feature>| need.is_none_or(|need| provides.contains(&need));
    let due = chosen
        .iter()
        .filter(|(_, it)| has(it.needs) && (round == 1 || !it.once));
    due.map(|(filesystem, it)| CaseId {
        filesystem: *filesystem,
        case: it.name.into(),
        repeat: 0,
    })
    .collect()
}

/// Shows what goes on, keeps the console and the results.
fn collect(receiver: Receiver<Event>, console: &mut File, events: &Events) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for event in receiver {
        match event {
            Event::Console { line, .. } => log(console, &line),
            Event::Diagnostic { line, .. } if line.starts_with(SAMPLES) => {}
            Event::CaseEnded(result) => {
                results.push(result.clone());
                events.send(Event::CaseEnded(result));
            }
            event => events.send(event),
        }
    }
    results
}

/// The console is for looking into what went wrong; the numbers do not need it.
fn log(console: &mut File, line: &str) {
    drop(writeln!(console, "{line}"));
}

/// The numbers of all measurements that ended well.
fn measured(results: &[CaseResult]) -> Result<Vec<Measured>> {
    let mut all = Vec::new();
    for result in results
        .iter()
        .filter(|result| result.verdict == Verdict::Passed)
    {
        for line in result
            .diagnostics
            .iter()
            .filter_map(|line| line.strip_prefix(SAMPLES))
        {
            let samples: Samples =
                serde_json::from_str(line).with_context(|| format!("not samples: {line}"))?;
            all.push(Measured {
                filesystem: result.id.filesystem,
                measurement: result.id.case.clone(),
                samples,
            });
        }
    }
    Ok(all)
}

/// Why there are no numbers, or not all.
fn problems(result: &CaseResult, side: &str) -> Vec<String> {
    let CaseId {
        filesystem, case, ..
    } = &result.id;
    let said = result.diagnostics.iter();
    let notes = said
        .filter_map(|line| line.strip_prefix(NOTE))
        .map(str::to_owned);
    let ending = format!("{}, {}", result.verdict.word(), result.verdict.reason());
    let ending = (result.verdict != Verdict::Passed).then_some(ending);
    let all = notes.chain(ending);
    all.map(|why| format!("{filesystem} {case} on {side}: {why}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use harness::measure;
    use harness::wire::Filesystem::{Ext3, Xfs};
    use harness::wire::samples::Unit;

    use super::*;
    use crate::report::model::samples;

    fn result(verdict: Verdict, lines: &[&str]) -> CaseResult {
        CaseResult {
            diagnostics: lines.iter().map(|line| (*line).into()).collect(),
            ..samples::result(Xfs, "freeze_idle", 0, verdict)
        }
    }

    #[test]
    fn numbers_come_from_what_ended_well() {
        let line = r#"samples: {"part":"thaw","unit":"nanoseconds","values":[1.5,2]}"#;
        let found = measured(&[
            result(Verdict::Passed, &["step: mkfs", line]),
            result(Verdict::Failed("no".into()), &[line]),
        ]);
        let found = found.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].samples.values, [1.5, 2.0]);
        assert_eq!(found[0].samples.unit, Unit::Nanoseconds);
        assert_eq!(found[0].filesystem, Xfs);
        assert!(measured(&[result(Verdict::Passed, &["samples: {"])]).is_err());
    }

    #[test]
    fn what_hangs_has_failed() {
        let results = [
            Verdict::Passed,
            Verdict::Skipped("no count".into()),
            Verdict::Failed("no".into()),
            Verdict::Hung("late".into()),
            Verdict::KilledGuest("oops".into()),
        ];
        let counts = Counts::of(&results.map(|verdict| result(verdict, &[])));
        assert_eq!(counts.failed, 3);
    }

    #[test]
    fn what_was_not_measured_is_told() {
        let problems = |verdict, lines: &[&str]| problems(&result(verdict, lines), "stock");
        assert!(problems(Verdict::Passed, &["step: mkfs"]).is_empty());
        assert_eq!(
            problems(Verdict::Passed, &["note: no memory"]),
            ["xfs freeze_idle on stock: no memory"]
        );
        assert_eq!(
            problems(Verdict::Skipped("no count".into()), &[]),
            ["xfs freeze_idle on stock: skipped, no count"]
        );
    }

    #[test]
    fn a_guest_is_asked_for_what_its_kernel_has() {
        let chosen: Vec<_> = measure::all().iter().map(|it| (Ext3, it)).collect();
        let names = |provides: &[Feature], round| -> Vec<String> {
            let wanted = wanted(&chosen, provides, round).into_iter();
            wanted.map(|id| id.case).collect()
        };
        assert!(!names(&[], 1).contains(&"deadline_late".into()));
        assert!(names(&[Feature::Timeout], 1).contains(&"deadlines_many".into()));
        assert!(!names(&[Feature::Timeout], 2).contains(&"deadlines_many".into()));
        assert!(names(&[Feature::Timeout], 2).contains(&"deadline_late".into()));
    }
}
