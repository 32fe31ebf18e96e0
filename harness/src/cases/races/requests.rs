//! Freeze, thaw, reset, remount and write, while the deadline passes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::mount::MsFlags;

use super::aim::Aim;
use super::round::{GAP, all_are_well, freeze_all, open, race};
use crate::actors::racer::{Call, Racer};
use crate::case::Case;
use crate::devices::herd::Member;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::{EXPIRED, HOUR, logged_nothing_else};
use crate::kit::expiry::{device, expired};
use crate::kit::state::gets_thawed;
use crate::kit::writer::{NEW, WRITTEN, prepare};
use crate::wire::Feature;
use crate::words::count;

pub const CASES: &[Case] = &[Case::new(
    "timeout_races",
    "deadlines of 16 filesystems pass while others freeze, thaw, reset, remount and write",
    requests,
)
.needing(Feature::Timeout)];

/// How long to go on; one round takes some seconds.
const TIME: Duration = Duration::from_secs(15);
/// Processes that are at each deadline, and how many requests each makes there.
const RACERS: usize = 3;
const REQUESTS: usize = 2;
/// Processes that write; one that is blocked is late for its next filesystem.
const WRITERS: usize = 4;

type Act = fn(&Mount) -> Result<(), Errno>;

/// What a racer may do: a name, a call, and the errors that are no failure.
type Choice = (&'static str, Act, &'static [Errno]);

/// A freeze may take longer than its time, or be one of a chain for which writers wait.
const WAITED: &[Errno] = &[Errno::ETIMEDOUT, Errno::EAGAIN];

const CHOICE: [Choice; 7] = [
    ("FIFREEZE", Mount::freeze, WAITED),
    ("FIFREEZE_TIMEOUT", |fs| fs.freeze_timeout(1), WAITED),
    ("FITHAW", Mount::thaw, &[Errno::EINVAL]),
    ("reset", |fs| fs.reset_timeout(1), &[Errno::EINVAL]),
    ("cancel", |fs| fs.reset_timeout(0), &[Errno::EINVAL]),
    (
        "remount ro",
        |fs| fs.remount(MsFlags::MS_RDONLY),
        &[Errno::EBUSY],
    ),
    (
        "remount rw",
        |fs| fs.remount(MsFlags::empty()),
        &[Errno::EBUSY],
    ),
];

/// What may save a freeze.
const SAVERS: [Act; 3] = [
    |fs| fs.reset_timeout(HOUR),
    |fs| fs.reset_timeout(0),
    |fs| fs.freeze_timeout(HOUR),
];

/// What comes too late once the deadline has passed.
const PREVENTERS: [Act; 3] = [
    Mount::thaw,
    |fs| fs.reset_timeout(HOUR),
    |fs| fs.reset_timeout(0),
];

/// A round: returns how many deadlines have passed.
type Round = fn(&Fixture, &[Mount], &mut Aim) -> Result<usize>;

const ROUNDS: [Round; 3] = [anything_goes, success_saves, one_or_the_other];

fn requests(fixture: &Fixture) -> Result<()> {
    let herd: Vec<Member> = fixture.herd()?;
    let mounts = open(&herd)?;
    for fs in &mounts {
        prepare(fs)?;
    }
    let mut aim = Aim::new();
    let (mut deadlines, mut passed) = (0, 0);
    let end = Instant::now() + TIME;
    for (nth, round) in ROUNDS.iter().cycle().enumerate() {
        let count = round(fixture, &mounts, &mut aim)?;
        aim.correct(count, mounts.len());
        deadlines += mounts.len();
        passed += count;
        fixture.step(&format!("{passed} of {deadlines} deadlines have passed"));
        if nth + 1 >= ROUNDS.len() && Instant::now() >= end {
            break;
        }
    }
    all_are_well(fixture, &mounts)
}

