//! Runs of cases: source, patches, build, boot, cases, report.

use std::time::Duration;

use clap::ValueEnum;
use harness::cases;
use harness::wire::plan::Work;

use super::facts::{kernel_facts, machine_facts};
use super::prepare::{Guests, make_ready};
use super::recording;
use crate::deps::versions::versions;
use crate::event::{CaseResult, Verdict};
use crate::failure::{FAILED, Failure, Kind, PASSED, Result};
use crate::host::layout::Layout;
use crate::host::session::Session;
use crate::kernel;
use crate::kernel::request::Request;
use crate::report::model::{Counts, MachineFacts, Run};
use crate::report::store::Finished;
use crate::report::times::Times;
use crate::report::{markdown, output, terminal, watched};
use crate::shard::Wanted;
use crate::vm::accelerator::{self, Choice};
use crate::vm::capacity;
use crate::vm::qemu::accel::Accel;
use crate::vm::watch::queue::Workload;
use crate::vm::watch::supervisor::Limits;
use crate::words::count;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Compare {
    /// The same base without the series
    Stock,
}

/// What is to be run, on which kernels.
#[derive(Debug)]
pub struct Order {
    /// One for each base.
    pub requests: Vec<Request>,
    /// Run on another kernel first; how cases end there does not count.
    pub compare: Option<Compare>,
    pub how: How,
}

/// Which cases are run, and how, whatever the kernel.
#[derive(Clone, Debug)]
pub struct How {
    pub wanted: Wanted,
    pub guests: Guests,
    /// For one case; the accelerator's own if `None`.
    pub deadline: Option<Duration>,
    /// Guests at once; as many as save time if `None`.
    pub at_once: Option<usize>,
    /// Whether the first failure ends the run.
    pub fail_fast: bool,
    /// Whether tools that are missing are installed.
    pub install: bool,
}

/// Runs all of it, for the exit code.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    accelerator::is_there(order.how.guests.accel)?;
    match order.requests.as_slice() {
        [request] => one(request, order, session),
        several => each(several, order, session),
    }
}

/// One base after the other: what goes wrong with one does not keep the others from their verdict.
fn each(requests: &[Request], order: &Order, session: &Session) -> Result<u8> {
    let mut ends = Vec::new();
    for request in requests {
        terminal::text(&format!("base {}", request.base));
        let code = output::told_as_code(one(request, order, session))?;
        ends.push((request.base.as_str(), code));
    }
    terminal::text(&endings(&ends));
    Ok(ends.iter().map(|(_, code)| *code).max().unwrap_or(PASSED))
}

fn endings(ends: &[(&str, u8)]) -> String {
    let words = ends.iter().map(|(base, code)| match *code {
        PASSED => format!("base {base}: passed"),
        FAILED => format!("base {base}: failed"),
        code => format!("base {base}: no verdict (exit code {code})"),
    });
    words.collect::<Vec<_>>().join("\n")
}

fn one(request: &Request, order: &Order, session: &Session) -> Result<u8> {
    let how = &order.how;
    match order.compare {
        None => verdict(&test(request, how, session)?),
        Some(Compare::Stock) => {
            let stock = Request {
                series: Vec::new(),
                ..request.clone()
            };
            watched(session, None, |session| {
                kernel::require_stock(&stock, session)
            })?;
            let stock = test(&stock, how, session)?;
            let patched = test(request, how, session)?;
            terminal::text(&markdown::table(&[
                ("stock", &stock),
                ("patched", &patched),
            ]));
            terminal::text(&terminal::counts(&Counts::of(&patched.results)));
            verdict(&patched)
        }
    }
}

/// Makes one kernel, runs the cases on it, writes and shows the report.
pub fn test(request: &Request, how: &How, session: &Session) -> Result<Run> {
    let wanted = &how.wanted;
    let (prepared, init) = watched(session, None, |session| {
        make_ready(request, how.install, how.guests, session)
    })?;
    let machine = prepared.machine(how.guests.way, &init, Work::Cases);
    let limits = Limits::new(prepared.accel, how.deadline);
    let workload = spread(how, prepared.accel, &session.layout)?;
    let (kernel, host) = (
        kernel_facts(request, &prepared),
        MachineFacts {
            programs: versions(session)?,
            ..machine_facts(&prepared, workload.guests)?
        },
    );
    let (finished, outcome) = watched(session, None, |session| {
        let (cases, runs) = ((&workload, &limits), session.layout.runs());
        recording::run(&machine, cases, (kernel, host), wanted, &runs, session)
    })?;
    let Finished {
        run,
        folder,
        written,
    } = finished;
    let outcome = outcome.map_err(|failure| of_accel(failure, how.guests.accel));
    match &outcome {
        Err(_) if run.results.is_empty() => {
            terminal::text(&format!(
                "no case has run; what there is to read is in {folder}"
            ));
        }
        _ => terminal::summary(&run, &folder),
    }
    match outcome {
        // What ran is a verdict.
        Err(failure) if failure.kind == Kind::Failed => {}
        outcome => outcome?,
    }
    written?;
    shows_all(&run)?;
    Ok(run)
}

/// An accelerator that was asked for is the first thing to doubt.
fn of_accel(failure: Failure, asked: Choice) -> Failure {
    match (failure.kind, asked) {
        (Kind::NoBoot, Choice::Kvm) => Failure {
            kind: Kind::Machinery,
            ..failure.context("--accel kvm, which --accel auto would have compared with emulation")
        },
        _ => failure,
    }
}

