//! Device-mapper's hold.

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use crate::devices::dm::Dm;
use crate::fixture::Fixture;

/// Takes device-mapper's hold, and stops the I/O.
pub fn suspend(fixture: &Fixture, dm: &Dm) -> Result<()> {
    fixture.step("dmsetup suspend");
    dm.suspend()
}

/// Releases it again.
pub fn resume(fixture: &Fixture, dm: &Dm) -> Result<()> {
    fixture.step("dmsetup resume");
    dm.resume()
}

/// A call that must return and succeed while a device is suspended.
pub fn succeeds(
    fixture: &Fixture,
    what: &str,
    call: impl FnOnce() -> Result<(), Errno>,
) -> Result<()> {
    fixture
        .returns(what, call)?
        .with_context(|| what.to_owned())
}
