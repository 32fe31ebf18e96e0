//! File holds and device-mapper's hold on the same superblock.
//!
//! While a device is suspended, an ioctl that misbehaves hangs in an unkillable
//! state: every one is made through [`Fixture::returns`].

use anyhow::Result;
use nix::errno::Errno;

use crate::case::Case;
use crate::fixture::Fixture;
use crate::kit::device::{resume, scratch_with_device, succeeds, suspend};
use crate::kit::snapshot::{Origin, snapshot_is_good};
use crate::kit::state::{fails_with, freeze, is_frozen, thaw};
use crate::kit::writer::{Writer, holds_old, prepare};
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "dm_case_a",
        "dmsetup suspend, FIFREEZE, FITHAW, dmsetup resume",
        case_a,
    )
    .needing(Feature::Nesting),
    Case::new(
        "dm_case_b",
        "FIFREEZE, dmsetup suspend, dmsetup resume, FITHAW",
        case_b,
    )
    .needing(Feature::DeviceHolds),
    Case::new(
        "dm_case_c",
        "dmsetup suspend, FIFREEZE, FITHAW; a second FITHAW is EINVAL at once",
        case_c,
    )
    .needing(Feature::Nesting),
    Case::new(
        "dm_thaw_cannot_steal",
        "FITHAW after dmsetup suspend is EINVAL and leaves device-mapper's hold alone",
        thaw_cannot_steal,
    )
    .needing(Feature::DeviceHolds),
    Case::new(
        "dm_hold_outlives_thaw",
        "FIFREEZE, dmsetup suspend, FITHAW: frozen until dmsetup resume",
        hold_outlives_thaw,
    )
    .needing(Feature::DeviceHolds),
    Case::new(
        "dm_snapshot_while_frozen",
        "a dm-snapshot taken while frozen holds a clean filesystem",
        snapshot_while_frozen,
    )
    .needing(Feature::DeviceHolds),
];

fn case_a(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    let file = prepare(&fs)?;
    suspend(fixture, &dm)?;
    let writer = Writer::start(fixture, &file)?;
    succeeds(fixture, "FIFREEZE", || fs.freeze())?;
    writer.is_blocked()?;
    succeeds(fixture, "FITHAW", || fs.thaw())?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    resume(fixture, &dm)?;
    writer.completes(fixture, &fs)
}

fn case_b(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    let writer = Writer::start(fixture, &file)?;
    suspend(fixture, &dm)?;
    writer.is_blocked()?;
    resume(fixture, &dm)?;
    writer.is_blocked()?;
    thaw(&fs)?;
    writer.completes(fixture, &fs)
}

fn case_c(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    let file = prepare(&fs)?;
    suspend(fixture, &dm)?;
    let writer = Writer::start(fixture, &file)?;
    succeeds(fixture, "FIFREEZE", || fs.freeze())?;
    succeeds(fixture, "FITHAW", || fs.thaw())?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    let second = fixture.returns("second FITHAW", || fs.thaw())?;
    fails_with("second FITHAW", second, Errno::EINVAL)?;
    writer.is_blocked()?;
    resume(fixture, &dm)?;
    writer.completes(fixture, &fs)
}

fn thaw_cannot_steal(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    let file = prepare(&fs)?;
    suspend(fixture, &dm)?;
    let writer = Writer::start(fixture, &file)?;
    let thaw = fixture.returns("FITHAW", || fs.thaw())?;
    fails_with("FITHAW while only device-mapper holds", thaw, Errno::EINVAL)?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    resume(fixture, &dm)?;
    writer.completes(fixture, &fs)
}

fn hold_outlives_thaw(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    let writer = Writer::start(fixture, &file)?;
    suspend(fixture, &dm)?;
    writer.is_blocked()?;
    succeeds(fixture, "FITHAW while suspended", || fs.thaw())?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    resume(fixture, &dm)?;
    writer.completes(fixture, &fs)
}

fn snapshot_while_frozen(fixture: &Fixture) -> Result<()> {
    let origin = Origin::new(fixture)?;
    let fs = fixture.fresh(&origin.node())?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    let writer = Writer::start(fixture, &file)?;
    let snapshot = origin.snapshot(fixture)?;
    writer.is_blocked()?;
    thaw(&fs)?;
    writer.completes(fixture, &fs)?;
    snapshot_is_good(fixture, &snapshot, holds_old)
}
