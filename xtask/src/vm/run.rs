//! Runs of cases, in as many guests as it takes.

use anyhow::Result;
use harness::wire::plan::Plan;

use super::boot::{self, Machine};
use super::qemu::channel::Ports;
use super::qemu::command::{self, Own};
use super::qemu::disks::scratch_disks;
use super::qemu::guest::Guest;
use super::watch::queue::Workload;
use super::watch::supervisor::{Limits, Rig, supervise};
use crate::failure;
use crate::host::layout::Layout;
use crate::host::session::Session;

/// Runs the cases in guests of this machine; how each ends is told by events.
pub fn run_cases(
    machine: &Machine<'_>,
    workload: &Workload,
    limits: &Limits,
    session: &Session,
) -> failure::Result<()> {
    let (base, _lease) = boot::command_line(machine, session)?;
    let boot = |plan: &Plan| boot(machine, &base, plan, &session.layout);
    supervise(workload, limits, boot, &session.events, &session.stop)
}

fn boot(machine: &Machine<'_>, base: &[String], plan: &Plan, layout: &Layout) -> Result<Rig> {
    let ports = Ports::listen()?;
    let (dir, disks) = scratch_disks(layout)?;
    let own = Own {
        sockets: ports.dir(),
        disks: &disks,
    };
    let mut guest = Guest::start(&command::guest(base, &own))?;
    let plan = Plan {
        provides: machine.provides.to_vec(),
        stock: machine.stock,
        work: machine.work,
        ..plan.clone()
    };
    guest.serve(ports, &plan, disks)?;
    Ok(Rig {
        guest,
        files: Some(dir),
    })
}
