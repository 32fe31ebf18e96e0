//! What the ioctls refuse, and with which error.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;

use crate::case::Case;
use crate::fixture::Fixture;
use crate::freeze::ioctl;
use crate::kit::privilege::is_privileged;
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "error_not_frozen",
        "FITHAW without a hold is EINVAL",
        not_frozen,
    ),
    Case::new(
        "error_no_capability",
        "both ioctls are EPERM without CAP_SYS_ADMIN in the superblock's user namespace",
        no_capability,
    ),
    Case::new(
        "error_cannot_freeze",
        "FIFREEZE is EOPNOTSUPP on tmpfs and proc",
        cannot_freeze,
    ),
    Case::new(
        "error_wrong_descriptor",
        "closed and O_PATH descriptors are EBADF; a pipe's or socket's filesystem cannot freeze",
        wrong_descriptor,
    ),
    Case::new(
        "error_full_counter",
        "65535 holds fit, the next is EBUSY, and 65535 thaws undo them",
        full_counter,
    )
    .needing(Feature::Nesting),
];

/// File holds that fit on one superblock.
const MOST_HOLDS: u32 = 65535;

fn not_frozen(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    fails_with("FITHAW of a new mount", fs.thaw(), Errno::EINVAL)?;
    freeze(&fs)?;
    thaw(&fs)?;
    fails_with("FITHAW after the last hold", fs.thaw(), Errno::EINVAL)?;
    let (other, new) = (fs.again()?, fs.again()?);
    fails_with("FITHAW of a new file", new.thaw(), Errno::EINVAL)?;
    freeze(&other)?;
    thaw(&new).context("after one in vain")?;
    is_thawed(&fs)
}

fn no_capability(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    is_privileged(fixture, "FIFREEZE", || fs.freeze())?;
    is_thawed(&fs)?;
    freeze(&fs)?;
    is_privileged(fixture, "FITHAW", || fs.thaw())?;
    is_frozen(&fs)?;
    thaw(&fs)
}

fn cannot_freeze(_: &Fixture) -> Result<()> {
    for root in ["/run", "/proc"] {
        let directory = File::open(root).with_context(|| format!("failed to open {root}"))?;
        cannot(root, directory.as_raw_fd())?;
    }
    Ok(())
}

/// `do_vfs_ioctl` takes the ioctls before any driver can see them, so no
/// descriptor at all gives `ENOTTY`: what counts is the superblock of the open
/// file's inode, which for a pipe or socket is one that cannot freeze.
fn wrong_descriptor(_: &Fixture) -> Result<()> {
    let closed = File::open("/run")
        .context("failed to open /run")?
        .as_raw_fd();
    bad("a closed descriptor", closed)?;
    let path = File::options()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open("/run")
        .context("failed to open /run with O_PATH")?;
    bad("an O_PATH descriptor", path.as_raw_fd())?;
    let (pipe, _writer) = io::pipe().context("failed to make a pipe")?;
    cannot("a pipe", pipe.as_raw_fd())?;
    let (socket, _peer) = UnixStream::pair().context("failed to make a socket")?;
    cannot("a socket", socket.as_raw_fd())
}

fn bad(what: &str, fd: i32) -> Result<()> {
    fails_with(
        &format!("FIFREEZE of {what}"),
        ioctl::freeze(fd),
        Errno::EBADF,
    )?;
    fails_with(&format!("FITHAW of {what}"), ioctl::thaw(fd), Errno::EBADF)
}

/// Never frozen, it has no hold to release either.
fn cannot(what: &str, fd: i32) -> Result<()> {
    fails_with(
        &format!("FIFREEZE of {what}"),
        ioctl::freeze(fd),
        Errno::EOPNOTSUPP,
    )?;
    fails_with(&format!("FITHAW of {what}"), ioctl::thaw(fd), Errno::EINVAL)
}

fn full_counter(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    fixture.step("FIFREEZE up to the limit");
    for hold in 1..=MOST_HOLDS {
        fs.freeze()
            .with_context(|| format!("FIFREEZE {hold} of {MOST_HOLDS}"))?;
    }
    fails_with("FIFREEZE beyond the limit", fs.freeze(), Errno::EBUSY)?;
    fixture.step("FITHAW of all");
    for hold in 1..=MOST_HOLDS {
        if hold == MOST_HOLDS {
            is_frozen(&fs).context("before the last FITHAW")?;
        }
        fs.thaw()
            .with_context(|| format!("FITHAW {hold} of {MOST_HOLDS}"))?;
    }
    is_thawed(&fs)?;
    fails_with("FITHAW after the last", fs.thaw(), Errno::EINVAL)
}
