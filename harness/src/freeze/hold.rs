//! A hold that is a file descriptor (`FS_IOC_FREEZE_HOLD` of linux/fs.h with the series `freeze-hold`).

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::ioctl::address;

mod sys {
    // linux/fs.h: _IOW(0x15, 34, __u32[2]) and _IOW(0x15, 35, __u32[2]).
    nix::ioctl_write_ptr!(fs_ioc_freeze_hold, 0x15, 34, [u32; 2]);
    nix::ioctl_write_ptr!(fs_ioc_freeze_hold_reset, 0x15, 35, [u32; 2]);
}

/// `struct fs_freeze_hold`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub size: u32,
    pub flags: u32,
    pub timeout_sec: u64,
}

impl Request {
    /// 0 is no deadline.
    pub fn new(seconds: u64) -> Request {
        let size = u32::try_from(size_of::<Request>()).expect("it is small");
        Request {
            size,
            flags: 0,
            timeout_sec: seconds,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let words = [self.size.to_ne_bytes(), self.flags.to_ne_bytes()];
        [&words.concat()[..], &self.timeout_sec.to_ne_bytes()].concat()
    }
}

/// Why a hold has ended although it is open: `reason` of `struct fs_freeze_hold_end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Expired,
    Forced,
}

/// The descriptor. Closing the last one of the same open file ends the hold.
#[derive(Debug)]
pub struct Hold(OwnedFd);

impl Hold {
    /// Freezes the superblock of `file`, for so many seconds if it is not closed before; 0 is for ever.
    pub fn take(file: BorrowedFd<'_>, seconds: u64) -> Result<Hold, Errno> {
        Hold::ask(file, address(&Request::new(seconds)))
    }

    /// The same with the address of a [`Request`], of which the kernel may think what it likes.
    ///
    /// Errors: those of `FIFREEZE_TIMEOUT`; `EINVAL` for unknown flags and a size that is too small, `E2BIG` for
    /// more than the kernel knows, `EMFILE`.
    pub fn ask(file: BorrowedFd<'_>, request: usize) -> Result<Hold, Errno> {
        let request = ptr::with_exposed_provenance(request);
        // SAFETY: the kernel checks descriptor and address, and writes nothing.
        let fd = unsafe { sys::fs_ioc_freeze_hold(file.as_raw_fd(), request) }?;
        // SAFETY: the descriptor is new, and nobody else's.
        Ok(Hold(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Moves the deadline to so many seconds from now; 0 removes it. `EINVAL` once the hold has ended.
    pub fn reset(&self, seconds: u64) -> Result<(), Errno> {
        self.ask_reset(address(&Request::new(seconds)))
    }

    /// The same with the address of a [`Request`].
    pub fn ask_reset(&self, request: usize) -> Result<(), Errno> {
        let request = ptr::with_exposed_provenance(request);
        // SAFETY: the kernel checks descriptor and address, and writes nothing.
        unsafe { sys::fs_ioc_freeze_hold_reset(self.0.as_raw_fd(), request) }.map(drop)
    }

    /// Waits until the hold ends by itself, or says `EAGAIN` if the descriptor is not to block.
    pub fn end(&self) -> io::Result<End> {
        let mut record = [0; 8];
        let length = File::from(self.0.try_clone()?).read(&mut record)?;
        let [size, reason] = [0, 4].map(|at| {
            let bytes = record[at..at + 4].try_into().expect("four bytes");
            u32::from_ne_bytes(bytes)
        });
        match (length, size, reason) {
            (8, 8, 1) => Ok(End::Expired),
            (8, 8, 2) => Ok(End::Forced),
            _ => Err(io::Error::other(format!("{length} bytes: {record:?}"))),
        }
    }

    /// What poll(2) says at once.
    pub fn events(&self) -> Result<PollFlags, Errno> {
        let wanted = PollFlags::POLLIN | PollFlags::POLLOUT | PollFlags::POLLPRI;
        let mut polled = [PollFd::new(self.0.as_fd(), wanted)];
        poll(&mut polled, PollTimeout::ZERO)?;
        Ok(polled[0].revents().unwrap_or(PollFlags::all()))
    }
}

impl AsFd for Hold {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Hold {
    fn from(fd: OwnedFd) -> Hold {
        Hold(fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_held_says_so() {
        let file = File::open("/proc/self").unwrap();
        let errno = Hold::take(file.as_fd(), 0).unwrap_err();
        // Of a kernel with it, of who may not freeze, and of one without it.
        assert!(
            [Errno::EOPNOTSUPP, Errno::EPERM, Errno::ENOTTY].contains(&errno),
            "{errno}"
        );
    }
}
