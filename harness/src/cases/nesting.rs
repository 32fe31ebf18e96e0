//! File holds are counted: as many thaws as freezes, by whomever.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::mount::MsFlags;

use crate::actors::pool::{Call, Pool};
use crate::case::Case;
use crate::devices::disk;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::wire::Feature;
use crate::wire::storage::SCRATCH;

pub const CASES: &[Case] = &[
    Case::new(
        "n_freezes_need_n_thaws",
        "five FIFREEZE need five FITHAW; a writer waits for the last",
        n_freezes_need_n_thaws,
    )
    .needing(Feature::Nesting),
    Case::new(
        "concurrent_freezes",
        "16 processes freeze and thaw at the same instant, 100 times; only the last thaw thaws",
        concurrent_freezes,
    )
    .needing(Feature::Nesting),
    Case::new(
        "freeze_read_only",
        "holds are counted on a read-only filesystem too",
        freeze_read_only,
    )
    .needing(Feature::Nesting),
    Case::new(
        "remount_while_frozen_is_busy",
        "a remount fails with EBUSY until the last hold is gone",
        remount_while_frozen_is_busy,
    )
    .needing(Feature::Nesting),
    Case::new(
        "emergency_thaw",
        "SysRq j releases all file holds at once",
        emergency_thaw,
    )
    .needing(Feature::Nesting),
];

const HOLDS: usize = 5;

const FREEZERS: usize = 16;
const ROUNDS: usize = 100;
/// Every so many rounds a writer is blocked; in the others a remount tells,
/// which costs no process.
const WRITER_ROUNDS: usize = 25;

fn take_holds(fixture: &Fixture, fs: &Mount) -> Result<()> {
    for hold in 1..=HOLDS {
        fixture.step(&format!("FIFREEZE {hold} of {HOLDS}"));
        freeze(fs)?;
    }
    Ok(())
}

fn n_freezes_need_n_thaws(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    take_holds(fixture, &fs)?;
    let writer = Writer::start(fixture, &file)?;
    for hold in 1..HOLDS {
        fixture.step(&format!("FITHAW {hold} of {HOLDS}"));
        thaw(&fs)?;
        writer.is_blocked()?;
    }
    fixture.step("last FITHAW");
    thaw(&fs)?;
    writer.completes(fixture, &fs)?;
    fails_with("FITHAW after the last", fs.thaw(), Errno::EINVAL)
}

fn concurrent_freezes(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let mut pool = fixture.pool(FREEZERS, &fs)?;
    for round in 0..ROUNDS {
        fixture.step(&format!("round {round}: {FREEZERS} FIFREEZE at once"));
        let file = prepare(&fs)?;
        all_succeed("FIFREEZE", &mut pool, Call::Freeze, FREEZERS)?;
        let writer = match round % WRITER_ROUNDS {
            0 => Some(Writer::start(fixture, &file)?),
            _ => None,
        };
        fixture.step(&format!("round {round}: all but one FITHAW at once"));
        all_succeed("FITHAW", &mut pool, Call::Thaw, FREEZERS - 1)?;
        is_frozen(&fs)?;
        if let Some(writer) = &writer {
            writer.is_blocked()?;
        }
        fixture.step(&format!("round {round}: last FITHAW"));
        all_succeed("last FITHAW", &mut pool, Call::Thaw, 1)?;
        is_thawed(&fs)?;
        if let Some(writer) = writer {
            writer.completes(fixture, &fs)?;
        }
        fails_with("FITHAW after the last", fs.thaw(), Errno::EINVAL)?;
    }
    Ok(())
}

fn freeze_read_only(fixture: &Fixture) -> Result<()> {
    fixture.unmount(fixture.scratch()?)?;
    let device = disk::by_serial(SCRATCH[0])?;
    let fs = fixture.mount(&device, MsFlags::MS_RDONLY, "")?;
    take_holds(fixture, &fs)?;
    for hold in 1..=HOLDS {
        is_frozen(&fs)?;
        fixture.step(&format!("FITHAW {hold} of {HOLDS}"));
        thaw(&fs)?;
    }
    is_thawed(&fs)?;
    fails_with("FITHAW after the last", fs.thaw(), Errno::EINVAL)?;
    fixture.step("remount writable");
    fs.remount(MsFlags::empty())
        .context("remount after the thaw")?;
    prepare(&fs).map(drop)
}

fn remount_while_frozen_is_busy(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let read_only = || fs.remount(MsFlags::MS_RDONLY);
    freeze(&fs)?;
    freeze(&fs).context("second hold")?;
    fixture.step("remount with two holds");
    fails_with("remount with two holds", read_only(), Errno::EBUSY)?;
    thaw(&fs)?;
    fixture.step("remount with one hold");
    fails_with("remount with one hold", read_only(), Errno::EBUSY)?;
    thaw(&fs)?;
    fixture.step("remount after the last FITHAW");
    read_only().context("remount after the last FITHAW")?;
    fixture.step("what was frozen writable is frozen read-only");
    freeze(&fs)?;
    is_frozen(&fs)?;
    thaw(&fs)?;
    fs.remount(MsFlags::empty()).context("remount after that")?;
    prepare(&fs).map(drop)
}

fn emergency_thaw(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    take_holds(fixture, &fs)?;
    let writer = Writer::start(fixture, &file)?;
    fixture.emergency_thaw()?;
    is_thawed(&fs)?;
    writer.completes(fixture, &fs)?;
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
