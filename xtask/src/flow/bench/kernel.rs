//! `bench kernel`: the kernel with the series against the one without.

use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use clap::ValueEnum;
use harness::measure;
use harness::wire::Filesystem;
use harness::wire::plan::Work;
use harness::wire::samples::Effort;
use jiff::Zoned;

use crate::bench::findings::{Findings, GoalLine, Outcome};
use crate::bench::kernel::{Chosen, Plan};
use crate::bench::model::{Benchmark, Kernel};
use crate::bench::store::{self, Document};
use crate::bench::testbed::Testbed;
use crate::bench::{plot, table};
use crate::failure::{FAILED, Kind, PASSED, Result};
use crate::flow::facts::{kernel_facts, machine_facts};
use crate::flow::prepare::{Guests, Prepared, prepare, provide_deps, to_test};
use crate::flow::select::Filter;
use crate::host::session::Session;
use crate::kernel;
use crate::kernel::request::Request;
use crate::report::store::{Extent, Folder, started};
use crate::report::{terminal, watched};
use crate::vm::root::init;
use crate::vm::{accelerator, capacity};
use crate::words::count;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Against {
    /// The same base without the series
    Stock,
    /// The same kernel
    Itself,
}

/// Both kernels, the program that measures, and room for it.
struct Ready {
    requests: [Request; 2],
    prepared: [Prepared; 2],
    init: Utf8PathBuf,
}

/// What is measured, on what.
#[derive(Debug)]
pub struct Order {
    /// The kernel of the series.
    pub request: Request,
    pub against: Against,
    pub chosen: Vec<Chosen>,
    pub guests: Guests,
    pub rounds: u32,
    pub effort: Effort,
    /// Whether a goal that is not met is a failure.
    pub check: bool,
    /// Whether tools that are missing are installed.
    pub install: bool,
}

impl Order {
    /// What is compared with, and what is measured.
    pub fn requests(&self) -> Result<[Request; 2]> {
        let request = self.request.clone();
        let base = match self.against {
            Against::Stock if request.series.is_empty() => {
                return Err(
                    Kind::Usage.error("--stock has nothing to compare with; add --against itself")
                );
            }
            Against::Stock => Request {
                series: Vec::new(),
                ..request.clone()
            },
            Against::Itself => request.clone(),
        };
        Ok([base, request])
    }
}

/// Measures all of it on the [`Order::requests`], for the exit code.
pub fn run(order: Order, requests: [Request; 2], session: &Session) -> Result<u8> {
    accelerator::is_there(order.guests.accel)?;
    let ready = make_ready(requests, &order, session)?;
    let folder = Folder::open(&session.layout.benchmarks())?;
    let work = Work::Measurements(order.effort);
    let [base, other] = ready
        .prepared
        .each_ref()
        .map(|it| it.machine(order.guests.way, &ready.init, work));
    let plan = Plan {
        chosen: order.chosen,
        rounds: order.rounds,
        base,
        other,
    };
    let mut run = empty(&ready, order.effort)?;
    let begun = Instant::now();
    let mut console = fs_err::File::create(folder.path().join("console.log"))?;
    let outcome = watched(session, None, |session| {
        plan.take(&mut run, &mut console, session)
    });
    run.took = begun.elapsed();
    let goals = report(&run, folder, Extent::of(&outcome));
    // Why the run ended says more than why that could not be kept.
    outcome?;
    judge(&run, order.check, &goals?)
}

/// Both kernels, the harness, and room for a guest.
fn make_ready(requests: [Request; 2], order: &Order, session: &Session) -> Result<Ready> {
    let needs = to_test(order.guests.way, &requests[0].configs);
    let ready = watched(session, None, |session| -> Result<_> {
        provide_deps(order.install, &needs, session)?;
        accelerator::starts(order.guests.accel, &session.stop)?;
        if matches!(order.against, Against::Stock) {
            kernel::require_stock(&requests[0], session)?;
        }
        let prepare = |request| prepare(request, order.guests.accel, session);
        let both = || Ok([prepare(&requests[0])?, prepare(&requests[1])?]);
        let (prepared, init) = init::beside(both, session)?;
        Ok(Ready {
            requests,
            prepared,
            init,
        })
    })?;
    capacity::host(&session.layout)?;
    Ok(ready)
}

/// A run that has measured nothing yet.
fn empty(ready: &Ready, effort: Effort) -> Result<Benchmark> {
    let facts = |side: usize| facts(&ready.requests[side], &ready.prepared[side]);
    Ok(Benchmark {
        machine: Testbed::this(machine_facts(&ready.prepared[1], 1)?)?,
        base: facts(0)?,
        other: facts(1)?,
        started: started(&Zoned::now()),
        took: Duration::ZERO,
        effort,
        guests: Vec::new(),
        failed: 0,
        problems: Vec::new(),
    })
}

