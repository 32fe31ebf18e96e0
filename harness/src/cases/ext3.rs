//! The ioctls of ext3: one freeze at a time, and a timeout.

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc::c_long;
use nix::mount::MsFlags;

use crate::case::Case;
use crate::devices::disk;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::freeze::ioctl;
use crate::kit::deadline::{ends_at, in_time};
use crate::kit::device::{resume, scratch_with_device, suspend};
use crate::kit::privilege::is_privileged;
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::mapping::WILD;
use crate::wire::storage::SCRATCH;
use crate::wire::{Feature, Filesystem};

pub const CASES: &[Case] = &[
    Case::new(
        "ext3_ioctl_freeze_and_thaw",
        "EXT3_IOC_FREEZE with 0 freezes until EXT3_IOC_THAW or FITHAW",
        freeze_and_thaw,
    )
    .needing(Feature::Ext3Ioctl)
    .only_on(&[Filesystem::Ext3]),
    Case::new(
        "ext3_ioctl_timeout",
        "EXT3_IOC_FREEZE with a timeout ends by itself, not early",
        timeout,
    )
    .needing(Feature::Ext3Ioctl)
    .only_on(&[Filesystem::Ext3]),
    Case::new(
        "ext3_ioctl_errors",
        "freezing the frozen, thawing the thawed and bad timeouts are EINVAL, bad pointers EFAULT",
        errors,
    )
    .needing(Feature::Ext3Ioctl)
    .only_on(&[Filesystem::Ext3]),
    Case::new(
        "ext3_ioctl_no_capability",
        "both ioctls are EPERM without CAP_SYS_ADMIN in the superblock's user namespace",
        no_capability,
    )
    .needing(Feature::Ext3Ioctl)
    .only_on(&[Filesystem::Ext3]),
    Case::new(
        "ext3_ioctl_device_hold",
        "both ioctls are EINVAL while dmsetup suspend holds",
        device_hold,
    )
    .needing(Feature::Ext3Ioctl)
    .only_on(&[Filesystem::Ext3]),
];

/// It runs after that of `compat`.
pub const ELSEWHERE: &[Case] = &[Case::new(
    "ext3_ioctl_elsewhere",
    "both ioctls are ENOTTY on what is not mounted as ext3",
    elsewhere,
)
.needing(Feature::Ext3Ioctl)];

/// A request by its name.
type Freeze = (&'static str, fn(&Mount) -> Result<(), Errno>);

const FREEZES: [Freeze; 2] = [
    ("EXT3_IOC_FREEZE", |fs| ext3_freeze(fs, 0)),
    ("FIFREEZE", Mount::freeze),
];

fn ext3_freeze(fs: &Mount, seconds: c_long) -> Result<(), Errno> {
    ioctl::ext3_freeze(fs.fd(), ioctl::address(&seconds))
}

fn ext3_thaw(fs: &Mount) -> Result<(), Errno> {
    ioctl::ext3_thaw(fs.fd())
}

fn freeze_and_thaw(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    for thaw in [ext3_thaw, Mount::thaw] {
        let file = prepare(&fs)?;
        ext3_freeze(&fs, 0).context("EXT3_IOC_FREEZE")?;
        let writer = Writer::start(fixture, &file)?;
        thaw(&fs).context("the thaw")?;
        writer.completes(fixture, &fs)?;
    }
    freeze(&fs)?;
    ext3_thaw(&fs).context("EXT3_IOC_THAW after FIFREEZE")?;
    is_thawed(&fs)
}

fn timeout(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let (writer, deadline) = in_time(fixture, &fs, |seconds| {
        ext3_freeze(&fs, seconds).context("EXT3_IOC_FREEZE")?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, &fs, writer, deadline)?;
    fails_with("EXT3_IOC_THAW", ext3_thaw(&fs), Errno::EINVAL)
}

fn errors(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    fails_with("thaw of the thawed", ext3_thaw(&fs), Errno::EINVAL)?;
    for seconds in [-1, c_long::MIN, ioctl::TIMEOUT_MAX + 1] {
        let outcome = ext3_freeze(&fs, seconds);
        fails_with(&format!("freeze for {seconds} s"), outcome, Errno::EINVAL)?;
    }
    for address in [0, WILD as usize] {
        let outcome = ioctl::ext3_freeze(fs.fd(), address);
        fails_with("freeze with a bad pointer", outcome, Errno::EFAULT)?;
    }
    is_thawed(&fs)?;
    for (what, first) in FREEZES {
        first(&fs).context(what)?;
        let second = ext3_freeze(&fs, 0);
        fails_with(&format!("freeze after {what}"), second, Errno::EINVAL)?;
        // Who has frozen in vain has no hold, and releases none of others.
        let other = fs.again()?;
        fails_with("freeze by another", ext3_freeze(&other, 0), Errno::EINVAL)?;
        fails_with("thaw by another", ext3_thaw(&other), Errno::EINVAL)?;
        is_frozen(&fs)?;
        thaw(&fs)?;
        is_thawed(&fs)?;
    }
    Ok(())
}

fn no_capability(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    is_privileged(fixture, "EXT3_IOC_FREEZE", || ext3_freeze(&fs, 0))?;
    is_thawed(&fs)?;
    freeze(&fs)?;
    is_privileged(fixture, "EXT3_IOC_THAW", || ext3_thaw(&fs))?;
    is_frozen(&fs)?;
    thaw(&fs)
}

/// While the device is suspended, every ioctl is made through [`Fixture::returns`].
fn device_hold(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    let file = prepare(&fs)?;
    suspend(fixture, &dm)?;
    let writer = Writer::start(fixture, &file)?;
    let freeze = fixture.returns("EXT3_IOC_FREEZE", || ext3_freeze(&fs, 0))?;
    fails_with("EXT3_IOC_FREEZE while suspended", freeze, Errno::EINVAL)?;
    let thaw = fixture.returns("EXT3_IOC_THAW", || ext3_thaw(&fs))?;
    fails_with("EXT3_IOC_THAW while suspended", thaw, Errno::EINVAL)?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    resume(fixture, &dm)?;
    writer.completes(fixture, &fs)
}

/// A disk that can be mounted as ext3 is mounted as something else.
fn elsewhere(fixture: &Fixture) -> Result<()> {
    let mut fs = fixture.scratch()?;
    if let Some(kind) = fixture.filesystem().entry().other_type {
        fixture.unmount(fs)?;
        let device = disk::by_serial(SCRATCH[0])?;
        fs = fixture.mount_as(kind, &device, MsFlags::empty(), "")?;
    }
    fails_with("EXT3_IOC_FREEZE", ext3_freeze(&fs, 0), Errno::ENOTTY)?;
    fails_with("EXT3_IOC_THAW", ext3_thaw(&fs), Errno::ENOTTY)?;
    is_thawed(&fs)
}
