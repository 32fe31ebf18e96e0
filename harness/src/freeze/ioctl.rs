//! The freeze ioctls: `FIFREEZE` and its relatives of linux/fs.h, and those of
//! ext3.
//!
//! Where an argument is a pointer, these functions take it as a number, since
//! what the kernel says of a bad one is of interest, too: see [`address`].

use std::os::fd::RawFd;
use std::ptr;

use nix::errno::Errno;

mod sys {
    use nix::libc::{c_int, c_long};

    // linux/fs.h: _IOWR('X', 119, int) and _IOWR('X', 120, int).
    nix::ioctl_readwrite!(fifreeze, b'X', 119, c_int);
    nix::ioctl_readwrite!(fithaw, b'X', 120, c_int);
    // linux/fs.h with the series: _IOW(0x15, 32, __s64) and _IOW(0x15, 33, __s64).
    nix::ioctl_write_ptr!(fifreeze_timeout, 0x15, 32, i64);
    nix::ioctl_write_ptr!(fifreeze_reset_timeout, 0x15, 33, i64);
    // linux/ext4.h with the series: _IOW('f', 9, long) and _IOW('f', 10, long).
    nix::ioctl_write_ptr!(ext3_ioc_freeze, b'f', 9, c_long);
    nix::ioctl_write_ptr!(ext3_ioc_thaw, b'f', 10, c_long);
}

/// `FIFREEZE_TIMEOUT_MAX` of linux/fs.h: the longest timeout, in seconds.
pub const TIMEOUT_MAX: i64 = 0x7fff_ffff;

/// The address of an argument, for the functions below; it must outlive the call.
pub fn address<T>(argument: &T) -> usize {
    ptr::from_ref(argument).expose_provenance()
}

/// Takes a file hold on the superblock of `fd`; returns once it is frozen.
///
/// A raw number, because the kernel's answer to a closed one is of interest too.
///
/// Errors, from `ioctl_fsfreeze` in fs/ioctl.c: `EBADF`, `EPERM` without
/// `CAP_SYS_ADMIN` in the superblock's user namespace, `EOPNOTSUPP` where the
/// filesystem cannot freeze, `EBUSY` when no hold can be added, `EAGAIN` if writers have waited too long already.
pub fn freeze(fd: RawFd) -> Result<(), Errno> {
    freeze_with(fd, 0)
}

/// [`freeze`] with an argument, which the kernel ignores unless the sysctl
/// `fs.fifreeze_timeout_arg` says that it is the address of a `long`.
pub fn freeze_with(fd: RawFd, argument: usize) -> Result<(), Errno> {
    // SAFETY: the kernel checks the descriptor, and an address that it uses;
    // it writes nothing there.
    unsafe { sys::fifreeze(fd, ptr::with_exposed_provenance_mut(argument)) }.map(drop)
}

/// Releases one file hold: of the open file itself, if it has frozen, else of another one.
///
/// Errors, from `ioctl_fsthaw` in fs/ioctl.c: `EBADF`, `EPERM` as for
/// [`freeze`], `EINVAL` without such a hold.
pub fn thaw(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: the kernel checks the descriptor and ignores the argument.
    unsafe { sys::fithaw(fd, ptr::null_mut()) }.map(drop)
}

/// [`freeze`] with a deadline; `seconds` is the address of an `i64`.
///
/// Errors: those of [`freeze`], `EFAULT`, `EINVAL` for a bad number, and `ETIMEDOUT` if the freeze took longer.
pub fn freeze_timeout(fd: RawFd, seconds: usize) -> Result<(), Errno> {
    // SAFETY: the kernel checks descriptor and address, and writes nothing.
    unsafe { sys::fifreeze_timeout(fd, ptr::with_exposed_provenance(seconds)) }.map(drop)
}

/// Sets the deadline of the file holds that [`thaw`] would release; `seconds` is the address of an `i64`.
///
/// Errors: `EBADF`, `EPERM`, `EFAULT`, and `EINVAL` without a file hold or for
/// a bad number.
pub fn reset_timeout(fd: RawFd, seconds: usize) -> Result<(), Errno> {
    // SAFETY: the kernel checks descriptor and address, and writes nothing.
    unsafe { sys::fifreeze_reset_timeout(fd, ptr::with_exposed_provenance(seconds)) }.map(drop)
}

/// `EXT3_IOC_FREEZE`; `seconds` is the address of a `long`.
///
/// Errors, from `ext3_ioctl_freeze` in fs/ext4/ioctl.c: `ENOTTY` unless mounted
/// as ext3, `EPERM`, `EFAULT`, `EINVAL` if frozen already or for a bad number.
pub fn ext3_freeze(fd: RawFd, seconds: usize) -> Result<(), Errno> {
    // SAFETY: the kernel checks descriptor and address, and writes nothing.
    unsafe { sys::ext3_ioc_freeze(fd, ptr::with_exposed_provenance(seconds)) }.map(drop)
}

/// `EXT3_IOC_THAW`: [`thaw`] where mounted as ext3, `ENOTTY` elsewhere.
pub fn ext3_thaw(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: the kernel checks the descriptor and ignores the argument.
    unsafe { sys::ext3_ioc_thaw(fd, ptr::null()) }.map(drop)
}