/// Shows and keeps what there is, also of a run that was ended early.
fn report(run: &Benchmark, folder: Folder, extent: Extent) -> Result<Vec<GoalLine>> {
    let findings = Findings::of(run);
    let tables = table::of_kernels(run, &findings);
    let plots = plot::of_kernels(run, &findings)?;
    for table in &tables {
        terminal::text(&format!("\n{}", table.terminal()));
    }
    for problem in &run.problems {
        terminal::text(&format!("note: {problem}"));
    }
    let head = format!(
        "On {}; {} in {:.0?}.",
        run.machine.describe(),
        count(run.last_round(), "round"),
        run.took
    );
    let markdown = table::markdown(&head, &tables, &findings.goals, &plot::names(&plots));
    let document = Document {
        run,
        findings: &findings,
    };
    let path = store::write(folder, &document, &markdown, &plots, extent)?;
    terminal::text(&format!(
        "{head}\nnumbers, Markdown and plots in {path}\n{}",
        table::goals(&findings.goals)
    ));
    Ok(findings.goals)
}

/// A pass is a run that measured something, in which nothing failed and, if asked for, there are goals and all are met.
fn judge(run: &Benchmark, check: bool, goals: &[GoalLine]) -> Result<u8> {
    let met = !goals.is_empty() && goals.iter().all(|goal| goal.outcome == Outcome::Met);
    match run.failed {
        1.. => Ok(FAILED),
        0 if run.is_empty() => Err(Kind::Machinery.error("nothing was measured")),
        0 if check && !met => Ok(FAILED),
        0 => Ok(PASSED),
    }
}

fn facts(request: &Request, prepared: &Prepared) -> Result<Kernel> {
    let config = fs_err::read_to_string(prepared.kernel.build.join(".config"))?;
    let hz = config
        .lines()
        .find_map(|line| line.strip_prefix("CONFIG_HZ="));
    Ok(Kernel {
        facts: kernel_facts(request, prepared),
        hz: hz
            .and_then(|hz| hz.parse().ok())
            .ok_or_else(|| Kind::Machinery.error("the kernel's .config has no CONFIG_HZ"))?,
    })
}

/// In the order in which they run. What is measured in one guest only comes last: whatever it does to that guest, the
/// numbers that are compared are taken before.
pub fn choose(filters: &[String], fs: &[Filesystem]) -> Result<Vec<Chosen>> {
    let filesystems = Filesystem::wanted(fs);
    let wanted = |filesystem| filesystems.contains(filesystem);
    let there = measure::all()
        .iter()
        .map(|it| (it.name, it.filesystems.iter().any(wanted)));
    let filter = Filter::of(filters, "measurement", &there.collect::<Vec<_>>())?;
    let mut chosen = Vec::new();
    for filesystem in Filesystem::ALL.iter().filter(|it| wanted(it)) {
        let all = measure::all().iter();
        let named =
            all.filter(|it| filter.is_match(it.name) && it.filesystems.contains(filesystem));
        chosen.extend(named.map(|it| (*filesystem, it)));
    }
    chosen.sort_by_key(|(_, it)| it.once);
    Ok(chosen)
}

pub fn list(chosen: &[Chosen]) -> String {
    let line = |(filesystem, it): &Chosen| {
        let filesystem = filesystem.name();
        format!("{filesystem:5} {:20} {}", it.name, it.about)
    };
    chosen.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::Xfs;

    use super::*;
    use crate::bench::model::samples;

    #[test]
    fn a_missed_goal_counts_only_if_asked_for() {
        let goal = |outcome| GoalLine {
            goal: String::new(),
            outcome,
            because: String::new(),
        };
        let code = |check, goals: &[GoalLine]| judge(&samples::run(1.0), check, goals).unwrap();
        assert_eq!(code(false, &[goal(Outcome::Missed)]), PASSED);
        let open = [goal(Outcome::Met), goal(Outcome::Open)];
        assert_eq!(code(true, &open), FAILED);
        assert_eq!(code(true, &open[..1]), PASSED);
        assert_eq!(code(true, &[]), FAILED);
        assert_eq!(code(false, &[]), PASSED);
    }

    #[test]
    fn failures_and_no_numbers_are_no_pass() {
        let mut run = samples::run(1.0);
        run.failed = 1;
        assert_eq!(judge(&run, false, &[]).unwrap(), FAILED);
        run.guests.clear();
        assert_eq!(judge(&run, false, &[]).unwrap(), FAILED);
        run.failed = 0;
        let failure = judge(&run, false, &[]).unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery);
    }

    #[test]
    fn choices() {
        let choose = |filter: &str, fs: &[Filesystem]| choose(&[filter.to_owned()], fs);
        let names = |filter, fs: &[Filesystem]| -> Vec<_> {
            let chosen = choose(filter, fs).unwrap().into_iter();
            chosen.map(|(fs, it)| format!("{fs} {}", it.name)).collect()
        };
        let both = ["ext3 freeze_idle", "xfs freeze_idle"];
        assert_eq!(names("^freeze_i", &[]), both);
        let all = names("", &[]);
        assert_eq!(all.last().unwrap(), "ext3 deadlines_many");
        assert_eq!(all[all.len() - 2], "xfs deadline_elsewhere");
        let timed = ["xfs deadline_late", "xfs deadline_elsewhere"];
        assert_eq!(names("deadline", &[Xfs]), timed);
        for (filter, fs) in [("zzz", [].as_slice()), ("(", &[]), ("many", &[Xfs])] {
            assert_eq!(
                choose(filter, fs).unwrap_err().kind,
                Kind::Usage,
                "{filter}"
            );
        }
    }
}
