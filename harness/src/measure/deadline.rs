//! How punctual a deadline is, and what one costs those that it does not concern.

use std::fs::File;
use std::io::{self, PipeWriter, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};

use super::calls::{PAGE, write_page};
use super::probe::{Probe, batch_size, time_of_one};

use super::measurement::{Goal, Measurement};
use crate::devices::disk;
use crate::devices::mount::Mount;
use crate::kit::deadline::HOUR;
use crate::wire::Feature;
use crate::wire::samples::{IDLE, PENDING, Unit};
use crate::wire::storage::SCRATCH;

pub const MEASUREMENTS: &[Measurement] = &[
    Measurement::new(
        "deadline_late",
        "from the deadline to the end of a write that waited for it",
        Goal::Punctual,
        late,
    )
    .needing(Feature::Timeout),
    Measurement::new(
        "deadline_elsewhere",
        "write(2) of 4 KiB while another filesystem is frozen, with a deadline and without",
        Goal::Free,
        elsewhere,
    )
    .needing(Feature::Timeout),
];

/// Seconds: the shortest timeout.
const SHORTEST: i64 = 1;

fn late(probe: &Probe<'_>) -> Result<()> {
    let fs = probe.fixture.scratch()?;
    let file = fs.write("file", &[b'a'; PAGE])?;
    let times = (0..probe.pick(3, 10))
        .map(|_| lateness(probe, &fs, &file))
        .collect::<Result<Vec<_>>>()?;
    probe.record_times("", &times)
}

/// From the deadline to the end of a write that waited for it. The kernel took
/// the deadline's time a little later than this does, so it is rather too long.
fn lateness(probe: &Probe<'_>, fs: &Mount, file: &File) -> Result<Duration> {
    fs.freeze_timeout(HOUR).context("FIFREEZE_TIMEOUT")?;
    let (mut report, sender) = io::pipe().context("failed to make a pipe")?;
    let writer = probe
        .fixture
        .actor("write", || write_and_tell(file, sender))?;
    writer.blocked()?;
    let deadline = now()? + Duration::from_secs(SHORTEST.unsigned_abs());
    fs.reset_timeout(SHORTEST)
        .context("FIFREEZE_RESET_TIMEOUT")?;
    writer.outcome()?.context("the write that waited")?;
    let mut end = [0; size_of::<u64>()];
    report.read_exact(&mut end).context("the writer died")?;
    let end = Duration::from_nanos(u64::from_ne_bytes(end));
    end.checked_sub(deadline).with_context(|| {
        format!(
            "thawed {:?} before the deadline",
            deadline.saturating_sub(end)
        )
    })
}

/// Tells the time at which the write was over.
fn write_and_tell(file: &File, mut report: PipeWriter) -> io::Result<()> {
    file.write_all_at(b"b", 0)?;
    let end = now()?.as_nanos();
    report.write_all(&u64::try_from(end).map_err(io::Error::other)?.to_ne_bytes())
}

/// The clock of deadlines, which is the same in all processes.
fn now() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

fn elsewhere(probe: &Probe<'_>) -> Result<()> {
    let frozen = probe.fixture.scratch()?;
    let fs = probe.fixture.fresh(&disk::by_serial(SCRATCH[1])?)?;
    let file = fs.write("file", &[b'a'; PAGE])?;
    frozen.freeze().context("FIFREEZE")?;
    let mut call = || write_page(&file);
    let calls = batch_size(&mut call)?;
    let mut parts = [(IDLE, 0), (PENDING, HOUR)].map(|(part, timeout)| (part, timeout, Vec::new()));
    for _ in 0..probe.batches() {
        for (_, timeout, values) in &mut parts {
            frozen
                .reset_timeout(*timeout)
                .context("FIFREEZE_RESET_TIMEOUT")?;
            values.push(time_of_one(calls, &mut call)?);
        }
        // Each part comes first in turn.
        parts.reverse();
    }
    frozen.thaw().context("FITHAW")?;
    parts
        .into_iter()
        .try_for_each(|(part, _, values)| probe.record(part, Unit::Nanoseconds, values))
}
