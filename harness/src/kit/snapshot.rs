//! Snapshots: how one is taken in the guest, and what a good one is.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::mount::MsFlags;

use super::device::{resume, suspend};
use crate::devices::dm::{self, Dm};
use crate::devices::mount::Mount;
use crate::devices::{disk, filesystem};
use crate::fixture::Fixture;
use crate::wire::storage::SCRATCH;

/// A device on one scratch disk of which snapshots can be taken, which use the other.
#[derive(Debug)]
pub struct Origin {
    sectors: u64,
    base: PathBuf,
    store: PathBuf,
    device: Dm,
}

impl Origin {
    pub fn new(fixture: &Fixture) -> Result<Origin> {
        fixture.can_copy()?;
        let [disk, store] = SCRATCH.map(disk::by_serial);
        let (disk, store) = (disk?, store?);
        let sectors = disk::sectors(&disk)?;
        let base = fixture.dm("base", &dm::linear(sectors, &disk))?.node();
        let device = fixture.dm("origin", &dm::snapshot_origin(sectors, &base))?;
        Ok(Origin {
            sectors,
            base,
            store,
            device,
        })
    }

    pub fn node(&self) -> PathBuf {
        self.device.node()
    }

    /// Takes the one snapshot that there is room for, and returns its node.
    pub fn snapshot(&self, fixture: &Fixture) -> Result<PathBuf> {
        suspend(fixture, &self.device)?;
        fixture.step("dmsetup create snapshot");
        let table = dm::snapshot(self.sectors, &self.base, &self.store);
        let snapshot = fixture.dm("snapshot", &table)?;
        resume(fixture, &self.device)?;
        Ok(snapshot.node())
    }
}

/// A snapshot taken while frozen holds a clean filesystem and what it should,
/// with and without recovery.
pub fn snapshot_is_good(
    fixture: &Fixture,
    snapshot: &Path,
    holds: impl Fn(&Mount) -> Result<()>,
) -> Result<()> {
    let copy = fixture.can_copy()?;
    fixture.step("fsck of the snapshot");
    filesystem::is_clean_as_it_is(fixture.filesystem(), snapshot)?;
    let fs = fixture.mount(snapshot, MsFlags::MS_RDONLY, copy.unrecovered)?;
    let held = holds(&fs);
    // The check at the end of the case is for filesystems that were recovered.
    fixture.unmount(fs)?;
    held.context("in the snapshot, without recovery")?;
    let fs = fixture.mount(snapshot, MsFlags::empty(), copy.beside)?;
    holds(&fs).context("in the snapshot, after recovery")
}
