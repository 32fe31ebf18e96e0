//! What the kernel logs of deadlines that have passed, and of which superblocks.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result, ensure};
use nix::libc;

use super::deadline::EXPIRED;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::linux::kmsg::Kmsg;

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

/// Those whose deadlines the kernel has logged once it has logged all of these.
pub fn expired_at_least(
    fixture: &Fixture,
    log: &mut Kmsg,
    wanted: &BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    fixture.step(&format!("wait for deadlines of {wanted:?}"));
    let mut devices = BTreeSet::new();
    while !devices.is_superset(wanted) {
        devices.insert(device_in(&log.wait_for(EXPIRED)?));
    }
    let others = log.containing(EXPIRED)?;
    devices.extend(others.iter().map(|line| device_in(line)));
    Ok(devices)
}

/// Waits for the next deadline that the kernel logs, and returns whose it was.
pub fn next_expired(fixture: &Fixture, log: &mut Kmsg) -> Result<String> {
    fixture.step("wait for a deadline");
    Ok(device_in(&log.wait_for(EXPIRED)?))
}

/// From a line such as `VFS: dm-7 (ext3): freeze timed out`.
fn device_in(line: &str) -> String {
    let word = line.split_ascii_whitespace().nth(1);
    word.unwrap_or_default().to_owned()
}

/// The kernel's name of the device below, such as `dm-7`.
pub fn device(fs: &Mount) -> Result<String> {
    let root = fs.root().metadata().context("failed to look at a root")?;
    Ok(format!("dm-{}", libc::minor(root.dev())))
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
