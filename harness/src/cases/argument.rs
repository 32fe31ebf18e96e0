//! The timeout as the argument of `FIFREEZE`, which the sysctl switches on.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::libc::c_long;

use super::deadline::{SHORT, after, ends_at, in_time, stays_frozen_beyond};
use super::{Writer, fails_with, is_thawed, prepare, thaw};
use crate::bench::Bench;
use crate::ioctl;
use crate::mapping::{Mapping, WILD};
use crate::mount::Mount;
use crate::sysctl::{FREEZE_ARGUMENT as SYSCTL, Setting};

/// What `xfs_freeze` passes, an `int`, and garbage behind it: as a `long`, no timeout at all.
const INT_ONE: [i32; 2] = [1, -1];

/// Numbers that are no timeout; the last two are if just an `int` of them is read.
const REFUSED: [c_long; 5] = [
    -1,
    ioctl::TIMEOUT_MAX + 1,
    c_long::MAX,
    c_long::MIN,
    (1 << 32) + SHORT,
];

pub fn ignored_by_default(bench: &Bench) -> Result<()> {
    let setting = fs::read_to_string(SYSCTL).with_context(|| format!("failed to read {SYSCTL}"))?;
    ensure!(setting == "0\n", "{SYSCTL} is {setting:?}");
    let fs = bench.scratch()?;
    freezes(bench, &fs, "0", 0)?;
    freezes(
        bench,
        &fs,
        "an int 1 before garbage",
        ioctl::address(&INT_ONE),
    )?;
    freezes(bench, &fs, "a wild pointer", WILD as usize)?;
    freezes_for_good(bench, &fs, SHORT, || {
        ioctl::freeze_with(fs.fd(), ioctl::address(&SHORT))
    })
}

pub fn honoured(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let _setting = honour()?;
    is_a_timeout(bench, &fs)?;
    freezes(bench, &fs, "a null pointer", 0)?;
    freezes(bench, &fs, "a long 0", ioctl::address(&(0 as c_long)))?;
    freezes(
        bench,
        &fs,
        "an int 1 before garbage",
        ioctl::address(&INT_ONE),
    )?;
    let (_memory, edge) = Mapping::ending_with(&1_i32.to_ne_bytes())?;
    freezes(bench, &fs, "an int 1 before nothing", edge)?;
    let longest: c_long = ioctl::TIMEOUT_MAX;
    freezes(bench, &fs, "the longest", ioctl::address(&longest))?;
    for seconds in REFUSED {
        let outcome = ioctl::freeze_with(fs.fd(), ioctl::address(&seconds));
        fails_with(&format!("FIFREEZE for {seconds} s"), outcome, Errno::EINVAL)?;
        is_thawed(&fs)?;
    }
    let wild = ioctl::freeze_with(fs.fd(), WILD as usize);
    fails_with("FIFREEZE with a wild pointer", wild, Errno::EFAULT)?;
    is_thawed(&fs)?;
    freezes_for_good(bench, &fs, 1, || {
        ioctl::freeze_with(fs.fd(), ioctl::address(&(1 as c_long)))
    })
}

/// The argument counts for as long as this lives.
pub(super) fn honour() -> Result<Setting> {
    Setting::change(SYSCTL, "1")
}

/// With this argument `FIFREEZE` works, and is seen to last until the thaw.
fn freezes(bench: &Bench, fs: &Mount, what: &str, argument: usize) -> Result<()> {
    lasts(bench, fs, &format!("FIFREEZE with {what}"), || {
        ioctl::freeze_with(fs.fd(), argument)
    })
}

/// The freeze works, and is seen to last until the thaw.
pub(super) fn lasts(
    bench: &Bench,
    fs: &Mount,
    what: &str,
    freeze: impl FnOnce() -> Result<(), Errno>,
) -> Result<()> {
    bench.step(what);
    let file = prepare(fs)?;
    freeze().with_context(|| what.to_owned())?;
    let writer = Writer::start(bench, &file)?;
    thaw(fs).with_context(|| what.to_owned())?;
    writer.completes(bench, fs)
}

/// So many seconds, which the freeze passes on, are no timeout.
pub(super) fn freezes_for_good(
    bench: &Bench,
    fs: &Mount,
    seconds: i64,
    freeze: impl FnOnce() -> Result<(), Errno>,
) -> Result<()> {
    let file = prepare(fs)?;
    let deadline = after(seconds);
    freeze().context("FIFREEZE")?;
    let writer = Writer::start(bench, &file)?;
    stays_frozen_beyond(bench, fs, &writer, deadline)?;
    thaw(fs)?;
    writer.completes(bench, fs)
}

fn is_a_timeout(bench: &Bench, fs: &Mount) -> Result<()> {
    let file = prepare(fs)?;
    let (writer, deadline) = in_time(bench, fs, |seconds| {
        ioctl::freeze_with(fs.fd(), ioctl::address(&seconds)).context("FIFREEZE")?;
        Writer::start(bench, &file)
    })?;
    ends_at(bench, fs, writer, deadline)
}
