//! What virtme-ng is asked for: the QEMU command line, or a whole interactive guest.

use std::process::Command;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;

use super::accel::Accel;
use super::{MEMORY, command, cpus};
use crate::environment;
use crate::failure;
use crate::proc::{self, Stop};

/// The QEMU command line that virtme-ng would use, program first. Nothing is run.
pub fn command_line(
    virtme_run: &Utf8Path,
    image: &Utf8Path,
    accel: Accel,
    stop: &Stop,
) -> failure::Result<Vec<String>> {
    let mut virtme = environment::command(virtme_run);
    virtme
        .args(options(image, accel))
        .args(["--show-command", "--dry-run"]);
    let said = proc::read(&mut virtme, stop)?;
    Ok(parse(&said)?)
}

/// An interactive guest on the caller's terminal: virtme-ng's init, the host's root, our disks.
pub fn interactive(
    virtme_run: &Utf8Path,
    image: &Utf8Path,
    accel: Accel,
    single_thread: bool,
    disks: &[Utf8PathBuf],
) -> Command {
    let mut virtme = environment::command(virtme_run);
    virtme
        .args(options(image, accel))
        .args(["--pwd", "--qemu-opts"]);
    // With KVM, virtme-ng says so itself, in a way that excludes -accel.
    if accel == Accel::Tcg {
        virtme.args(["-accel", accel.qemu(single_thread)]);
    }
    virtme.args(command::disks(disks));
    // Lest it outlive a killed xtask, with the disks that are ours to remove.
    proc::mortal(Signal::SIGKILL, &virtme)
}

fn options(image: &Utf8Path, accel: Accel) -> Vec<String> {
    let cpus = cpus().to_string();
    let words = [
        "--kimg",
        image.as_str(),
        "--mods",
        "none",
        "--cpus",
        &cpus,
        "--memory",
        MEMORY,
    ];
    let mut options = words.map(str::to_owned).to_vec();
    options.extend(["--disable-microvm", "--force-9p", "--disable-monitor"].map(str::to_owned));
    options.extend((accel == Accel::Tcg).then(|| "--disable-kvm".to_owned()));
    options
}

/// The last line that `--show-command` prints, as words.
fn parse(said: &str) -> Result<Vec<String>> {
    let line = said.lines().last().unwrap_or_default();
    shlex::split(line)
        .with_context(|| format!("virtme-run --show-command printed no command line: {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        let said = "a warning\nqemu -append 'ro quiet' -m 1G";
        assert_eq!(
            parse(said).unwrap(),
            ["qemu", "-append", "ro quiet", "-m", "1G"]
        );
        assert!(parse("qemu 'unfinished").is_err());
    }
}
