//! The online check of XFS, which takes a hold of the kernel, beside holds of files.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::{Fixture, skip};
use crate::kit::state::is_thawed;
use crate::kit::writer::prepare;
use crate::linux::scrub;
use crate::wire::{Feature, Filesystem};

pub const CASES: &[Case] = &[Case::new(
    "scrub_beside_freezes",
    "XFS counts and mends its counters in a loop while others freeze, thaw and let deadlines pass",
    beside_freezes,
)
.needing(Feature::Timeout)
.only_on(&[Filesystem::Xfs])];

/// How long they go on.
const TIME: Duration = Duration::from_secs(8);
/// How long one is frozen, and then thawed.
const PAUSE: Duration = Duration::from_millis(30);

fn beside_freezes(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    match scrub::counters(fs.fd(), false) {
        Ok(()) => {}
        Err(Errno::ENOTTY | Errno::EOPNOTSUPP) => return skip("the kernel has no online check"),
        Err(errno) => return Err(errno).context("the online check"),
    }
    let end = Instant::now() + TIME;
    let actors = [
        fixture.actor("check", || again_and_again(end, || check(&fs, false)))?,
        fixture.actor("mend", || again_and_again(end, || check(&fs, true)))?,
        fixture.actor("freezer", || {
            let own = fs.again().map_err(io::Error::other)?;
            again_and_again(end, || freeze_and_thaw(&own))
        })?,
        fixture.actor("deadline", || {
            let own = fs.again().map_err(io::Error::other)?;
            again_and_again(end, || freeze_and_wait(&own))
        })?,
    ];
    for actor in actors {
        actor.outcome()?.context("beside the others")?;
    }
    fs.thaw_fully()?;
    is_thawed(&fs)?;
    prepare(&fs).map(drop)
}

fn again_and_again(end: Instant, act: impl Fn() -> Result<(), Errno>) -> io::Result<()> {
    while Instant::now() < end {
        act()?;
    }
    Ok(())
}

/// It may find that somebody else is at it, or that it cannot mend.
fn check(fs: &Mount, repair: bool) -> Result<(), Errno> {
    match scrub::counters(fs.fd(), repair) {
        Err(Errno::EBUSY | Errno::EOPNOTSUPP | Errno::EAGAIN) => Ok(()),
        outcome => outcome,
    }
}

fn freeze_and_thaw(own: &Mount) -> Result<(), Errno> {
    match own.freeze() {
        Ok(()) => {
            sleep(PAUSE);
            own.thaw()?;
        }
        Err(Errno::EBUSY | Errno::EAGAIN) => {}
        Err(errno) => return Err(errno),
    }
    sleep(PAUSE);
    Ok(())
}

/// The deadline thaws.
fn freeze_and_wait(own: &Mount) -> Result<(), Errno> {
    match own.freeze_timeout(1) {
        Ok(()) | Err(Errno::EBUSY | Errno::EAGAIN | Errno::ETIMEDOUT) => {}
        Err(errno) => return Err(errno),
    }
    sleep(Duration::from_secs(1) + PAUSE);
    Ok(())
}
