//! File holds are counted: as many thaws as freezes, by whomever.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::mount::MsFlags;

use super::{Writer, fails_with, freeze, is_frozen, is_thawed, prepare, thaw};
use crate::bench::Bench;
use crate::disk;
use crate::mount::Mount;
use crate::pool::{Call, Pool};

const HOLDS: usize = 5;

const FREEZERS: usize = 16;
const ROUNDS: usize = 100;
/// Every so many rounds a writer is blocked; in the others a remount tells,
/// which costs no process.
const WRITER_ROUNDS: usize = 25;

fn take_holds(bench: &Bench, fs: &Mount) -> Result<()> {
    for hold in 1..=HOLDS {
        bench.step(&format!("FIFREEZE {hold} of {HOLDS}"));
        freeze(fs)?;
    }
    Ok(())
}

pub fn n_freezes_need_n_thaws(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    take_holds(bench, &fs)?;
    let writer = Writer::start(bench, &file)?;
    for hold in 1..HOLDS {
        bench.step(&format!("FITHAW {hold} of {HOLDS}"));
        thaw(&fs)?;
        writer.is_blocked()?;
    }
    bench.step("last FITHAW");
    thaw(&fs)?;
    writer.completes(bench, &fs)?;
    fails_with("FITHAW after the last", fs.thaw(), Errno::EINVAL)
}

pub fn concurrent_freezes(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let mut pool = bench.pool(FREEZERS, &fs)?;
    for round in 0..ROUNDS {
        bench.step(&format!("round {round}: {FREEZERS} FIFREEZE at once"));
        let file = prepare(&fs)?;
        all_succeed("FIFREEZE", &mut pool, Call::Freeze, FREEZERS)?;
        let writer = match round % WRITER_ROUNDS {
            0 => Some(Writer::start(bench, &file)?),
            _ => None,
        };
        bench.step(&format!("round {round}: all but one FITHAW at once"));
        all_succeed("FITHAW", &mut pool, Call::Thaw, FREEZERS - 1)?;
        is_frozen(&fs)?;
        if let Some(writer) = &writer {
            writer.is_blocked()?;
        }
        bench.step(&format!("round {round}: last FITHAW"));
        all_succeed("last FITHAW", &mut pool, Call::Thaw, 1)?;
        is_thawed(&fs)?;
        if let Some(writer) = writer {
            writer.completes(bench, &fs)?;
        }
        fails_with("FITHAW after the last", fs.thaw(), Errno::EINVAL)?;
    }
    Ok(())
}

pub fn freeze_read_only(bench: &Bench) -> Result<()> {
    bench.unmount(bench.scratch()?)?;
    let device = disk::by_serial(disk::SCRATCH[0])?;
    let fs = bench.mount(&device, MsFlags::MS_RDONLY, "")?;
    take_holds(bench, &fs)?;
    for hold in 1..=HOLDS {
        is_frozen(&fs)?;
        bench.step(&format!("FITHAW {hold} of {HOLDS}"));
        thaw(&fs)?;
    }
    is_thawed(&fs)?;
    fails_with("FITHAW after the last", fs.thaw(), Errno::EINVAL)?;
    bench.step("remount writable");
    fs.remount(MsFlags::empty())
        .context("remount after the thaw")?;
    prepare(&fs).map(drop)
}

pub fn remount_while_frozen_is_busy(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let read_only = || fs.remount(MsFlags::MS_RDONLY);
    freeze(&fs)?;
    freeze(&fs).context("second hold")?;
    bench.step("remount with two holds");
    fails_with("remount with two holds", read_only(), Errno::EBUSY)?;
    thaw(&fs)?;
    bench.step("remount with one hold");
    fails_with("remount with one hold", read_only(), Errno::EBUSY)?;
    thaw(&fs)?;
    bench.step("remount after the last FITHAW");
    read_only().context("remount after the last FITHAW")
}

pub fn emergency_thaw(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    take_holds(bench, &fs)?;
    let writer = Writer::start(bench, &file)?;
    bench.emergency_thaw()?;
    is_thawed(&fs)?;
    writer.completes(bench, &fs)?;
    fails_with("FITHAW after the emergency thaw", fs.thaw(), Errno::EINVAL)
}

/// The first `count` of the pool make the call at once, and each gets a 0.
fn all_succeed(what: &str, pool: &mut Pool, call: Call, count: usize) -> Result<()> {
    let outcomes = pool.call(call, count)?;
    let errors: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| outcome.err())
        .collect();
    ensure!(
        errors.is_empty(),
        "{} of {count} {what} failed: {errors:?}",
        errors.len()
    );
    Ok(())
}
