//! `bench`: numbers, and whether they are as they should be.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use harness::case::Filesystem;
use harness::measure::{self, Effort, Measurement};
use harness::plan::Work;
use regex::Regex;

use super::options::{GuestOptions, KernelOptions};
use super::prepare::{self, Prepared};
use super::test_kernel::kernel_facts;
use super::{Context, FAILED, PASSED};
use crate::bench::findings::{Findings, GoalLine, Outcome};
use crate::bench::kernel::Plan;
use crate::bench::machine::Machine as Described;
use crate::bench::model::{Document, Kernel, Run};
use crate::bench::plot::{self, Plot};
use crate::bench::store::Folder;
use crate::bench::table;
use crate::bench::tool::{self, Quantity};
use crate::failure::{Kind, OrFail, Result};
use crate::kernel::Request;
use crate::report::{terminal, watched};
use crate::vm::{Machine, init};

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// What freezing costs, and what it costs not to freeze: the kernel with the series against the one without
    ///
    /// Guests of both kernels take turns, each round in a random order. The report says how large a difference this
    /// run can show at all: it compares stock guests with each other.
    Kernel(KernelBench),
    /// This program against plain virtme-ng: to build a kernel, to build it again, to start a guest
    ///
    /// Cold builds take most of the time; --quick does everything once, --filter leaves them out.
    Tool(ToolBench),
}

#[derive(Clone, Debug, Args)]
struct ToolBench {
    #[command(flatten)]
    kernel: KernelOptions,
    #[command(flatten)]
    guest: GuestOptions,

    /// Only these; builds need a first one in any case
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    filter: Vec<Quantity>,

    #[command(flatten)]
    pace: Pace,
}

#[derive(Clone, Debug, Args)]
struct KernelBench {
    #[command(flatten)]
    kernel: KernelOptions,
    #[command(flatten)]
    guest: GuestOptions,

    /// What to compare with; `itself` shows what the benchmark makes of equals
    #[arg(long, value_enum, value_name = "WITH", default_value = "stock")]
    against: Against,

    /// Only on these filesystems, e.g. ext3,xfs
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    fs: Vec<Filesystem>,

    /// Only measurements whose name matches
    #[arg(long, value_name = "REGEX", default_value = "")]
    filter: String,

    /// List the chosen measurements, and run nothing
    #[arg(long)]
    list: bool,

    #[command(flatten)]
    pace: Pace,
}

/// How much is measured, and what comes of it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Benchmark")]
pub struct Pace {
    /// How often everything is done [default: 6 (tool: 3), with --quick 2 (tool: 1)]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// Few samples: shows that it works, not how fast
    #[arg(long)]
    quick: bool,

    /// Of the random order [default: another each time]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Exit with 1 unless every goal is met
    #[arg(long)]
    check: bool,
}

