//! A freeze that fails, or that goes on without the file holds: what it leaves, and what the next one inherits.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::mount::MsFlags;

use crate::case::Case;
use crate::devices::disk;
use crate::devices::dm;
use crate::fixture::{Fixture, skip};
use crate::kit::complaints::DEVICE_GONE;
use crate::kit::deadline::{
    HOUR, LATE, SHORT, after, ends_at, freeze_for, logged_at, logged_nothing_else, sleep_until,
    stays_frozen_beyond,
};
use crate::kit::device::{follows, make_dirty, resume, scratch_with_device, succeeds, suspend};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::wire::Feature;
use crate::wire::storage::SCRATCH;

pub const CASES: &[Case] = &[
    Case::new(
        "device_sync_failure",
        "a suspension that fails since the device cannot be synced leaves nothing frozen",
        device_sync_failure,
    )
    .needing(Feature::SyncFailure)
    .complaining(DEVICE_GONE),
    Case::new(
        "timeout_failed_freeze",
        "a freeze that is refused does not move the deadline of those who hold",
        failed_freeze,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_failed_sync",
        "a freeze for some seconds that fails with an error of the device leaves no hold and no deadline",
        failed_sync,
    )
    .needing(Feature::Timeout)
    .complaining(DEVICE_GONE),
    Case::new(
        "timeout_not_inherited",
        "a freeze that joins a device's hold after the deadline of another does not end by that",
        not_inherited,
    )
    .needing(Feature::Timeout),
];

/// File holds that fit on one superblock.
const MOST_HOLDS: u32 = 65535;

/// Mounted read-only it has nothing to write itself, so that it can be frozen, and what fails is to write out what
/// somebody else has written to the device.
fn device_sync_failure(fixture: &Fixture) -> Result<()> {
    let disk = disk::by_serial(SCRATCH[0])?;
    let sectors = disk::sectors(&disk)?;
    let dm = fixture.dm("linear", &dm::linear(sectors, &disk))?;
    fixture.unmount(fixture.fresh(&dm.node())?)?;
    let fs = fixture.mount(&dm.node(), MsFlags::MS_RDONLY, "")?;
    make_dirty(&dm, sectors)?;
    fixture.step("the device fails");
    dm.replace(&dm::error(sectors))?;
    let suspended = dm.suspend();
    fixture.step(&format!("dmsetup suspend: {}", said(&suspended)));
    if suspended.is_ok() {
        is_frozen(&fs).context("while it counts as suspended")?;
        resume(fixture, &dm)?;
    }
    dm.replace(&dm::linear(sectors, &disk))?;
    // Whoever syncs the device next is told of the failure; fsck.f2fs would be.
    let _told = File::open(dm.node())?.sync_all();
    is_thawed(&fs)?;
    fixture.step("it can be frozen, and thawed");
    freeze(&fs)?;
    thaw(&fs)?;
    if follows(fixture, &fs, &dm)? {
        suspend(fixture, &dm)?;
        is_frozen(&fs)?;
        resume(fixture, &dm)?;
    }
    is_thawed(&fs)
}

fn said<T>(outcome: &Result<T>) -> String {
    match outcome {
        Ok(_) => "done".to_owned(),
        Err(error) => format!("{error:#}"),
    }
}

fn failed_freeze(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let (others, refused) = (fs.again()?, fs.again()?);
    fixture.step("FIFREEZE up to the limit");
    freeze_for(&fs, HOUR)?;
    for _ in 1..MOST_HOLDS {
        freeze_for(&others, 2 * HOUR)?;
    }
    for seconds in [0, SHORT, HOUR] {
        let what = format!("FIFREEZE_TIMEOUT {seconds} beyond the limit");
        fails_with(&what, refused.freeze_timeout(seconds), Errno::EBUSY)?;
    }
    fixture.step("FITHAW of all but one");
    others.thaw_own()?;
    fixture.step("whoever was refused thaws nobody else");
    fails_with("FITHAW of the refused", refused.thaw(), Errno::EINVAL)?;
    let reset = refused.reset_timeout(SHORT);
    fails_with("reset of the refused", reset, Errno::EINVAL)?;
    let writer = Writer::start(fixture, &file)?;
    let deadline = after(SHORT);
    fs.reset_timeout(SHORT).context("reset")?;
    ends_at(fixture, &fs, writer, deadline)
}

fn failed_sync(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = fixture.scratch_on_dm()?;
    let disk = disk::by_serial(SCRATCH[0])?;
    let sectors = disk::sectors(&disk)?;
    // To be logged: an XFS that only writes to what it has would try that for ever.
    let file = File::create_new(fs.path("dirty")).context("failed to create a file")?;
    file.write_all_at(b"dirty", 0).context("failed to write")?;
    fixture.step("the device fails");
    dm.replace(&dm::error(sectors))?;
    let deadline = after(SHORT);
    let outcome = fixture.returns("FIFREEZE_TIMEOUT", || fs.freeze_timeout(SHORT))?;
    if outcome.is_ok() {
        dm.replace(&dm::linear(sectors, &disk))?;
        fs.thaw_fully()?;
        drop(file);
        fixture.unmount(fs)?;
        return skip("the freeze works though the device does not");
    }
    fixture.step(&format!("it failed with {outcome:?}"));
    let released = fixture.returns("FITHAW", || fs.thaw())?;
    fails_with("FITHAW after the failed freeze", released, Errno::EINVAL)?;
    let mut log = Kmsg::mark()?;
    sleep_until(deadline + LATE);
    logged_nothing_else(&mut log)?;
    fixture.step("the device works again");
    dm.replace(&dm::linear(sectors, &disk))?;
    drop(file);
    fixture.unmount(fs)
}

fn not_inherited(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    let file = prepare(&fs)?;
    suspend(fixture, &dm)?;
    let writer = Writer::start(fixture, &file)?;
    let mut log = Kmsg::mark()?;
    let deadline = after(SHORT);
    succeeds(fixture, "FIFREEZE_TIMEOUT", || fs.freeze_timeout(SHORT))?;
    logged_at(fixture, &mut log, deadline)?;
    let deadline = after(SHORT);
    succeeds(fixture, "FIFREEZE", || fs.freeze())?;
    resume(fixture, &dm)?;
    stays_frozen_beyond(fixture, &fs, &writer, deadline)?;
    logged_nothing_else(&mut log)?;
    thaw(&fs)?;
    writer.completes(fixture, &fs)
}
