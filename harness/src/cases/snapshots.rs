//! What a freeze is for: snapshots below a filesystem that is being written to.

use anyhow::{Context as _, Result, ensure};

use super::dm::Origin;
use super::{freeze, snapshot_is_good, thaw};
use crate::bench::{Bench, skip};
use crate::disk;
use crate::mount::Mount;
use crate::storage::Storage;
use crate::words::count;
use crate::writers::{Files, Writers};

const WRITERS: usize = 4;
/// Files that each writer completes before the freeze, at least.
const BEFORE: usize = 6;
/// Files that each writer completes after the thaw, at least.
const AFTER: usize = 2;

/// The host copies the disk, of which the guest's kernel knows nothing.
pub fn outside(bench: &Bench) -> Result<()> {
    let Some(mut host) = Storage::connect()? else {
        return skip("nobody outside the guest takes requests");
    };
    let [original, copy] = disk::SCRATCH;
    let fs = bench.scratch()?;
    let ((), complete) = snapshot_under_writers(bench, &fs, || {
        bench.step("the host copies the disk");
        host.copy(original, copy)
    })?;
    bench.step("the host checks the copy");
    host.check(copy, bench.filesystem())?;
    let copy = disk::by_serial(copy)?;
    disk::forget(&copy)?;
    snapshot_is_good(bench, &copy, |fs| complete.are_all_in(fs))
}

/// Device-mapper takes the snapshot, in the guest.
pub fn inside(bench: &Bench) -> Result<()> {
    let origin = Origin::new(bench)?;
    let fs = bench.fresh(&origin.node())?;
    let (snapshot, complete) = snapshot_under_writers(bench, &fs, || origin.snapshot(bench))?;
    snapshot_is_good(bench, &snapshot, |fs| complete.are_all_in(fs))
}

/// Takes a snapshot while a freeze holds writers back, and returns it and what they had completed.
fn snapshot_under_writers<T>(
    bench: &Bench,
    fs: &Mount,
    take: impl FnOnce() -> Result<T>,
) -> Result<(T, Files)> {
    let mut writers = bench.writers(WRITERS, fs)?;
    writers.complete(BEFORE)?;
    bench.step("FIFREEZE while writers write");
    freeze(fs)?;
    let complete = writers.blocked()?;
    bench.step(&format!("complete: {}", count(complete.count(), "file")));
    let snapshot = take()?;
    bench.step("the writers are still blocked");
    ensure!(
        writers.blocked()? == complete,
        "files were completed while frozen"
    );
    thaw(fs)?;
    go_on_to_the_end(bench, writers, fs)?;
    Ok((snapshot, complete))
}

/// After the thaw, more files are completed, and none is lost.
fn go_on_to_the_end(bench: &Bench, mut writers: Writers, fs: &Mount) -> Result<()> {
    bench.step("the writers go on");
    writers.complete(AFTER)?;
    writers
        .stop()?
        .are_in(fs)
        .context("in the filesystem, after the thaw")
}
