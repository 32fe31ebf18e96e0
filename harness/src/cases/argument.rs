//! The timeout as the argument of `FIFREEZE`, which the sysctl switches on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::libc::c_long;

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::freeze::ioctl;
use crate::kit::deadline::{SHORT, ends_at, in_time};
use crate::kit::lasting::{freezes_for_good, lasts};
use crate::kit::state::{fails_with, is_thawed};
use crate::kit::sysctl::honour;
use crate::kit::writer::{Writer, prepare};
use crate::linux::mapping::{Mapping, WILD};
use crate::linux::sysctl::FREEZE_ARGUMENT as SYSCTL;
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "argument_ignored_by_default",
        "FIFREEZE does not look at its argument unless the sysctl says so",
        ignored_by_default,
    )
    .needing(Feature::Argument),
    Case::new(
        "argument_honoured",
        "with the sysctl on, FIFREEZE takes a timeout; 0, 1, NULL and an int 1 are none",
        honoured,
    )
    .needing(Feature::Argument),
    Case::new(
        "argument_setting",
        "the sysctl is 0 or 1, root's to write and everybody's to read",
        setting,
    )
    .needing(Feature::Argument),
];

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

fn ignored_by_default(fixture: &Fixture) -> Result<()> {
    let setting = fs::read_to_string(SYSCTL).with_context(|| format!("failed to read {SYSCTL}"))?;
    ensure!(setting == "0\n", "{SYSCTL} is {setting:?}");
    let fs = fixture.scratch()?;
    freezes(fixture, &fs, "0", 0)?;
    freezes(
        fixture,
        &fs,
        "an int 1 before garbage",
        ioctl::address(&INT_ONE),
    )?;
    freezes(fixture, &fs, "a wild pointer", WILD as usize)?;
    freezes_for_good(fixture, &fs, SHORT, || {
        ioctl::freeze_with(fs.fd(), ioctl::address(&SHORT))
    })
}

fn setting(_: &Fixture) -> Result<()> {
    let mode = fs::metadata(SYSCTL)?.permissions().mode() & 0o7777;
    ensure!(mode == 0o644, "{SYSCTL} has mode {mode:o}");
    for value in ["2", "-1", "x", "4294967296"] {
        ensure!(fs::write(SYSCTL, value).is_err(), "{SYSCTL} takes {value}");
    }
    let _setting = honour()?;
    let now = fs::read_to_string(SYSCTL)?;
    ensure!(now == "1\n", "{SYSCTL} is {now:?}");
    Ok(())
}

fn honoured(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let _setting = honour()?;
    is_a_timeout(fixture, &fs)?;
    freezes(fixture, &fs, "a null pointer", 0)?;
    freezes(fixture, &fs, "a long 0", ioctl::address(&(0 as c_long)))?;
    freezes(
        fixture,
        &fs,
        "an int 1 before garbage",
        ioctl::address(&INT_ONE),
    )?;
    let (_memory, edge) = Mapping::ending_with(&1_i32.to_ne_bytes())?;
    freezes(fixture, &fs, "an int 1 before nothing", edge)?;
    let longest: c_long = ioctl::TIMEOUT_MAX;
    freezes(fixture, &fs, "the longest", ioctl::address(&longest))?;
    for seconds in REFUSED {
        let outcome = ioctl::freeze_with(fs.fd(), ioctl::address(&seconds));
        fails_with(&format!("FIFREEZE for {seconds} s"), outcome, Errno::EINVAL)?;
        is_thawed(&fs)?;
    }
    let wild = ioctl::freeze_with(fs.fd(), WILD as usize);
    fails_with("FIFREEZE with a wild pointer", wild, Errno::EFAULT)?;
    is_thawed(&fs)?;
    freezes_for_good(fixture, &fs, 1, || {
        ioctl::freeze_with(fs.fd(), ioctl::address(&(1 as c_long)))
    })
}

/// With this argument `FIFREEZE` works, and is seen to last until the thaw.
fn freezes(fixture: &Fixture, fs: &Mount, what: &str, argument: usize) -> Result<()> {
    lasts(fixture, fs, &format!("FIFREEZE with {what}"), || {
        ioctl::freeze_with(fs.fd(), argument)
    })
}

fn is_a_timeout(fixture: &Fixture, fs: &Mount) -> Result<()> {
    let file = prepare(fs)?;
    let (writer, deadline) = in_time(fixture, fs, |seconds| {
        ioctl::freeze_with(fs.fd(), ioctl::address(&seconds)).context("FIFREEZE")?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, fs, writer, deadline)
}
