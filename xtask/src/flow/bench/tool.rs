//! `bench tool`: this program against plain virtme-ng.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use harness::wire::plan::Work;
use harness::wire::samples::Effort;
use jiff::Zoned;

use crate::bench::testbed::Testbed;
use crate::bench::tool::model::{Benchmark, Part};
use crate::bench::tool::plan::Plan;
use crate::bench::tool::report;
use crate::bench::tool::vng::Vng;
use crate::bench::{plot, store, table};
use crate::deps;
use crate::failure::{Kind, PASSED, Result};
use crate::flow::facts::{kernel_facts, machine_facts};
use crate::flow::prepare::{self, Guests, Prepared, TO_TEST_WITH_VIRTME, provide_deps};
use crate::host::session::Session;
use crate::kernel::request::Request;
use crate::report::store::{Extent, Folder, started};
use crate::report::{terminal, watched};
use crate::vm::qemu::disks;
use crate::vm::{accelerator, capacity};

/// What is measured, on what.
#[derive(Debug)]
pub struct Order {
    /// What this repository names: it is built from there.
    pub request: Request,
    pub guests: Guests,
    pub parts: Vec<Part>,
    pub rounds: u32,
    /// In how many of the rounds kernels are built from nothing, too.
    pub cold: u32,
    /// Whether tools that are missing are installed.
    pub install: bool,
}

/// Measures all of it, for the exit code.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    accelerator::is_there(order.guests.accel)?;
    let (prepared, init, virtme) = watched(session, None, |session| -> Result<_> {
        // What this program is compared with is needed, too.
        provide_deps(order.install, TO_TEST_WITH_VIRTME, session)?;
        let (prepared, init) = make_ready(order, order.install, session)?;
        Ok((prepared, init, deps::virtme(session)?))
    })?;
    let ready = |session: &Session| match make_ready(order, false, session)? {
        (prepared, _) if prepared.kernel.rebuilt => {
            Err(Kind::Machinery.error("the kernel has changed meanwhile, and was built"))
        }
        _ => Ok(()),
    };
    let work = Work::Measurements(Effort::Quick);
    let plan = Plan {
        parts: order.parts.clone(),
        rounds: order.rounds,
        cold: order.cold,
        request: &order.request,
        machine: prepared.machine(order.guests.way, &init, work),
        ready: &ready,
        vng: Vng::new(&virtme.virtme_run, &disks::scratch(&session.layout)?)?,
    };
    let folder = Folder::open(&session.layout.benchmarks())?;
    let mut run = Benchmark {
        machine: Testbed::this(machine_facts(&prepared, 1)?)?,
        kernel: kernel_facts(&order.request, &prepared),
        started: started(&Zoned::now()),
        took: Duration::ZERO,
        taken: Vec::new(),
        compiled: BTreeMap::new(),
        problems: Vec::new(),
    };
    let begun = Instant::now();
    let outcome = watched(session, None, |session| plan.take(&mut run, session));
    run.took = begun.elapsed();
    // Why the run ended says more than why that could not be kept.
    let extent = Extent::of(&outcome);
    outcome.and(show(&run, folder, extent))?;
    Ok(PASSED)
}

/// All that test-kernel sees to before its guest starts: the kernel, the accelerator, the harness, room.
fn make_ready(order: &Order, install: bool, session: &Session) -> Result<(Prepared, Utf8PathBuf)> {
    let ready = prepare::make_ready(&order.request, install, order.guests, session)?;
    capacity::host(&session.layout)?;
    Ok(ready)
}

/// Shows and keeps what there is, also of a run that was ended early.
fn show(run: &Benchmark, folder: Folder, extent: Extent) -> Result<()> {
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
    let markdown = table::markdown(&head, &tables, &[], &plot::names(&plots));
    let path = store::write(folder, run, &markdown, &plots, extent)?;
    terminal::text(&format!("{head}\nnumbers, Markdown and plots in {path}"));
    Ok(())
}
