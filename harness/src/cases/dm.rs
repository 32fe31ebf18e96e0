//! File holds and device-mapper's hold on the same superblock.
//!
//! While a device is suspended, an ioctl that misbehaves hangs in an unkillable
//! state: every one is made through [`Bench::returns`].

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use super::{Writer, fails_with, freeze, holds_old, is_frozen, prepare, snapshot_is_good, thaw};
use crate::bench::Bench;
use crate::disk;
use crate::dm::{self, Dm};

pub fn case_a(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let file = prepare(&fs)?;
    suspend(bench, &dm)?;
    let writer = Writer::start(bench, &file)?;
    succeeds(bench, "FIFREEZE", || fs.freeze())?;
    writer.is_blocked()?;
    succeeds(bench, "FITHAW", || fs.thaw())?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    resume(bench, &dm)?;
    writer.completes(bench, &fs)
}

pub fn case_b(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    let writer = Writer::start(bench, &file)?;
    suspend(bench, &dm)?;
    writer.is_blocked()?;
    resume(bench, &dm)?;
    writer.is_blocked()?;
    thaw(&fs)?;
    writer.completes(bench, &fs)
}

pub fn case_c(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let file = prepare(&fs)?;
    suspend(bench, &dm)?;
    let writer = Writer::start(bench, &file)?;
    succeeds(bench, "FIFREEZE", || fs.freeze())?;
    succeeds(bench, "FITHAW", || fs.thaw())?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    let second = bench.returns("second FITHAW", || fs.thaw())?;
    fails_with("second FITHAW", second, Errno::EINVAL)?;
    writer.is_blocked()?;
    resume(bench, &dm)?;
    writer.completes(bench, &fs)
}

pub fn thaw_cannot_steal(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let file = prepare(&fs)?;
    suspend(bench, &dm)?;
    let writer = Writer::start(bench, &file)?;
    let thaw = bench.returns("FITHAW", || fs.thaw())?;
    fails_with("FITHAW while only device-mapper holds", thaw, Errno::EINVAL)?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    resume(bench, &dm)?;
    writer.completes(bench, &fs)
}

pub fn hold_outlives_thaw(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    let writer = Writer::start(bench, &file)?;
    suspend(bench, &dm)?;
    writer.is_blocked()?;
    succeeds(bench, "FITHAW while suspended", || fs.thaw())?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    resume(bench, &dm)?;
    writer.completes(bench, &fs)
}

pub fn snapshot_while_frozen(bench: &Bench) -> Result<()> {
    let origin = Origin::new(bench)?;
    let fs = bench.fresh(&origin.node())?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    let writer = Writer::start(bench, &file)?;
    let snapshot = origin.snapshot(bench)?;
    writer.is_blocked()?;
    thaw(&fs)?;
    writer.completes(bench, &fs)?;
    snapshot_is_good(bench, &snapshot, holds_old)
}

/// A device on one scratch disk of which snapshots can be taken, which use the other.
#[derive(Debug)]
pub(super) struct Origin {
    sectors: u64,
    base: PathBuf,
    store: PathBuf,
    device: Dm,
}

impl Origin {
    pub(super) fn new(bench: &Bench) -> Result<Origin> {
        let [disk, store] = disk::SCRATCH.map(disk::by_serial);
        let (disk, store) = (disk?, store?);
        let sectors = disk::sectors(&disk)?;
        let base = bench.dm("base", &dm::linear(sectors, &disk))?.node();
        let device = bench.dm("origin", &dm::snapshot_origin(sectors, &base))?;
        Ok(Origin {
            sectors,
            base,
            store,
            device,
        })
    }

    pub(super) fn node(&self) -> PathBuf {
        self.device.node()
    }

    /// Takes the one snapshot that there is room for, and returns its node.
    pub(super) fn snapshot(&self, bench: &Bench) -> Result<PathBuf> {
        suspend(bench, &self.device)?;
        bench.step("dmsetup create snapshot");
        let table = dm::snapshot(self.sectors, &self.base, &self.store);
        let snapshot = bench.dm("snapshot", &table)?;
        resume(bench, &self.device)?;
        Ok(snapshot.node())
    }
}

pub(super) fn suspend(bench: &Bench, dm: &Dm) -> Result<()> {
    bench.step("dmsetup suspend");
    dm.suspend()
}

pub(super) fn resume(bench: &Bench, dm: &Dm) -> Result<()> {
    bench.step("dmsetup resume");
    dm.resume()
}

pub(super) fn succeeds(
    bench: &Bench,
    what: &str,
    call: impl FnOnce() -> Result<(), Errno>,
) -> Result<()> {
    bench.returns(what, call)?.with_context(|| what.to_owned())
}
