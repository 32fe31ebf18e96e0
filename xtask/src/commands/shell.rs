//! `shell`: the kernel under test, virtme-ng's init, the host's root read only, and the scratch disks.

use clap::Args;

use super::options::{AccelOptions, KernelOptions};
use super::prepare::{TO_TEST_WITH_VIRTME, prepare, provide_deps};
use super::{Context, PASSED, foreground};
use crate::deps;
use crate::failure::{Kind, Result};
use crate::report::{terminal, watched};
use crate::vm::{self, virtme};

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub kernel: KernelOptions,
    #[command(flatten)]
    pub accel: AccelOptions,
}

pub fn run(options: &Options, context: &Context) -> Result<u8> {
    let request = options.kernel.request(context)?;
    let (prepared, virtme) = watched(None, |events| -> Result<_> {
        provide_deps(options.kernel.deps(), TO_TEST_WITH_VIRTME, events, context)?;
        let prepared = prepare(&request, options.accel, events, context)?;
        let virtme = deps::virtme(&context.layout, events, &context.stop)?;
        Ok((prepared, virtme))
    })?;
    vm::host(&context.layout)?;
    let (_folder, disks) = vm::scratch_disks(&context.layout)?;
    terminal::text(
        "Scratch disks: the serials scratch0 and scratch1; `grep . /sys/block/*/serial` names the devices. \
         Leave with `exit`.",
    );
    let mut guest = virtme::interactive(
        &virtme.virtme_run,
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