/// What the series provides was tested if any case of it was wanted: if all were skipped, nothing is known of it.
/// Unless something failed anyway, or other shards may show it.
pub fn shows_all(run: &Run) -> Result<()> {
    if Counts::of(&run.results).failed > 0 || run.part.is_some() {
        return Ok(());
    }
    for feature in &run.kernel.provides {
        let of = |result: &&CaseResult| {
            cases::find(&result.id.case).and_then(|case| case.needs) == Some(*feature)
        };
        let (skipped, ran): (Vec<_>, Vec<_>) = (run.results.iter().filter(of))
            .partition(|result| matches!(result.verdict, Verdict::Skipped(_)));
        if ran.is_empty() && !skipped.is_empty() {
            return Err(Kind::Machinery.error(format!(
                "the series provides the {feature}, but every case of it was skipped ({}): that shows nothing of it",
                skipped.len()
            )));
        }
    }
    Ok(())
}

/// Over how many guests the cases are spread; fewer than asked for is told.
pub fn spread(how: &How, accel: Accel, layout: &Layout) -> Result<Workload> {
    let (wanted, asked) = (&how.wanted, how.at_once);
    let times = Times::of_runs(&layout.runs());
    let expected = wanted.cases.iter().map(|id| times.expected(id)).sum();
    let room = capacity::host(layout)?.room(accel);
    let guests = capacity::guests(asked, room, expected).min(wanted.cases.len());
    if asked.is_some_and(|asked| asked > room) {
        terminal::text(&format!(
            "this machine has the processors, the memory and the disk space for {} at once",
            count(room, "guest")
        ));
    }
    Ok(Workload {
        cases: wanted.cases.clone(),
        times,
        guests,
        fail_fast: how.fail_fast,
    })
}

/// A pass is a run in which something passed and nothing failed.
pub fn verdict(run: &Run) -> Result<u8> {
    match Counts::of(&run.results) {
        Counts { failed: 1.., .. } => Ok(FAILED),
        Counts { passed: 0, .. } => {
            Err(Kind::Untested.error("every case was skipped: that shows nothing"))
        }
        _ => Ok(PASSED),
    }
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::Ext3;

    use super::*;
    use crate::report::model::samples;
    use crate::shard::Part;

    #[test]
    fn several_bases_end_in_a_line_each() {
        let wanted = "base a: passed\nbase b: failed\nbase c: no verdict (exit code 3)";
        assert_eq!(endings(&[("a", PASSED), ("b", FAILED), ("c", 3)]), wanted);
    }

    #[test]
    fn a_kernel_is_not_to_blame_for_an_accelerator() {
        let kind = |kind: Kind, asked| of_accel(kind.error("x"), asked).kind;
        assert_eq!(kind(Kind::NoBoot, Choice::Auto), Kind::NoBoot);
        assert_eq!(kind(Kind::NoBoot, Choice::Kvm), Kind::Machinery);
        assert_eq!(kind(Kind::Interrupted, Choice::Kvm), Kind::Interrupted);
        let said = of_accel(Kind::NoBoot.error("2 guests"), Choice::Kvm).to_string();
        assert!(
            said.starts_with("--accel kvm") && said.ends_with("2 guests"),
            "{said}"
        );
    }

    #[test]
    fn exit_codes() {
        let code = |verdicts: &[Verdict]| {
            let results = verdicts
                .iter()
                .map(|verdict| samples::result(Ext3, "a", 0, verdict.clone()));
            verdict(&samples::run(&[], results.collect())).map_err(|failure| failure.kind)
        };
        let skipped = || Verdict::Skipped(String::new());
        assert_eq!(code(&[Verdict::Passed, skipped()]), Ok(PASSED));
        assert_eq!(
            code(&[Verdict::Passed, Verdict::Hung(String::new())]),
            Ok(FAILED)
        );
        assert_eq!(
            code(&[skipped(), Verdict::KilledGuest(String::new())]),
            Ok(FAILED)
        );
        assert_eq!(code(&[skipped()]), Err(Kind::Untested));
        assert_eq!(code(&[]), Err(Kind::Untested));
    }

    #[test]
    fn a_feature_of_the_series_without_a_case_that_ran_is_no_pass() {
        use harness::wire::Feature::{self, Argument, Timeout};
        let skipped = || Verdict::Skipped("no tool".into());
        let shown = |provides: &[Feature], verdicts: &[(&str, Verdict)]| {
            let results = verdicts.iter();
            let results =
                results.map(|(case, verdict)| samples::result(Ext3, case, 0, verdict.clone()));
            let mut run = samples::run(&[], results.collect());
            run.kernel.provides = provides.to_vec();
            let whole = shows_all(&run).map_err(|failure| failure.kind);
            run.part = Some(Part {
                shard: "1/2".parse().unwrap(),
                whole: vec![],
            });
            assert!(shows_all(&run).is_ok(), "a shard is not all there is");
            whole
        };
        let (thaws, honoured, other) = ("timeout_thaws", "argument_honoured", "dm_case_a");
        let no = Err(Kind::Machinery);
        for (provides, verdicts, expected) in [
            (vec![], vec![(thaws, skipped())], Ok(())),
            (
                vec![Timeout],
                vec![(thaws, skipped()), (other, Verdict::Passed)],
                no,
            ),
            (
                vec![Timeout],
                vec![(other, skipped()), (thaws, Verdict::Passed)],
                Ok(()),
            ),
            (
                vec![Timeout],
                vec![(thaws, skipped()), ("timeout_values", Verdict::Passed)],
                Ok(()),
            ),
            (vec![Timeout], vec![(other, Verdict::Passed)], Ok(())),
            (
                vec![Timeout, Argument],
                vec![(thaws, Verdict::Passed), (honoured, skipped())],
                no,
            ),
            (
                vec![Timeout],
                vec![(thaws, skipped()), (other, Verdict::Failed("x".into()))],
                Ok(()),
            ),
        ] {
            assert_eq!(shown(&provides, &verdicts), expected, "{verdicts:?}");
        }
    }
}
