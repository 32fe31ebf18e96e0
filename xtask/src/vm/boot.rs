//! The ways to start a guest.

use clap::ValueEnum;

use super::{Machine, command, initramfs, tsc, virtme};
use crate::deps;
use crate::event::Events;
use crate::failure::Result;
use crate::kernel::files::Lease;
use crate::layout::Layout;
use crate::proc::Stop;

/// Where a guest's root comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// An archive with the harness and the tools that the cases call: much the faster one
    Initramfs,
    /// The host's root, by 9p, on virtme-ng's machine
    Virtme,
}

/// All of the QEMU command line that the guests of this machine have in common, and what has to stay until the last of
/// them is over.
pub fn command_line(
    machine: &Machine<'_>,
    layout: &Layout,
    events: &Events,
    stop: &Stop,
) -> Result<(Vec<String>, Option<Lease>)> {
    let kernel = machine.kernel;
    let tsc = tsc::argument(kernel.accel);
    let tsc = tsc.as_deref();
    match machine.way {
        Way::Initramfs => {
            let archive = initramfs::provide(machine.init, layout, events, stop)?;
            let argv = command::initramfs(kernel, tsc, archive.path());
            Ok((argv, Some(archive)))
        }
        Way::Virtme => {
            let program = deps::virtme(layout, events, stop)?.virtme_run;
            let words = virtme::command_line(&program, kernel.image, kernel.accel, stop)?;
            let argv = command::host_root(&words, kernel, tsc, machine.init)?;
            Ok((argv, None))
        }
    }
}
