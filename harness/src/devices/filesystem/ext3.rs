//! ext3, which the ext4 driver serves.

use std::process::Command;

use super::e2fs::{self, PACKAGE};
use super::entry::Entry;
use super::shutdown::shut_down;

pub const ENTRY: Entry = Entry {
    tools: &[("mkfs.ext3", PACKAGE), ("e2fsck", PACKAGE)],
    configuration: &[],
    mkfs: |device| e2fs::mkfs(Command::new("mkfs.ext3"), device),
    checker: e2fs::CHECKER,
    is_clean: e2fs::is_clean,
    copy: "",
    unrecovered: "noload",
    thaw_writes: true,
    shut_down,
    shutdown_closes_root: false,
    other_type: Some("ext4"),
};
