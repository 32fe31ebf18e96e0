//! ext4.

use std::process::Command;

use super::e2fs::{self, PACKAGE};
use super::entry::Entry;

pub const ENTRY: Entry = e2fs::entry(
    &[
        ("mkfs.ext4", PACKAGE),
        ("mke2fs", PACKAGE),
        ("e2fsck", PACKAGE),
    ],
    |device| e2fs::mkfs(command(), device),
    |device, journal| e2fs::mkfs_external(command(), device, journal),
    None,
);

fn command() -> Command {
    let mut command = Command::new("mkfs.ext4");
    // By default the kernel goes on to write inode tables once it is mounted.
    command.arg("-Elazy_itable_init=0,lazy_journal_init=0");
    command
}
