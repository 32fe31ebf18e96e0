//! One round of a race: what all of them share.

use std::time::{Duration, Instant};

use anyhow::Result;
use nix::errno::Errno;

use crate::actors::racer::{Call, Racer};
use crate::devices::herd::Member;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::{HOUR, after, freeze_for, has_no_file_hold, reset, sleep_until};
use crate::kit::state::gets_thawed;
use crate::kit::writer::prepare;
use crate::linux::kmsg::Kmsg;

/// Between two deadlines, so that one process can be there for each of them.
pub const GAP: Duration = Duration::from_millis(10);

pub fn open(herd: &[Member]) -> Result<Vec<Mount>> {
    herd.iter().map(Member::open).collect()
}

/// Freezes all, with deadlines in a second, `gap` after one another. Returns
/// them, and the log of what passes.
pub fn freeze_all(mounts: &[Mount], gap: Duration) -> Result<(Vec<Instant>, Kmsg)> {
    // To freeze takes a while, and to reset does not.
    for fs in mounts {
        freeze_for(fs, HOUR)?;
    }
    let log = Kmsg::mark()?;
    let start = Instant::now();
    let deadlines = (0..)
        .zip(mounts)
        .map(|(nth, fs)| {
            sleep_until(start + gap * nth);
            let deadline = after(1);
            reset(fs, 1)?;
            Ok(deadline)
        })
        .collect::<Result<_>>()?;
    Ok((deadlines, log))
}

/// A process that does this to each filesystem when its moment has come.
pub fn race<T>(
    fixture: &Fixture,
    herd: &[T],
    moments: Vec<Instant>,
    act: impl Fn(&T) -> Result<(), Errno>,
) -> Result<Racer> {
    let act = &act;
    let calls: Vec<Call<'_>> = moments
        .into_iter()
        .zip(herd)
        .map(|(moment, member)| (moment, Box::new(move || act(member)) as Box<_>))
        .collect();
    fixture.racer(&calls)
}

/// Not frozen, no hold left, and writable.
pub fn all_are_well(fixture: &Fixture, mounts: &[Mount]) -> Result<()> {
    fixture.step("all can be written to");
    for fs in mounts {
        has_no_file_hold(fs)?;
        gets_thawed(fixture, fs)?;
        prepare(fs)?;
    }
    Ok(())
}
