//! An unmount while the deadline passes.

use anyhow::{Context as _, Result};
use nix::mount::umount;

use super::aim::Aim;
use super::round::{GAP, all_are_well, freeze_all, open, race};
use crate::case::Case;
use crate::devices::disk;
use crate::devices::herd::Member;
use crate::fixture::Fixture;
use crate::kit::expiry::expired;
use crate::kit::writer::{holds_old, prepare};
use crate::wire::Feature;

pub const CASES: &[Case] = &[Case::new(
    "timeout_races_unmount",
    "deadlines of 16 filesystems pass while they are unmounted",
    unmount,
)
.needing(Feature::Timeout)];

const ROUNDS: usize = 2;

/// Either the freeze ends first, or it ends while nothing but the freeze keeps
/// the filesystem: it ends in any case, and what was written is there.
fn unmount(fixture: &Fixture) -> Result<()> {
    let herd = fixture.herd()?;
    let mut aim = Aim::new();
    for _ in 0..ROUNDS {
        round(fixture, &herd, &mut aim)?;
    }
    all_are_well(fixture, &open(&herd)?)
}

fn round(fixture: &Fixture, herd: &[Member], aim: &mut Aim) -> Result<()> {
    let mounts = open(herd)?;
    for fs in &mounts {
        prepare(fs)?;
    }
    fixture.step("freeze and unmount");
    let (deadlines, mut log) = freeze_all(&mounts, GAP)?;
    drop(mounts);
    let moments: Vec<_> = deadlines.iter().map(|&at| aim.near(at)).collect();
    let racer = race(fixture, herd, moments, |member| umount(member.root()))?;
    for outcome in racer.outcomes()? {
        outcome.context("umount")?;
    }
    expired(fixture, &mut log, herd.len())?;
    fixture.step("mount again");
    for member in herd {
        disk::until_unused(&member.dm.node(), fixture.patience())?;
        member.mount()?;
        holds_old(&member.open()?)?;
    }
    Ok(())
}
