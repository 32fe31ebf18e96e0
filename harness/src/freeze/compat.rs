//! The freeze ioctls as a program of 32 bits makes them: `int $0x80` enters
//! `compat_sys_ioctl` (fs/ioctl.c) from a process of 64 bits, too.

use std::arch::asm;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;

use super::hold::Hold;

/// The number of `ioctl` (arch/x86/entry/syscalls/syscall_32.tbl).
const IOCTL: u32 = 54;

// As in super::ioctl: none of these numbers depends on the size of a `long`, ...
const FIFREEZE: u64 = nix::request_code_readwrite!(b'X', 119, size_of::<i32>());
const FITHAW: u64 = nix::request_code_readwrite!(b'X', 120, size_of::<i32>());
const FIFREEZE_TIMEOUT: u64 = nix::request_code_write!(0x15, 32, size_of::<i64>());
const FIFREEZE_RESET_TIMEOUT: u64 = nix::request_code_write!(0x15, 33, size_of::<i64>());
const FS_IOC_FREEZE_HOLD: u64 = nix::request_code_write!(0x15, 34, size_of::<[u32; 2]>());
const FS_IOC_FREEZE_HOLD_RESET: u64 = nix::request_code_write!(0x15, 35, size_of::<[u32; 2]>());
// ... but these do (EXT3_IOC32_FREEZE and EXT3_IOC32_THAW in fs/ext4/ext4.h).
const EXT3_IOC_FREEZE: u64 = nix::request_code_write!(b'f', 9, size_of::<i32>());
const EXT3_IOC_THAW: u64 = nix::request_code_write!(b'f', 10, size_of::<i32>());

/// Whether the kernel runs programs of 32 bits (`CONFIG_IA32_EMULATION`);
/// without, `int $0x80` is `SIGSEGV`. Only such a kernel has this sysctl
/// (arch/x86/entry/vdso/vdso32-setup.c).
pub fn is_supported() -> bool {
    Path::new("/proc/sys/abi/vsyscall32").exists()
}

/// `FIFREEZE`; see [`super::ioctl::freeze_with`].
pub fn freeze_with(fd: RawFd, argument: u32) -> Result<(), Errno> {
    ioctl(fd, FIFREEZE, argument)
}

/// `FITHAW`; see [`super::ioctl::thaw`].
pub fn thaw(fd: RawFd) -> Result<(), Errno> {
    ioctl(fd, FITHAW, 0)
}

/// `FIFREEZE_TIMEOUT`; see [`super::ioctl::freeze_timeout`].
pub fn freeze_timeout(fd: RawFd, seconds: u32) -> Result<(), Errno> {
    ioctl(fd, FIFREEZE_TIMEOUT, seconds)
}

/// `FIFREEZE_RESET_TIMEOUT`; see [`super::ioctl::reset_timeout`].
pub fn reset_timeout(fd: RawFd, seconds: u32) -> Result<(), Errno> {
    ioctl(fd, FIFREEZE_RESET_TIMEOUT, seconds)
}

/// `FS_IOC_FREEZE_HOLD`; see [`Hold::ask`].
pub fn hold(fd: RawFd, request: u32) -> Result<Hold, Errno> {
    let fd = answer(fd, FS_IOC_FREEZE_HOLD, request)?;
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(Hold::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// `FS_IOC_FREEZE_HOLD_RESET`; see [`Hold::ask_reset`].
pub fn reset_hold(fd: RawFd, request: u32) -> Result<(), Errno> {
    ioctl(fd, FS_IOC_FREEZE_HOLD_RESET, request)
}

/// `EXT3_IOC_FREEZE`; see [`super::ioctl::ext3_freeze`].
pub fn ext3_freeze(fd: RawFd, seconds: u32) -> Result<(), Errno> {
    ioctl(fd, EXT3_IOC_FREEZE, seconds)
}

/// `EXT3_IOC_THAW`; see [`super::ioctl::ext3_thaw`].
pub fn ext3_thaw(fd: RawFd) -> Result<(), Errno> {
    ioctl(fd, EXT3_IOC_THAW, 0)
}

fn ioctl(fd: RawFd, request: u64, argument: u32) -> Result<(), Errno> {
    answer(fd, request, argument).map(drop)
}

fn answer(fd: RawFd, request: u64, argument: u32) -> Result<i32, Errno> {
    let outcome: i32;
    // SAFETY: the kernel checks descriptor and address, and none of the
    // requests above writes to memory. The compiler keeps rbx for itself, so
    // it is exchanged; some kernels clear r8 to r11 (arch/x86/entry).
    unsafe {
        asm!(
            "xchg {fd}, rbx",
            "int 0x80",
            "xchg {fd}, rbx",
            fd = inout(reg) i64::from(fd) => _,
            inlateout("eax") IOCTL => outcome,
            in("rcx") request,
            in("edx") argument,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            options(nostack),
        );
    }
    match outcome {
        0.. => Ok(outcome),
        error => Err(Errno::from_raw(-error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers() {
        if is_supported() {
            assert_eq!(thaw(-1), Err(Errno::EBADF));
        }
    }
}
