//! Deadlines of many filesystems at once.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::resource::{Resource, setrlimit};

use super::Unit;
use super::probe::{Probe, time};
use crate::kmsg::Kmsg;
use crate::loopdev::Loop;
use crate::mount::Mount;
use crate::program;

/// On tmpfs.
const FOLDER: &str = "/run/harness-many";
/// Bytes of a filesystem with the smallest journal of ext3, 1 MiB. Few are written.
const SIZE: u64 = 4 << 20;
const PAGE: usize = 4096;
/// Open files: a directory each, and some.
const FILES: u64 = 20_000;
/// How much of the free memory may be filled.
const SHARE: f64 = 0.7;
/// How long a level may take if the next one, with ten times as many, is to be tried.
const LONGEST: Duration = Duration::from_secs(45);
/// Filesystems that show what one takes.
const ENOUGH: usize = 50;
/// Seconds, for a deadline that never comes.
const HOUR: i64 = 3600;
/// What the kernel logs at a deadline (`freeze_work_fn` in fs/super.c).
const EXPIRED: &str = "freeze timed out";

pub fn deadlines(probe: &Probe<'_>) -> Result<()> {
    setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES).context("failed to allow many files")?;
    let _quiet = QuietConsole::new()?;
    let mut fleet = Fleet::new()?;
    let available = available_memory()?;
    let levels: &[usize] = probe.pick(&[1, 10, 100], &[1, 10, 100, 1000, 10_000]);
    for level in levels {
        let room = fleet.room(available)?;
        let count = room.map_or(*level, |room| room.min(*level));
        probe.bench.step(&format!("{count} filesystems"));
        let ((), took) = time(|| {
            fleet.grow(count)?;
            record(probe, &fleet)
        })?;
        if count < *level {
            probe.note(&format!("there is memory for {count} filesystems"));
            break;
        }
        if took > LONGEST {
            let took = took.as_secs();
            probe.note(&format!(
                "{count} filesystems took {took} s, more would take too long"
            ));
            break;
        }
    }
    if let Some(each) = fleet.memory_of_one(available)? {
        probe.record("memory of a filesystem", Unit::Bytes, vec![each.round()])?;
    }
    Ok(())
}

fn record(probe: &Probe<'_>, fleet: &Fleet) -> Result<()> {
    let count = fleet.members.len();
    let (mut set, mut met) = (Vec::new(), Vec::new());
    for _ in 0..probe.pick(1, 3) {
        for member in &fleet.members {
            member.freeze_timeout(HOUR).context("FIFREEZE_TIMEOUT")?;
        }
        let expiry = expire(fleet)?;
        set.push(expiry.set);
        met.push(expiry.met);
    }
    probe.record_times(&format!("set {count}"), &set)?;
    probe.record_times(&format!("meet {count}"), &met)
}

#[derive(Debug)]
struct Expiry {
    /// To set the deadlines of all.
    set: Duration,
    /// From the last deadline to the last message that a freeze is over.
    met: Duration,
}

/// Lets the deadlines of all come as close together as the ioctls allow.
fn expire(fleet: &Fleet) -> Result<Expiry> {
    let mut seconds = 1;
    loop {
        let mut log = Kmsg::mark()?;
        let ((), set) = time(|| {
            let mut members = fleet.members.iter();
            members.try_for_each(|member| {
                member
                    .reset_timeout(seconds)
                    .context("FIFREEZE_RESET_TIMEOUT")
            })
        })?;
        let timeout = Duration::from_secs(seconds.unsigned_abs());
        let last = Instant::now() + timeout;
        for _ in &fleet.members {
            log.wait_for(EXPIRED)?;
        }
        let met = Instant::now().saturating_duration_since(last);
        // Else the first deadlines came before the last was set, and not all were pending.
        if set < timeout {
            return Ok(Expiry { set, met });
        }
        for member in &fleet.members {
            member.freeze_timeout(HOUR).context("FIFREEZE_TIMEOUT")?;
        }
        seconds *= 2;
    }
}

/// Small filesystems, each on a loop device of its own. Unmounted when dropped.
#[derive(Debug)]
struct Fleet {
    image: Vec<u8>,
    members: Vec<Mount>,
}

