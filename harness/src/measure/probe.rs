//! What a measurement works with: the fixture, the clock, the way to the host.

use std::fs::File;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::fixture::Fixture;
use crate::wire::samples::{Effort, NOTE, SAMPLES, Samples, Unit};

/// How long one batch of calls takes: far beyond what the clock itself costs, and
/// shorter than a slice of time on a busy host, so that most are not interrupted.
const BATCH: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub struct Probe<'a> {
    pub fixture: &'a Fixture,
    effort: Effort,
}

impl<'a> Probe<'a> {
    pub fn new(fixture: &'a Fixture, effort: Effort) -> Probe<'a> {
        Probe { fixture, effort }
    }

    /// One of two values, by the effort that is wanted.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        match self.effort {
            Effort::Quick => quick,
            Effort::Full => full,
        }
    }

    /// How many batches of short calls are timed.
    pub fn batches(&self) -> u32 {
        self.pick(50, 200)
    }

    /// Sends numbers to the host.
    pub fn record(&self, part: &str, unit: Unit, values: Vec<f64>) -> Result<()> {
        let samples = Samples {
            part: part.to_owned(),
            unit,
            values,
        };
        println!("{SAMPLES}{}", serde_json::to_string(&samples)?);
        Ok(())
    }

    /// Tells the host why the measurement goes no further.
    pub fn note(&self, why: &str) {
        println!("{NOTE}{why}");
    }

    pub fn record_times(&self, part: &str, times: &[Duration]) -> Result<()> {
        let values = times.iter().copied().map(nanoseconds).collect();
        self.record(part, Unit::Nanoseconds, values)
    }

    /// Measures a call that is too short to be timed alone.
    pub fn record_calls(&self, mut call: impl FnMut() -> Result<()>) -> Result<()> {
        let calls = batch_size(&mut call)?;
        let values = (0..self.batches())
            .map(|_| time_of_one(calls, &mut call))
            .collect::<Result<_>>()?;
        self.record("", Unit::Nanoseconds, values)
    }
}

/// How many calls last a [`BATCH`]. They warm the caches up, too.
pub fn batch_size(call: &mut impl FnMut() -> Result<()>) -> Result<u32> {
    let mut calls = 16;
    while time(|| repeat(calls, call))?.1 < BATCH {
        calls *= 2;
    }
    Ok(calls)
}

/// Nanoseconds that one of so many calls takes on average.
pub fn time_of_one(calls: u32, call: &mut impl FnMut() -> Result<()>) -> Result<f64> {
    let ((), took) = time(|| repeat(calls, call))?;
    // A tenth is far below what any clock here can tell.
    Ok((nanoseconds(took) / f64::from(calls) * 10.0).round() / 10.0)
}

fn repeat(calls: u32, call: &mut impl FnMut() -> Result<()>) -> Result<()> {
    (0..calls).try_for_each(|_| black_box(call()))
}

/// An [`Instant`] is of `CLOCK_MONOTONIC`.
pub fn time<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let begun = Instant::now();
    let value = work()?;
    Ok((value, begun.elapsed()))
}

/// Opens a file to write over what is in it. To truncate it would free and allocate its blocks, and XFS writes such a
/// file back when it is closed (`XFS_ITRUNCATED` in fs/xfs/).
pub fn overwrite(path: &Path) -> io::Result<File> {
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days")]
fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_written_over_keeps_its_end() {
        let path = std::env::temp_dir().join(format!("harness-overwrite-{}", std::process::id()));
        for text in ["abc", "x"] {
            overwrite(&path)
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        }
        let found = std::fs::read_to_string(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(found.unwrap(), "xbc");
    }

    #[test]
    fn batches_last_long_enough() {
        let mut call = || {
            std::thread::sleep(Duration::from_micros(200));
            Ok(())
        };
        let calls = batch_size(&mut call).unwrap();
        assert!(calls <= 64, "{calls}");
        assert!(time_of_one(calls, &mut call).unwrap() >= 200_000.0);
    }
}
