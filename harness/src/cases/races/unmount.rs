//! An unmount while the deadline passes.

use anyhow::{Context as _, Result};
use nix::mount::umount;

use super::{Aim, GAP, all_are_well, expired, freeze_all, open, race};
use crate::bench::Bench;
use crate::cases::{OLD, WRITTEN, prepare};
use crate::disk;
use crate::herd::Member;

const ROUNDS: usize = 2;

/// Either the freeze ends first, or it ends while nothing but the freeze keeps
/// the filesystem: it ends in any case, and what was written is there.
pub fn unmount(bench: &Bench) -> Result<()> {
    let herd = bench.herd()?;
    let mut aim = Aim::new();
    for _ in 0..ROUNDS {
        round(bench, &herd, &mut aim)?;
    }
    all_are_well(bench, &open(&herd)?)
}

fn round(bench: &Bench, herd: &[Member], aim: &mut Aim) -> Result<()> {
    let mounts = open(herd)?;
    for fs in &mounts {
        prepare(fs)?;
    }
    bench.step("freeze and unmount");
    let (deadlines, mut log) = freeze_all(&mounts, GAP)?;
    drop(mounts);
    let moments: Vec<_> = deadlines.iter().map(|&at| aim.near(at)).collect();
    let racer = race(bench, herd, moments, |member| umount(member.root()))?;
    for outcome in racer.outcomes()? {
        outcome.context("umount")?;
    }
    expired(bench, &mut log, herd.len())?;
    bench.step("mount again");
    for member in herd {
        disk::until_unused(&member.dm.node(), bench.patience())?;
        member.mount()?;
        member.open()?.holds(WRITTEN, &OLD)?;
    }
    Ok(())
}
