//! ext4.

use std::process::Command;

use super::e2fs::{self, PACKAGE};
use super::entry::Entry;

pub const ENTRY: Entry = e2fs::entry(
    &[("mkfs.ext4", PACKAGE), ("e2fsck", PACKAGE)],
    |device| {
        let mut command = Command::new("mkfs.ext4");
        // By default the kernel goes on to write inode tables once it is mounted.
        command.arg("-Elazy_itable_init=0,lazy_journal_init=0");
        e2fs::mkfs(command, device)
    },
    None,
);
