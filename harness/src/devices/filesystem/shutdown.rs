//! The ioctl that shuts a filesystem down, which ext4 and XFS share.

use std::os::fd::RawFd;

use nix::errno::Errno;

// linux/ext4.h, and xfs/xfs_fs.h as XFS_IOC_GOINGDOWN: _IOR('X', 125, __u32).
nix::ioctl_read!(shutdown, b'X', 125, u32);

/// `EXT4_GOING_FLAGS_NOLOGFLUSH`, `XFS_FSOP_GOING_FLAGS_NOLOGFLUSH`: at once, whether or not frozen.
const NO_LOG_FLUSH: u32 = 2;

/// Shuts down the filesystem of `fd`, which must be one of these.
pub fn shut_down(fd: RawFd) -> Result<(), Errno> {
    let mut how = NO_LOG_FLUSH;
    // SAFETY: the kernel checks the descriptor, and the argument outlives the call.
    unsafe { shutdown(fd, &raw mut how) }.map(drop)
}
