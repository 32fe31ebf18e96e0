//! PID 1 of the guest: mounts what programs need, runs the plan, ends the machine.

use std::convert::Infallible;
use std::fs;
use std::io::Write as _;
use std::panic::catch_unwind;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::termios::tcdrain;
use nix::unistd::sync;

use crate::linux::console;
use crate::run;
use crate::wire::ktap::Ktap;
use crate::wire::marks::Ending;
use crate::wire::plan::Plan;
use crate::wire::port;

/// Kernel filesystems: type and place.
const KERNEL_MOUNTS: [(&str, &str); 3] =
    [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")];

/// Where programs write: the root may be the host's, read only. What the host
/// lacks is left out.
const WRITABLE: [&str; 5] = ["/run", "/tmp", "/mnt", "/var/lock", "/var/tmp"];

/// The folders that are mounted on: a root that is made for this init has them all, empty.
pub fn mount_points() -> impl Iterator<Item = &'static str> {
    let kernel = KERNEL_MOUNTS.iter().map(|(_, place)| *place);
    kernel.chain(WRITABLE)
}

/// Runs the plan and ends the machine: never returns, whatever happens.
pub fn main() -> ! {
    let ending = match catch_unwind(run_plan) {
        Ok(Ok(ending)) => ending,
        Ok(Err(error)) => {
            complain(&format!("{error:#}"));
            Ending::Complete
        }
        // The panic hook has printed it to standard error, which is the console.
        Err(_) => Ending::Complete,
    };
    let Err(errno) = end(ending);
    complain(&format!("the machine does not end: {errno}"));
    std::process::exit(1) // the kernel panics, which ends QEMU
}

fn run_plan() -> Result<Ending> {
    mount_all()?;
    console::show_all().context("failed to set the console's level")?;
    let mut plan = port::open(port::PLAN)?;
    let line = port::read_line(&mut plan)?;
    let plan: Plan = serde_json::from_str(&line).with_context(|| format!("bad plan: {line}"))?;
    let mut ktap = Ktap::new(port::open(port::KTAP)?, &plan.secrets.line);
    run::run(&plan, &mut ktap)
}

/// With `-no-reboot`, a reboot ends QEMU just as power-off does.
fn end(ending: Ending) -> Result<Infallible, Errno> {
    if let Ok(console) = console::open() {
        // The last kernel messages matter; that it fails does not.
        let _ = tcdrain(console);
    }
    match ending {
        Ending::Complete => {
            sync();
            reboot(RebootMode::RB_POWER_OFF)
        }
        // No sync: it would wait for what hangs.
        Ending::Spoilt => reboot(RebootMode::RB_AUTOBOOT),
    }
}

fn mount_all() -> Result<()> {
    for (kind, place) in KERNEL_MOUNTS {
        mount_one(kind, place)?;
    }
    for place in WRITABLE {
        if Path::new(place).is_dir() {
            mount_one("tmpfs", place)?;
        }
    }
    for place in ["/run/lock", "/run/lvm"] {
        fs::create_dir_all(place).with_context(|| format!("failed to make {place}"))?;
    }
    Ok(())
}

fn mount_one(kind: &str, place: &str) -> Result<()> {
    match mount(
        Some(kind),
        place,
        Some(kind),
        MsFlags::empty(),
        None::<&str>,
    ) {
        // EBUSY: the kernel has mounted devtmpfs already.
        Ok(()) | Err(Errno::EBUSY) => Ok(()),
        Err(errno) => Err(errno).with_context(|| format!("failed to mount {kind} on {place}")),
    }
}

fn complain(text: &str) {
    if let Ok(mut console) = console::open() {
        // There is no other place to say it.
        let _ = writeln!(console, "harness: {text}");
    }
}
