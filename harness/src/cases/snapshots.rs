//! What a freeze is for: snapshots below a filesystem that is being written to.

use anyhow::{Context as _, Result, ensure};

use crate::actors::writers::{Files, Writers};
use crate::case::Case;
use crate::devices::disk;
use crate::devices::mount::Mount;
use crate::fixture::{Fixture, skip};
use crate::kit::snapshot::{Origin, snapshot_is_good};
use crate::kit::state::{freeze, thaw};
use crate::wire::Feature;
use crate::wire::storage::{SCRATCH, Storage};
use crate::words::count;

pub const CASES: &[Case] = &[
    Case::new(
        "snapshot_outside",
        "a copy that the host takes of the frozen disk is clean, \
         with all that writers had completed",
        outside,
    ),
    Case::new(
        "snapshot_inside",
        "a dm-snapshot of the frozen device is clean, with all that writers had completed",
        inside,
    )
    .needing(Feature::DeviceHolds),
];

const WRITERS: usize = 4;
/// Files that each writer completes before the freeze, at least.
const BEFORE: usize = 6;
/// Files that each writer completes after the thaw, at least.
const AFTER: usize = 2;

/// The host copies the disk, of which the guest's kernel knows nothing.
fn outside(fixture: &Fixture) -> Result<()> {
    let Some(mut host) = Storage::connect()? else {
        return skip("nobody outside the guest takes requests");
    };
    fixture.can_copy()?;
    let [original, copy] = SCRATCH;
    let fs = fixture.scratch()?;
    let ((), complete) = snapshot_under_writers(fixture, &fs, || {
        fixture.step("the host copies the disk");
        host.copy(original, copy)
    })?;
    fixture.step("the host checks the copy");
    host.check(copy, fixture.filesystem())?;
    let copy = disk::by_serial(copy)?;
    disk::forget(&copy)?;
    snapshot_is_good(fixture, &copy, |fs| complete.are_all_in(fs))
}

/// Device-mapper takes the snapshot, in the guest.
fn inside(fixture: &Fixture) -> Result<()> {
    let origin = Origin::new(fixture)?;
    let fs = fixture.fresh(&origin.node())?;
    let (snapshot, complete) = snapshot_under_writers(fixture, &fs, || origin.snapshot(fixture))?;
    snapshot_is_good(fixture, &snapshot, |fs| complete.are_all_in(fs))
}

/// Takes a snapshot while a freeze holds writers back, and returns it and what they had completed.
fn snapshot_under_writers<T>(
    fixture: &Fixture,
    fs: &Mount,
    take: impl FnOnce() -> Result<T>,
) -> Result<(T, Files)> {
    let mut writers = fixture.writers(WRITERS, fs)?;
    writers.complete(BEFORE)?;
    fixture.step("FIFREEZE while writers write");
    freeze(fs)?;
    let complete = writers.blocked()?;
    fixture.step(&format!("complete: {}", count(complete.count(), "file")));
    let snapshot = take()?;
    fixture.step("the writers are still blocked");
    ensure!(
        writers.blocked()? == complete,
        "files were completed while frozen"
    );
    thaw(fs)?;
    go_on_to_the_end(fixture, writers, fs)?;
    Ok((snapshot, complete))
}

/// After the thaw, more files are completed, and none is lost.
fn go_on_to_the_end(fixture: &Fixture, mut writers: Writers, fs: &Mount) -> Result<()> {
    fixture.step("the writers go on");
    writers.complete(AFTER)?;
    writers
        .stop()?
        .are_in(fs)
        .context("in the filesystem, after the thaw")
}
