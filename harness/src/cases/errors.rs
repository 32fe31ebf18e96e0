//! What the ioctls refuse, and with which error.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use super::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::bench::Bench;
use crate::ioctl;

/// The user and group of nobody.
const NOBODY: u32 = 65534;

/// Who lacks `CAP_SYS_ADMIN` in the superblock's user namespace, and how a child becomes that.
const UNPRIVILEGED: [(&str, fn()); 2] = [
    ("as nobody", become_nobody),
    ("as root of a new user namespace", enter_user_namespace),
];

/// File holds that fit on one superblock.
const MOST_HOLDS: u32 = 65535;

pub fn not_frozen(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    fails_with("FITHAW of a new mount", fs.thaw(), Errno::EINVAL)?;
    freeze(&fs)?;
    thaw(&fs)?;
    fails_with("FITHAW after the last hold", fs.thaw(), Errno::EINVAL)
}

pub fn no_capability(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    is_privileged(bench, "FIFREEZE", || fs.freeze())?;
    is_thawed(&fs)?;
    freeze(&fs)?;
    is_privileged(bench, "FITHAW", || fs.thaw())?;
    is_frozen(&fs)?;
    thaw(&fs)
}

/// Fails unless the call is refused to children that have made themselves unprivileged.
pub(super) fn is_privileged(
    bench: &Bench,
    what: &str,
    call: impl Fn() -> Result<(), Errno>,
) -> Result<()> {
    for (who, drop_privilege) in UNPRIVILEGED {
        let what = format!("{what} {who}");
        let outcome = bench.returns(&what, || {
            drop_privilege();
            call()
        })?;
        fails_with(&what, outcome, Errno::EPERM)?;
    }
    Ok(())
}

/// In a child, where a panic is reported as its death.
fn become_nobody() {
    setgroups(&[]).expect("root may drop its groups");
    setgid(Gid::from_raw(NOBODY)).expect("root may change its group");
    setuid(Uid::from_raw(NOBODY)).expect("root may change its user");
}

/// Leaves all capabilities, but in a namespace that does not own the superblock.
fn enter_user_namespace() {
    unshare(CloneFlags::CLONE_NEWUSER).expect("the kernel has user namespaces");
}

pub fn cannot_freeze(_: &Bench) -> Result<()> {
    for root in ["/run", "/proc"] {
        let directory = File::open(root).with_context(|| format!("failed to open {root}"))?;
        cannot(root, directory.as_raw_fd())?;
    }
    Ok(())
}

/// `do_vfs_ioctl` takes the ioctls before any driver can see them, so no
/// descriptor at all gives `ENOTTY`: what counts is the superblock of the open
/// file's inode, which for a pipe or socket is one that cannot freeze.
pub fn wrong_descriptor(_: &Bench) -> Result<()> {
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

pub fn full_counter(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    bench.step("FIFREEZE up to the limit");
    for hold in 1..=MOST_HOLDS {
        fs.freeze()
            .with_context(|| format!("FIFREEZE {hold} of {MOST_HOLDS}"))?;
    }
    fails_with("FIFREEZE beyond the limit", fs.freeze(), Errno::EBUSY)?;
    bench.step("FITHAW of all");
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
