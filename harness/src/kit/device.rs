//! Device-mapper's hold.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use crate::devices::disk;
use crate::devices::dm::{self, Dm};
use crate::devices::mount::Mount;
use crate::fixture::{Fixture, skip};
use crate::wire::storage::SCRATCH;

/// Takes device-mapper's hold, and stops the I/O.
pub fn suspend(fixture: &Fixture, dm: &Dm) -> Result<()> {
    fixture.step("dmsetup suspend");
    dm.suspend()
}

/// A fresh filesystem on a device that freezes it when it is suspended; where that cannot be, the case is skipped.
pub fn scratch_with_device(fixture: &Fixture) -> Result<(Mount, Dm)> {
    let (fs, dm) = fixture.scratch_on_dm()?;
    unless_it_follows(fixture, &fs, &dm)?;
    Ok((fs, dm))
}

/// A device on a second one, which comes last: to suspend that freezes nothing.
pub fn stacked(fixture: &Fixture) -> Result<(Dm, Dm)> {
    let disk = disk::by_serial(SCRATCH[0])?;
    let sectors = disk::sectors(&disk)?;
    let below = fixture.dm("below", &dm::linear(sectors, &disk))?;
    let above = fixture.dm("above", &dm::linear(sectors, &below.node()))?;
    Ok((above, below))
}

/// A fresh filesystem on such a device, and the second one.
pub fn scratch_on_stack(fixture: &Fixture) -> Result<(Mount, Dm)> {
    let (above, below) = stacked(fixture)?;
    Ok((fixture.fresh(&above.node())?, below))
}

/// Skips a case that wants the filesystem to be frozen with its device, where that cannot be.
pub fn unless_it_follows(fixture: &Fixture, fs: &Mount, dm: &Dm) -> Result<()> {
    if follows(fixture, fs, dm)? {
        return Ok(());
    }
    let filesystem = fixture.filesystem();
    skip(format!(
        "to suspend a device of {filesystem} does not freeze it here"
    ))
}

/// Whether the filesystem is frozen when its device is suspended. It is asked only where that depends on the kernel.
pub fn follows(fixture: &Fixture, fs: &Mount, dm: &Dm) -> Result<bool> {
    match fixture.filesystem().entry().follows_devices {
        true => Ok(true),
        false => is_frozen_by(fixture, fs, dm),
    }
}

/// Suspends a device, and says whether that freezes the filesystem.
pub fn is_frozen_by(fixture: &Fixture, fs: &Mount, dm: &Dm) -> Result<bool> {
    suspend(fixture, dm)?;
    // A filesystem that is not frozen may have to write, and waits for the device then.
    let asking = fixture.actor("question", || match fs.is_frozen() {
        Ok(false) => Ok(()),
        _ => Err(Errno::EBUSY.into()),
    })?;
    let _ended_or_waits = asking.sleeps();
    resume(fixture, dm)?;
    Ok(asking.outcome()?.is_err())
}

/// Releases it again.
pub fn resume(fixture: &Fixture, dm: &Dm) -> Result<()> {
    fixture.step("dmsetup resume");
    dm.resume()
}

/// A call that must return and succeed while a device is suspended.
pub fn succeeds(
    fixture: &Fixture,
    what: &str,
    call: impl FnOnce() -> Result<(), Errno>,
) -> Result<()> {
    fixture
        .returns(what, call)?
        .with_context(|| what.to_owned())
}

/// Writes to its last page, in memory, where no filesystem has anything.
pub fn make_dirty(dm: &Dm, sectors: u64) -> Result<()> {
    let page = vec![0; 4096];
    let write = || {
        let device = File::options().write(true).open(dm.node())?;
        // The filesystem has the device open, too: it is not written out when it is closed.
        device.write_all_at(&page, sectors * 512 - 4096)
    };
    write().context("failed to write to the device")
}
