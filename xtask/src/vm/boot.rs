//! The ways to start a guest.

use camino::Utf8Path;
use clap::ValueEnum;
use harness::wire::Feature;
use harness::wire::plan::Work;

use super::qemu::command::{self, Kernel};
use super::qemu::{tsc, virtme};
use super::root::initramfs;
use crate::deps;
use crate::failure::Result;
use crate::host::files::Lease;
use crate::host::session::Session;
use crate::kernel::programs::Program;

/// Where a guest's root comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// An archive with the harness and the tools that the cases call: much the faster one
    Initramfs,
    /// The host's root, by 9p, on virtme-ng's machine
    Virtme,
}

/// What every guest of a run has in common.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    pub kernel: Kernel<'a>,
    pub way: Way,
    /// The harness binary.
    pub init: &'a Utf8Path,
    /// The programs of the kernel tree.
    pub programs: &'a [Program],
    /// What the kernel's patches promise: a case that needs more is skipped.
    pub provides: &'a [Feature],
    /// Whether the kernel has no patch at all.
    pub stock: bool,
    /// Whether guests run cases, or measure.
    pub work: Work,
}

/// All of the QEMU command line that the guests of this machine have in common, and what has to stay until the last of
/// them is over.
pub fn command_line(
    machine: &Machine<'_>,
    session: &Session,
) -> Result<(Vec<String>, Option<Lease>)> {
    let kernel = machine.kernel;
    let tsc = tsc::argument(kernel.accel);
    let tsc = tsc.as_deref();
    match machine.way {
        Way::Initramfs => {
            let archive = initramfs::provide(machine.init, machine.programs, session)?;
            let argv = command::initramfs(kernel, tsc, archive.path());
            Ok((argv, Some(archive)))
        }
        Way::Virtme => {
            let program = deps::virtme(session)?.virtme_run;
            let words = virtme::command_line(&program, kernel.image, kernel.accel, &session.stop)?;
            let argv = command::host_root(&words, kernel, tsc, machine.init)?;
            Ok((argv, None))
        }
    }
}
