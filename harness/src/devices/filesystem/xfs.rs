//! What is clean of XFS.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::linux::program::{self, Runner};

/// How the lines begin in which `xfs_logprint -t` lists nothing but superblocks.
const SUPERBLOCKS: [&str; 10] = [
    "xfs_logprint:",
    "    data device: ",
    "    log device: ",
    "    log tail: ",
    "LOG REC AT LSN ",
    "=====",
    "TRANS: ",
    "BUF: cnt:",
    "\tBUF:  #regs:2   start blkno:0x0 ",
    "\tSUPER Block Buffer:",
];

/// How the lines begin that `xfs_repair -n` has for any good filesystem, with a
/// log that it ignores or in an image file.
const SMALL_TALK: [&str; 9] = [
    "Phase ",
    "        - ",
    "No modify flag set",
    "ALERT: The filesystem has valuable metadata changes in a log",
    "ignored because the -n option was used",
    "which may be resolved by first mounting the filesystem",
    "Cannot get host filesystem geometry.",
    "Repair may fail if there is a sector size mismatch between",
    "the image and the host filesystem.",
];

/// How many lines of what should not be there an error repeats.
const SHOWN: usize = 10;

/// Whether it is consistent with its log ignored, and has nothing but superblocks in there.
///
/// `repair` is the whole line of the check.
pub fn is_clean(run: Runner<'_>, repair: Command, device: &Path) -> Result<()> {
    log_has_superblocks_only(run, device)?;
    is_consistent_without_log(run, repair)
}

/// XFS freezes with a superblock in its log, so that the next mount after a crash
/// looks for unlinked inodes (`xfs_fs_freeze` in fs/xfs/xfs_super.c).
fn log_has_superblocks_only(run: Runner<'_>, device: &Path) -> Result<()> {
    let mut print = program::of_administrator("xfs_logprint");
    print.arg("-t").arg(device);
    let said = run(&mut print)?.of_success(&print)?;
    ensure!(said.contains("log tail: "), "{print:?}: {said}");
    match &unexpected(&said, &SUPERBLOCKS)[..] {
        [] => Ok(()),
        others => bail!(
            "{}\nin the log of {}, which must have superblocks only",
            shown(others),
            device.display()
        ),
    }
}

/// A superblock that is logged while mounted does not count the free blocks that
/// are reserved for trees. The next mount counts, since the log is dirty
/// (`xfs_log_sb` in fs/xfs/libxfs/xfs_sb.c). All else must be right.
fn is_consistent_without_log(run: Runner<'_>, mut repair: Command) -> Result<()> {
    let said = run(&mut repair)?;
    let text = said.stdout + &said.stderr;
    let complaints = unexpected(&text, &SMALL_TALK);
    // 1 is for the dirty log already (xfs_repair(8)).
    let code = said.status.code();
    let good = matches!(code, Some(0 | 1)) && complaints.iter().all(|it| lacks_free_blocks(it));
    ensure!(good, "{}\n{repair:?}: {}", shown(&complaints), said.status);
    Ok(())
}

/// The lines that begin in no expected way.
fn unexpected<'a>(said: &'a str, beginnings: &[&str]) -> Vec<&'a str> {
    let is_expected = |line: &str| {
        let mut beginnings = beginnings.iter();
        line.is_empty() || beginnings.any(|beginning| line.starts_with(beginning))
    };
    said.lines().filter(|line| !is_expected(line)).collect()
}

fn shown(lines: &[&str]) -> String {
    lines[..lines.len().min(SHOWN)].join("\n")
}

/// Whether the superblock is said to claim less free blocks than there are.
fn lacks_free_blocks(complaint: &str) -> bool {
    let counts = complaint
        .strip_prefix("sb_fdblocks ")
        .and_then(|counts| counts.split_once(", counted "));
    let Some((claimed, counted)) = counts else {
        return false;
    };
    match (claimed.parse::<u64>(), counted.parse::<u64>()) {
        (Ok(claimed), Ok(counted)) => claimed < counted,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As xfs_repair 6.1 says it of a frozen filesystem in an image.
    const REPAIR: &str = "\
Phase 1 - find and verify superblock...
Cannot get host filesystem geometry.
Repair may fail if there is a sector size mismatch between
the image and the host filesystem.
Phase 2 - using internal log
        - zero log...
ALERT: The filesystem has valuable metadata changes in a log which is being
ignored because the -n option was used.  Expect spurious inconsistencies
which may be resolved by first mounting the filesystem to replay the log.
        - scan filesystem freespace and inode maps...
sb_fdblocks 113459, counted 114261
        - found root inode chunk
No modify flag set, skipping filesystem flush and exiting.
";

    /// As xfs_logprint 6.1 says it of a frozen filesystem.
    const LOG: &str = "\
xfs_logprint:
    data device: 0xffffffffffffffff
    log device: 0xffffffffffffffff daddr: 524336 length: 131072

    log tail: 108 head: 112 state: <DIRTY>


LOG REC AT LSN cycle 1 block 108 (0x1, 0x6c)
============================================================================
TRANS: tid:0x9fb6fc07  #items:2  trans:0x9fb6fc07  q:0x55e0a4c85e30
BUF: cnt:2 total:2 a:0x55e0a4c89fe0 len:24 a:0x55e0a4c85eb0 len:384 
\tBUF:  #regs:2   start blkno:0x0   len:1   bmap size:1   flags:0x9000
\tSUPER Block Buffer:
";

    #[test]
    fn a_frozen_xfs_lacks_free_blocks_and_nothing_else() {
        let complaint = "sb_fdblocks 113459, counted 114261";
        let table = [
            (complaint, true),
            ("", true),
            ("sb_fdblocks 114262, counted 114261", false),
            ("sb_fdblocks many, counted 114261", false),
            ("sb_icount 64, counted 128", false),
            ("sb_fdblocks 1, counted 2\ndisconnected inode 133", false),
            ("sb_fdblocks 1, counted 2\n\twould clear", false),
        ];
        for (instead, wanted) in table {
            let said = REPAIR.replace(complaint, instead);
            let complaints = unexpected(&said, &SMALL_TALK);
            let good = complaints.iter().all(|it| lacks_free_blocks(it));
            assert_eq!(good, wanted, "{instead}");
        }
    }

    #[test]
    fn the_log_of_a_frozen_xfs_has_superblocks_only() {
        assert_eq!(unexpected(LOG, &SUPERBLOCKS), [""; 0]);
        let agf = "\tBUF:  #regs:2   start blkno:0x1   len:1   bmap size:1   flags:0x2800";
        let inode = "INO: cnt:3 total:3 a:0x55943162dd90 len:56 a:0x559431640490 len:176";
        let more = format!("{LOG}{agf}\n{inode}\n");
        assert_eq!(unexpected(&more, &SUPERBLOCKS), [agf, inode]);
    }
}
