//! A run of cases, and what is kept of it.

use camino::Utf8Path;

use crate::failure::Result;
use crate::host::session::Session;
use crate::report::model::{KernelFacts, MachineFacts};
use crate::report::recorded;
use crate::report::store::{Finished, Recorder};
use crate::shard::Wanted;
use crate::vm::boot::Machine;
use crate::vm::run::run_cases;
use crate::vm::watch::queue::Workload;
use crate::vm::watch::supervisor::Limits;

/// Runs cases in a folder below `runs`, shown by whoever watches. Results are returned beside what ended the run early.
pub fn run(
    machine: &Machine<'_>,
    (workload, limits): (&Workload, &Limits),
    (kernel, host): (KernelFacts, MachineFacts),
    wanted: &Wanted,
    runs: &Utf8Path,
    session: &Session,
) -> Result<(Finished, Result<()>)> {
    let mut recorder = Recorder::open(runs)?;
    let outcome = recorded(session, &mut recorder, |session| {
        run_cases(machine, workload, limits, session)
    });
    let failure = outcome.as_ref().err().map(ToString::to_string);
    Ok((recorder.finish(kernel, host, wanted, failure), outcome))
}
