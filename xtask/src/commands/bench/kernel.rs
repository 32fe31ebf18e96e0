//! `bench kernel`: the kernel with the series against the one without.

use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};
use harness::measure;
use harness::wire::Filesystem;
use harness::wire::plan::Work;
use harness::wire::samples::Effort;
use jiff::Zoned;

use super::{machine, names};
use crate::bench::findings::{Findings, GoalLine, Outcome};
use crate::bench::kernel::{Chosen, Plan};
use crate::bench::machine::Machine as Described;
use crate::bench::model::{Document, Kernel, Run};
use crate::bench::{plot, store, table};
use crate::commands::options::{GuestOptions, KernelOptions};
use crate::commands::prepare::{Prepared, prepare, provide_deps, to_test};
use crate::commands::select::Filter;
use crate::commands::test_kernel::{kernel_facts, machine_facts};
use crate::commands::{Context, FAILED, PASSED};
use crate::failure::{Kind, Result};
use crate::kernel::{self, Request};
use crate::report::store::{Extent, Folder, started};
use crate::report::{terminal, watched};
use crate::vm::{self, accel, init};
use crate::words::count;

const AFTER_HELP: &str = "\
Examples:
  cargo xtask bench kernel                       the patched kernel against the stock one
  cargo xtask bench kernel --against itself      what the benchmark makes of equals
  cargo xtask bench kernel --quick --rounds 1    whether it works, in minutes
  cargo xtask bench kernel --list                what is measured

Exit codes:
  0 it was measured
  1 a measurement failed; with --check, a goal is not met, or too little is known of one
  2 the command line is wrong   3 a kernel could not be built
  4 no numbers: a tool is missing, a guest does not boot   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    #[command(flatten)]
    kernel: KernelOptions,
    #[command(flatten)]
    guest: GuestOptions,

    /// What to compare with; `itself` shows what the benchmark makes of equals
    #[arg(long, value_enum, value_name = "WITH", default_value = "stock")]
    against: Against,

    /// Only on these filesystems, of ext3, xfs, ext4 [default: ext3,xfs]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    fs: Vec<Filesystem>,

    /// Only measurements whose name matches; may be given more than once, then any of them
    #[arg(long = "filter", value_name = "REGEX")]
    filters: Vec<String>,

    /// List the chosen measurements, and run nothing
    #[arg(long)]
    list: bool,

    /// How often everything is done; fewer than six times show no difference for certain
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Benchmark")]
    rounds: u32,

    /// Few samples: shows that it works, not how fast
    #[arg(long, help_heading = "Benchmark")]
    quick: bool,

    /// Exit with 1 unless every goal is met
    #[arg(long, help_heading = "Benchmark")]
    check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Against {
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

pub fn run(options: &Options, context: &Context) -> Result<u8> {
    let chosen = choose(&options.filters, &options.fs)?;
    let requests = requests(options, context)?;
    if options.list {
        terminal::text(&list(&chosen));
        return Ok(PASSED);
    }
    accel::is_there(options.guest.accel.accel)?;
    let ready = make_ready(requests, options, context)?;
    let folder = Folder::open(&context.layout.benchmarks())?;
    let effort = match options.quick {
        true => Effort::Quick,
        false => Effort::Full,
    };
    let work = Work::Measurements(effort);
    let [base, other] = ready
        .prepared
        .each_ref()
        .map(|it| machine(it, options.guest.boot, &ready.init, work));
    let plan = Plan {
        chosen,
        rounds: options.rounds,
        base,
        other,
        layout: &context.layout,
        stop: &context.stop,
    };
    let mut run = empty(&ready, effort)?;
    let begun = Instant::now();
    let mut console = fs_err::File::create(folder.path().join("console.log"))?;
    let outcome = watched(None, |events| plan.take(&mut run, &mut console, events));
    run.took = begun.elapsed();
    let goals = report(&run, folder, Extent::of(&outcome));
    // Why the run ended says more than why that could not be kept.
    outcome?;
    verdict(&run, options.check, &goals?)
}

/// What is compared with, and what is measured.
fn requests(options: &Options, context: &Context) -> Result<[Request; 2]> {
    let request = options.kernel.request(context)?;
    let base = match options.against {
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

fn make_ready(requests: [Request; 2], options: &Options, context: &Context) -> Result<Ready> {
    let needs = to_test(options.guest.boot);
    let ready = watched(None, |events| -> Result<_> {
        provide_deps(options.kernel.deps(), needs, events, context)?;
        accel::starts(options.guest.accel.accel, &context.stop)?;
        if matches!(options.against, Against::Stock) {
            kernel::require_stock(&requests[0], &context.layout, events, &context.stop)?;
        }
        let prepare = |request| prepare(request, options.guest.accel, events, context);
        let both = || Ok([prepare(&requests[0])?, prepare(&requests[1])?]);
        let (prepared, init) = init::beside(both, &context.layout, events, &context.stop)?;
        Ok(Ready {
            requests,
            prepared,
            init,
        })
    })?;
    vm::host(&context.layout)?;
    Ok(ready)
}

/// A run that has measured nothing yet.
fn empty(ready: &Ready, effort: Effort) -> Result<Run> {
    let facts = |side: usize| facts(&ready.requests[side], &ready.prepared[side]);
    Ok(Run {
        machine: Described::this(machine_facts(&ready.prepared[1], 1)?)?,
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
fn report(run: &Run, folder: Folder, extent: Extent) -> Result<Vec<GoalLine>> {
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
    let markdown = table::markdown(&head, &tables, &findings.goals, &names(&plots));
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
fn verdict(run: &Run, check: bool, goals: &[GoalLine]) -> Result<u8> {
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
fn choose(filters: &[String], fs: &[Filesystem]) -> Result<Vec<Chosen>> {
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

fn list(chosen: &[Chosen]) -> String {
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
        let code = |check, goals: &[GoalLine]| verdict(&samples::run(1.0), check, goals).unwrap();
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
        assert_eq!(verdict(&run, false, &[]).unwrap(), FAILED);
        run.guests.clear();
        assert_eq!(verdict(&run, false, &[]).unwrap(), FAILED);
        run.failed = 0;
        let failure = verdict(&run, false, &[]).unwrap_err();
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
