//! Block devices, scratch disks among them.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;

mod sys {
    // linux/fs.h: _IO(0x12, 97).
    nix::ioctl_none!(blkflsbuf, 0x12, 97);
}

/// Bytes of what sysfs and device-mapper call a sector.
const SECTOR: u64 = 512;
/// Bytes that are copied, or left out, at once: a page.
const CHUNK: usize = 4096;

/// The pause between two looks at a device that no event tells of.
const PAUSE: Duration = Duration::from_millis(10);

/// The node of the disk with this serial number, such as `/dev/vda`.
///
/// Letters depend on the order of probing; /sys/block/DISK/serial does not.
pub fn by_serial(serial: &str) -> Result<PathBuf> {
    for entry in fs::read_dir("/sys/block").context("failed to read /sys/block")? {
        let disk = entry?;
        // Only virtio-blk has this file.
        let Ok(found) = fs::read_to_string(disk.path().join("serial")) else {
            continue;
        };
        if found.trim_end() == serial {
            return Ok(Path::new("/dev").join(disk.file_name()));
        }
    }
    bail!("no virtio-blk disk has the serial number {serial:?}")
}

/// Size of a block device in sectors of 512 bytes, from /sys/dev/block/MAJOR:MINOR/size.
pub fn sectors(device: &Path) -> Result<u64> {
    let node = device.metadata();
    let number = node
        .with_context(|| format!("no device {}", device.display()))?
        .rdev();
    let (major, minor) = (libc::major(number), libc::minor(number));
    let path = PathBuf::from(format!("/sys/dev/block/{major}:{minor}/size"));
    let text =
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    text.trim_end()
        .parse()
        .with_context(|| format!("{}: {text:?}", path.display()))
}

/// Clears the first MiB, where LVM and filesystems put their labels: a guest
/// that died leaves them behind.
pub fn wipe(device: &Path) -> Result<()> {
    let wipe = || {
        let disk = File::options().write(true).open(device)?;
        disk.write_all_at(&vec![0; 1 << 20], 0)?;
        disk.sync_all()
    };
    wipe().with_context(|| format!("failed to wipe {}", device.display()))
}

/// Makes the whole device read as zeros.
pub fn zero(device: &Path) -> Result<()> {
    let length = sectors(device)? * SECTOR;
    let zero = || {
        let disk = File::options().write(true).open(device)?;
        let flags = FallocateFlags::FALLOC_FL_ZERO_RANGE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        fallocate(disk, flags, 0, length.try_into().map_err(io::Error::other)?)?;
        Ok::<_, io::Error>(())
    };
    zero().with_context(|| format!("failed to zero {}", device.display()))
}

/// Copies all that is not zero to devices that read as zeros.
pub fn copy_to_zeros(from: &Path, to: &[PathBuf]) -> Result<()> {
    let image = fs::read(from).with_context(|| format!("failed to read {}", from.display()))?;
    let chunks: Vec<_> = (0..)
        .step_by(CHUNK)
        .zip(image.chunks(CHUNK))
        .filter(|(_, chunk)| chunk.iter().any(|&byte| byte != 0))
        .collect();
    for device in to {
        let copy = || {
            let disk = File::options().write(true).open(device)?;
            for (offset, chunk) in &chunks {
                disk.write_all_at(chunk, *offset)?;
            }
            disk.sync_all()
        };
        copy().with_context(|| format!("failed to write to {}", device.display()))?;
    }
    Ok(())
}

/// Returns when no filesystem is on the device any more. A superblock outlives
/// umount(2) for as long as a freeze keeps it (`freeze_super` in fs/super.c).
///
/// # Errors
/// When there still is one after `patience`.
pub fn until_unused(device: &Path, patience: Duration) -> Result<()> {
    let end = Instant::now() + patience;
    while is_in_use(device)? {
        let late = Instant::now() > end;
        ensure!(!late, "{} is still in use", device.display());
        sleep(PAUSE);
    }
    Ok(())
}

/// Whether the device is open exclusively, as by a filesystem (open(2), `O_EXCL`).
fn is_in_use(device: &Path) -> Result<bool> {
    let exclusive = File::options()
        .read(true)
        .custom_flags(libc::O_EXCL)
        .open(device);
    match exclusive {
        Ok(_) => Ok(false),
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok(true),
        Err(error) => Err(error).with_context(|| format!("failed to open {}", device.display())),
    }
}

/// Writes what is dirty and drops what the kernel has cached of a device (`BLKFLSBUF`), which
/// was changed behind its back.
pub fn forget(device: &Path) -> Result<()> {
    let disk =
        File::open(device).with_context(|| format!("failed to open {}", device.display()))?;
    // SAFETY: the call takes no argument, and the descriptor is open.
    unsafe { sys::blkflsbuf(disk.as_raw_fd()) }
        .with_context(|| format!("BLKFLSBUF on {}", device.display()))
        .map(drop)
}
