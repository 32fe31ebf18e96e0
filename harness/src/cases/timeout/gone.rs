//! The deadline of a filesystem that nobody can thaw any more, or that cannot write.

use anyhow::{Context as _, Result};
use nix::mount::MsFlags;

use crate::case::Case;
use crate::devices::{disk, dm, filesystem};
use crate::fixture::Fixture;
use crate::kit::complaints::DEVICE_GONE;
use crate::kit::deadline::{
    HOUR, SHORT, after, freeze_for, has_no_file_hold, in_time, logged_at, not_before, reset,
};
use crate::kit::state::{is_frozen, is_thawed};
use crate::kit::writer::{NEW, WRITTEN, Writer, holds_old, prepare};
use crate::linux::kmsg::Kmsg;
use crate::wire::Feature;
use crate::wire::storage::SCRATCH;

pub const CASES: &[Case] = &[
    Case::new(
        "timeout_unmount_pending",
        "a filesystem that was unmounted while frozen is gone at the deadline, clean",
        unmount_pending,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_read_only_mount",
        "the deadline ends the freeze of a read-only filesystem",
        read_only_mount,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_device_gone",
        "the deadline ends the freeze of a filesystem whose device fails, and it can be unmounted",
        device_gone,
    )
    .needing(Feature::Timeout)
    .complaining(DEVICE_GONE),
    Case::new(
        "timeout_device_gone_writable",
        "the deadline lets a writer go whose device has failed, and it can be unmounted",
        device_gone_writable,
    )
    .needing(Feature::Timeout)
    .complaining(DEVICE_GONE),
];

fn unmount_pending(fixture: &Fixture) -> Result<()> {
    let device = disk::by_serial(SCRATCH[0])?;
    let fs = fixture.scratch()?;
    drop(prepare(&fs)?);
    let deadline = after(SHORT);
    freeze_for(&fs, SHORT)?;
    fixture.unmount(fs)?;
    fixture.step("wait until nobody uses the device");
    disk::until_unused(&device, fixture.patience())?;
    not_before(deadline)?;
    fixture.step("fsck");
    filesystem::check(fixture.filesystem(), &device)?;
    let fs = fixture.mount(&device, MsFlags::empty(), "")?;
    holds_old(&fs)?;
    fs.write(WRITTEN, &NEW).map(drop)
}

fn read_only_mount(fixture: &Fixture) -> Result<()> {
    fixture.unmount(fixture.scratch()?)?;
    let device = disk::by_serial(SCRATCH[0])?;
    let fs = fixture.mount(&device, MsFlags::MS_RDONLY, "")?;
    let (mut log, deadline) = in_time(fixture, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        is_frozen(&fs)?;
        Kmsg::mark()
    })?;
    logged_at(fixture, &mut log, deadline)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    fixture.step("remount writable");
    fs.remount(MsFlags::empty())
        .context("remount after the deadline")?;
    prepare(&fs).map(drop)
}

/// Read-only, the filesystem writes nothing at the thaw, and has nothing to complain of.
fn device_gone(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = fixture.scratch_on_dm()?;
    let sectors = disk::sectors(&disk::by_serial(SCRATCH[0])?)?;
    if fixture.filesystem().entry().thaw_writes {
        fs.remount(MsFlags::MS_RDONLY).context("remount")?;
    }
    freeze_for(&fs, HOUR)?;
    fixture.step("the device fails");
    dm.replace(&dm::error(sectors))?;
    let mut log = Kmsg::mark()?;
    let deadline = after(SHORT);
    reset(&fs, SHORT)?;
    logged_at(fixture, &mut log, deadline)?;
    has_no_file_hold(&fs)?;
    fixture.unmount(fs)
}

/// The writer may fail: on what does not matter, as long as it does not hang.
fn device_gone_writable(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = fixture.scratch_on_dm()?;
    let sectors = disk::sectors(&disk::by_serial(SCRATCH[0])?)?;
    let file = prepare(&fs)?;
    freeze_for(&fs, HOUR)?;
    let writer = Writer::start(fixture, &file)?;
    fixture.step("the device fails");
    dm.replace(&dm::error(sectors))?;
    writer.is_blocked()?;
    let mut log = Kmsg::mark()?;
    let deadline = after(SHORT);
    reset(&fs, SHORT)?;
    logged_at(fixture, &mut log, deadline)?;
    fixture.step("the writer ends");
    let outcome = writer.actor.outcome()?;
    fixture.step(&format!("it ended with {outcome:?}"));
    has_no_file_hold(&fs)?;
    drop(file);
    fixture.unmount(fs)
}
