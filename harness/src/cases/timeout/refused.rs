//! Times that are taken, and such that are refused.

use std::fs::File;
use std::os::fd::{AsRawFd as _, RawFd};

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::freeze::ioctl;
use crate::kit::deadline::{
    HOUR, after, ends_at, freeze_for, has_no_file_hold, in_time, logged_at, reset,
};
use crate::kit::privilege::is_privileged;
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::linux::mapping::Mapping;
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "timeout_values",
        "0 to 0x7fffffff are timeouts, all else is EINVAL and changes nothing",
        values,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_pointers",
        "a timeout that cannot be read is EFAULT and changes nothing; it is only read",
        pointers,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_permissions",
        "EPERM comes before EFAULT; tmpfs is EOPNOTSUPP",
        permissions,
    )
    .needing(Feature::Timeout),
];

/// Numbers that are no timeout.
const REFUSED: [i64; 4] = [-1, i64::MIN, ioctl::TIMEOUT_MAX + 1, i64::MAX];

/// A request with a timeout, given by its address.
type Call = fn(RawFd, usize) -> Result<(), Errno>;

const FREEZE_TIMEOUT: (&str, Call) = ("FIFREEZE_TIMEOUT", ioctl::freeze_timeout);
const RESET_TIMEOUT: (&str, Call) = ("FIFREEZE_RESET_TIMEOUT", ioctl::reset_timeout);

fn values(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    fixture.step("without a freeze");
    are_refused(FREEZE_TIMEOUT, &fs)?;
    are_refused(RESET_TIMEOUT, &fs)?;
    is_thawed(&fs)?;
    for seconds in [0, 1, ioctl::TIMEOUT_MAX] {
        let outcome = fs.reset_timeout(seconds);
        fails_with("reset without a hold", outcome, Errno::EINVAL)?;
    }
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    long_timeouts(fixture, &fs)?;
    one_second(fixture, &fs)?;
    is_about_its_own(&fs, Errno::EINVAL, |file| file.freeze_timeout(-1))?;
    refused_while_frozen(fixture, &fs)
}

/// 0 is no deadline, and the largest is far away.
fn long_timeouts(fixture: &Fixture, fs: &Mount) -> Result<()> {
    for seconds in [0, ioctl::TIMEOUT_MAX] {
        let file = prepare(fs)?;
        freeze_for(fs, seconds)?;
        let writer = Writer::start(fixture, &file)?;
        reset(fs, seconds)?;
        writer.is_blocked()?;
        thaw(fs)?;
        writer.completes(fixture, fs)?;
        has_no_file_hold(fs)?;
    }
    Ok(())
}

fn one_second(fixture: &Fixture, fs: &Mount) -> Result<()> {
    let mut log = Kmsg::mark()?;
    let deadline = after(1);
    freeze_for(fs, 1)?;
    logged_at(fixture, &mut log, deadline)?;
    has_no_file_hold(fs)
}

fn refused_while_frozen(fixture: &Fixture, fs: &Mount) -> Result<()> {
    let file = prepare(fs)?;
    let (writer, deadline) = in_time(fixture, fs, |seconds| {
        freeze_for(fs, seconds)?;
        are_refused(FREEZE_TIMEOUT, fs)?;
        are_refused(RESET_TIMEOUT, fs)?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, fs, writer, deadline)
}

fn are_refused((what, request): (&str, Call), fs: &Mount) -> Result<()> {
    for seconds in REFUSED {
        let outcome = request(fs.fd(), ioctl::address(&seconds));
        fails_with(&format!("{what} {seconds}"), outcome, Errno::EINVAL)?;
    }
    Ok(())
}

fn pointers(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    fixture.step("without a freeze");
    cannot_be_read(FREEZE_TIMEOUT, &fs)?;
    is_thawed(&fs)?;
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    let (writer, deadline) = in_time(fixture, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        cannot_be_read(FREEZE_TIMEOUT, &fs)?;
        cannot_be_read(RESET_TIMEOUT, &fs)?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, &fs, writer, deadline)?;
    is_about_its_own(&fs, Errno::EFAULT, |file| {
        ioctl::freeze_timeout(file.fd(), 0)
    })?;
    // In a section that is mapped without the right to write.
    static READ_ONLY: i64 = HOUR;
    for (what, request) in [FREEZE_TIMEOUT, RESET_TIMEOUT] {
        request(fs.fd(), ioctl::address(&READ_ONLY))
            .with_context(|| format!("{what} from read-only memory"))?;
        is_frozen(&fs)?;
    }
    thaw(&fs)?;
    is_thawed(&fs)
}

/// Through a file that has frozen in vain nothing of others is released, nor are their deadlines moved.
fn is_about_its_own(
    fs: &Mount,
    errno: Errno,
    freezes: impl FnOnce(&Mount) -> Result<(), Errno>,
) -> Result<()> {
    let (holder, refused) = (fs.again()?, fs.again()?);
    freeze(&holder)?;
    fails_with("FIFREEZE_TIMEOUT", freezes(&refused), errno)?;
    fails_with("FITHAW of the refused", refused.thaw(), Errno::EINVAL)?;
    let reset = refused.reset_timeout(HOUR);
    fails_with("reset of the refused", reset, Errno::EINVAL)?;
    thaw(&holder)?;
    is_thawed(fs)
}

fn cannot_be_read((what, request): (&str, Call), fs: &Mount) -> Result<()> {
    let (_memory, half) = Mapping::ending_with(&[0; size_of::<i64>() / 2])?;
    for (which, address) in [
        ("a null pointer", 0),
        // Below what any process can map (/proc/sys/vm/mmap_min_addr).
        ("a small number", size_of::<i64>()),
        (
            "an address of the kernel",
            usize::MAX - size_of::<i64>() + 1,
        ),
        ("half a number", half),
    ] {
        let outcome = request(fs.fd(), address);
        fails_with(&format!("{what} with {which}"), outcome, Errno::EFAULT)?;
    }
    Ok(())
}

fn permissions(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    freeze(&fs)?;
    for (what, request) in [FREEZE_TIMEOUT, RESET_TIMEOUT] {
        is_privileged(fixture, what, || request(fs.fd(), ioctl::address(&HOUR)))?;
        let null = format!("{what} with a null pointer");
        is_privileged(fixture, &null, || request(fs.fd(), 0))?;
    }
    thaw(&fs)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    let tmpfs = File::open("/run").context("failed to open /run")?;
    let (fd, hour) = (tmpfs.as_raw_fd(), ioctl::address(&HOUR));
    let freeze = ioctl::freeze_timeout(fd, hour);
    fails_with("FIFREEZE_TIMEOUT of a tmpfs", freeze, Errno::EOPNOTSUPP)?;
    let reset = ioctl::reset_timeout(fd, hour);
    fails_with("FIFREEZE_RESET_TIMEOUT of a tmpfs", reset, Errno::EINVAL)
}
