//! The emergency thaw (SysRq j), and what else may hold or be in progress.

use anyhow::Result;
use nix::errno::Errno;

use crate::case::Case;
use crate::devices::dm::Dm;
use crate::devices::mount::Mount;
use crate::fixture::{EMERGENCY_THAWED, Fixture};
use crate::kit::device::{resume, scratch_with_device, succeeds, suspend};
use crate::kit::state::{fails_with, freeze, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::wire::Feature;

pub const CASES: &[Case] = &[Case::new(
    "dm_emergency_thaw",
    "SysRq j while suspended releases all holds; dmsetup resume works, and freezing again",
    while_suspended,
)
.needing(Feature::Nesting)];

/// What the kernel logs when it has released device-mapper's hold
/// (`do_thaw_all_callback` in fs/super.c).
const RELEASED: &str = "Emergency Thaw on dm-";

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
