//! A freezer that has been swapped out.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill, raise};

use crate::actors::actor::Actor;
use crate::case::Case;
use crate::devices::disk;
use crate::devices::mount::Mount;
use crate::devices::swap::{
    available, dirty_memory, missing_program, seems_unused, swapped_out, touch, volunteer_for_oom,
};
use crate::fixture::{Fixture, Skip};
use crate::kit::deadline::{HOUR, SHORT, after, ends_at, reset};
use crate::kit::writer::{Writer, prepare};
use crate::wire::Feature;
use crate::wire::storage::SCRATCH;

pub const CASES: &[Case] = &[Case::new(
    "timeout_rescues_swapped_out",
    "the deadline ends the freeze of a program that was swapped out, while memory is short",
    rescues_swapped_out,
)
.needing(Feature::Timeout)];

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
fn rescues_swapped_out(fixture: &Fixture) -> Result<()> {
    if let Some(program) = missing_program() {
        return Err(Skip(format!("{program} is not installed")).into());
    }
    fixture.swap_on(&disk::by_serial(SCRATCH[1])?)?;
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let freezer = freezer(fixture, &fs)?;
    let writer = Writer::start(fixture, &file)?;
    let hog = hog(fixture)?;
    fixture.step("wait until the freezer is swapped out");
    while swapped_out(freezer.pid())? < SWAPPED_OUT {
        hog.is_alive()?;
        sleep(PAUSE);
    }
    writer.is_blocked()?;
    fixture.step("the deadline, with the pressure still on");
    let deadline = after(SHORT);
    reset(&fs, SHORT)?;
    ends_at(fixture, &fs, writer, deadline)?;
    hog.is_alive()?;
    let left = swapped_out(freezer.pid())?;
    ensure!(
        left >= SWAPPED_OUT,
        "only {left} bytes of the freezer are swapped out"
    );
    fixture.step("the freezer comes back");
    kill(hog.pid(), Signal::SIGKILL).context("failed to kill the hog")?;
    kill(freezer.pid(), Signal::SIGCONT).context("failed to wake the freezer")?;
    freezer.outcome()?.context("the freezer")
}

/// Freezes, and stops until it is told to go on.
fn freezer(fixture: &Fixture, fs: &Mount) -> Result<Actor> {
    let freezer = fixture.actor("freezer", || {
        let memory = dirty_memory(MEMORY);
        fs.freeze_timeout(HOUR)?;
        raise(Signal::SIGSTOP)?;
        match memory == dirty_memory(MEMORY) {
            true => Ok(()),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    })?;
    freezer.has_got(Signal::SIGSTOP)?;
    seems_unused(freezer.pid())?;
    Ok(freezer)
}

/// Goes over more memory than there is, again and again.
fn hog(fixture: &Fixture) -> Result<Actor> {
    let bytes = available()? + BEYOND;
    fixture.step(&format!("a hog with {} MiB", bytes >> 20));
    fixture.actor("hog", || {
        volunteer_for_oom()?;
        let mut memory = dirty_memory(bytes);
        loop {
            touch(&mut memory);
        }
    })
}
