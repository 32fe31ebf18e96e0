//! Such a hold beside those of `FIFREEZE` and of device-mapper, and without a mount.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::mount::MsFlags;

use crate::case::Case;
use crate::devices::disk;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::freeze::hold::{End, Hold};
use crate::kit::deadline::{HOUR, after, freeze_for, has_no_file_hold, not_before};
use crate::kit::device::{resume, suspend};
use crate::kit::kept::{has_ended, hold, is_active};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Waiting, holds_old, prepare};
use crate::linux::fdinfo::Freeze;
use crate::wire::Feature;
use crate::wire::storage::SCRATCH;

pub const CASES: &[Case] = &[
    Case::new(
        "hold_is_nobody_elses",
        "no FITHAW and no FIFREEZE_RESET_TIMEOUT is about the hold, whoever asks and whatever they froze",
        is_nobody_elses,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_beside_fifreeze",
        "the hold and FIFREEZE end in either order, the last thaws",
        beside_fifreeze,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_beside_suspend",
        "the hold and dmsetup suspend begin and end in either order, the last thaws",
        beside_suspend,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_unmounted",
        "the hold keeps no mount; unmounted, the filesystem is gone when close returns, or at the deadline",
        unmounted,
    )
    .needing(Feature::FreezeHold),
];

fn is_nobody_elses(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let (a, b) = (fs.again()?, fs.again()?);
    let file = prepare(&fs)?;
    let writer = Waiting::new(fixture, &file)?;
    let hold = hold(&a, 0)?;
    for file in [&fs, &a] {
        has_no_file_hold(file)?;
    }
    fixture.step("beside holds that somebody else may thaw");
    freeze(&b)?;
    says(&fs, 2, 1)?;
    thaw(&fs).context("to the rescue")?;
    fails_with("FITHAW of the rescued", b.thaw(), Errno::EINVAL)?;
    has_no_file_hold(&fs)?;
    fixture.step("beside holds that were left behind");
    freeze_for(&fs.again()?, HOUR)?;
    let helper = fs.again()?;
    helper
        .reset_timeout(HOUR)
        .context("reset of what was left")?;
    thaw(&helper).context("what was left behind")?;
    has_no_file_hold(&fs)?;
    fixture.step("through the file that froze, too");
    freeze(&a)?;
    thaw(&a)?;
    has_no_file_hold(&a)?;
    says(&fs, 1, 1)?;
    is_active(&hold)?;
    let writer = writer.is_blocked(fixture)?;
    drop(hold);
    writer.completes(fixture, &fs)?;
    fixture.step("without it");
    freeze(&b)?;
    says(&fs, 1, 0)?;
    thaw(&b)
}

/// So many file holds, of which so many are descriptors.
fn says(fs: &Mount, holds: u32, kept: u32) -> Result<()> {
    let said = Freeze::of(fs.fd())?;
    ensure!(
        said.holds == Some([holds, 0, 0]) && said.kept == (kept > 0).then_some(kept),
        "{said:?}, not {holds} file holds, {kept} of them kept"
    );
    Ok(())
}

fn beside_fifreeze(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let take = || hold(&fs, 0);
    let freeze_first = || -> Result<Hold> {
        freeze(&fs)?;
        take()
    };
    let hold_first = || -> Result<Hold> {
        let hold = take()?;
        freeze(&fs)?;
        Ok(hold)
    };
    let thaw = |what| thaw(&fs).context(what);
    both_end(fixture, &fs, &freeze_first, &|| thaw("the first"))?;
    both_end(fixture, &fs, &hold_first, &|| thaw("the second"))
}

fn beside_suspend(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = fixture.scratch_on_dm()?;
    let suspend_first = || -> Result<Hold> {
        suspend(fixture, &dm)?;
        hold(&fs, 0)
    };
    let hold_first = || -> Result<Hold> {
        let hold = hold(&fs, 0)?;
        suspend(fixture, &dm)?;
        Ok(hold)
    };
    let resume = || resume(fixture, &dm);
    both_end(fixture, &fs, &suspend_first, &resume)?;
    both_end(fixture, &fs, &hold_first, &resume)
}

/// The hold ends first, and then the other one, and the other way round.
fn both_end(
    fixture: &Fixture,
    fs: &Mount,
    begin: &dyn Fn() -> Result<Hold>,
    end_other: &dyn Fn() -> Result<()>,
) -> Result<()> {
    for hold_ends_first in [true, false] {
        let file = prepare(fs)?;
        let writer = Waiting::new(fixture, &file)?;
        let hold = begin()?;
        let writer = writer.is_blocked(fixture)?;
        let hold = if hold_ends_first {
            drop(hold);
            None
        } else {
            end_other()?;
            has_no_file_hold(fs)?;
            Some(hold)
        };
        writer.is_blocked()?;
        is_frozen(fs)?;
        match hold {
            Some(hold) => drop(hold),
            None => end_other()?,
        }
        writer.completes(fixture, fs)?;
        is_thawed(fs)?;
        has_no_file_hold(fs)?;
    }
    Ok(())
}

fn unmounted(fixture: &Fixture) -> Result<()> {
    let device = disk::by_serial(SCRATCH[0])?;
    let fs = fixture.scratch()?;
    drop(prepare(&fs)?);
    let hold = hold(&fs, 0)?;
    fixture.unmount(fs)?;
    is_active(&hold)?;
    is_used(&device)?;
    let fs = fixture.mount(&device, MsFlags::empty(), "")?;
    is_frozen(&fs)?;
    fixture.unmount(fs)?;
    fixture.step("close");
    drop(hold);
    disk::until_unused(&device, Duration::ZERO).context("after close")?;
    let fs = fixture.mount(&device, MsFlags::empty(), "")?;
    holds_old(&fs)?;
    until_the_deadline(fixture, fs, &device)
}

/// The superblock is gone then, and the descriptor is still there.
fn until_the_deadline(fixture: &Fixture, fs: Mount, device: &Path) -> Result<()> {
    let deadline = after(2);
    let hold = hold(&fs, 2)?;
    fixture.unmount(fs)?;
    fixture.step("wait for the deadline");
    let end = hold.end().context("read")?;
    not_before(deadline)?;
    ensure!(end == End::Expired, "read says {end:?}");
    disk::until_unused(device, fixture.patience())?;
    let fs = fixture.mount(device, MsFlags::empty(), "")?;
    holds_old(&fs)?;
    has_ended(&hold, End::Expired)?;
    freeze(&fs)?;
    drop(hold);
    is_frozen(&fs)?;
    thaw(&fs)
}

fn is_used(device: &Path) -> Result<()> {
    let unused = disk::until_unused(device, Duration::ZERO).is_ok();
    ensure!(!unused, "{} is not in use", device.display());
    Ok(())
}