impl Pace {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 6 })
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| fastrand::u64(..))
    }

    fn effort(&self) -> Effort {
        if self.quick {
            Effort::Quick
        } else {
            Effort::Full
        }
    }

    fn exit_code(&self, goals: &[GoalLine]) -> u8 {
        match self.check && !goals.iter().all(|goal| goal.outcome == Outcome::Met) {
            true => FAILED,
            false => PASSED,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Against {
    /// The same base without the series
    Stock,
    /// The same kernel
    Itself,
}

pub fn run(options: &Options, context: &Context) -> Result<u8> {
    match &options.what {
        What::Kernel(options) => kernel(options, context),
        What::Tool(options) => tool(options, context),
    }
}

fn kernel(options: &KernelBench, context: &Context) -> Result<u8> {
    let chosen = choose(&options.filter, &options.fs)?;
    if options.list {
        terminal::text(&list(&chosen));
        return Ok(PASSED);
    }
    let request = options.kernel.request(&context.layout)?;
    let base_request = match options.against {
        Against::Stock => Request {
            series: Vec::new(),
            ..request.clone()
        },
        Against::Itself => request.clone(),
    };
    let (base, other, init) = watched(None, |events| -> Result<_> {
        let prepare = |request| {
            prepare::prepare(
                request,
                options.kernel.deps,
                &options.guest,
                events,
                context,
            )
        };
        let (base, other) = (prepare(&base_request)?, prepare(&request)?);
        Ok((
            base,
            other,
            init::build(&context.layout, events, &context.stop)?,
        ))
    })?;
    let folder = Folder::open(&context.layout.runs())?;
    let work = Work::Measurements(options.pace.effort());
    let machine = |prepared| machine(prepared, &init, work);
    let plan = Plan {
        chosen,
        rounds: options.pace.rounds(),
        base: machine(&base),
        other: machine(&other),
        layout: &context.layout,
        stop: &context.stop,
    };
    let mut run = Run {
        machine: Described::this(other.accel, &context.stop)?,
        base: facts(&base_request, &base)?,
        other: facts(&request, &other)?,
        started: folder.started.clone(),
        took: Duration::ZERO,
        effort: options.pace.effort(),
        seed: options.pace.seed(),
        guests: Vec::new(),
        problems: Vec::new(),
    };
    let begun = Instant::now();
    let mut console = fs_err::File::create(folder.path().join("console.log"))?;
    let outcome = watched(None, |events| plan.take(&mut run, &mut console, events));
    run.took = begun.elapsed();
    let goals = report(run, folder)?;
    outcome?;
    Ok(options.pace.exit_code(&goals))
}

fn tool(options: &ToolBench, context: &Context) -> Result<u8> {
    let Context { layout, stop } = context;
    let request = options.kernel.request(layout)?;
    if request.tree.is_some() {
        return Err(Kind::Usage.error("bench tool builds what this repository names, not a --tree"));
    }
    let (prepared, init) = watched(None, |events| -> Result<_> {
        let prepared = prepare::prepare(
            &request,
            options.kernel.deps,
            &options.guest,
            events,
            context,
        )?;
        Ok((prepared, init::build(layout, events, stop)?))
    })?;
    let plan = tool::Plan {
        chosen: match options.filter.as_slice() {
            [] => Quantity::value_variants().to_vec(),
            some => some.to_vec(),
        },
        rounds: options
            .pace
            .rounds
            .unwrap_or(if options.pace.quick { 1 } else { 3 }),
        starts: if options.pace.quick { 1 } else { 5 },
        request: &request,
        machine: machine(&prepared, &init, Work::Measurements(Effort::Quick)),
        layout,
        stop,
    };
    let folder = Folder::open(&layout.runs())?;
    let mut run = tool::Run {
        machine: Described::this(prepared.accel, stop)?,
        kernel: kernel_facts(&request, &prepared),
        started: folder.started.clone(),
        took: Duration::ZERO,
        seed: options.pace.seed(),
        taken: Vec::new(),
        problems: Vec::new(),
    };
    let begun = Instant::now();
    let outcome = watched(None, |events| plan.take(&mut run, events));
    run.took = begun.elapsed();
    report_tool(&run, folder)?;
    outcome?;
    Ok(PASSED)
}

fn report_tool(run: &tool::Run, folder: Folder) -> Result<()> {
    let tables: Vec<_> = tool::table(run).into_iter().collect();
    let plots = tool::plots(run)?;
    for table in &tables {
        terminal::text(&format!("\n{}", table.terminal()));
    }
    for problem in &run.problems {
        terminal::text(&format!("note: {problem}"));
    }
    let (kernel, machine) = (run.kernel.title(), run.machine.describe());
    let head = format!("Linux {kernel} on {machine}; in {:.0?}.", run.took);
    let markdown = table::markdown(&head, &tables, &[], &names(&plots));
    let path = folder.finish(run, &markdown, &plots)?;
    terminal::text(&format!("{head}\nnumbers, Markdown and plots in {path}"));
    Ok(())
}

fn names(plots: &[Plot]) -> Vec<String> {
    plots.iter().map(|plot| plot.name.clone()).collect()
}

/// Shows and keeps what there is, also of a run that was ended early.
fn report(run: Run, folder: Folder) -> Result<Vec<GoalLine>> {
    let findings = Findings::of(&run);
    let tables = table::of_kernels(&run, &findings);
    let plots = plot::of_kernels(&run, &findings)?;
    for table in &tables {
        terminal::text(&format!("\n{}", table.terminal()));
    }
    for problem in &run.problems {
        terminal::text(&format!("note: {problem}"));
    }
    let goals = findings.goals.clone();
    let head = format!(
        "On {}; {} rounds in {:.0?}.",
        run.machine.describe(),
        run.rounds(),
        run.took
    );
    let markdown = table::markdown(&head, &tables, &goals, &names(&plots));
    let path = folder.finish(&Document { run, findings }, &markdown, &plots)?;
    terminal::text(&format!(
        "{head}\nnumbers, Markdown and plots in {path}\n{}",
        table::goals(&goals)
    ));
    Ok(goals)
}

fn machine<'a>(prepared: &'a Prepared, init: &'a camino::Utf8Path, work: Work) -> Machine<'a> {
    Machine {
        accel: prepared.accel,
        single_thread: prepared.single_thread,
        image: &prepared.kernel.image,
        init,
        virtme_run: &prepared.virtme_run,
        provides: &prepared.kernel.provides,
        work,
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

/// Measurements and the filesystems that they are wanted on.
type Chosen = Vec<(&'static Measurement, Vec<Filesystem>)>;

fn choose(filter: &str, fs: &[Filesystem]) -> Result<Chosen> {
    let regex = Regex::new(filter).or_fail(Kind::Usage)?;
    let wanted = |it: &Filesystem| fs.is_empty() || fs.contains(it);
    let named = measure::all().iter().filter(|it| regex.is_match(it.name));
    let chosen: Chosen = named
        .map(|it| {
            (
                it,
                it.filesystems
                    .iter()
                    .copied()
                    .filter(wanted)
                    .collect::<Vec<_>>(),
            )
        })
        .filter(|(_, filesystems)| !filesystems.is_empty())
        .collect();
    match chosen.is_empty() {
        true => Err(Kind::Usage.error(format!(
            "no measurement on these filesystems matches {filter:?}; --list names all"
        ))),
        false => Ok(chosen),
    }
}

fn list(chosen: &Chosen) -> String {
    let line = |(it, filesystems): &(&Measurement, Vec<Filesystem>)| {
        let names: Vec<_> = filesystems.iter().map(|fs| fs.name()).collect();
        format!("{:20} {:10} {}", it.name, names.join(","), it.about)
    };
    chosen.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use harness::case::Filesystem::Xfs;

    use super::*;

    #[test]
    fn choices() {
        let names = |filter, fs: &[Filesystem]| -> Vec<_> {
            let chosen = choose(filter, fs).unwrap();
            chosen
                .iter()
                .map(|(it, on)| format!("{} {}", it.name, on.len()))
                .collect()
        };
        assert_eq!(names("^freeze_i", &[]), ["freeze_idle 2"]);
        assert_eq!(
            names("deadline", &[Xfs]),
            ["deadline_late 1", "deadline_elsewhere 1"]
        );
        assert_eq!(names("", &[]).len(), measure::all().len());
        for (filter, fs) in [("zzz", [].as_slice()), ("(", &[]), ("many", &[Xfs])] {
            assert_eq!(
                choose(filter, fs).unwrap_err().kind,
                Kind::Usage,
                "{filter}"
            );
        }
    }

    #[test]
    fn a_missed_goal_counts_only_if_asked_for() {
        let goal = |outcome| GoalLine {
            goal: String::new(),
            outcome,
            because: String::new(),
        };
        let pace = |check| Pace {
            rounds: None,
            quick: true,
            seed: None,
            check,
        };
        assert_eq!(pace(false).exit_code(&[goal(Outcome::Missed)]), PASSED);
        assert_eq!(
            pace(true).exit_code(&[goal(Outcome::Met), goal(Outcome::Open)]),
            FAILED
        );
        assert_eq!(pace(true).exit_code(&[goal(Outcome::Met)]), PASSED);
    }
}