impl Fleet {
    fn new() -> Result<Fleet> {
        fs::create_dir_all(FOLDER).with_context(|| format!("failed to make {FOLDER}"))?;
        let path = Path::new(FOLDER).join("image");
        File::create(&path)
            .and_then(|file| file.set_len(SIZE))
            .context("failed to make an image")?;
        let mut mkfs = Command::new("mkfs.ext3");
        mkfs.args(["-q", "-F", "-b", "1024", "-J", "size=1"]);
        program::run(mkfs.arg(&path))?;
        let image = fs::read(&path).context("failed to read the image")?;
        Ok(Fleet {
            image,
            members: Vec::new(),
        })
    }

    fn grow(&mut self, count: usize) -> Result<()> {
        while self.members.len() < count {
            let root = self.add(self.members.len())?;
            self.members.push(Mount::new(root, MsFlags::empty())?);
        }
        Ok(())
    }

    fn add(&self, number: usize) -> Result<PathBuf> {
        let file = self.copy(number)?;
        let device = Loop::attach(&file)?;
        let root = Path::new(FOLDER).join(format!("{number}.mnt"));
        fs::create_dir(&root).with_context(|| format!("failed to make {}", root.display()))?;
        let (kind, flags) = (Some("ext3"), MsFlags::empty());
        mount(Some(device.path()), &root, kind, flags, None::<&str>)
            .with_context(|| format!("failed to mount {}", device.path().display()))?;
        Ok(root)
    }

    /// A copy of the image in which zeros take no memory.
    fn copy(&self, number: usize) -> Result<File> {
        let path = Path::new(FOLDER).join(number.to_string());
        let copy = || {
            let file = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)?;
            file.set_len(SIZE)?;
            for (number, page) in (0..).zip(self.image.chunks(PAGE)) {
                if page.iter().any(|byte| *byte != 0) {
                    file.write_all_at(page, number * PAGE as u64)?;
                }
            }
            // Its name is not needed any more: it is gone with its device.
            fs::remove_file(&path)?;
            Ok::<_, std::io::Error>(file)
        };
        copy().with_context(|| format!("failed to write {}", path.display()))
    }

    /// Bytes that a filesystem takes, once there are enough to tell.
    fn memory_of_one(&self, before: f64) -> Result<Option<f64>> {
        let count = u32::try_from(self.members.len())?;
        let taken = before - available_memory()?;
        Ok((self.members.len() >= ENOUGH).then(|| (taken / f64::from(count)).max(1.0)))
    }

    /// How many filesystems there is memory for.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    fn room(&self, before: f64) -> Result<Option<usize>> {
        let each = self.memory_of_one(before)?;
        let room = each.map(|each| (before * SHARE / each) as usize);
        Ok(room.map(|room| room.max(self.members.len())))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in &self.members {
            // After a failure some may be frozen; what cannot be unmounted ends with the guest.
            let _ = member.thaw_fully();
        }
        for member in self.members.drain(..) {
            let root = member.root().to_owned();
            drop(member);
            let _ = umount2(&root, MntFlags::empty());
        }
        let _ = fs::remove_dir_all(FOLDER);
    }
}

/// Bytes, from /proc/meminfo (proc_meminfo(5)).
fn available_memory() -> Result<f64> {
    let text = fs::read_to_string("/proc/meminfo").context("failed to read /proc/meminfo")?;
    let kib = parse_available(&text).with_context(|| format!("no MemAvailable: {text}"))?;
    Ok(kib * 1024.0)
}

fn parse_available(meminfo: &str) -> Option<f64> {
    let line = meminfo
        .lines()
        .find_map(|it| it.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Keeps messages off the console, which is slower than what they tell of.
/// They are logged all the same (Documentation/admin-guide/sysctl/kernel.rst, printk).
#[derive(Debug)]
struct QuietConsole {
    before: String,
}

const LEVELS: &str = "/proc/sys/kernel/printk";

impl QuietConsole {
    fn new() -> Result<QuietConsole> {
        let before =
            fs::read_to_string(LEVELS).with_context(|| format!("failed to read {LEVELS}"))?;
        ensure!(!before.trim().is_empty(), "{LEVELS} is empty");
        fs::write(LEVELS, "1").with_context(|| format!("failed to write {LEVELS}"))?;
        Ok(QuietConsole { before })
    }
}

impl Drop for QuietConsole {
    fn drop(&mut self) {
        // The next measurement just gets a quieter console.
        let _ = fs::write(LEVELS, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_found() {
        let text = "MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:   512 kB\n";
        assert_eq!(parse_available(text), Some(512.0));
        assert_eq!(parse_available("MemFree: 10 kB\n"), None);
        assert!(available_memory().unwrap() > 0.0);
    }
}
