//! The ways to start a guest.

use clap::ValueEnum;

use super::{Machine, command, initramfs, tsc, virtme};
use crate::deps;
use crate::event::Events;
use crate::failure::Result;
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

/// All of the QEMU command line that the guests of this machine have in common.
pub fn command_line(
    machine: &Machine<'_>,
    layout: &Layout,
    events: &Events,
    stop: &Stop,
) -> Result<Vec<String>> {
    let kernel = machine.kernel;
    let tsc = tsc::argument(kernel.accel);
    let tsc = tsc.as_deref();
    match machine.way {
        Way::Initramfs => {
            let archive = initramfs::provide(machine.init, layout, events, stop)?;
            Ok(command::initramfs(kernel, tsc, &archive))
        }
        Way::Virtme => {
            let program = deps::virtme(layout, events, stop)?.virtme_run;
            let words = virtme::command_line(&program, kernel.image, kernel.accel, stop)?;
            Ok(command::host_root(&words, kernel, tsc, machine.init)?)
        }
    }
}
