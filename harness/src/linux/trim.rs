//! The ioctl that tells a device which blocks a filesystem does not use.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;

/// `struct fstrim_range` (linux/fs.h).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct FstrimRange {
    start: u64,
    len: u64,
    minlen: u64,
}

// linux/fs.h: _IOWR('X', 121, struct fstrim_range).
nix::ioctl_readwrite!(fitrim, b'X', 121, FstrimRange);

/// All of the filesystem that the file is on. `EOPNOTSUPP` if its device does not care.
pub fn trim(file: &File) -> Result<(), Errno> {
    let mut all = FstrimRange {
        start: 0,
        len: u64::MAX,
        minlen: 0,
    };
    // SAFETY: the kernel checks the descriptor, and the argument outlives the call.
    unsafe { fitrim(file.as_raw_fd(), &raw mut all) }.map(drop)
}
