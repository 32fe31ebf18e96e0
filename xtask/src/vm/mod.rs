//! Guests: which accelerator, which command line, and who watches them.

pub mod accel;
pub mod bare;
pub mod boot;
pub mod capacity;
mod cgroup;
mod channel;
pub mod claim;
mod clock;
mod command;
mod deal;
#[cfg(test)]
mod faults;
mod guest;
pub mod init;
pub mod initramfs;
mod ledger;
mod loader;
mod qmp;
pub mod queue;
mod storage;
pub mod supervisor;
mod tsc;
pub mod virtme;

use std::thread::available_parallelism;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::Feature;
use harness::wire::plan::{Plan, Work};

use crate::environment;
use crate::event::Events;
use crate::failure;
use crate::layout::Layout;
use crate::proc::{self, Stop};
use boot::Way;
use capacity::Host;
use channel::Ports;
use claim::Scratch;
pub use command::Kernel;
use command::Own;
use guest::Guest;
use queue::Workload;
use supervisor::{Limits, Rig, supervise};

pub const QEMU: &str = "qemu-system-x86_64";
const MEMORY: &str = "1G";
/// Bytes of a scratch disk; the image is sparse.
const DISK: u64 = 512 << 20;
/// Begins the names of the folders that have a guest's scratch disks.
const DISKS: &str = "disks-";

/// What every guest of a run has in common.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    pub kernel: Kernel<'a>,
    pub way: Way,
    /// The harness binary.
    pub init: &'a Utf8Path,
    /// What the kernel's patches promise: a case that needs more is skipped.
    pub provides: &'a [Feature],
    /// Whether guests run cases, or measure.
    pub work: Work,
}

/// Runs the cases in guests of this machine; how each ends is told by events.
pub fn run_cases(
    machine: &Machine<'_>,
    workload: &Workload,
    limits: &Limits,
    layout: &Layout,
    events: &Events,
    stop: &Stop,
) -> failure::Result<()> {
    let (base, _lease) = boot::command_line(machine, layout, events, stop)?;
    let boot = |plan: &Plan| boot(machine, &base, plan, layout);
    supervise(workload, limits, boot, events, stop)
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
        work: machine.work,
        ..plan.clone()
    };
    guest.serve(ports, &plan, disks)?;
    Ok(Rig {
        guest,
        files: Some(dir),
    })
}

/// Empty images, one for each of [`harness::wire::storage::SCRATCH`], gone with the folder.
pub fn scratch_disks(layout: &Layout) -> Result<(Scratch, Vec<Utf8PathBuf>)> {
    let dir = Scratch::new(&scratch(layout)?, DISKS)?;
    let images: Vec<_> = harness::wire::storage::SCRATCH
        .iter()
        .map(|serial| dir.path().join(format!("{serial}.img")))
        .collect();
    for image in &images {
        fs_err::File::create(image)?.set_len(DISK)?;
    }
    Ok((dir, images))
}

/// What this machine has for guests.
///
/// # Errors
/// [`Kind::Machinery`](failure::Kind::Machinery) if that is not enough for one.
pub fn host(layout: &Layout) -> failure::Result<Host> {
    let folder = scratch(layout)?;
    // What a killed run left there is no longer in the way.
    claim::sweep(&folder, DISKS);
    let host = Host::this(&folder)?;
    host.carries_one(&folder)?;
    Ok(host)
}

/// The folder for what is gone after a run.
pub fn scratch(layout: &Layout) -> Result<Utf8PathBuf> {
    let folder = layout.work("scratch");
    fs_err::create_dir_all(&folder)?;
    Ok(folder)
}

/// Virtual processors: two show races; more than the host has give stalls.
pub fn cpus() -> usize {
    cpus_of(host_cpus())
}

fn cpus_of(host_cpus: usize) -> usize {
    host_cpus.min(2)
}

/// Those that this process may use: its affinity and the quotas of its control groups count.
pub fn host_cpus() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// The first line of `qemu --version`.
pub fn qemu_version(stop: &Stop) -> failure::Result<String> {
    let said = proc::read(environment::command(QEMU).arg("--version"), stop)?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}
