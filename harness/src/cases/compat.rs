//! The requests of a 32-bit program. Its pointers and its `long` have 4 bytes,
//! and its `s64` is aligned to 4 bytes only.

use std::os::fd::RawFd;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::{Fixture, Skip};
use crate::freeze::compat;
use crate::freeze::ioctl::TIMEOUT_MAX;
use crate::kit::deadline::{HOUR, SHORT, after, ends_at, has_no_file_hold, in_time};
use crate::kit::lasting::{freezes_for_good, lasts};
use crate::kit::state::{fails_with, freeze, is_thawed, thaw};
use crate::kit::sysctl::honour;
use crate::kit::writer::{Writer, prepare};
use crate::linux::mapping::{Mapping, WILD};
use crate::wire::{Feature, Filesystem, port};

pub const CASES: &[Case] = &[
    Case::new(
        "freeze_compat",
        "FIFREEZE and FITHAW of a 32-bit program take and release the same holds",
        freeze_and_thaw,
    )
    .needing(Feature::Nesting),
    Case::new(
        "timeout_compat",
        "both requests with a timeout work for a 32-bit program, which aligns its number less",
        timeout,
    )
    .needing(Feature::Timeout),
    Case::new(
        "argument_compat",
        "with the sysctl on, FIFREEZE of a 32-bit program takes a long of 32 bits",
        argument,
    )
    .needing(Feature::Argument),
];

/// It runs among those of `ext3`.
pub const OF_EXT3: &[Case] = &[Case::new(
    "ext3_ioctl_compat",
    "both ioctls of a 32-bit program, which have numbers of their own, do the same",
    ext3,
)
.needing(Feature::Ext3Ioctl)
.only_on(&[Filesystem::Ext3])];

/// Numbers that are no timeout; the last is one if half of it is read.
const REFUSED: [i64; 5] = [-1, i64::MIN, TIMEOUT_MAX + 1, i64::MAX, (1 << 32) + SHORT];

/// A request with a timeout, given by its address.
type Call = fn(RawFd, u32) -> Result<(), Errno>;

const REQUESTS: [(&str, Call); 2] = [
    ("FIFREEZE_TIMEOUT", compat::freeze_timeout),
    ("FIFREEZE_RESET_TIMEOUT", compat::reset_timeout),
];

/// The kernels of a run are built with it (configs/base.config); others need not be.
fn is_supported() -> Result<()> {
    let without = "the kernel has no CONFIG_IA32_EMULATION";
    match compat::is_supported() {
        true => Ok(()),
        false if port::has_host() => bail!("{without}"),
        false => Err(Skip(without.to_owned()).into()),
    }
}

/// Either kind of program thaws what either kind froze.
fn freeze_and_thaw(fixture: &Fixture) -> Result<()> {
    is_supported()?;
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let thaw_32 = || compat::thaw(fs.fd());
    fails_with("FITHAW without a hold", thaw_32(), Errno::EINVAL)?;
    compat::freeze_with(fs.fd(), WILD).context("FIFREEZE")?;
    let writer = Writer::start(fixture, &file)?;
    freeze(&fs).context("of a 64-bit program")?;
    thaw_32().context("FITHAW")?;
    writer.is_blocked()?;
    compat::freeze_with(fs.fd(), WILD).context("second FIFREEZE")?;
    thaw(&fs).context("of a 64-bit program")?;
    writer.is_blocked()?;
    thaw_32().context("last FITHAW")?;
    writer.completes(fixture, &fs)?;
    fails_with("FITHAW after the last", thaw_32(), Errno::EINVAL)
}

fn timeout(fixture: &Fixture) -> Result<()> {
    is_supported()?;
    let fs = fixture.scratch()?;
    fixture.step("without a freeze");
    are_refused(&fs)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    a_deadline_is_met(fixture, &fs)?;
    a_deadline_is_moved(fixture, &fs)?;
    for seconds in [0, TIMEOUT_MAX] {
        lasts(fixture, &fs, &format!("a timeout of {seconds}"), || {
            request(&fs, compat::freeze_timeout, seconds)?;
            request(&fs, compat::reset_timeout, seconds)
        })?;
        has_no_file_hold(&fs)?;
    }
    Ok(())
}

