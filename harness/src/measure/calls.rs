//! What system calls cost while nothing is frozen.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd;

use super::measurement::{Goal, Measurement};
use super::probe::{Probe, overwrite, time};
use crate::wire::samples::Unit;

pub const MEASUREMENTS: &[Measurement] = &[
    Measurement::new(
        "getppid",
        "getppid(2), which no patch touches: shows how equal the guests are",
        Goal::Report,
        getppid,
    ),
    Measurement::new(
        "write_cached",
        "write(2) of 4 KiB to a page that is in memory",
        Goal::LikeStock,
        write_cached,
    ),
    Measurement::new(
        "create_unlink",
        "open(2) that creates a file, close(2), unlink(2)",
        Goal::LikeStock,
        create_unlink,
    ),
    Measurement::new(
        "write_stream",
        "32 MiB written and made durable",
        Goal::LikeStock,
        write_stream,
    ),
];

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Bytes of one write of a stream.
const CHUNK: usize = 1 << 20;
/// Chunks of a stream.
const CHUNKS: usize = 32;

fn getppid(probe: &Probe<'_>) -> Result<()> {
    probe.record_calls(|| {
        std::hint::black_box(unistd::getppid());
        Ok(())
    })
}

fn write_cached(probe: &Probe<'_>) -> Result<()> {
    let fs = probe.fixture.scratch()?;
    let file = fs.write("file", &[b'a'; PAGE])?;
    probe.record_calls(|| write_page(&file))
}

/// Writes the first page of the file.
pub fn write_page(file: &File) -> Result<()> {
    file.write_all_at(&[b'b'; PAGE], 0)
        .context("failed to write a page")
}

fn create_unlink(probe: &Probe<'_>) -> Result<()> {
    let fs = probe.fixture.scratch()?;
    let path = fs.path("new");
    probe.record_calls(|| {
        File::create_new(&path).context("failed to create a file")?;
        fs::remove_file(&path).context("failed to unlink it")
    })
}

fn write_stream(probe: &Probe<'_>) -> Result<()> {
    let fs = probe.fixture.scratch()?;
    let path = fs.path("stream");
    let chunk = vec![b'a'; CHUNK];
    let stream = || {
        let mut file = overwrite(&path)?;
        (0..CHUNKS).try_for_each(|_| file.write_all(&chunk))?;
        file.sync_all()
    };
    // The first one allocates what the others find.
    stream().context("failed to write a stream")?;
    let rates = (0..probe.pick(3, 10))
        .map(|_| {
            let ((), took) = time(|| stream().context("failed to write a stream"))?;
            Ok(rate(CHUNK * CHUNKS, took))
        })
        .collect::<Result<_>>()?;
    probe.record("", Unit::BytesPerSecond, rates)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 bytes are not written here"
)]
fn rate(bytes: usize, took: Duration) -> f64 {
    (bytes as f64 / took.as_secs_f64()).round()
}
