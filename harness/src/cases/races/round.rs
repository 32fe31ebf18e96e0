//! One round of a race: what all of them share.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::errno::Errno;

use crate::actors::racer::{Call, Racer};
use crate::devices::herd::Member;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::{
    EXPIRED, HOUR, after, freeze_for, has_no_file_hold, reset, sleep_until,
};
use crate::kit::state::is_thawed;
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

/// The filesystems, by their devices, whose deadlines the kernel has logged;
/// waits for `count` of them, and fails if there are more.
pub fn expired(fixture: &Fixture, log: &mut Kmsg, count: usize) -> Result<BTreeSet<String>> {
    fixture.step(&format!("wait until {count} deadlines have passed"));
    let mut devices = BTreeSet::new();
    for _ in 0..count {
        devices.insert(device_in(&log.wait_for(EXPIRED)?));
    }
    ensure!(devices.len() == count, "twice in the log: {devices:?}");
    Ok(devices)
}

/// From a line such as `VFS: dm-7 (ext3): freeze timed out`.
fn device_in(line: &str) -> String {
    let word = line.split_ascii_whitespace().nth(1);
    word.unwrap_or_default().to_owned()
}

/// Not frozen, no hold left, and writable.
pub fn all_are_well(fixture: &Fixture, mounts: &[Mount]) -> Result<()> {
    fixture.step("all can be written to");
    for fs in mounts {
        has_no_file_hold(fs)?;
        is_thawed(fs)?;
        prepare(fs)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_device() {
        let line = "VFS: dm-7 (ext3): freeze timed out, released all file holds";
        assert_eq!(device_in(line), "dm-7");
        assert_eq!(device_in("VFS:"), "");
    }
}
