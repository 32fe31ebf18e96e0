//! Deadlines of many filesystems at once.
//!
//! The cheapest filesystem that can be frozen, of those in the guest's kernel, is ext4 without a journal. A block
//! device costs more than that, so hundreds share one as its partitions.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};
use nix::sys::resource::{Resource, setrlimit};

use super::measurement::{Goal, Measurement};
use super::probe::{Probe, time};
use crate::devices::disk;
use crate::devices::loopdev::{Loop, PARTITIONS};
use crate::devices::mount::Mount;
use crate::devices::swap;
use crate::kit::deadline::HOUR;
use crate::linux::console::PRINTK;
use crate::linux::program;
use crate::linux::sysctl::Setting;
use crate::wire::Feature;
use crate::words;

pub const MEASUREMENTS: &[Measurement] = &[Measurement::new(
    "deadlines_many",
    "deadlines of 1, 10, ... 10,000 small filesystems, as far as time and memory go: \
     to set them, to meet them all",
    Goal::Report,
    deadlines,
)
.needing(Feature::Timeout)
.once()];

/// How many filesystems are tried, as far as time and memory go.
const LEVELS: [usize; 5] = [1, 10, 100, 1000, 10_000];
/// On tmpfs.
const FOLDER: &str = "/run/harness-many";
/// Bytes of a filesystem, almost all of them zero.
const SIZE: u32 = 64 << 10;
/// Open files and threads: a directory and a rescuer of a work queue for each, and some.
const ROOM: u64 = 20_000;
const THREADS: &str = "/proc/sys/kernel/threads-max";
/// Bytes of memory that stay free.
const RESERVE: usize = 128 << 20;

fn deadlines(probe: &Probe<'_>) -> Result<()> {
    setrlimit(Resource::RLIMIT_NOFILE, ROOM, ROOM).context("failed to allow many files")?;
    let _threads = Setting::change(THREADS, &ROOM.to_string())?;
    // The console is slower than what the messages tell of. They are logged all the same.
    let _quiet = Setting::change(PRINTK, "1")?;
    let mut fleet = Fleet::new()?;
    let budget = Duration::from_secs(probe.pick(30, 300));
    let end = Instant::now() + budget;
    for level in LEVELS {
        probe.fixture.step(&words::count(level, "filesystem"));
        let before = fleet.members.len();
        let shortage = fleet.grow(level, end)?;
        let count = fleet.members.len();
        if count > before {
            record(probe, &fleet.members)?;
        }
        if let Some(shortage) = shortage {
            probe.note(&format!(
                "{shortage} after {}",
                words::count(count, "filesystem")
            ));
            break;
        }
    }
    Ok(())
}

fn record(probe: &Probe<'_>, members: &[Mount]) -> Result<()> {
    let count = members.len();
    let (mut set, mut met) = (Vec::new(), Vec::new());
    for _ in 0..probe.pick(1, 3) {
        let expiry = expire(members)?;
        set.push(expiry.set);
        met.push(expiry.met);
    }
    probe.record_times(&format!("set {count}"), &set)?;
    probe.record_times(&format!("meet {count}"), &met)
}

#[derive(Debug)]
struct Expiry {
    /// To set the deadlines of all, which all have one already.
    set: Duration,
    /// From the last deadline to the moment at which all can be written to.
    met: Duration,
}

/// Freezes all, and lets their deadlines come as close together as the ioctls allow.
fn expire(members: &[Mount]) -> Result<Expiry> {
    for member in members {
        member.freeze_timeout(HOUR).context("FIFREEZE_TIMEOUT")?;
    }
    let ((), set) = time(|| reset(members, HOUR))?;
    // The first comes when the last is set.
    let timeout = Duration::from_secs(2 * set.as_secs() + 1);
    reset(members, timeout.as_secs().try_into()?)?;
    let last = Instant::now() + timeout;
    members.iter().try_for_each(write_waits)?;
    let met = Instant::now().checked_duration_since(last);
    Ok(Expiry {
        set,
        met: met.context("all could be written to before the last deadline")?,
    })
}

