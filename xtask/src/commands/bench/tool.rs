//! `bench tool`: this program against plain virtme-ng.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};
use harness::wire::plan::Work;
use harness::wire::samples::Effort;
use jiff::Zoned;

use super::{machine, names};
use crate::bench::machine::Machine as Described;
use crate::bench::tool::vng::Vng;
use crate::bench::tool::{Part, Plan, Run, report};
use crate::bench::{store, table};
use crate::commands::options::{GuestOptions, PatchedOptions, StockOptions};
use crate::commands::prepare::{self, Prepared, TO_TEST_WITH_VIRTME, provide_deps};
use crate::commands::test_kernel::{kernel_facts, machine_facts};
use crate::commands::{Context, PASSED};
use crate::deps;
use crate::event::Events;
use crate::failure::{Kind, Result};
use crate::kernel::Request;
use crate::report::store::{Extent, Folder, started};
use crate::report::{terminal, watched};
use crate::vm::{self, accel};

const AFTER_HELP: &str = "\
Examples:
  cargo xtask bench tool --only start      guest starts: this program, plain virtme-ng, a bare boot
  cargo xtask bench tool                   and builds: from nothing, after an edit, after nothing

Exit codes:
  0 it was measured   2 the command line is wrong   3 a kernel could not be built
  4 no numbers: a tool is missing, a guest does not boot   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    #[command(flatten)]
    kernel: PatchedOptions,
    #[command(flatten)]
    unpatched: StockOptions,
    #[command(flatten)]
    guest: GuestOptions,

    /// Only this
    #[arg(long, value_enum, value_name = "PART", help_heading = "Benchmark")]
    only: Option<Part>,

    /// How often: builds once a round, guest starts five times
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=200), help_heading = "Benchmark")]
    rounds: u32,

    /// In how many of the rounds kernels are built from nothing, too; in the first they are in any case
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = "Benchmark"
    )]
    cold: u32,
}

pub fn run(options: &Options, context: &Context) -> Result<u8> {
    let Context { layout, stop } = context;
    // It builds what this repository names.
    let request =
        options
            .kernel
            .request(options.unpatched.series(&options.kernel), None, context)?;
    accel::is_there(options.guest.accel.accel)?;
    let (prepared, init, virtme) = watched(None, |events| -> Result<_> {
        // What this program is compared with is needed, too.
        provide_deps(options.kernel.deps, TO_TEST_WITH_VIRTME, events, context)?;
        let (prepared, init) = make_ready(&request, options, events, context)?;
        Ok((prepared, init, deps::virtme(layout, events, stop)?))
    })?;
    let ready = |events: &Events| match make_ready(&request, options, events, context)? {
        (prepared, _) if prepared.kernel.rebuilt => {
            Err(Kind::Machinery.error("the kernel has changed meanwhile, and was built"))
        }
        _ => Ok(()),
    };
    let work = Work::Measurements(Effort::Quick);
    let plan = Plan {
        parts: options
            .only
            .map_or(Part::value_variants().to_vec(), |only| vec![only]),
        rounds: options.rounds,
        cold: options.cold,
        request: &request,
        machine: machine(&prepared, options.guest.boot, &init, work),
        ready: &ready,
        vng: Vng::new(&virtme.virtme_run, &vm::scratch(layout)?)?,
        layout,
        stop,
    };
    let folder = Folder::open(&layout.benchmarks())?;
    let mut run = Run {
        machine: Described::this(machine_facts(&prepared, 1)?)?,
        kernel: kernel_facts(&request, &prepared),
        started: started(&Zoned::now()),
        took: Duration::ZERO,
        taken: Vec::new(),
        compiled: BTreeMap::new(),
        problems: Vec::new(),
    };
    let begun = Instant::now();
    let outcome = watched(None, |events| plan.take(&mut run, events));
    run.took = begun.elapsed();
    // Why the run ended says more than why that could not be kept.
    let extent = Extent::of(&outcome);
    outcome.and(show(&run, folder, extent))?;
    Ok(PASSED)
}

/// All that test-kernel sees to before its guest starts: the kernel, the accelerator, the harness, room.
fn make_ready(
    request: &Request,
    options: &Options,
    events: &Events,
    context: &Context,
) -> Result<(Prepared, Utf8PathBuf)> {
    let ready = prepare::make_ready(
        request,
        options.kernel.deps,
        &options.guest,
        events,
        context,
    )?;
    vm::host(&context.layout)?;
    Ok(ready)
}

/// Shows and keeps what there is, also of a run that was ended early.
fn show(run: &Run, folder: Folder, extent: Extent) -> Result<()> {
    let tables: Vec<_> = report::table(run).into_iter().collect();
    let plots: Vec<_> = report::plot(run)?.into_iter().collect();
    for table in &tables {
        terminal::text(&format!("\n{}", table.terminal()));
    }
    for problem in &run.problems {
        terminal::text(&format!("note: {problem}"));
    }
    let (kernel, machine) = (run.kernel.title(), run.machine.describe());
    let mut head = format!("Linux {kernel} on {machine}; in {:.0?}.", run.took);
    if let Some(compiled) = report::compiled(run) {
        head = format!("{head} {compiled}");
    }
    let markdown = table::markdown(&head, &tables, &[], &names(&plots));
    let path = store::write(folder, run, &markdown, &plots, extent)?;
    terminal::text(&format!("{head}\nnumbers, Markdown and plots in {path}"));
    Ok(())
}
