//! The file holds of one superblock, through an open file of it.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;

use super::ioctl;

/// A way to the superblock of an open file. Holds belong to the file as long as it is open, and outlive it.
#[derive(Clone, Copy, Debug)]
pub struct Holds<'a>(BorrowedFd<'a>);

impl<'a> Holds<'a> {
    /// Those of the superblock that the file is on.
    pub fn of(file: BorrowedFd<'a>) -> Holds<'a> {
        Holds(file)
    }

    /// Takes one hold (`FIFREEZE`); see [`ioctl::freeze`].
    pub fn take(self) -> Result<(), Errno> {
        ioctl::freeze(self.0.as_raw_fd())
    }

    /// Takes one hold, with a deadline of its own (`FIFREEZE_TIMEOUT`); see [`ioctl::freeze_timeout`].
    pub fn take_for(self, seconds: i64) -> Result<(), Errno> {
        ioctl::freeze_timeout(self.0.as_raw_fd(), ioctl::address(&seconds))
    }

    /// Sets the deadline of the file's holds (`FIFREEZE_RESET_TIMEOUT`); see [`ioctl::reset_timeout`].
    pub fn reset(self, seconds: i64) -> Result<(), Errno> {
        ioctl::reset_timeout(self.0.as_raw_fd(), ioctl::address(&seconds))
    }

    /// Releases one hold (`FITHAW`); see [`ioctl::thaw`].
    pub fn release(self) -> Result<(), Errno> {
        ioctl::thaw(self.0.as_raw_fd())
    }

    /// Releases holds until none is left that the file may release; returns how many there were.
    pub fn release_all(self) -> Result<u32, Errno> {
        let mut count = 0;
        loop {
            match self.release() {
                Ok(()) => count += 1,
                Err(Errno::EINVAL) => return Ok(count),
                Err(errno) => return Err(errno),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn what_cannot_be_frozen_says_so() {
        let file = File::open("/proc/self").unwrap();
        let holds = Holds::of(file.as_fd());
        // EPERM for who may not freeze at all.
        let refused = [Err(Errno::EOPNOTSUPP), Err(Errno::EPERM)];
        assert!(refused.contains(&holds.take()));
        let none = [Ok(0), Err(Errno::EPERM)];
        assert!(none.contains(&holds.release_all()));
    }
}
