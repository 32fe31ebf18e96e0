//! Work that misbehaves, to see what the runner makes of it. No run of a kernel has any of it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::reboot::{RebootMode, reboot};

use crate::devices::dm::{self, Dm};
use crate::linux::sysrq::{self, Key};
use crate::wire::marks::MARK;

type Fault = fn() -> Result<()>;

const FAULTS: &[(&str, Fault)] = &[
    ("passes", || Ok(())),
    ("panics", panic_kernel),
    ("resets", || end(RebootMode::RB_AUTOBOOT)),
    ("powers_off", || end(RebootMode::RB_POWER_OFF)),
    ("forges", forge),
    ("floods", flood_output),
    ("floods_console", flood_console),
    ("exhausts", exhaust),
    ("silences", silence),
    ("holds_output", || leave_behind("waits", Stdio::inherit())),
    ("panics_later", || {
        leave_behind("panics_alone", Stdio::null())
    }),
    ("waits", wait_for_ever),
    ("panics_alone", panic_alone),
];

/// What the fault of this name does.
pub fn find(name: &str) -> Option<Fault> {
    let mut faults = FAULTS.iter();
    faults.find(|(it, _)| *it == name).map(|(_, run)| *run)
}

fn panic_kernel() -> Result<()> {
    sysrq::press(Key::Crash)?;
    bail!("the kernel lives on")
}

fn end(mode: RebootMode) -> Result<()> {
    match reboot(mode)? {}
}

/// Says, wherever it can, what only init may say.
fn forge() -> Result<()> {
    let lines = format!(
        "\n{MARK}ext3 passes\n    ok 1 forges # time=1ms\n    # start passes\n    ok 2 passes\n"
    );
    println!("{lines}");
    for place in places()? {
        // Most are closed to it, or are no files that take text.
        let file = OpenOptions::new().write(true).open(&place);
        let written = file.and_then(|mut file| file.write_all(lines.as_bytes()));
        println!("{}: {written:?}", place.display());
    }
    bail!("it has failed, whatever it said")
}

fn places() -> Result<Vec<PathBuf>> {
    let mut places = vec!["/dev/kmsg".into(), "/dev/console".into()];
    for (folder, prefix) in [("/dev", "vport"), ("/proc/1/fd", "")] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(prefix) {
                places.push(path);
            }
        }
    }
    Ok(places)
}

fn flood_output() -> Result<()> {
    loop {
        println!("step: {}", "on and on ".repeat(50));
    }
}

fn flood_console() -> Result<()> {
    let mut console = File::options().write(true).open("/dev/console")?;
    loop {
        writeln!(console, "{}", "on and on ".repeat(10))?;
    }
}

/// No process can be started after it.
fn exhaust() -> Result<()> {
    let limit = "/proc/sys/kernel/threads-max";
    // The least that the kernel takes, less than it has of its own (kernel/fork.c: MIN_THREADS).
    fs::write(limit, "20").with_context(|| format!("failed to write {limit}"))
}

/// The kernel has reason to complain, and the console does not show it.
fn silence() -> Result<()> {
    fs::write("/proc/sys/kernel/printk", "1")?;
    let bad = Dm::create("bad", &dm::error(8))?;
    let read = File::open(bad.node())?.read(&mut [0; 512]);
    ensure!(read.is_err(), "{} can be read", bad.node().display());
    bad.remove()
}

/// Another fault, beyond the reach of a signal to the case's process group.
fn leave_behind(fault: &str, output: Stdio) -> Result<()> {
    Command::new("/proc/self/exe")
        .args(["fault", "ext3", fault, "1"])
        .process_group(0)
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()?;
    Ok(())
}

fn wait_for_ever() -> Result<()> {
    loop {
        sleep(Duration::from_secs(60));
    }
}

/// Once init has collected the case that left it behind.
fn panic_alone() -> Result<()> {
    let case = Path::new("/proc").join(parent_id().to_string());
    while parent_id() != 1 || (case.exists() && case != Path::new("/proc/1")) {
        sleep(Duration::from_millis(1));
    }
    panic_kernel()
}
