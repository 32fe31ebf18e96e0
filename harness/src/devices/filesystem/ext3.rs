//! ext3, which the ext4 driver serves.

use std::process::Command;

use super::e2fs::{self, PACKAGE};
use super::entry::Entry;

pub const ENTRY: Entry = e2fs::entry(
    &[
        ("mkfs.ext3", PACKAGE),
        ("mke2fs", PACKAGE),
        ("e2fsck", PACKAGE),
    ],
    |device| e2fs::mkfs(Command::new("mkfs.ext3"), device),
    |device, journal| e2fs::mkfs_external(Command::new("mkfs.ext3"), device, journal),
    Some("ext4"),
);
