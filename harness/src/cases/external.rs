//! A filesystem on two devices: its journal is on the second, and either may be suspended.

use std::io;

use anyhow::{Context as _, Result};

use crate::actors::racer::{Call, Racer};
use crate::case::Case;
use crate::devices::disk;
use crate::devices::dm::{self, Dm};
use crate::devices::mount::Mount;
use crate::devices::switch::Switch;
use crate::fixture::{Fixture, skip};
use crate::kit::deadline::after;
use crate::kit::device::{is_frozen_by, resume, suspend, unless_it_follows};
use crate::kit::state::{freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::wire::storage::SCRATCH;
use crate::wire::{Feature, Filesystem};

pub const CASES: &[Case] = &[
    Case::new(
        "external_suspend_both",
        "with a journal on a device of its own, two suspended devices take two dmsetup resume, in all orders",
        suspend_both,
    )
    .needing(Feature::DeviceHolds),
    Case::new(
        "external_emergency_thaw",
        "SysRq j between the suspensions of two devices: each is frozen until it is resumed",
        emergency_thaw,
    )
    .needing(Feature::Emergency),
    Case::new(
        "external_emergency_thaw_data_first",
        "the same where the journal is suspended after SysRq j",
        emergency_thaw_data_first,
    )
    .needing(Feature::Emergency)
    // ext3 has something to write at the thaw, and waits for the device.
    .only_on(&[Filesystem::Xfs]),
    Case::new(
        "external_emergency_thaw_races",
        "devices that are suspended and resumed while SysRq j thaws do not stay frozen, and can be mounted",
        emergency_thaw_races,
    )
    .needing(Feature::Emergency),
];

/// Rounds of a race, and suspensions in each.
const ROUNDS: usize = 12;
const SUSPENSIONS: usize = 24;

/// A filesystem, the device of its data, and that of its journal.
struct Two {
    fs: Mount,
    options: String,
    data: Dm,
    log: Dm,
}

impl Two {
    fn new(fixture: &Fixture) -> Result<Two> {
        let of = |name: &str, serial| {
            let disk = disk::by_serial(serial)?;
            fixture.dm(name, &dm::linear(disk::sectors(&disk)?, &disk))
        };
        let (data, log) = (of("data", SCRATCH[0])?, of("log", SCRATCH[1])?);
        let (fs, options) = fixture.fresh_external(&data.node(), &log.node())?;
        Ok(Two {
            fs,
            options,
            data,
            log,
        })
    }

    /// Whether the device of the journal has a way to the filesystem, which it has not before Linux 6.8.
    fn log_freezes(&self, fixture: &Fixture) -> Result<bool> {
        is_frozen_by(fixture, &self.fs, &self.log)
    }
}

fn suspend_both(fixture: &Fixture) -> Result<()> {
    let two = Two::new(fixture)?;
    if !two.log_freezes(fixture)? {
        return skip("to suspend the device of a journal does not freeze here");
    }
    let (data, log) = (&two.data, &two.log);
    for devices in [[data, log], [log, data]] {
        for first in [0, 1] {
            let file = prepare(&two.fs)?;
            suspend(fixture, devices[0])?;
            let writer = Writer::start(fixture, &file)?;
            suspend(fixture, devices[1])?;
            resume(fixture, devices[first])?;
            writer.is_blocked()?;
            is_frozen(&two.fs)?;
            resume(fixture, devices[1 - first])?;
            writer.completes(fixture, &two.fs)?;
        }
    }
    Ok(())
}

fn emergency_thaw(fixture: &Fixture) -> Result<()> {
    let two = Two::new(fixture)?;
    unless_it_follows(fixture, &two.fs, &two.data)?;
    between(fixture, &two, &two.log, &two.data)
}

fn emergency_thaw_data_first(fixture: &Fixture) -> Result<()> {
    let two = Two::new(fixture)?;
    if !two.log_freezes(fixture)? {
        return skip("to suspend the device of a journal does not freeze here");
    }
    between(fixture, &two, &two.data, &two.log)
}

/// The first device is suspended and thawed by force, the second is suspended, the first resumed.
fn between(fixture: &Fixture, two: &Two, first: &Dm, second: &Dm) -> Result<()> {
    let file = prepare(&two.fs)?;
    suspend(fixture, first)?;
    fixture.emergency_thaw()?;
    is_thawed(&two.fs)?;
    fixture.step("dmsetup suspend of the second device");
    let switch = Switch::of(second)?;
    // It may have to wait for the first one, to which the freeze writes.
    let suspending = fixture.actor("suspend", || switch.suspend().map_err(io::Error::from))?;
    resume(fixture, first)?;
    suspending.outcome()?.context("suspend of the second")?;
    let writer = Writer::start(fixture, &file).context("while the second is suspended")?;
    is_frozen(&two.fs)?;
    resume(fixture, second)?;
    writer.completes(fixture, &two.fs)?;
    holds_count_again(fixture, two)
}

/// No hold is left over, nor one owed.
fn holds_count_again(fixture: &Fixture, two: &Two) -> Result<()> {
    for dm in [&two.data, &two.log] {
        freeze(&two.fs)?;
        suspend(fixture, dm)?;
        resume(fixture, dm)?;
        is_frozen(&two.fs)?;
        thaw(&two.fs)?;
        is_thawed(&two.fs)?;
        suspend(fixture, dm)?;
        resume(fixture, dm)?;
        is_thawed(&two.fs)?;
    }
    Ok(())
}

fn emergency_thaw_races(fixture: &Fixture) -> Result<()> {
    let two = Two::new(fixture)?;
    let switches = [Switch::of(&two.data)?, Switch::of(&two.log)?];
    for round in 1..=ROUNDS {
        fixture.step(&format!("round {round} of {ROUNDS}"));
        let racers: Vec<_> = switches
            .iter()
            .map(|switch| suspend_and_resume(fixture, switch))
            .collect::<Result<_>>()?;
        fixture.begin_emergency_thaw()?;
        for racer in racers {
            for outcome in racer.outcomes()? {
                outcome.context("suspend or resume")?;
            }
        }
        fixture.emergency_thaw()?;
        is_thawed(&two.fs)?;
        freeze(&two.fs)?;
        thaw(&two.fs)?;
        is_thawed(&two.fs)?;
        drop(prepare(&two.fs)?);
    }
    can_be_mounted(fixture, two)
}

/// A device that counts as frozen cannot be (`EBUSY`).
fn can_be_mounted(fixture: &Fixture, two: Two) -> Result<()> {
    fixture.unmount(two.fs)?;
    fixture.step("mount again");
    let fs =
        fixture.mount_unchecked(fixture.filesystem().kind(), &two.data.node(), &two.options)?;
    prepare(&fs).map(drop)
}

/// A process that does so, as fast as it can.
fn suspend_and_resume(fixture: &Fixture, switch: &Switch) -> Result<Racer> {
    let calls: Vec<Call<'_>> = (0..SUSPENSIONS)
        .map(|nth| {
            let call = move || match nth % 2 {
                0 => switch.suspend(),
                _ => switch.resume(),
            };
            (after(0), Box::new(call) as Box<_>)
        })
        .collect();
    fixture.racer(&calls)
}
