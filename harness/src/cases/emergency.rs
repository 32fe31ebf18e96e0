//! The emergency thaw (SysRq j), and what else may hold or be in progress.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::mount::MsFlags;

use crate::case::Case;
use crate::devices::disk;
use crate::devices::dm::Dm;
use crate::devices::mount::Mount;
use crate::fixture::{EMERGENCY_THAWED, Fixture};
use crate::kit::device::{
    make_dirty, resume, scratch_with_device, stacked, succeeds, suspend, unless_it_follows,
};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::wire::Feature;
use crate::wire::storage::SCRATCH;

pub const CASES: &[Case] = &[
    Case::new(
        "dm_emergency_thaw",
        "SysRq j while suspended releases all holds; dmsetup resume works, and freezing again",
        while_suspended,
    )
    .needing(Feature::Nesting),
    Case::new(
        "emergency_thaw_beside_suspend",
        "SysRq j thaws what is frozen while a dmsetup suspend hangs, and leaves that one alone",
        beside_a_suspend,
    )
    .needing(Feature::Emergency),
];

/// What the kernel logs when it has released device-mapper's hold
/// (`do_thaw_all_callback` in fs/super.c).
const RELEASED: &str = "Emergency Thaw on dm-";

/// Between two looks whether the filesystem is frozen.
const PAUSE: Duration = Duration::from_millis(20);

/// Device-mapper's hold goes first, the file holds follow. Then ext3 and ext4
/// have something to write, and wait for the device; XFS has not.
fn while_suspended(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    suspend(fixture, &dm)?;
    succeeds(fixture, "FIFREEZE while suspended", || fs.freeze())?;
    let writer = Writer::start(fixture, &file)?;
    let mut log = Kmsg::mark()?;
    fixture.begin_emergency_thaw()?;
    log.wait_for(RELEASED)?;
    resume(fixture, &dm)?;
    log.wait_for(EMERGENCY_THAWED)?;
    writer.completes(fixture, &fs)?;
    is_thawed(&fs)?;
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    holds_count_again(fixture, &fs, &dm)
}

/// No hold is left over, nor one owed.
fn holds_count_again(fixture: &Fixture, fs: &Mount, dm: &Dm) -> Result<()> {
    let file = prepare(fs)?;
    suspend(fixture, dm)?;
    let writer = Writer::start(fixture, &file)?;
    resume(fixture, dm)?;
    writer.completes(fixture, fs)?;
    let file = prepare(fs)?;
    freeze(fs)?;
    let writer = Writer::start(fixture, &file)?;
    suspend(fixture, dm)?;
    resume(fixture, dm)?;
    writer.is_blocked()?;
    thaw(fs)?;
    writer.completes(fixture, fs)?;
    fails_with("FITHAW after the last", fs.thaw(), Errno::EINVAL)
}

/// The device has a dirty page of its own, to write out for which the one below would have to work. Mounted
/// read-only, the filesystem is frozen by then.
fn beside_a_suspend(fixture: &Fixture) -> Result<()> {
    let (top, below) = stacked(fixture)?;
    fixture.unmount(fixture.fresh(&top.node())?)?;
    let hangs = fixture.mount(&top.node(), MsFlags::MS_RDONLY, "")?;
    unless_it_follows(fixture, &hangs, &top)?;
    let other = fixture.fresh(&disk::by_serial(SCRATCH[1])?)?;
    make_dirty(&top, disk::sectors(&top.node())?)?;
    suspend(fixture, &below)?;
    fixture.step("dmsetup suspend, which hangs");
    let suspends = fixture.actor("suspend", || top.suspend().map_err(io::Error::other))?;
    suspends.sleeps()?;
    fixture.step("it has frozen");
    while !hangs.is_frozen()? {
        suspends.is_alive()?;
        sleep(PAUSE);
    }
    let file = prepare(&other)?;
    freeze(&other)?;
    let writer = Writer::start(fixture, &file)?;
    fixture.emergency_thaw()?;
    writer.completes(fixture, &other)?;
    resume(fixture, &below)?;
    suspends.outcome()?.context("dmsetup suspend")?;
    is_frozen(&hangs)?;
    resume(fixture, &top)?;
    is_thawed(&hangs)
}
