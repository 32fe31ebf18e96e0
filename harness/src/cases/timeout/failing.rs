//! A thaw that fails at the deadline. Of the filesystems that can say so, JFS is the simplest: it has to read its log.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::case::Case;
use crate::devices::{disk, dm};
use crate::fixture::{Fixture, unless_there_is};
use crate::kit::deadline::{
    HOUR, LATE, SHORT, after, freeze_for, has_no_file_hold, logged_at, logged_nothing_else, reset,
    sleep_until,
};
use crate::kit::state::{freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::linux::program;
use crate::wire::storage::SCRATCH;
use crate::wire::{Feature, Filesystem};

pub const CASES: &[Case] = &[Case::new(
    "timeout_thaw_fails",
    "a thaw that fails is tried again, less and less often; the log says so at the first time, and when it works",
    thaw_fails,
)
.needing(Feature::Timeout)
// It brings a filesystem of its own.
.only_on(&[Filesystem::Xfs])
.complaining(&[
    FAILED,
    "VFS: Filesystem thaw failed",
    "I/O error in JFS log",
    "Buffer I/O error on dev dm-",
])];

const FAILED: &str = "freeze timed out, but thawing failed";

/// Seconds after the deadline at which it is tried again (`FREEZE_RETRY_SEC` in fs/freeze.c), and then after twice
/// that time.
const SECOND: i64 = 10;
const THIRD: i64 = SECOND + 20;

fn thaw_fails(fixture: &Fixture) -> Result<()> {
    unless_there_is("JFS")?;
    let disk = disk::by_serial(SCRATCH[0])?;
    let sectors = disk::sectors(&disk)?;
    let dm = fixture.dm("linear", &dm::linear(sectors, &disk))?;
    fixture.step("mkfs");
    program::run(Command::new("mkfs.jfs").arg("-q").arg(dm.node()))?;
    let fs = fixture.mount_unchecked("jfs", &dm.node(), "errors=continue")?;
    let file = prepare(&fs)?;
    freeze_for(&fs, HOUR)?;
    let writer = Writer::start(fixture, &file)?;
    fixture.step("the device fails");
    dm.replace(&dm::error(sectors))?;
    let mut log = Kmsg::mark()?;
    let [deadline, second, third] = [0, SECOND, THIRD].map(|more| after(SHORT + more));
    reset(&fs, SHORT)?;
    let line = logged_at(fixture, &mut log, deadline)?;
    ensure!(line.contains(FAILED), "it did not fail: {line}");
    fixture.step("it fails again");
    sleep_until(second + LATE);
    logged_nothing_else(&mut log)?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    fixture.step("the device works again");
    dm.replace(&dm::linear(sectors, &disk))?;
    let line = logged_at(fixture, &mut log, third)?;
    ensure!(!line.contains(FAILED), "it failed once more: {line}");
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    writer.completes(fixture, &fs)?;
    freeze(&fs)?;
    thaw(&fs)?;
    prepare(&fs).map(drop)
}