/// Whatever the racers do, afterwards the filesystem can be thawed and written to.
fn anything_goes(fixture: &Fixture, mounts: &[Mount], aim: &mut Aim) -> Result<usize> {
    fixture.step("anything goes");
    let (deadlines, mut log) = freeze_all(mounts, GAP)?;
    let mut racers = Vec::new();
    for _ in 0..RACERS {
        racers.push(racer(fixture, mounts, &deadlines, aim)?);
    }
    let mut writers = Vec::new();
    for nth in 0..WRITERS {
        let some: Vec<_> = mounts.iter().skip(nth).step_by(WRITERS).collect();
        let moments = deadlines.iter().skip(nth).step_by(WRITERS);
        let moments: Vec<_> = moments.map(|&deadline| aim.near(deadline)).collect();
        writers.push(race(fixture, &some, moments, write)?);
    }
    for (racer, requests) in racers {
        for ((what, _, refusals), outcome) in requests.into_iter().zip(racer.outcomes()?) {
            let fine = outcome.err().is_none_or(|errno| refusals.contains(&errno));
            ensure!(fine, "{what}: {outcome:?}");
        }
    }
    // Nobody is left who could freeze, and a writer waits for this if for anything.
    for fs in mounts {
        fs.thaw_fully()?;
        gets_thawed(fixture, fs)?;
    }
    for writer in writers {
        for outcome in writer.outcomes()? {
            let fine = matches!(outcome, Ok(()) | Err(Errno::EROFS));
            ensure!(fine, "a writer: {outcome:?}");
        }
    }
    Ok(log.containing(EXPIRED)?.len())
}

/// Some requests at each deadline, none of which waits for a thaw.
fn racer(
    fixture: &Fixture,
    mounts: &[Mount],
    deadlines: &[Instant],
    aim: &mut Aim,
) -> Result<(Racer, Vec<Choice>)> {
    let (mut calls, mut requests): (Vec<Call<'_>>, _) = (Vec::new(), Vec::new());
    for (fs, &deadline) in mounts.iter().zip(deadlines) {
        let moment = aim.near(deadline);
        for _ in 0..REQUESTS {
            let request = aim.one_of(CHOICE);
            calls.push((moment, Box::new(move || request.1(fs))));
            requests.push(request);
        }
    }
    Ok((fixture.racer(&calls)?, requests))
}

fn write(fs: &&Mount) -> Result<(), Errno> {
    let write = || {
        let file = File::options().write(true).open(fs.path(WRITTEN))?;
        file.write_all_at(&NEW, 0)
    };
    write().map_err(|error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}

/// The freeze lasts if, and only if, anybody was told that it does.
fn success_saves(fixture: &Fixture, mounts: &[Mount], aim: &mut Aim) -> Result<usize> {
    fixture.step("success saves");
    let (deadlines, mut log) = freeze_all(mounts, GAP)?;
    for (fs, saved) in mounts
        .iter()
        .zip(told(fixture, mounts, &deadlines, SAVERS, aim)?)
    {
        let holds = fs.thaw_fully()?;
        let name = fs.root().display();
        ensure!(
            saved == (holds > 0),
            "{name}: saved {saved}, {}",
            count(holds, "hold")
        );
        gets_thawed(fixture, fs)?;
    }
    Ok(log.containing(EXPIRED)?.len())
}

/// The kernel says that the deadline has passed if, and only if, nobody was
/// told to have prevented it.
fn one_or_the_other(fixture: &Fixture, mounts: &[Mount], aim: &mut Aim) -> Result<usize> {
    fixture.step("prevented or passed");
    let (deadlines, mut log) = freeze_all(mounts, GAP)?;
    let prevented = told(fixture, mounts, &deadlines, PREVENTERS, aim)?;
    let mut left = BTreeSet::new();
    for (fs, prevented) in mounts.iter().zip(prevented) {
        if !prevented {
            left.insert(device(fs)?);
        }
    }
    let passed = expired(fixture, &mut log, left.len())?;
    ensure!(passed == left, "passed {passed:?}, not prevented {left:?}");
    for fs in mounts {
        let (holds, name) = (fs.thaw_fully()?, device(fs)?);
        let ended = holds == 0 || !passed.contains(&name);
        ensure!(ended, "{name}: {} after the deadline", count(holds, "hold"));
        gets_thawed(fixture, fs)?;
    }
    logged_nothing_else(&mut log)?;
    Ok(passed.len())
}

/// For each filesystem, whether anybody's act near the deadline worked.
fn told(
    fixture: &Fixture,
    mounts: &[Mount],
    deadlines: &[Instant],
    acts: [Act; 3],
    aim: &mut Aim,
) -> Result<Vec<bool>> {
    let mut racers = Vec::new();
    for _ in 0..RACERS {
        let moments: Vec<_> = deadlines.iter().map(|&at| aim.near(at)).collect();
        let chosen: Vec<_> = mounts.iter().map(|fs| (fs, aim.one_of(acts))).collect();
        racers.push(race(fixture, &chosen, moments, |(fs, act)| act(fs))?);
    }
    let mut told = vec![false; mounts.len()];
    for racer in racers {
        for (told, outcome) in told.iter_mut().zip(racer.outcomes()?) {
            *told |= outcome.is_ok();
        }
    }
    Ok(told)
}
