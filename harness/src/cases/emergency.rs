//! The emergency thaw (SysRq j), and what else may hold or be in progress.

use anyhow::Result;
use nix::errno::Errno;

use super::dm::{resume, succeeds, suspend};
use super::{Writer, fails_with, freeze, is_thawed, prepare, thaw};
use crate::bench::{Bench, EMERGENCY_THAWED};
use crate::dm::Dm;
use crate::kmsg::Kmsg;
use crate::mount::Mount;

/// What the kernel logs when it has released device-mapper's hold
/// (`do_thaw_all_callback` in fs/super.c).
const RELEASED: &str = "Emergency Thaw on dm-";

/// Device-mapper's hold goes first, the file holds follow. Then ext3 has
/// something to write, and waits for the device; XFS has not.
pub fn while_suspended(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    suspend(bench, &dm)?;
    succeeds(bench, "FIFREEZE while suspended", || fs.freeze())?;
    let writer = Writer::start(bench, &file)?;
    let mut log = Kmsg::mark()?;
    bench.begin_emergency_thaw()?;
    log.wait_for(RELEASED)?;
    resume(bench, &dm)?;
    log.wait_for(EMERGENCY_THAWED)?;
    writer.completes(bench, &fs)?;
    is_thawed(&fs)?;
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    holds_count_again(bench, &fs, &dm)
}

/// No hold is left over, nor one owed.
fn holds_count_again(bench: &Bench, fs: &Mount, dm: &Dm) -> Result<()> {
    let file = prepare(fs)?;
    suspend(bench, dm)?;
    let writer = Writer::start(bench, &file)?;
    resume(bench, dm)?;
    writer.completes(bench, fs)?;
    let file = prepare(fs)?;
    freeze(fs)?;
    let writer = Writer::start(bench, &file)?;
    suspend(bench, dm)?;
    resume(bench, dm)?;
    writer.is_blocked()?;
    thaw(fs)?;
    writer.completes(bench, fs)?;
    fails_with("FITHAW after the last", fs.thaw(), Errno::EINVAL)
}
