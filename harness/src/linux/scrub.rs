//! The online check of XFS.

use std::os::fd::RawFd;

use nix::errno::Errno;

/// `struct xfs_scrub_metadata` (fs/xfs/libxfs/xfs_fs.h).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Metadata {
    kind: u32,
    flags: u32,
    inode: u64,
    generation: u32,
    group: u32,
    reserved: [u64; 5],
}

/// `XFS_SCRUB_TYPE_FSCOUNTERS`: to count, it freezes the filesystem if nothing else helps.
const COUNTERS: u32 = 24;
/// `XFS_SCRUB_IFLAG_REPAIR`
const REPAIR: u32 = 1;

// fs/xfs/libxfs/xfs_fs.h: _IOWR('X', 60, struct xfs_scrub_metadata).
nix::ioctl_readwrite!(scrub_metadata, b'X', 60, Metadata);

/// Checks the counters of the filesystem of `fd`, or mends them. A kernel without it says `ENOTTY` or `EOPNOTSUPP`.
pub fn counters(fd: RawFd, repair: bool) -> Result<(), Errno> {
    let mut request = Metadata {
        kind: COUNTERS,
        flags: if repair { REPAIR } else { 0 },
        ..Metadata::default()
    };
    // SAFETY: the kernel checks the descriptor, and the argument outlives the call.
    unsafe { scrub_metadata(fd, &raw mut request) }.map(drop)
}
