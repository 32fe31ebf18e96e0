//! Writes that the kernel is asked for, and told of when they are done.

use std::fs::File;
use std::io;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};

use crate::actors::actor::Actor;
use crate::case::Case;
use crate::fixture::{Fixture, skip};
use crate::kit::state::{freeze, is_frozen, thaw};
use crate::kit::writer::{NEW, OLD};
use crate::linux::{aio, uring};

pub const CASES: &[Case] = &[
    Case::new(
        "operations_aio",
        "to ask a frozen filesystem for a write by io_submit(2) is blocked, and completes after the thaw",
        by_aio,
    ),
    Case::new(
        "operations_io_uring",
        "a write by io_uring waits for the thaw, and so does the end of a process that was killed meanwhile",
        by_io_uring,
    ),
];

const FILES: [&str; 2] = ["a", "b"];

fn by_aio(fixture: &Fixture) -> Result<()> {
    waits(fixture, aio::write, Actor::blocked, |_| Ok(()))
}

/// A thread of the kernel's is blocked, in place of the process.
fn by_io_uring(fixture: &Fixture) -> Result<()> {
    if !uring::exists() {
        return skip("the kernel has no io_uring");
    }
    waits(fixture, uring::write, Actor::sleeps, |killed| {
        kill(killed.pid(), Signal::SIGKILL).context("failed to kill")
    })
}

/// Two processes write, and wait; something happens to the second.
fn waits(
    fixture: &Fixture,
    write: fn(&File, &[u8]) -> io::Result<()>,
    waits: fn(&Actor) -> Result<()>,
    happens: fn(&Actor) -> Result<()>,
) -> Result<()> {
    let fs = fixture.scratch()?;
    let files = [fs.write(FILES[0], &OLD)?, fs.write(FILES[1], &OLD)?];
    freeze(&fs)?;
    fixture.step("two writers start");
    let [one, other] = &files;
    let one = fixture.actor("one", || write(one, &NEW))?;
    let other = fixture.actor("other", || write(other, &NEW))?;
    waits(&one)?;
    waits(&other)?;
    happens(&other)?;
    for name in FILES {
        fs.holds(name, &OLD).context("while frozen")?;
    }
    is_frozen(&fs)?;
    thaw(&fs)?;
    fixture.step("the writers end");
    one.outcome()?.context("a write after the thaw")?;
    fs.holds(FILES[0], &NEW)?;
    // Killed, it says nothing.
    other.ends()
}
