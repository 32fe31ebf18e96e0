//! The test that the kernel tree has of freezing, on a filesystem that it makes itself.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::case::Case;
use crate::devices::tools::SELFTEST;
use crate::fixture::{Fixture, skip};
use crate::linux::program;
use crate::wire::Filesystem;

pub const CASES: &[Case] = &[Case::new(
    "selftest",
    "tools/testing/selftests/filesystems/freeze of the kernel tree passes",
    selftest,
)
.only_on(&[Filesystem::Xfs, Filesystem::Ext4])
// What mkfs.xfs asks a loop device for, which on memory has no such thing.
.complaining(&["op 0x9:(WRITE_ZEROES)"])];

fn selftest(fixture: &Fixture) -> Result<()> {
    if !Path::new(SELFTEST).exists() {
        return skip("the kernel tree has no such test, or the guest has the root of the host");
    }
    fixture.step("the test runs");
    let filesystem = fixture.filesystem().name();
    let results = program::run(Command::new(SELFTEST).args(["-v", filesystem]))?;
    match skipped(&results) {
        Some(reason) => skip(reason),
        None => Ok(()),
    }
}

/// Why one was skipped: all are, or none.
fn skipped(results: &str) -> Option<&str> {
    let mut reasons = results
        .lines()
        .filter_map(|line| line.split_once("# SKIP "));
    reasons.next().map(|(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_no_success() {
        let results = "ok 1 freeze.xfs.fdinfo # SKIP no mkfs.xfs\n# Totals: pass:0 skip:1\n";
        assert_eq!(skipped(results), Some("no mkfs.xfs"));
        assert_eq!(skipped("ok 1 freeze.xfs.fdinfo\n# Totals: pass:1\n"), None);
    }
}
