//! Two freezers with deadlines, on many superblocks at once: which holds end, and when.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::model::Step::{self, Freeze, FreezeFor, Reopen, Reset, Thaw};
use super::model::Through::{self, A, B, Other};
use super::script::Script;
use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::sleep_until;
use crate::kit::expiry::{device, expired_at_least};
use crate::linux::kmsg::Kmsg;
use crate::wire::Feature;

pub const CASES: &[Case] = &[Case::new(
    "holds_end_in_all_orders",
    "two files freeze with deadlines and without, and reset, thaw or close: each hold ends at its own deadline",
    end_in_all_orders,
)
.needing(Feature::Timeout)];

/// When deadlines are, in units of time.
const SOON: i64 = 1;
const LATE: i64 = 3;

/// How a file may freeze.
const FREEZES: [fn(Through) -> Step; 3] = [
    Freeze,
    |file| FreezeFor(file, SOON),
    |file| FreezeFor(file, LATE),
];

/// What may happen before the first deadline.
const NEXT: [&[Step]; 11] = [
    &[],
    &[Thaw(A)],
    &[Thaw(B)],
    &[Thaw(Other)],
    &[Reset(A, 0)],
    &[Reset(A, LATE)],
    &[Reset(B, SOON), Thaw(B)],
    &[Reset(Other, SOON)],
    &[Reopen(A)],
    &[Reopen(A), Thaw(Other)],
    &[Reopen(A), Reset(Other, LATE), Freeze(A)],
];

/// What each file learns in the end; the filesystem is thawed then, too.
const LAST: [Step; 3] = [Reset(A, LATE), Reset(B, LATE), Reset(Other, LATE)];

fn end_in_all_orders(fixture: &Fixture) -> Result<()> {
    let herd = fixture.herd()?;
    let mounts: Vec<_> = herd
        .iter()
        .map(|member| member.open())
        .collect::<Result<_>>()?;
    let scripts = scripts();
    let mut unit = 1;
    for (nth, batch) in scripts.chunks(mounts.len()).enumerate() {
        while !play(fixture, &mounts, batch, unit)? {
            fixture.step("that took too long, and says nothing");
            unit *= 2;
        }
        let done = (nth + 1) * mounts.len();
        fixture.step(&format!("{} of {}", done.min(scripts.len()), scripts.len()));
    }
    Ok(())
}

fn scripts() -> Vec<Vec<Step>> {
    let mut scripts = Vec::new();
    for a in FREEZES {
        for b in FREEZES {
            for next in NEXT {
                scripts.push([&[a(A), b(B)], next].concat());
            }
        }
    }
    scripts
}

/// Plays one script on each filesystem; false if the machine was too slow for that.
fn play(fixture: &Fixture, mounts: &[Mount], batch: &[Vec<Step>], unit: i64) -> Result<bool> {
    fixture.step(&format!("freeze all, with a unit of {unit} s"));
    let mut log = Kmsg::mark()?;
    let begin = Instant::now();
    let mut running = Vec::new();
    let mut in_time = true;
    for (fs, steps) in mounts.iter().zip(batch) {
        let begin = Instant::now();
        let mut script = Script::new(fs, unit)?;
        for &step in steps {
            let outcome = script.take(step);
            in_time &= begin.elapsed() < seconds(SOON * unit);
            // What comes after a deadline may fail.
            if in_time {
                outcome?.ok();
            }
        }
        running.push(script);
    }
    let last = Instant::now();
    let mut ended = BTreeSet::new();
    for (now, next) in [(SOON, Some(LATE)), (LATE, None)] {
        let mut found = Ok(());
        if in_time {
            sleep_until(last + seconds(now * unit));
            found = end(fixture, &mut log, &mut running, mounts, now, &mut ended);
            sleep_until(last + seconds(now * unit) + MARGIN);
        }
        let states = || {
            let mut all = running.iter();
            all.try_for_each(|script| script.becomes_as_it_must_be(fixture.patience()))
        };
        found = found.and_then(|()| states());
        // Or else the next deadline may have been among what was found.
        in_time &= next.is_none_or(|next| begin.elapsed() < seconds(next * unit));
        if !in_time {
            running.into_iter().try_for_each(Script::give_up)?;
            return Ok(false);
        }
        found?;
    }
    running.into_iter().try_for_each(finish)?;
    Ok(true)
}

/// How much later it is seen that nothing else has ended.
const MARGIN: Duration = Duration::from_millis(200);

/// Waits for the deadlines of this moment: the kernel says of each superblock that it had one, and of no other but
/// those that had one before, as two holds of one may end one after the other.
fn end(
    fixture: &Fixture,
    log: &mut Kmsg,
    running: &mut [Script<'_>],
    mounts: &[Mount],
    now: i64,
    ended: &mut BTreeSet<String>,
) -> Result<()> {
    let mut wanted = BTreeSet::new();
    for (script, fs) in running.iter_mut().zip(mounts) {
        if script.expire(now) {
            wanted.insert(device(fs)?);
        }
    }
    let got = expired_at_least(fixture, log, &wanted)?;
    ended.extend(wanted);
    ensure!(got.is_subset(ended), "ended {got:?}, not {ended:?}");
    Ok(())
}

fn finish(mut script: Script<'_>) -> Result<()> {
    for step in LAST {
        script.take(step)?.ok();
    }
    script.end()
}

fn seconds(time: i64) -> Duration {
    Duration::from_secs(time.unsigned_abs())
}