fn a_deadline_is_met(fixture: &Fixture, fs: &Mount) -> Result<()> {
    let file = prepare(fs)?;
    let (writer, deadline) = in_time(fixture, fs, |seconds| {
        request(fs, compat::freeze_timeout, seconds).context("FIFREEZE_TIMEOUT")?;
        are_refused(fs)?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, fs, writer, deadline)
}

fn a_deadline_is_moved(fixture: &Fixture, fs: &Mount) -> Result<()> {
    let file = prepare(fs)?;
    request(fs, compat::freeze_timeout, HOUR).context("FIFREEZE_TIMEOUT")?;
    let writer = Writer::start(fixture, &file)?;
    let deadline = after(SHORT);
    request(fs, compat::reset_timeout, SHORT).context("FIFREEZE_RESET_TIMEOUT")?;
    ends_at(fixture, fs, writer, deadline)
}

/// Makes the request with a number that is aligned as badly as i386 allows.
fn request(fs: &Mount, request: Call, seconds: i64) -> Result<(), Errno> {
    let mut bytes = [0xff; size_of::<i64>() + size_of::<i32>()];
    bytes[..size_of::<i64>()].copy_from_slice(&seconds.to_ne_bytes());
    let (_memory, address) = low(&bytes);
    request(fs.fd(), address)
}

/// Memory of a 32-bit program that ends with `bytes`, and their address.
fn low(bytes: &[u8]) -> (Mapping, u32) {
    let (memory, address) = Mapping::ending_with(bytes).expect("two pages can be mapped");
    (memory, u32::try_from(address).expect("it is below 2 GiB"))
}

/// Bad numbers are `EINVAL`, and bad addresses `EFAULT`.
fn are_refused(fs: &Mount) -> Result<()> {
    for (what, call) in REQUESTS {
        for seconds in REFUSED {
            let what = format!("{what} {seconds}");
            fails_with(&what, request(fs, call, seconds), Errno::EINVAL)?;
        }
        let (_memory, half) = low(&[0; size_of::<i32>()]);
        for address in [0, WILD, half, u32::MAX] {
            let what = format!("{what} at {address:#x}");
            fails_with(&what, call(fs.fd(), address), Errno::EFAULT)?;
        }
    }
    Ok(())
}

/// Every number ends where memory ends: it is read as 4 bytes.
fn argument(fixture: &Fixture) -> Result<()> {
    is_supported()?;
    let fs = fixture.scratch()?;
    let _setting = honour()?;
    let freeze = |seconds: i32| {
        let (_memory, address) = low(&seconds.to_ne_bytes());
        compat::freeze_with(fs.fd(), address)
    };
    let file = prepare(&fs)?;
    let (writer, deadline) = in_time(fixture, &fs, |seconds| {
        freeze(i32::try_from(seconds)?).context("FIFREEZE")?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, &fs, writer, deadline)?;
    lasts(fixture, &fs, "a null pointer", || {
        compat::freeze_with(fs.fd(), 0)
    })?;
    freezes_for_good(fixture, &fs, 1, || freeze(1))?;
    for seconds in [0, i32::MAX] {
        lasts(fixture, &fs, &format!("a long {seconds}"), || {
            freeze(seconds)
        })?;
    }
    for seconds in [-1, i32::MIN] {
        let what = format!("FIFREEZE with a long {seconds}");
        fails_with(&what, freeze(seconds), Errno::EINVAL)?;
    }
    let wild = compat::freeze_with(fs.fd(), WILD);
    fails_with("FIFREEZE with a wild pointer", wild, Errno::EFAULT)?;
    is_thawed(&fs)
}

/// The `long` of the ioctls of ext3 has 4 bytes here, too.
fn ext3(fixture: &Fixture) -> Result<()> {
    is_supported()?;
    let fs = fixture.scratch()?;
    let freeze = |seconds: i32| {
        let (_memory, address) = low(&seconds.to_ne_bytes());
        compat::ext3_freeze(fs.fd(), address)
    };
    let thaw = || compat::ext3_thaw(fs.fd());
    fails_with("thaw of the thawed", thaw(), Errno::EINVAL)?;
    for seconds in [-1, i32::MIN] {
        let what = format!("EXT3_IOC_FREEZE with a long {seconds}");
        fails_with(&what, freeze(seconds), Errno::EINVAL)?;
    }
    for address in [0, WILD] {
        let outcome = compat::ext3_freeze(fs.fd(), address);
        fails_with("EXT3_IOC_FREEZE with a bad pointer", outcome, Errno::EFAULT)?;
    }
    is_thawed(&fs)?;
    for seconds in [0, i32::MAX] {
        let file = prepare(&fs)?;
        freeze(seconds).with_context(|| format!("EXT3_IOC_FREEZE with a long {seconds}"))?;
        let writer = Writer::start(fixture, &file)?;
        fails_with("freeze of the frozen", freeze(seconds), Errno::EINVAL)?;
        thaw().context("EXT3_IOC_THAW")?;
        writer.completes(fixture, &fs)?;
    }
    let file = prepare(&fs)?;
    let (writer, deadline) = in_time(fixture, &fs, |seconds| {
        freeze(i32::try_from(seconds)?).context("EXT3_IOC_FREEZE")?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, &fs, writer, deadline)
}
