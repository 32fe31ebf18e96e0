//! `bench tool`: this program against plain virtme-ng.

use std::time::Instant;

use clap::{Args, ValueEnum};
use harness::measure::Effort;
use harness::plan::Work;
use jiff::Zoned;

use super::{Pace, machine, names};
use crate::bench::machine::Machine as Described;
use crate::bench::tool::{Plan, Quantity, Run, report};
use crate::bench::{store, table};
use crate::commands::options::{GuestOptions, KernelOptions};
use crate::commands::prepare::prepare;
use crate::commands::test_kernel::kernel_facts;
use crate::commands::{Context, PASSED};
use crate::deps;
use crate::failure::{Kind, Result};
use crate::report::store::{Folder, started};
use crate::report::{terminal, watched};
use crate::vm::init;

#[derive(Clone, Debug, Args)]
pub struct Options {
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

pub fn run(options: &Options, context: &Context) -> Result<u8> {
    let Context { layout, stop } = context;
    let request = options.kernel.request(layout)?;
    if request.tree.is_some() {
        return Err(Kind::Usage.error("bench tool builds what this repository names, not a --tree"));
    }
    let (prepared, virtme, init) = watched(None, |events| -> Result<_> {
        let prepared = prepare(
            &request,
            options.kernel.deps,
            options.guest.accel,
            events,
            context,
        )?;
        let virtme = deps::virtme(layout, events, stop)?;
        Ok((prepared, virtme, init::build(layout, events, stop)?))
    })?;
    let pace = &options.pace;
    let plan = Plan {
        chosen: options.chosen(),
        rounds: pace.rounds.unwrap_or(if pace.quick { 1 } else { 3 }),
        starts: if pace.quick { 1 } else { 5 },
        request: &request,
        machine: machine(
            &prepared,
            options.guest.boot,
            &init,
            Work::Measurements(Effort::Quick),
        ),
        virtme_run: &virtme.virtme_run,
        layout,
        stop,
    };
    let folder = Folder::open(&layout.benchmarks())?;
    let (machine, kernel) = (
        Described::this(prepared.accel, stop)?,
        kernel_facts(&request, &prepared),
    );
    let mut run = Run::new(machine, kernel, started(&Zoned::now()), pace.seed());
    let begun = Instant::now();
    let outcome = watched(None, |events| plan.take(&mut run, events));
    run.took = begun.elapsed();
    show(&run, folder)?;
    outcome?;
    Ok(PASSED)
}

impl Options {
    fn chosen(&self) -> Vec<Quantity> {
        match self.filter.as_slice() {
            [] => Quantity::value_variants().to_vec(),
            some => some.to_vec(),
        }
    }
}

/// Shows and keeps what there is, also of a run that was ended early.
fn show(run: &Run, folder: Folder) -> Result<()> {
    let tables: Vec<_> = report::table(run).into_iter().collect();
    let plots = report::plots(run)?;
    for table in &tables {
        terminal::text(&format!("\n{}", table.terminal()));
    }
    for problem in &run.problems {
        terminal::text(&format!("note: {problem}"));
    }
    let (kernel, machine) = (run.kernel.title(), run.machine.describe());
    let head = format!("Linux {kernel} on {machine}; in {:.0?}.", run.took);
    let markdown = table::markdown(&head, &tables, &[], &names(&plots));
    let path = store::write(folder, run, &markdown, &plots)?;
    terminal::text(&format!("{head}\nnumbers, Markdown and plots in {path}"));
    Ok(())
}
