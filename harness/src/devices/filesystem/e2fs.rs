//! What ext3 and its successors share: the superblock.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Where `s_feature_incompat` is, in bytes, and the bit of a journal to be
/// replayed (Documentation/filesystems/ext4/super.rst).
const INCOMPATIBLE: u64 = 1024 + 0x60;
const RECOVER: u32 = 0x4;

/// The check of e2fsck is not enough: nothing may be in its place yet, and all that is new in the journal.
pub fn needs_no_recovery(device: &Path) -> Result<()> {
    let mut flags = [0; 4];
    File::open(device)
        .and_then(|disk| disk.read_exact_at(&mut flags, INCOMPATIBLE))
        .with_context(|| format!("failed to read {}", device.display()))?;
    let needed = u32::from_le_bytes(flags) & RECOVER != 0;
    ensure!(!needed, "{} needs journal recovery", device.display());
    Ok(())
}
