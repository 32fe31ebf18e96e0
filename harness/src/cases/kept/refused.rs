//! Requests that are refused, and change nothing.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::write;

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::freeze::hold::{Hold, Request};
use crate::freeze::ioctl::{self, address};
use crate::kit::deadline::has_no_file_hold;
use crate::kit::kept::{hold, is_active, time_left};
use crate::kit::privilege::is_privileged;
use crate::kit::state::{fails_with, is_frozen, is_thawed};
use crate::linux::mapping::Mapping;
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "hold_requests",
        "sizes, flags, times and addresses that are no good are refused, and change nothing",
        requests,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_permissions",
        "EPERM without privilege, EOPNOTSUPP for a tmpfs, EMFILE without a descriptor",
        permissions,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_is_no_other_file",
        "the descriptor takes no other request, nor the request another descriptor",
        is_no_other_file,
    )
    .needing(Feature::FreezeHold),
];

const HOUR: u64 = 3600;
/// `FS_FREEZE_HOLD_SIZE_VER0`
const SIZE: u32 = 16;
/// The largest size that is looked at.
const PAGE: usize = 4096;

/// Either request, of which only the error is of interest.
type Ask<'a> = &'a dyn Fn(usize) -> Result<(), Errno>;

fn requests(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let take = |request| Hold::ask(fs.as_fd(), request).map(drop);
    fixture.step("without a hold");
    are_refused(&take)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    larger_ones_are_taken(&take)?;
    is_thawed(&fs)?;
    let hold = hold(&fs, HOUR)?;
    let reset = |request| hold.ask_reset(request);
    fixture.step("beside a hold");
    are_refused(&take)?;
    fixture.step("to move the deadline");
    are_refused(&reset)?;
    let left = time_left(&hold)?;
    let unmoved = left.is_some_and(|left| (HOUR / 2..=HOUR).contains(&left));
    ensure!(unmoved, "{left:?} left of {HOUR} s");
    is_frozen(&fs)?;
    larger_ones_are_taken(&reset)?;
    is_active(&hold)
}

fn are_refused(ask: Ask<'_>) -> Result<()> {
    let good = Request::new(1);
    for size in [0, 1, 8, SIZE - 1] {
        let outcome = ask(address(&Request { size, ..good }));
        fails_with(&format!("size {size}"), outcome, Errno::EINVAL)?;
    }
    for size in [u32::try_from(PAGE)? + 1, u32::MAX] {
        let outcome = ask(address(&Request { size, ..good }));
        fails_with(&format!("size {size}"), outcome, Errno::E2BIG)?;
    }
    for flags in [1, 1 << 31] {
        let outcome = ask(address(&Request { flags, ..good }));
        fails_with(&format!("flags {flags:#x}"), outcome, Errno::EINVAL)?;
    }
    let longest = ioctl::TIMEOUT_MAX.unsigned_abs();
    for timeout_sec in [longest + 1, 1 << 63, u64::MAX] {
        let request = Request {
            timeout_sec,
            ..good
        };
        let outcome = ask(address(&request));
        fails_with(&format!("{timeout_sec} s"), outcome, Errno::EINVAL)?;
    }
    for at in [SIZE as usize, 24, PAGE - 1] {
        let mut bytes = larger(PAGE)?;
        bytes[at] = 1;
        let outcome = ask(bytes.as_ptr().expose_provenance());
        fails_with(&format!("a 1 at byte {at}"), outcome, Errno::E2BIG)?;
    }
    let bytes = larger(PAGE + 8)?;
    let outcome = ask(bytes.as_ptr().expose_provenance());
    fails_with("more than a page of zeros", outcome, Errno::E2BIG)?;
    cannot_be_read(ask)
}

fn cannot_be_read(ask: Ask<'_>) -> Result<()> {
    let bytes = larger(24)?;
    let (_size, size) = Mapping::ending_with(&bytes[..4])?;
    let (_half, half) = Mapping::ending_with(&bytes[..20])?;
    for (which, address) in [
        ("a null pointer", 0),
        ("an address of the kernel", usize::MAX - PAGE),
        ("a size and no more", size),
        ("half of what comes behind", half),
    ] {
        fails_with(which, ask(address), Errno::EFAULT)?;
    }
    Ok(())
}

/// Of programs that know more than this kernel, as long as they do not use it.
fn larger_ones_are_taken(ask: Ask<'_>) -> Result<()> {
    for size in [24, PAGE] {
        let bytes = larger(size)?;
        let (_memory, address) = Mapping::ending_with(&bytes)?;
        ask(address).with_context(|| format!("{size} bytes"))?;
    }
    Ok(())
}

/// A request for an hour with zeros behind it.
fn larger(size: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    bytes[..4].copy_from_slice(&u32::try_from(size)?.to_ne_bytes());
    bytes[8..16].copy_from_slice(&HOUR.to_ne_bytes());
    Ok(bytes)
}

fn permissions(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let take = |request| Hold::ask(fs.as_fd(), request).map(drop);
    let good = Request::new(HOUR);
    is_privileged(fixture, "FS_IOC_FREEZE_HOLD", || take(address(&good)))?;
    is_privileged(fixture, "with a null pointer", || take(0))?;
    let tmpfs = File::open("/run").context("failed to open /run")?;
    let outcome = Hold::take(tmpfs.as_fd(), 0).map(drop);
    fails_with("of a tmpfs", outcome, Errno::EOPNOTSUPP)?;
    let outcome = fixture.returns("without a descriptor", || no_descriptor(&fs))?;
    fails_with("without a descriptor", outcome, Errno::EMFILE)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    fixture.step("who has the descriptor moves the deadline, privileged or not");
    let hold = hold(&fs, HOUR)?;
    fixture
        .returns("reset as nobody", || {
            crate::kit::privilege::become_nobody();
            hold.reset(2 * HOUR)
        })?
        .context("reset as nobody")?;
    let left = time_left(&hold)?;
    ensure!(left.is_some_and(|left| left > HOUR), "{left:?} left");
    Ok(())
}

/// In a child, as the limit stays.
fn no_descriptor(fs: &Mount) -> Result<(), Errno> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, 3, hard)?;
    Hold::take(fs.as_fd(), 0).map(drop)
}

fn is_no_other_file(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let hold = hold(&fs, HOUR)?;
    let fd = hold.as_fd().as_raw_fd();
    let again = Hold::take(hold.as_fd(), 0).map(drop);
    fails_with("a hold of the hold", again, Errno::EOPNOTSUPP)?;
    fails_with("FIFREEZE", ioctl::freeze(fd), Errno::EOPNOTSUPP)?;
    fails_with("FITHAW", ioctl::thaw(fd), Errno::EINVAL)?;
    let unknown = ioctl::ext3_freeze(fd, 0);
    fails_with("an ioctl of ext3", unknown, Errno::ENOTTY)?;
    fails_with("write", write(&hold, b"x").map(drop), Errno::EBADF)?;
    let short = File::from(hold.as_fd().try_clone_to_owned()?).read(&mut [0; 7]);
    let error = short.err().and_then(|error| error.raw_os_error());
    ensure!(
        error == Some(Errno::EINVAL as i32),
        "a read of too little: {error:?}"
    );
    let directory = Hold::from(fs.duplicate()?);
    fails_with("reset", directory.reset(1), Errno::ENOTTY)?;
    is_active(&hold)?;
    is_frozen(&fs)
}
