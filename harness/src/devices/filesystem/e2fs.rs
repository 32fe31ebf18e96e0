//! What ext3 and its successors share: e2fsprogs, and the superblock.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::entry::{Checker, Entry, Runner, checker};
use super::shutdown::shut_down;
use crate::linux::program;

/// The package of all programs here.
pub const PACKAGE: &str = "e2fsprogs";

/// A program that checks and changes nothing.
const CHECKER: Checker = ("e2fsck", &["-fn"]);

/// One of them: what they differ in is given.
pub const fn entry(
    tools: &'static [(&'static str, &'static str)],
    mkfs: fn(&Path) -> Result<()>,
    mkfs_external: fn(&Path, &Path) -> Result<String>,
    other_type: Option<&'static str>,
) -> Entry {
    Entry {
        tools,
        configuration: &[],
        mkfs,
        mkfs_external,
        checker: CHECKER,
        is_clean,
        copy: "",
        unrecovered: "noload",
        thaw_writes: true,
        shut_down,
        shutdown_closes_root: false,
        other_type,
    }
}

/// Where `s_feature_incompat` is, in bytes, and the bit of a journal to be
/// replayed (Documentation/filesystems/ext4/super.rst).
const INCOMPATIBLE: u64 = 1024 + 0x60;
const RECOVER: u32 = 0x4;

/// With the smallest journal: writing it takes most of the time.
pub fn mkfs(command: Command, device: &Path) -> Result<()> {
    make(command, &["-Jsize=4"], device)
}

/// With the journal on a device of its own, which is made first.
pub fn mkfs_external(command: Command, device: &Path, journal: &Path) -> Result<String> {
    let mke2fs = Command::new("mke2fs");
    // Both with blocks of one size, whatever size they have themselves.
    make(mke2fs, &["-b4096", "-Ojournal_dev"], journal)?;
    let option = format!("-Jdevice={}", journal.display());
    make(command, &["-b4096", &option], device)?;
    Ok(format!("journal_path={}", journal.display()))
}

fn make(mut command: Command, options: &[&str], device: &Path) -> Result<()> {
    let command = command.args(["-q", "-F"]).args(options).arg(device);
    program::run(command).map(drop)
}

/// Whether it is consistent, with nothing to recover.
pub fn is_clean(run: Runner<'_>, device: &Path) -> Result<()> {
    needs_no_recovery(device)?;
    let mut check = checker(CHECKER);
    check.arg(device);
    run(&mut check)?.of_success(&check).map(drop)
}

/// The check of e2fsck is not enough: nothing may be in its place yet, and all that is new in the journal.
fn needs_no_recovery(device: &Path) -> Result<()> {
    let mut flags = [0; 4];
    File::open(device)
        .and_then(|disk| disk.read_exact_at(&mut flags, INCOMPATIBLE))
        .with_context(|| format!("failed to read {}", device.display()))?;
    let needed = u32::from_le_bytes(flags) & RECOVER != 0;
    ensure!(!needed, "{} needs journal recovery", device.display());
    Ok(())
}
