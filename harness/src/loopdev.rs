//! Loop devices, by the ioctls of linux/loop.h (loop(4)).

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

mod sys {
    // linux/loop.h: plain numbers, not of the _IO family.
    nix::ioctl_none_bad!(get_free, 0x4C82);
    nix::ioctl_write_int_bad!(set_fd, 0x4C00);
    nix::ioctl_none_bad!(clear_fd, 0x4C01);
}

/// A file as a block device.
#[derive(Debug)]
pub struct Loop {
    device: File,
    path: PathBuf,
}

impl Loop {
    pub fn attach(backing: &File) -> Result<Loop> {
        let control = File::options()
            .read(true)
            .write(true)
            .open("/dev/loop-control")
            .context("failed to open /dev/loop-control")?;
        // SAFETY: takes no argument.
        let number = unsafe { sys::get_free(control.as_raw_fd()) }.context("LOOP_CTL_GET_FREE")?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .with_context(|| format!("failed to open {}", path.display()))?;
        // SAFETY: the argument is a descriptor, which the kernel checks.
        unsafe { sys::set_fd(device.as_raw_fd(), backing.as_raw_fd()) }.context("LOOP_SET_FD")?;
        Ok(Loop { device, path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Loop {
    /// The device is gone with its last user, which may be a mount
    /// (`loop_clr_fd` in drivers/block/loop.c).
    fn drop(&mut self) {
        // SAFETY: takes no argument.
        // It fails if there is nothing to clear.
        let _ = unsafe { sys::clear_fd(self.device.as_raw_fd()) };
    }
}
