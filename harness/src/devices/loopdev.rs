//! Loop devices, by the ioctls of linux/loop.h (loop(4)) and linux/blkpg.h.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::libc::{c_int, c_longlong};

/// Partitions of a device, at most (`DISK_MAX_PARTS` in linux/blkdev.h).
pub const PARTITIONS: usize = 255;

mod sys {
    use super::{c_int, c_longlong};

    // linux/loop.h: plain numbers, not of the _IO family.
    nix::ioctl_none_bad!(get_free, 0x4C82);
    nix::ioctl_write_int_bad!(set_fd, 0x4C00);
    nix::ioctl_none_bad!(clear_fd, 0x4C01);
    // linux/blkpg.h: _IO(0x12, 105).
    nix::ioctl_write_ptr_bad!(blkpg, nix::request_code_none!(0x12, 105), BlkpgIoctlArg);

    pub const BLKPG_ADD_PARTITION: c_int = 1;
    pub const BLKPG_DEL_PARTITION: c_int = 2;

    #[repr(C)]
    pub struct BlkpgIoctlArg {
        pub op: c_int,
        pub flags: c_int,
        pub datalen: c_int,
        pub data: *mut BlkpgPartition,
    }

    #[repr(C)]
    pub struct BlkpgPartition {
        /// Bytes.
        pub start: c_longlong,
        pub length: c_longlong,
        pub number: c_int,
        pub names: [u8; 128],
    }
}

/// A file as a block device. Where it has partitions is told, not written on it.
#[derive(Debug)]
pub struct Loop {
    device: File,
    path: PathBuf,
    partitions: c_int,
}

impl Loop {
    pub fn attach(backing: &File) -> Result<Loop> {
        let control = open(Path::new("/dev/loop-control"))?;
        // SAFETY: takes no argument.
        let number = unsafe { sys::get_free(control.as_raw_fd()) }.context("LOOP_CTL_GET_FREE")?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = open(&path)?;
        // SAFETY: the argument is a descriptor, which the kernel checks.
        unsafe { sys::set_fd(device.as_raw_fd(), backing.as_raw_fd()) }.context("LOOP_SET_FD")?;
        Ok(Loop {
            device,
            path,
            partitions: 0,
        })
    }

    /// Divides the device into partitions of `size` bytes; returns their nodes.
    pub fn divide(&mut self, count: usize, size: u32) -> Result<Vec<PathBuf>> {
        let node = |number| PathBuf::from(format!("{}p{number}", self.path.display()));
        let numbers = 1..=c_int::try_from(count)?;
        let nodes = numbers.clone().map(node).collect();
        for number in numbers {
            self.change(sys::BLKPG_ADD_PARTITION, number, size)
                .with_context(|| format!("failed to add partition {number}"))?;
            self.partitions = number;
        }
        Ok(nodes)
    }

    fn change(&self, op: c_int, number: c_int, size: u32) -> nix::Result<c_int> {
        let mut partition = sys::BlkpgPartition {
            start: c_longlong::from(number - 1) * c_longlong::from(size),
            length: size.into(),
            number,
            names: [0; 128],
        };
        let argument = sys::BlkpgIoctlArg {
            op,
            flags: 0,
            datalen: 0,
            data: &raw mut partition,
        };
        // SAFETY: the argument and what it points to outlive the call.
        unsafe { sys::blkpg(self.device.as_raw_fd(), &raw const argument) }
    }
}

impl Drop for Loop {
    /// The device is gone with its last user, which may be a mount
    /// (`loop_clr_fd` in drivers/block/loop.c).
    fn drop(&mut self) {
        for number in 1..=self.partitions {
            // One that is still in use stays.
            let _ = self.change(sys::BLKPG_DEL_PARTITION, number, 0);
        }
        // SAFETY: takes no argument.
        // It fails if there is nothing to clear.
        let _ = unsafe { sys::clear_fd(self.device.as_raw_fd()) };
    }
}

fn open(path: &Path) -> Result<File> {
    let opened = File::options().read(true).write(true).open(path);
    opened.with_context(|| format!("failed to open {}", path.display()))
}
