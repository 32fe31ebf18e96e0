//! How long FIFREEZE and FITHAW take.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use super::measurement::{Goal, Measurement};
use super::probe::{Probe, overwrite, time};
use crate::devices::mount::Mount;
use crate::fixture::skip;

pub const MEASUREMENTS: &[Measurement] = &[
    Measurement::new(
        "freeze_idle",
        "FIFREEZE and FITHAW of a filesystem that nobody uses",
        Goal::Report,
        idle,
    ),
    Measurement::new(
        "freeze_loaded",
        "FIFREEZE and FITHAW while two processes write",
        Goal::Report,
        loaded,
    ),
    Measurement::new(
        "freeze_dirty",
        "FIFREEZE and FITHAW with 10,000 inodes to write back",
        Goal::Report,
        dirty,
    ),
    Measurement::new(
        "freeze_nested",
        "FIFREEZE and FITHAW of a filesystem that is frozen already",
        Goal::Report,
        nested,
    ),
];

/// Inodes that are dirty when the filesystem freezes, and in how many directories.
const INODES: usize = 10_000;
const DIRECTORIES: usize = 100;
/// Processes that write.
const WRITERS: usize = 2;
/// File holds of one filesystem beyond the first.
const HOLDS: usize = 100;

fn idle(probe: &Probe<'_>) -> Result<()> {
    let fs = probe.fixture.scratch()?;
    record(probe, &fs, probe.pick(10, 50), || Ok(()))
}

fn loaded(probe: &Probe<'_>) -> Result<()> {
    let fs = probe.fixture.scratch()?;
    let mut writers = probe.fixture.writers(WRITERS, &fs)?;
    record(probe, &fs, probe.pick(5, 20), || writers.complete(1))
}

fn dirty(probe: &Probe<'_>) -> Result<()> {
    let fs = probe.fixture.scratch()?;
    let directories: Vec<_> = (0..DIRECTORIES)
        .map(|it| fs.path(&it.to_string()))
        .collect();
    for directory in &directories {
        fs::create_dir(directory)
            .with_context(|| format!("failed to make {}", directory.display()))?;
    }
    record(probe, &fs, probe.pick(2, 5), || {
        directories.iter().try_for_each(|it| dirty_in(it))
    })
}

/// Writes to the files of one directory, and leaves it to the freeze to write them back.
fn dirty_in(directory: &Path) -> Result<()> {
    let write = |number: usize| overwrite(&directory.join(number.to_string()))?.write_all(b"x");
    (0..INODES / DIRECTORIES)
        .try_for_each(write)
        .with_context(|| format!("failed to write in {}", directory.display()))
}

fn nested(probe: &Probe<'_>) -> Result<()> {
    let fs = probe.fixture.scratch()?;
    fs.freeze().context("the first FIFREEZE")?;
    match fs.freeze() {
        Err(Errno::EBUSY) => {
            fs.thaw().context("the only FITHAW")?;
            return skip("this kernel does not count file holds");
        }
        second => second.context("the second FIFREEZE")?,
    }
    let (mut freezes, mut thaws) = (Vec::new(), Vec::new());
    for _ in 0..probe.pick(1, 5) {
        freezes.extend(times(HOLDS, || fs.freeze().context("FIFREEZE"))?);
        thaws.extend(times(HOLDS, || fs.thaw().context("FITHAW"))?);
    }
    fs.thaw().context("the second last FITHAW")?;
    fs.thaw().context("the last FITHAW")?;
    probe.record_times("freeze", &freezes)?;
    probe.record_times("thaw", &thaws)
}

fn times(count: usize, call: impl Fn() -> Result<()>) -> Result<Vec<Duration>> {
    (0..count)
        .map(|_| time(&call).map(|((), took)| took))
        .collect()
}

/// Freezes and thaws after each call of `prepare`.
fn record(
    probe: &Probe<'_>,
    fs: &Mount,
    count: usize,
    mut prepare: impl FnMut() -> Result<()>,
) -> Result<()> {
    let (mut freezes, mut thaws) = (Vec::new(), Vec::new());
    // The first round shows what the others find in memory already.
    for round in 0..=count {
        prepare()?;
        let ((), freeze) = time(|| fs.freeze().context("FIFREEZE"))?;
        let ((), thaw) = time(|| fs.thaw().context("FITHAW"))?;
        if round > 0 {
            freezes.push(freeze);
            thaws.push(thaw);
        }
    }
    probe.record_times("freeze", &freezes)?;
    probe.record_times("thaw", &thaws)
}
