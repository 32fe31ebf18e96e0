//! The filesystems under test: one entry for each, in a file of its own.

mod e2fs;
pub mod entry;
mod ext3;
mod ext4;
mod shutdown;
mod xfs;

use std::path::Path;

use anyhow::Result;

use crate::linux::program;
use crate::wire::Filesystem;
use entry::{Entry, Runner};

/// What is particular to the filesystem.
pub fn of(filesystem: Filesystem) -> &'static Entry {
    match filesystem {
        Filesystem::Ext3 => &ext3::ENTRY,
        Filesystem::Xfs => &xfs::ENTRY,
        Filesystem::Ext4 => &ext4::ENTRY,
    }
}

/// All entries, in the order of [`Filesystem::ALL`].
pub fn all() -> impl Iterator<Item = &'static Entry> {
    Filesystem::ALL.iter().map(|filesystem| of(*filesystem))
}

/// Makes an empty filesystem, whatever was on the device before.
pub fn mkfs(filesystem: Filesystem, device: &Path) -> Result<()> {
    (of(filesystem).mkfs)(device)
}

/// Fails unless the unmounted filesystem is consistent; changes nothing.
pub fn check(filesystem: Filesystem, device: &Path) -> Result<()> {
    program::run(of(filesystem).checker().arg(device)).map(drop)
}

/// Fails unless the filesystem, an unmounted device or an image, is consistent
/// with its journal ignored, and the journal would add nothing; changes nothing.
pub fn is_clean_as_it_is(filesystem: Filesystem, device: &Path) -> Result<()> {
    is_clean_by(&program::output, filesystem, device)
}

/// The same with the caller's way to run programs, which may be limited in time.
pub fn is_clean_by(run: Runner<'_>, filesystem: Filesystem, device: &Path) -> Result<()> {
    (of(filesystem).is_clean)(run, device)
}
