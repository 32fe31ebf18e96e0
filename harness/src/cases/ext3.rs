//! The ioctls of ext3: one freeze at a time, and a timeout.

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc::c_long;
use nix::mount::MsFlags;

use super::deadline::{ends_at, in_time};
use super::dm::{resume, suspend};
use super::errors::is_privileged;
use super::{Writer, fails_with, freeze, is_frozen, is_thawed, prepare, thaw};
use crate::bench::Bench;
use crate::case::Filesystem;
use crate::mapping::WILD;
use crate::mount::Mount;
use crate::{disk, ioctl};

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

pub fn freeze_and_thaw(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    for thaw in [ext3_thaw, Mount::thaw] {
        let file = prepare(&fs)?;
        ext3_freeze(&fs, 0).context("EXT3_IOC_FREEZE")?;
        let writer = Writer::start(bench, &file)?;
        thaw(&fs).context("the thaw")?;
        writer.completes(bench, &fs)?;
    }
    freeze(&fs)?;
    ext3_thaw(&fs).context("EXT3_IOC_THAW after FIFREEZE")?;
    is_thawed(&fs)
}

pub fn timeout(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let (writer, deadline) = in_time(bench, &fs, |seconds| {
        ext3_freeze(&fs, seconds).context("EXT3_IOC_FREEZE")?;
        Writer::start(bench, &file)
    })?;
    ends_at(bench, &fs, writer, deadline)?;
    fails_with("EXT3_IOC_THAW", ext3_thaw(&fs), Errno::EINVAL)
}

pub fn errors(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
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
        is_frozen(&fs)?;
        thaw(&fs)?;
        is_thawed(&fs)?;
    }
    Ok(())
}

pub fn no_capability(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    is_privileged(bench, "EXT3_IOC_FREEZE", || ext3_freeze(&fs, 0))?;
    is_thawed(&fs)?;
    freeze(&fs)?;
    is_privileged(bench, "EXT3_IOC_THAW", || ext3_thaw(&fs))?;
    is_frozen(&fs)?;
    thaw(&fs)
}

/// While the device is suspended, every ioctl is made through [`Bench::returns`].
pub fn device_hold(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let file = prepare(&fs)?;
    suspend(bench, &dm)?;
    let writer = Writer::start(bench, &file)?;
    let freeze = bench.returns("EXT3_IOC_FREEZE", || ext3_freeze(&fs, 0))?;
    fails_with("EXT3_IOC_FREEZE while suspended", freeze, Errno::EINVAL)?;
    let thaw = bench.returns("EXT3_IOC_THAW", || ext3_thaw(&fs))?;
    fails_with("EXT3_IOC_THAW while suspended", thaw, Errno::EINVAL)?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    resume(bench, &dm)?;
    writer.completes(bench, &fs)
}

/// XFS, and ext3's disk mounted as ext4.
pub fn elsewhere(bench: &Bench) -> Result<()> {
    let mut fs = bench.scratch()?;
    if bench.filesystem() == Filesystem::Ext3 {
        bench.unmount(fs)?;
        let device = disk::by_serial(disk::SCRATCH[0])?;
        fs = bench.mount_as("ext4", &device, MsFlags::empty(), "")?;
    }
    fails_with("EXT3_IOC_FREEZE", ext3_freeze(&fs, 0), Errno::ENOTTY)?;
    fails_with("EXT3_IOC_THAW", ext3_thaw(&fs), Errno::ENOTTY)?;
    is_thawed(&fs)
}
