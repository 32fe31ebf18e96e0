//! What happens at the very moment of a deadline.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::mount::MsFlags;

use super::deadline::{EXPIRED, HOUR, after, freeze_for, has_no_file_hold, reset, sleep_until};
use super::{NEW, WRITTEN, is_thawed, prepare};
use crate::bench::Bench;
use crate::disk;
use crate::kmsg::Kmsg;
use crate::mount::Mount;
use crate::task::Actor;

/// How long to go on; one round takes more than a second.
const TIME: Duration = Duration::from_secs(12);
/// Processes for each filesystem, and how many requests each makes.
const RACERS: usize = 3;
const REQUESTS: usize = 6;

/// The racers of a round start within this time of each other.
const SPREAD: Duration = Duration::from_millis(1);
/// No round aims at a time that is longer before the deadline.
const EARLIEST: Duration = Duration::from_millis(8);
/// How much later, or sooner, the next round aims.
const STEP: Duration = Duration::from_micros(500);

type Call = fn(&Mount) -> Result<(), Errno>;

/// What a racer may do: a name, a call, and the one error that is no failure.
type Request = (&'static str, Call, Option<Errno>);

const CHOICE: [Request; 7] = [
    ("FIFREEZE", Mount::freeze, None),
    ("FIFREEZE_TIMEOUT", |fs| fs.freeze_timeout(1), None),
    ("FITHAW", Mount::thaw, Some(Errno::EINVAL)),
    ("reset", |fs| fs.reset_timeout(1), Some(Errno::EINVAL)),
    ("cancel", |fs| fs.reset_timeout(0), Some(Errno::EINVAL)),
    (
        "remount ro",
        |fs| fs.remount(MsFlags::MS_RDONLY),
        Some(Errno::EBUSY),
    ),
    (
        "remount rw",
        |fs| fs.remount(MsFlags::empty()),
        Some(Errno::EBUSY),
    ),
];

/// What may save a freeze.
const SAVERS: [Call; 3] = [
    |fs| fs.reset_timeout(HOUR),
    |fs| fs.reset_timeout(0),
    |fs| fs.freeze_timeout(HOUR),
];

/// Two filesystems, for twice as many deadlines.
pub fn races(bench: &Bench) -> Result<()> {
    let filesystems = disk::SCRATCH
        .into_iter()
        .map(|serial| bench.fresh(&disk::by_serial(serial)?))
        .collect::<Result<Vec<_>>>()?;
    for fs in &filesystems {
        prepare(fs)?;
    }
    let mut log = Kmsg::mark()?;
    let mut aim = Aim::new();
    let (mut deadlines, mut passed) = (0, 0);
    let end = Instant::now() + TIME;
    for round in [anything_goes, success_saves].iter().cycle() {
        round(bench, &filesystems, &mut aim)?;
        let expired = log.containing(EXPIRED)?.len();
        aim.correct(expired, filesystems.len());
        deadlines += filesystems.len();
        passed += expired;
        bench.step(&format!("{passed} of {deadlines} deadlines have passed"));
        if Instant::now() >= end {
            break;
        }
    }
    for fs in &filesystems {
        has_no_file_hold(fs)?;
        prepare(fs)?;
    }
    Ok(())
}

/// Freezes for a second, and returns the deadline.
fn freeze_briefly(fs: &Mount) -> Result<Instant> {
    freeze_for(fs, 1)?;
    // To freeze takes a while, and to reset does not.
    let deadline = after(1);
    reset(fs, 1)?;
    Ok(deadline)
}

/// Whatever the racers do, afterwards the filesystem can be thawed and written to.
fn anything_goes(bench: &Bench, filesystems: &[Mount], aim: &mut Aim) -> Result<()> {
    let (mut racers, mut writers) = (Vec::new(), Vec::new());
    for fs in filesystems {
        let deadline = freeze_briefly(fs)?;
        for _ in 0..RACERS {
            let requests = std::array::from_fn(|_| aim.one_of(CHOICE));
            racers.push(racer(bench, fs, aim.near(deadline), requests)?);
        }
        writers.push(writer(bench, fs, aim.near(deadline))?);
    }
    for racer in racers {
        racer.outcome()?.context("a racer")?;
    }
    // Nobody is left who could freeze, and a writer waits for this if for anything.
    for fs in filesystems {
        fs.thaw_fully()?;
        is_thawed(fs)?;
    }
    for writer in writers {
        writer.outcome()?.context("a writer")?;
    }
    Ok(())
}

/// The freeze lasts if, and only if, anybody was told that it does.
fn success_saves(bench: &Bench, filesystems: &[Mount], aim: &mut Aim) -> Result<()> {
    let mut races = Vec::new();
    for fs in filesystems {
        let deadline = freeze_briefly(fs)?;
        let savers = (0..RACERS)
            .map(|_| saver(bench, fs, aim.near(deadline), aim.one_of(SAVERS)))
            .collect::<Result<Vec<_>>>()?;
        races.push((fs, savers));
    }
    for (fs, savers) in races {
        let outcomes = savers
            .into_iter()
            .map(Actor::outcome)
            .collect::<Result<Vec<_>>>()?;
        let saved = outcomes.iter().any(Result::is_ok);
        let holds = fs.thaw_fully()?;
        ensure!(saved == (holds > 0), "{outcomes:?}, and {holds} holds");
        is_thawed(fs)?;
    }
    Ok(())
}

fn saver(bench: &Bench, fs: &Mount, start: Instant, save: Call) -> Result<Actor> {
    bench.actor("saver", || {
        sleep_until(start);
        Ok(save(fs)?)
    })
}

/// No request of a racer waits for a thaw.
fn racer(
    bench: &Bench,
    fs: &Mount,
    start: Instant,
    requests: [Request; REQUESTS],
) -> Result<Actor> {
    bench.actor("racer", || {
        sleep_until(start);
        for (what, call, refusal) in requests {
            let error = call(fs).err();
            assert!(error.is_none() || error == refusal, "{what}: {error:?}");
        }
        Ok(())
    })
}

fn writer(bench: &Bench, fs: &Mount, start: Instant) -> Result<Actor> {
    let write = || {
        let file = File::options().write(true).open(fs.path(WRITTEN))?;
        file.write_all_at(&NEW, 0)
    };
    bench.actor("writer", || {
        sleep_until(start);
        match write() {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            outcome => outcome,
        }
    })
}

/// When and what: at random, but around the time when half of the deadlines
/// pass and half are moved or removed before, however fast the machine is.
#[derive(Debug)]
struct Aim {
    random: RandomState,
    drawn: u64,
    /// Counted from [`EARLIEST`] before the deadline.
    delay: Duration,
}

impl Aim {
    /// At the deadline itself.
    fn new() -> Aim {
        Aim {
            random: RandomState::new(),
            drawn: 0,
            delay: EARLIEST - SPREAD / 2,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.drawn += 1;
        self.random.hash_one(self.drawn) as usize % bound
    }

    fn near(&mut self, deadline: Instant) -> Instant {
        let spread = SPREAD.mul_f64(self.below(1000) as f64 / 1000.0);
        deadline - EARLIEST + self.delay + spread
    }

    fn one_of<T: Copy, const N: usize>(&mut self, choice: [T; N]) -> T {
        choice[self.below(N)]
    }

    fn correct(&mut self, expired: usize, of: usize) {
        if expired == 0 {
            self.delay += STEP;
        } else if expired == of {
            self.delay = self.delay.saturating_sub(STEP);
        }
    }
}
