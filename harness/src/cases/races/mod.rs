//! What happens at the very moment of a deadline.
//!
//! Each round freezes a herd of filesystems with one deadline each, and lets
//! processes do something to them around that moment. What is true afterwards,
//! whoever came first, is what a round asserts.

mod aim;
mod device;
mod requests;
mod unmount;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::errno::Errno;

pub use device::{emergency_thaw, fails, suspends};
pub use requests::requests;
pub use unmount::unmount;

use super::deadline::{EXPIRED, HOUR, after, freeze_for, has_no_file_hold, reset, sleep_until};
use super::{is_thawed, prepare};
use crate::bench::Bench;
use crate::herd::Member;
use crate::kmsg::Kmsg;
use crate::mount::Mount;
use crate::racer::{Call, Racer};
use aim::Aim;

/// Between two deadlines, so that one process can be there for each of them.
const GAP: Duration = Duration::from_millis(10);

fn open(herd: &[Member]) -> Result<Vec<Mount>> {
    herd.iter().map(Member::open).collect()
}

/// Freezes all, with deadlines in a second, `gap` after one another. Returns
/// them, and the log of what passes.
fn freeze_all(mounts: &[Mount], gap: Duration) -> Result<(Vec<Instant>, Kmsg)> {
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
fn race<T>(
    bench: &Bench,
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
    bench.racer(&calls)
}

/// The filesystems, by their devices, whose deadlines the kernel has logged;
/// waits for `count` of them, and fails if there are more.
fn expired(bench: &Bench, log: &mut Kmsg, count: usize) -> Result<BTreeSet<String>> {
    bench.step(&format!("wait until {count} deadlines have passed"));
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
fn all_are_well(bench: &Bench, mounts: &[Mount]) -> Result<()> {
    bench.step("all can be written to");
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
