//! ext4.

use std::process::Command;

use super::e2fs::{self, PACKAGE};
use super::entry::Entry;
use super::shutdown::shut_down;

pub const ENTRY: Entry = Entry {
    tools: &[("mkfs.ext4", PACKAGE), ("e2fsck", PACKAGE)],
    configuration: &[],
    mkfs: |device| {
        let mut command = Command::new("mkfs.ext4");
        // By default the kernel goes on to write inode tables once it is mounted.
        command.arg("-Elazy_itable_init=0,lazy_journal_init=0");
        e2fs::mkfs(command, device)
    },
    checker: e2fs::CHECKER,
    is_clean: e2fs::is_clean,
    copy: "",
    unrecovered: "noload",
    thaw_writes: true,
    shut_down,
    shutdown_closes_root: false,
    other_type: None,
};
