//! The disk below a frozen filesystem is pulled: one of virtio. From `del_gendisk` (block/genhd.c) on, one of SCSI goes
//! the same way.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;

use crate::case::Case;
use crate::devices::disk;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::{HOUR, SHORT, after, freeze_for, logged_at, reset};
use crate::kit::state::{fails_with, freeze, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::wire::Feature;
use crate::wire::storage::SCRATCH;

pub const CASES: &[Case] = &[
    Case::new(
        "unplugged_while_frozen",
        "after the disk was pulled FITHAW works, nobody hangs, and the filesystem can be unmounted",
        while_frozen,
    )
    .complaining(PULLED),
    Case::new(
        "timeout_unplugged",
        "after the disk was pulled the deadline still ends the freeze",
        with_a_deadline,
    )
    .needing(Feature::Timeout)
    .complaining(PULLED),
];

/// What it is right to say of a disk that is gone.
const PULLED: &[&str] = &[
    "BTRFS critical (device vd",
    "BTRFS error (device vd",
    "BTRFS warning (device vd",
    "BTRFS: error (device vd",
    "EXT4-fs error (device vd",
    "EXT4-fs warning (device vd",
    "): I/O error while writing superblock",
    "): previous I/O error to superblock detected",
    "): Remounting filesystem read-only",
    "): shut down requested (",
    // A journal may have a mapped device of its own.
    "Aborting journal on device dm-",
    "JBD2: I/O error when updating journal superblock for dm-",
    "Aborting journal on device vd",
    "JBD2: I/O error when updating journal superblock for vd",
    "JBD2: Detected IO errors",
    "Buffer I/O error on dev vd",
    "F2FS-fs (vd",
    "gfs2: fsid=vd",
    "Buffer I/O error on device vd",
    "I/O error, dev vd",
    ": jbd2_start: ",
    "): log I/O error -",
    "): Log I/O Error (",
    "): Metadata I/O Error (",
    "): metadata I/O error in ",
    "): User initiated shutdown received",
    "): Filesystem has been shut down due to log error (",
    "): Block device removal (",
    "): Please unmount the filesystem and rectify the problem(s)",
];

/// The pause between two looks for a disk.
const PAUSE: Duration = Duration::from_millis(20);

/// The second scratch disk.
struct Disk {
    pci: PathBuf,
}

impl Disk {
    /// Its node, such as `/dev/vdb`, and itself.
    fn find() -> Result<(PathBuf, Disk)> {
        let node = disk::by_serial(SCRATCH[1])?;
        let name = node.file_name().context("a disk has a name")?;
        // Its virtio device is on a device of PCI.
        let virtio = Path::new("/sys/block").join(name).join("device");
        let pci = virtio.canonicalize().context("no virtio device")?;
        let pci = pci.parent().context("it is on no bus")?.to_owned();
        ensure!(
            pci.join("remove").exists(),
            "{} cannot be removed",
            pci.display()
        );
        Ok((node, Disk { pci }))
    }

    fn pull(&self, fixture: &Fixture) -> Result<()> {
        fixture.step("the disk is pulled");
        fs::write(self.pci.join("remove"), "1").context("failed to remove it")
    }

    fn plug(&self, fixture: &Fixture) -> Result<()> {
        fixture.step("the disk is put back");
        fs::write("/sys/bus/pci/rescan", "1").context("failed to look for devices")?;
        let end = Instant::now() + fixture.patience();
        while disk::by_serial(SCRATCH[1]).is_err() {
            ensure!(Instant::now() < end, "the disk does not come back");
            sleep(PAUSE);
        }
        Ok(())
    }
}

fn while_frozen(fixture: &Fixture) -> Result<()> {
    pulled(fixture, freeze, thaw)
}

fn with_a_deadline(fixture: &Fixture) -> Result<()> {
    let ends = |fs: &Mount| {
        let mut log = Kmsg::mark()?;
        let deadline = after(SHORT);
        reset(fs, SHORT)?;
        logged_at(fixture, &mut log, deadline).map(drop)
    };
    pulled(fixture, |fs| freeze_for(fs, HOUR), ends)
}

/// Frozen in one way, the disk is pulled, and the freeze ends in another.
fn pulled(
    fixture: &Fixture,
    freezes: impl Fn(&Mount) -> Result<()>,
    ends: impl Fn(&Mount) -> Result<()>,
) -> Result<()> {
    let (node, disk) = Disk::find()?;
    let fs = fixture.fresh(&node)?;
    let file = prepare(&fs)?;
    freezes(&fs)?;
    let writer = Writer::start(fixture, &file)?;
    disk.pull(fixture)?;
    let ended = ends(&fs);
    if ended.is_ok() {
        fixture.step("the writer ends");
        let outcome = writer.actor.outcome()?;
        fixture.step(&format!("it ended with {outcome:?}"));
        fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    }
    drop(file);
    let unmounted = fixture.unmount(fs);
    // Other cases want the disk, whatever came of this one.
    disk.plug(fixture)?;
    ended?;
    unmounted
}
