//! Writing by io_uring.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use io_uring::types::Fd;
use io_uring::{IoUring, opcode};

/// Whether the kernel has it, and lets us.
pub fn exists() -> bool {
    IoUring::new(1).is_ok()
}

/// Writes to the start of the file, and returns when that is done.
pub fn write(file: &File, content: &[u8]) -> io::Result<()> {
    let mut ring = IoUring::new(1)?;
    let length = content.len().try_into().map_err(io::Error::other)?;
    let write = opcode::Write::new(Fd(file.as_raw_fd()), content.as_ptr(), length).build();
    // SAFETY: the file and the content outlive the request, as its end is waited for.
    unsafe { ring.submission().push(&write) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let result = ring.completion().next().map(|it| it.result());
    match result {
        Some(errno @ ..0) => Err(io::Error::from_raw_os_error(-errno)),
        Some(bytes) if bytes.unsigned_abs() == length => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}
