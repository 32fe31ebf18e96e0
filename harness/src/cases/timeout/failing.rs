//! A thaw that fails. Of the filesystems that can say so, JFS is the simplest: it has to read its log.

use std::process::Command;

use anyhow::{Result, ensure};
use nix::errno::Errno;

use crate::case::Case;
use crate::devices::disk;
use crate::devices::dm::{self, Dm};
use crate::devices::mount::Mount;
use crate::fixture::{Fixture, unless_there_is};
use crate::kit::deadline::{
    HOUR, LATE, SHORT, after, freeze_for, has_no_file_hold, logged_at, logged_nothing_else, reset,
    sleep_until,
};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::linux::program;
use crate::wire::storage::SCRATCH;
use crate::wire::{Feature, Filesystem};

pub const CASES: &[Case] = &[
    Case::new(
        "timeout_thaw_fails",
        "a thaw that fails is tried again, less and less often; the log says so at the first time, and when it works",
        at_a_deadline,
    )
    .needing(Feature::Timeout)
    .only_on(ONCE)
    .complaining(FAILING),
    Case::new(
        "failed_thaw_keeps_the_hold",
        "a FITHAW that fails keeps the hold, as SysRq j does, and another works once the device does",
        keeps_the_hold,
    )
    .needing(Feature::Nesting)
    .only_on(ONCE)
    .complaining(FAILING),
];

/// It brings a filesystem of its own.
const ONCE: &[Filesystem] = &[Filesystem::Xfs];

/// What it is right to say when a log cannot be read.
const FAILING: &[&str] = &[
    FAILED,
    "VFS: Filesystem thaw failed",
    "I/O error in JFS log",
    "Buffer I/O error on dev dm-",
];

const FAILED: &str = "freeze timed out, but thawing failed";

/// Seconds after the deadline at which it is tried again (`FREEZE_RETRY_SEC` in fs/freeze.c), and then after twice
/// that time.
const SECOND: i64 = 10;
const THIRD: i64 = SECOND + 20;

/// JFS on a device that can be made to fail.
struct Jfs {
    fs: Mount,
    dm: Dm,
    sectors: u64,
    works: String,
}

impl Jfs {
    fn new(fixture: &Fixture) -> Result<Jfs> {
        unless_there_is("JFS")?;
        let disk = disk::by_serial(SCRATCH[0])?;
        let sectors = disk::sectors(&disk)?;
        let works = dm::linear(sectors, &disk);
        let dm = fixture.dm("linear", &works)?;
        fixture.step("mkfs");
        program::run(Command::new("mkfs.jfs").arg("-q").arg(dm.node()))?;
        let fs = fixture.mount_unchecked("jfs", &dm.node(), "errors=continue")?;
        Ok(Jfs {
            fs,
            dm,
            sectors,
            works,
        })
    }

    fn fail(&self, fixture: &Fixture) -> Result<()> {
        fixture.step("the device fails");
        self.dm.replace(&dm::error(self.sectors))
    }

    fn work(&self, fixture: &Fixture) -> Result<()> {
        fixture.step("the device works again");
        self.dm.replace(&self.works)
    }

    /// The writer goes on, and the log does.
    fn is_as_before(&self, fixture: &Fixture, writer: Writer<'_>) -> Result<()> {
        is_thawed(&self.fs)?;
        has_no_file_hold(&self.fs)?;
        writer.completes(fixture, &self.fs)?;
        freeze(&self.fs)?;
        thaw(&self.fs)?;
        prepare(&self.fs).map(drop)
    }
}

fn at_a_deadline(fixture: &Fixture) -> Result<()> {
    let jfs = Jfs::new(fixture)?;
    let fs = &jfs.fs;
    let file = prepare(fs)?;
    freeze_for(fs, HOUR)?;
    let writer = Writer::start(fixture, &file)?;
    jfs.fail(fixture)?;
    let mut log = Kmsg::mark()?;
    let [deadline, second, third] = [0, SECOND, THIRD].map(|more| after(SHORT + more));
    reset(fs, SHORT)?;
    let line = logged_at(fixture, &mut log, deadline)?;
    ensure!(line.contains(FAILED), "it did not fail: {line}");
    fixture.step("whoever froze learns that the time was over");
    fails_with("reset", fs.reset_timeout(HOUR), Errno::EINVAL)?;
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    fixture.step("it fails again");
    sleep_until(second + LATE);
    logged_nothing_else(&mut log)?;
    writer.is_blocked()?;
    is_frozen(fs)?;
    jfs.work(fixture)?;
    let line = logged_at(fixture, &mut log, third)?;
    ensure!(!line.contains(FAILED), "it failed once more: {line}");
    jfs.is_as_before(fixture, writer)
}

fn keeps_the_hold(fixture: &Fixture) -> Result<()> {
    let jfs = Jfs::new(fixture)?;
    let fs = &jfs.fs;
    let file = prepare(fs)?;
    freeze(fs)?;
    let writer = Writer::start(fixture, &file)?;
    jfs.fail(fixture)?;
    let rescuer = fs.again()?;
    for file in [fs, fs, &rescuer] {
        fails_with("FITHAW", file.thaw(), Errno::EIO)?;
        is_frozen(fs)?;
    }
    fixture.emergency_thaw()?;
    is_frozen(fs)?;
    writer.is_blocked()?;
    jfs.work(fixture)?;
    thaw(fs)?;
    jfs.is_as_before(fixture, writer)?;
    fixture.step("whoever could not help can do it now");
    freeze(fs)?;
    thaw(&rescuer)?;

    let file = prepare(fs)?;
    freeze(fs)?;
    let writer = Writer::start(fixture, &file)?;
    jfs.fail(fixture)?;
    fixture.emergency_thaw()?;
    is_frozen(fs)?;
    jfs.work(fixture)?;
    fixture.emergency_thaw()?;
    jfs.is_as_before(fixture, writer)
}
