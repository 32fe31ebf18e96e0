//! What the kernel is right to complain of in more than one case.

/// What a kernel is right to say when every request to a mapped device fails.
pub const DEVICE_GONE: &[&str] = &[
    "EXT4-fs error (device dm-",
    "EXT4-fs warning (device dm-",
    "): I/O error while writing superblock",
    "): Remounting filesystem read-only",
    "Aborting journal on device dm-",
    "JBD2: I/O error when updating journal superblock for dm-",
    "JBD2: Detected IO errors",
    "Buffer I/O error on dev dm-",
    "Buffer I/O error on device dm-",
    "): previous I/O error to superblock detected",
    "): Delayed block allocation failed for inode ",
    "): This should not happen!! Data will be lost",
    "): failed to convert unwritten extents to written extents",
    ": jbd2_start: ",
    ": writeback error on inode ",
    "): log I/O error -5",
    "): Metadata I/O Error (",
    "): Log I/O Error (",
    "): metadata I/O error in ",
    "): page discard on ",
    "): Failing async write on buffer block ",
    "): Filesystem has been shut down due to log error (",
    "): Please unmount the filesystem and rectify the problem(s)",
];
