//! What every guest gets, and the program that runs it.

use std::thread::available_parallelism;

use xshell::cmd;

use crate::failure::Result;
use crate::host::environment::PLAIN;
use crate::host::proc::{self, Stop};

pub const QEMU: &str = "qemu-system-x86_64";

pub const MEMORY: &str = "1G";

/// Virtual processors: two show races; more than the host has give stalls.
pub fn cpus() -> usize {
    cpus_of(host_cpus())
}

pub fn cpus_of(host_cpus: usize) -> usize {
    host_cpus.min(2)
}

/// Those that this process may use: its affinity and the quotas of its control groups count.
pub fn host_cpus() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// The first line of `qemu --version`.
pub fn version(stop: &Stop) -> Result<String> {
    let said = proc::read(cmd!(PLAIN, "{QEMU} --version"), stop)?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}
