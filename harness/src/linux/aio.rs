//! The kernel's own asynchronous I/O (io_submit(2)), which no library is wanted for.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::ptr;

use nix::errno::Errno;
use nix::libc::{self, c_long, syscall};

/// `struct iocb` (linux/aio_abi.h), on a machine that is little-endian.
#[derive(Debug, Default)]
#[repr(C)]
struct Request {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    length: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    eventfd: u32,
}

/// `struct io_event` (linux/aio_abi.h).
#[derive(Debug, Default)]
#[repr(C)]
struct Event {
    data: u64,
    request: u64,
    result: i64,
    more: i64,
}

/// `IOCB_CMD_PWRITE`
const WRITE: u16 = 1;

/// Writes to the start of the file, and returns when that is done. The kernel ends its context with the process.
pub fn write(file: &File, content: &[u8]) -> io::Result<()> {
    let mut context: libc::c_ulong = 0;
    // SAFETY: the kernel writes the context, and no more.
    done(unsafe { syscall(libc::SYS_io_setup, 1, &raw mut context) })?;
    let mut request = Request {
        opcode: WRITE,
        fd: file.as_raw_fd().unsigned_abs(),
        buffer: content.as_ptr().expose_provenance() as u64,
        length: content.len() as u64,
        ..Request::default()
    };
    let mut requests = [&raw mut request];
    // SAFETY: the request and what it points to outlive it, as its end is waited for.
    done(unsafe { syscall(libc::SYS_io_submit, context, 1, requests.as_mut_ptr()) })?;
    let mut event = Event::default();
    let for_ever = ptr::null::<libc::timespec>();
    // SAFETY: there is room for one event.
    let wait = unsafe {
        syscall(
            libc::SYS_io_getevents,
            context,
            1,
            1,
            &raw mut event,
            for_ever,
        )
    };
    done(wait)?;
    complete(event.result, content)
}

fn done(outcome: c_long) -> io::Result<()> {
    Ok(Errno::result(outcome).map(drop)?)
}

/// A number of bytes, or an error below 0.
fn complete(result: i64, content: &[u8]) -> io::Result<()> {
    match i32::try_from(result) {
        Ok(errno @ ..0) => Err(io::Error::from_raw_os_error(-errno)),
        _ if result == content.len() as i64 => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results() {
        assert!(complete(3, b"abc").is_ok());
        assert!(complete(2, b"abc").is_err());
        let error = complete(-5, b"abc").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5));
    }

    #[test]
    fn what_is_written_is_there() {
        let path = std::env::temp_dir().join(format!("harness-aio-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        write(&file, b"written").unwrap();
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(content, b"written");
    }
}
