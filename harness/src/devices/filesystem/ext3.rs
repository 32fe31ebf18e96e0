//! ext3, which the ext4 driver serves.

use std::process::Command;

use super::e2fs::{self, PACKAGE};
use super::entry::Entry;

pub const ENTRY: Entry = e2fs::entry(
    &[("mkfs.ext3", PACKAGE), ("e2fsck", PACKAGE)],
    |device| e2fs::mkfs(Command::new("mkfs.ext3"), device),
    Some("ext4"),
);
