//! Whether a copy of a filesystem is good as it is, before any journal is replayed.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::case::Filesystem;
use crate::disk;
use crate::program;

/// Where ext3 has `s_feature_incompat`, in bytes, and the bit of a journal to be
/// replayed (Documentation/filesystems/ext4/super.rst).
const INCOMPATIBLE: u64 = 1024 + 0x60;
const RECOVER: u32 = 0x4;

/// What `xfs_repair -n` says of any good filesystem, with a log that it ignores
/// or in an image file: how such lines begin.
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

/// Fails unless the filesystem, an unmounted device or an image, is consistent
/// with its journal ignored, and needs none; changes nothing.
///
/// XFS always freezes with a record in its log, and with a count of free blocks
/// in the superblock that lacks those reserved for its trees. Mounting corrects
/// the count since the log is dirty (`xfs_fs_freeze` in fs/xfs/xfs_super.c,
/// `xfs_log_sb` in fs/xfs/libxfs/xfs_sb.c). So the log may be dirty and the
/// count too low, and all else must be right.
pub fn is_clean_as_it_is(filesystem: Filesystem, device: &Path) -> Result<()> {
    match filesystem {
        Filesystem::Ext3 => {
            ensure!(
                !needs_recovery(device)?,
                "{} needs journal recovery",
                device.display()
            );
            disk::check(filesystem, device)
        }
        Filesystem::Xfs => {
            let mut repair = disk::checker(filesystem);
            let said = program::output(repair.arg(device))?;
            let text = said.stdout + &said.stderr;
            // 1: something is wrong (xfs_repair(8)).
            let excused = said.status.code() == Some(1) && has_only_reserved_blocks(&text);
            ensure!(
                said.status.success() || excused,
                "{repair:?}: {}\n{text}",
                said.status
            );
            Ok(())
        }
    }
}

/// Whether the superblock of an ext3 says that the journal must be replayed.
fn needs_recovery(device: &Path) -> Result<bool> {
    let mut flags = [0; 4];
    File::open(device)
        .and_then(|disk| disk.read_exact_at(&mut flags, INCOMPATIBLE))
        .with_context(|| format!("failed to read {}", device.display()))?;
    Ok(u32::from_le_bytes(flags) & RECOVER != 0)
}

/// Whether `xfs_repair -n` complains only of free blocks that the superblock does not count.
fn has_only_reserved_blocks(said: &str) -> bool {
    let complaints: Vec<_> = said.lines().filter(|line| !is_small_talk(line)).collect();
    match complaints[..] {
        [complaint] => free_blocks(complaint).is_some_and(|(claimed, counted)| claimed < counted),
        _ => false,
    }
}

fn is_small_talk(line: &str) -> bool {
    SMALL_TALK.iter().any(|start| line.starts_with(start))
}

/// What the superblock claims, and what there is.
fn free_blocks(complaint: &str) -> Option<(u64, u64)> {
    let (claimed, counted) = complaint
        .strip_prefix("sb_fdblocks ")?
        .split_once(", counted ")?;
    Some((claimed.parse().ok()?, counted.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As xfs_repair 6.1 says it of a frozen filesystem in an image.
    const FROZEN: &str = "\
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

    #[test]
    fn a_frozen_xfs_lacks_reserved_blocks_and_nothing_else() {
        let complaint = "sb_fdblocks 113459, counted 114261";
        let table = [
            (complaint, true),
            ("sb_fdblocks 114262, counted 114261", false),
            ("sb_fdblocks many, counted 114261", false),
            ("sb_icount 64, counted 128", false),
            (
                "sb_fdblocks 1, counted 2\ndisconnected inode 133, would move to lost+found",
                false,
            ),
            ("sb_fdblocks 1, counted 2\n\twould clear", false),
        ];
        for (instead, wanted) in table {
            let said = FROZEN.replace(complaint, instead);
            assert_eq!(has_only_reserved_blocks(&said), wanted, "{instead}");
        }
    }
}
