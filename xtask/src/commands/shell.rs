//! `shell`: the kernel under test, virtme-ng's init, the host's root read only, and the scratch disks.

use clap::Args;

use super::options::{GuestOptions, KernelOptions};
use super::prepare::prepare;
use super::{Context, PASSED, foreground};
use crate::failure::{Kind, Result};
use crate::report::{terminal, watched};
use crate::vm::{self, virtme};

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub kernel: KernelOptions,
    #[command(flatten)]
    pub guest: GuestOptions,
}

pub fn run(options: &Options, context: &Context) -> Result<u8> {
    let request = options.kernel.request(&context.layout)?;
    let prepared = watched(None, |events| {
        prepare(
            &request,
            options.kernel.deps,
            &options.guest,
            events,
            context,
        )
    })?;
    let (_folder, disks) = vm::scratch_disks(&context.layout)?;
    terminal::text(
        "Scratch disks: the serials scratch0 and scratch1; `grep . /sys/block/*/serial` names the devices. \
         Leave with `exit`.",
    );
    let mut guest = virtme::interactive(
        &prepared.virtme_run,
        &prepared.kernel.image,
        prepared.accel,
        prepared.single_thread,
        &disks,
    );
    let status = foreground::run(&mut guest, &context.stop)?;
    if status.success() {
        return Ok(PASSED);
    }
    // What the shell in the guest ends with does not get here.
    Err(Kind::Machinery.error(format!("`{guest:?}` failed ({status})")))
}
