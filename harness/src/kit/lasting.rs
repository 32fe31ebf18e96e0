//! Freezes that end by a thaw, and by nothing else.

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use super::deadline::{after, stays_frozen_beyond};
use super::state::thaw;
use super::writer::{Writer, prepare};
use crate::devices::mount::Mount;
use crate::fixture::Fixture;

/// The freeze works, and is seen to last until the thaw.
pub fn lasts(
    fixture: &Fixture,
    fs: &Mount,
    what: &str,
    freeze: impl FnOnce() -> Result<(), Errno>,
) -> Result<()> {
    fixture.step(what);
    let file = prepare(fs)?;
    freeze().with_context(|| what.to_owned())?;
    let writer = Writer::start(fixture, &file)?;
    thaw(fs).with_context(|| what.to_owned())?;
    writer.completes(fixture, fs)
}

/// So many seconds, which the freeze passes on, are no timeout.
pub fn freezes_for_good(
    fixture: &Fixture,
    fs: &Mount,
    seconds: i64,
    freeze: impl FnOnce() -> Result<(), Errno>,
) -> Result<()> {
    let file = prepare(fs)?;
    let deadline = after(seconds);
    freeze().context("FIFREEZE")?;
    let writer = Writer::start(fixture, &file)?;
    stays_frozen_beyond(fixture, fs, &writer, deadline)?;
    thaw(fs)?;
    writer.completes(fixture, fs)
}
