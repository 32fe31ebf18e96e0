//! Suspends and resumes mapped devices without a program, which would be too
//! slow to meet a moment.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use super::dm::Dm;

/// `struct dm_ioctl` (linux/dm-ioctl.h).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct DmIoctl {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    data: [u8; 7],
}

// linux/dm-ioctl.h: DM_VERSION_MAJOR, DM_SUSPEND_FLAG, DM_SKIP_LOCKFS_FLAG.
const VERSION: [u32; 3] = [4, 0, 0];
const SUSPEND: u32 = 1 << 1;
const SKIP_LOCKFS: u32 = 1 << 10;

// linux/dm-ioctl.h: DM_DEV_SUSPEND, which resumes, too.
nix::ioctl_readwrite!(dm_dev_suspend, 0xfd, 6, DmIoctl);

/// A mapped device, and a way to its driver that is open already.
#[derive(Debug)]
pub struct Switch {
    control: File,
    request: DmIoctl,
}

impl Switch {
    pub fn of(dm: &Dm) -> Result<Switch> {
        let path = "/dev/mapper/control";
        let control = File::options()
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("failed to open {path}"))?;
        let mut name = [0; 128];
        name[..dm.name().len()].copy_from_slice(dm.name().as_bytes());
        let request = DmIoctl {
            version: VERSION,
            data_size: size_of::<DmIoctl>() as u32,
            data_start: 0,
            target_count: 0,
            open_count: 0,
            flags: 0,
            event_nr: 0,
            padding: 0,
            dev: 0,
            name,
            uuid: [0; 129],
            data: [0; 7],
        };
        Ok(Switch { control, request })
    }

    /// As [`Dm::suspend`].
    pub fn suspend(&self) -> Result<(), Errno> {
        self.set(SUSPEND)
    }

    /// As [`Dm::resume`].
    pub fn resume(&self) -> Result<(), Errno> {
        self.set(0)
    }

    /// Exchanges the table for the one that was loaded, without a word to the filesystem.
    pub fn exchange(&self) -> Result<(), Errno> {
        self.set(SKIP_LOCKFS)
    }

    fn set(&self, flags: u32) -> Result<(), Errno> {
        let mut request = DmIoctl {
            flags,
            ..self.request
        };
        // SAFETY: the kernel reads and writes no more than `data_size` bytes, the size of the request.
        unsafe { dm_dev_suspend(self.control.as_raw_fd(), &mut request) }.map(drop)
    }
}
