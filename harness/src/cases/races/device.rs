//! What happens to the device, or to all that is frozen, while the deadline passes.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::mount::umount;

use super::aim::Aim;
use super::round::{GAP, all_are_well, freeze_all, open, race};
use crate::case::Case;
use crate::devices::dm;
use crate::devices::herd::{self, Member};
use crate::devices::switch::Switch;
use crate::fixture::{Fixture, skip};
use crate::kit::complaints::DEVICE_GONE;
use crate::kit::deadline::{EXPIRED, has_no_file_hold, sleep_until};
use crate::kit::expiry::expired;
use crate::kit::writer::prepare;
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "timeout_races_suspend",
        "deadlines of 16 filesystems pass while their devices are suspended and resumed",
        suspends,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_races_device_gone",
        "deadlines of 16 filesystems pass while their devices fail",
        fails,
    )
    .needing(Feature::Timeout)
    .complaining(DEVICE_GONE),
    Case::new(
        "timeout_races_emergency_thaw",
        "deadlines of 16 filesystems pass while SysRq j thaws them",
        emergency_thaw,
    )
    .needing(Feature::Timeout),
];

const ROUNDS: usize = 2;
/// Attempts to thaw while deadlines pass, until it was so in [`ROUNDS`] of them.
const THAWS: usize = 16;
/// So much sooner the next one is asked for after one that came too late.
const LEAD: Duration = Duration::from_millis(20);

fn switches(herd: &[Member]) -> Result<Vec<Switch>> {
    herd.iter().map(|member| Switch::of(&member.dm)).collect()
}

/// A suspension delays the end of the freeze, and does not prevent it.
fn suspends(fixture: &Fixture) -> Result<()> {
    let herd = fixture.herd()?;
    let (mounts, switches) = (open(&herd)?, switches(&herd)?);
    let mut aim = Aim::new();
    for _ in 0..ROUNDS {
        fixture.step("freeze, suspend and resume");
        let (deadlines, mut log) = freeze_all(&mounts, GAP)?;
        let moments: Vec<_> = deadlines.iter().map(|&at| aim.near(at)).collect();
        let pauses: Vec<_> = switches.iter().map(|it| (it, aim.pause())).collect();
        let racer = race(fixture, &pauses, moments, |(switch, pause)| {
            suspend_for(switch, *pause)
        })?;
        for outcome in racer.outcomes()? {
            outcome.context("suspend and resume")?;
        }
        expired(fixture, &mut log, herd.len())?;
        all_are_well(fixture, &mounts)?;
    }
    Ok(())
}

fn suspend_for(switch: &Switch, pause: Duration) -> Result<(), Errno> {
    switch.suspend()?;
    sleep(pause);
    switch.resume()
}

/// The freeze ends also if there is nothing left to freeze.
fn fails(fixture: &Fixture) -> Result<()> {
    let herd = fixture.herd()?;
    let (mounts, switches) = (open(&herd)?, switches(&herd)?);
    for (fs, member) in mounts.iter().zip(&herd) {
        prepare(fs)?;
        member
            .dm
            .load(&dm::error(herd::sectors(fixture.filesystem())))?;
    }
    fixture.step("freeze, and let the devices fail");
    let mut aim = Aim::new();
    let (deadlines, mut log) = freeze_all(&mounts, GAP)?;
    let moments: Vec<_> = deadlines.iter().map(|&at| aim.near(at)).collect();
    let racer = race(fixture, &switches, moments, Switch::exchange)?;
    for outcome in racer.outcomes()? {
        outcome.context("the exchange of a table")?;
    }
    expired(fixture, &mut log, herd.len())?;
    mounts.iter().try_for_each(has_no_file_hold)?;
    drop(mounts);
    fixture.step("unmount");
    for member in &herd {
        umount(member.root()).context("umount of what has failed")?;
    }
    Ok(())
}

/// The emergency thaw comes when some deadlines have passed, and others have not.
fn emergency_thaw(fixture: &Fixture) -> Result<()> {
    let herd = fixture.herd()?;
    let mounts = open(&herd)?;
    let mut lead = Duration::ZERO;
    let mut met = 0;
    for _ in 0..THAWS {
        fixture.step("freeze");
        let (deadlines, mut log) = freeze_all(&mounts, GAP / 4)?;
        sleep_until(deadlines[deadlines.len() / 2] - lead);
        fixture.emergency_thaw()?;
        all_are_well(fixture, &mounts)?;
        let (count, all) = (log.containing(EXPIRED)?.len(), herd.len());
        fixture.step(&format!("{count} of {all} deadlines have passed"));
        match count {
            0 => lead = lead.saturating_sub(LEAD / 2),
            _ if count == all => lead += LEAD,
            _ => met += 1,
        }
        if met == ROUNDS {
            return Ok(());
        }
    }
    skip("no emergency thaw came while deadlines passed: this machine is too slow, or too busy")
}