fn reset(members: &[Mount], seconds: i64) -> Result<()> {
    members
        .iter()
        .try_for_each(|member| member.reset_timeout(seconds))
        .context("FIFREEZE_RESET_TIMEOUT")
}

/// Returns when the filesystem can be written to: unlink(2) waits before it looks for the name.
fn write_waits(member: &Mount) -> Result<()> {
    match fs::remove_file(member.path("none")) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).context("failed to look for a file"),
        Ok(()) => bail!("there was a file"),
    }
}

/// Small filesystems. Unmounted when dropped.
#[derive(Debug)]
struct Fleet {
    members: Vec<Mount>,
    /// Partitions that are not mounted yet.
    free: Vec<PathBuf>,
    disks: Vec<Loop>,
}

impl Fleet {
    fn new() -> Result<Fleet> {
        fs::create_dir(FOLDER).with_context(|| format!("failed to make {FOLDER}"))?;
        let fleet = Fleet {
            members: Vec::new(),
            free: Vec::new(),
            disks: Vec::new(),
        };
        let image = image();
        let file = File::create(&image).and_then(|file| file.set_len(SIZE.into()));
        file.with_context(|| format!("failed to make {}", image.display()))?;
        let mut mkfs = Command::new("mkfs.ext3");
        mkfs.args(["-q", "-F", "-b1024", "-N16", "-O^has_journal"]);
        program::run(mkfs.arg(&image))?;
        Ok(fleet)
    }

    /// Adds filesystems until there are `count`, or says of what there is not enough.
    fn grow(&mut self, count: usize, end: Instant) -> Result<Option<&'static str>> {
        while self.members.len() < count {
            if Instant::now() > end {
                return Ok(Some("the time was up"));
            }
            if swap::available()? < RESERVE {
                return Ok(Some("memory was almost full"));
            }
            match self.add() {
                Err(error) if error.downcast_ref() == Some(&Errno::ENOMEM) => {
                    return Ok(Some("the kernel had no memory"));
                }
                added => added?,
            }
        }
        Ok(None)
    }

    fn add(&mut self) -> Result<()> {
        if self.free.is_empty() {
            self.add_disk()?;
        }
        let device = self.free.pop().context("a disk has partitions")?;
        let root = Path::new(FOLDER).join(format!("{}.mnt", self.members.len()));
        fs::create_dir(&root).with_context(|| format!("failed to make {}", root.display()))?;
        let (kind, flags) = (Some("ext4"), MsFlags::empty());
        mount(Some(&device), &root, kind, flags, None::<&str>)
            .with_context(|| format!("failed to mount {}", device.display()))?;
        self.members.push(Mount::new(root, flags)?);
        Ok(())
    }

    /// A disk in memory, with a filesystem in each partition.
    fn add_disk(&mut self) -> Result<()> {
        let path = Path::new(FOLDER).join("disk");
        let backing = || {
            let file = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)?;
            file.set_len(u64::from(SIZE) * PARTITIONS as u64)?;
            // Its name is not needed any more: it is gone with its device.
            fs::remove_file(&path)?;
            Ok::<_, std::io::Error>(file)
        };
        let backing = backing().with_context(|| format!("failed to make {}", path.display()))?;
        let mut disk = Loop::attach(&backing)?;
        self.free = disk.divide(PARTITIONS, SIZE)?;
        self.disks.push(disk);
        disk::copy_to_zeros(&image(), &self.free)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in self.members.drain(..) {
            // After a failure some may be frozen; what cannot be unmounted ends with the guest.
            let _ = member.thaw_fully();
            let root = member.root().to_owned();
            drop(member);
            let _ = umount(&root);
        }
        let _ = fs::remove_dir_all(FOLDER);
    }
}

fn image() -> PathBuf {
    Path::new(FOLDER).join("image")
}
