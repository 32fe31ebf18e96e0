//! A freezer that has been swapped out.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill, raise};

use super::deadline::{HOUR, SHORT, after, ends_at, reset};
use super::timeout::has_got;
use super::{Writer, prepare};
use crate::bench::{Bench, Skip};
use crate::disk;
use crate::mount::Mount;
use crate::swap::{
    available, dirty_memory, missing_program, seems_unused, swapped_out, touch, volunteer_for_oom,
};
use crate::task::Actor;

/// Bytes that the freezer has, and the part of them that must be in swap space.
const MEMORY: usize = 8 << 20;
const SWAPPED_OUT: usize = MEMORY / 4 * 3;

/// Bytes that the hog wants beyond what is there: half of the swap space. The
/// kernel swaps only when some of that is used, a quarter of what it keeps free.
const BEYOND: usize = 256 << 20;

/// The pause between two looks at how much of the freezer is in memory.
const PAUSE: Duration = Duration::from_millis(50);

/// Nothing here depends on how fast memory fills: the deadline is far away
/// until the pressure is there.
pub fn rescues_swapped_out(bench: &Bench) -> Result<()> {
    if let Some(program) = missing_program() {
        return Err(Skip(format!("{program} is not installed")).into());
    }
    bench.swap_on(&disk::by_serial(disk::SCRATCH[1])?)?;
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let freezer = freezer(bench, &fs)?;
    let writer = Writer::start(bench, &file)?;
    let hog = hog(bench)?;
    bench.step("wait until the freezer is swapped out");
    while swapped_out(freezer.pid())? < SWAPPED_OUT {
        hog.is_alive()?;
        sleep(PAUSE);
    }
    writer.is_blocked()?;
    bench.step("the deadline, with the pressure still on");
    let deadline = after(SHORT);
    reset(&fs, SHORT)?;
    ends_at(bench, &fs, writer, deadline)?;
    hog.is_alive()?;
    let left = swapped_out(freezer.pid())?;
    ensure!(
        left >= SWAPPED_OUT,
        "only {left} bytes of the freezer are swapped out"
    );
    bench.step("the freezer comes back");
    kill(hog.pid(), Signal::SIGKILL).context("failed to kill the hog")?;
    kill(freezer.pid(), Signal::SIGCONT).context("failed to wake the freezer")?;
    freezer.outcome()?.context("the freezer")
}

/// Freezes, and stops until it is told to go on.
fn freezer(bench: &Bench, fs: &Mount) -> Result<Actor> {
    let freezer = bench.actor("freezer", || {
        let memory = dirty_memory(MEMORY);
        fs.freeze_timeout(HOUR)?;
        raise(Signal::SIGSTOP)?;
        match memory == dirty_memory(MEMORY) {
            true => Ok(()),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    })?;
    has_got(&freezer, Signal::SIGSTOP)?;
    seems_unused(freezer.pid())?;
    Ok(freezer)
}

/// Goes over more memory than there is, again and again.
fn hog(bench: &Bench) -> Result<Actor> {
    let bytes = available()? + BEYOND;
    bench.step(&format!("a hog with {} MiB", bytes >> 20));
    bench.actor("hog", || {
        volunteer_for_oom()?;
        let mut memory = dirty_memory(bytes);
        loop {
            touch(&mut memory);
        }
    })
}
