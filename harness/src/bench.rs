//! The fixture that a case runs with: it builds what the case asks for, and
//! takes it down again, whatever state the case left it in.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::case::{Filesystem, contains_any};
use crate::disk;
use crate::dm::{self, Dm};
use crate::herd::{self, Member};
use crate::kmsg::Kmsg;
use crate::lvm::VolumeGroup;
use crate::mount::{self, Mount};
use crate::pool::Pool;
use crate::racer::{Call, Racer};
use crate::swap::Swap;
use crate::task::Actor;
use crate::writers::Writers;

/// Mount points are made below this; /run is a tmpfs in the guest.
const MOUNTS: &str = "/run/harness";

/// An argument of mount(2) that a bind mount does not look at.
const NOTHING: Option<&str> = None;

/// What the kernel logs at the end of an emergency thaw (`do_thaw_all` in fs/super.c).
pub const EMERGENCY_THAWED: &str = "Emergency Thaw complete";

/// Why a case cannot run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip(pub String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Skip {}

/// What a case returns when it cannot run here: neither a pass nor a failure.
pub fn skip(reason: impl Into<String>) -> Result<()> {
    Err(Skip(reason.into()).into())
}

/// Something that was built and must be taken down, in reverse order.
#[derive(Debug)]
enum Layer {
    Mount { device: PathBuf, root: PathBuf },
    Bind { root: PathBuf },
    Dm(Dm),
    VolumeGroup(VolumeGroup),
    Swap(Swap),
    Herd(Vec<Member>),
}

impl Layer {
    /// Where what may be left frozen is mounted.
    fn roots(&self) -> Vec<&Path> {
        match self {
            Layer::Mount { root, .. } => vec![root],
            Layer::Herd(herd) => herd.iter().map(Member::root).collect(),
            _ => Vec::new(),
        }
    }
}

/// What was found wrong at the end of a case.
#[derive(Debug, Default)]
pub struct Problems {
    pub found: Vec<anyhow::Error>,
    /// Something could not be taken down: no other case can run beside it.
    pub dirty: bool,
}

impl Problems {
    fn dirty(&mut self, error: anyhow::Error) {
        self.found.push(error);
        self.dirty = true;
    }
}

/// The fixture of one run of one case, in a process of its own.
#[derive(Debug)]
pub struct Bench {
    /// Words of what the kernel is right to complain of.
    expected: &'static [&'static str],
    filesystem: Filesystem,
    /// The longest wait for an actor.
    patience: Duration,
    kmsg: RefCell<Kmsg>,
    layers: RefCell<Vec<Layer>>,
    children: RefCell<Vec<Pid>>,
}

impl Bench {
    /// Kernel messages count from now; the coordinator ends the case after `deadline`.
    pub fn new(
        expected: &'static [&'static str],
        filesystem: Filesystem,
        deadline: Duration,
    ) -> Result<Bench> {
        Ok(Bench {
            expected,
            filesystem,
            // Time must be left to clean up after one that hangs.
            patience: deadline / 4,
            kmsg: RefCell::new(Kmsg::mark()?),
            layers: RefCell::default(),
            children: RefCell::default(),
        })
    }

    pub fn filesystem(&self) -> Filesystem {
        self.filesystem
    }

    /// Says what comes next: the place to name if nothing comes after it.
    pub fn step(&self, text: &str) {
        println!("{}{text}", crate::run::STEP);
    }

    /// What the case did not pass for has been said before the first of these.
    fn cleanup(&self, text: &str) {
        println!("{}{text}", crate::run::CLEANUP);
    }

    /// A fresh filesystem on `scratch0`, mounted.
    pub fn scratch(&self) -> Result<Mount> {
        self.fresh(&disk::by_serial(disk::SCRATCH[0])?)
    }

    /// A fresh filesystem on a dm-linear device that covers `scratch0`, mounted.
    pub fn scratch_on_dm(&self) -> Result<(Mount, Dm)> {
        let disk = disk::by_serial(disk::SCRATCH[0])?;
        let dm = self.dm("linear", &dm::linear(disk::sectors(&disk)?, &disk))?;
        Ok((self.fresh(&dm.node())?, dm))
    }

    /// Makes a filesystem on the device and mounts it.
    pub fn fresh(&self, device: &Path) -> Result<Mount> {
        self.step("mkfs");
        disk::mkfs(self.filesystem, device)?;
        self.mount(device, MsFlags::empty(), "")
    }

    /// Many small filesystems on `scratch0`, mounted.
    pub fn herd(&self) -> Result<Vec<Member>> {
        self.step("a herd of filesystems");
        let disk = disk::by_serial(disk::SCRATCH[0])?;
        disk::zero(&disk)?;
        let herd = herd::devices(self.filesystem, &disk, Path::new(MOUNTS))?;
        self.layers.borrow_mut().push(Layer::Herd(herd.clone()));
        herd::populate(&herd)?;
        Ok(herd)
    }

    /// Mounts the device with options of the filesystem as in `mount -o`.
    pub fn mount(&self, device: &Path, flags: MsFlags, options: &str) -> Result<Mount> {
        self.mount_as(self.filesystem.name(), device, flags, options)
    }

    /// Mounts with another driver's name for what is on the device.
    pub fn mount_as(
        &self,
        kind: &str,
        device: &Path,
        flags: MsFlags,
        options: &str,
    ) -> Result<Mount> {
        self.step("mount");
        let name = device
            .file_name()
            .with_context(|| format!("no device: {}", device.display()))?;
        let root = mount::point(Path::new(MOUNTS), name)?;
        nix::mount::mount(Some(device), &root, Some(kind), flags, Some(options))
            .with_context(|| format!("failed to mount {} ({options})", device.display()))?;
        let layer = Layer::Mount {
            device: device.to_owned(),
            root: root.clone(),
        };
        self.layers.borrow_mut().push(layer);
        Mount::new(root, flags)
    }

    /// Mounts the filesystem once more, at a place of this name.
    pub fn bind(&self, mount: &Mount, name: &str) -> Result<Mount> {
        self.step("mount --bind");
        let root = mount::point(Path::new(MOUNTS), name)?;
        let flags = MsFlags::MS_BIND;
        nix::mount::mount(Some(mount.root()), &root, NOTHING, flags, NOTHING)
            .with_context(|| format!("failed to bind {}", root.display()))?;
        let layer = Layer::Bind { root: root.clone() };
        self.layers.borrow_mut().push(layer);
        Mount::new(root, MsFlags::empty())
    }

    /// Unmounts before the case ends; the end of the case does not look at it again.
    pub fn unmount(&self, mount: Mount) -> Result<()> {
        self.step("unmount");
        let path = mount.root().to_owned();
        drop(mount);
        mount::unmount(&path)?;
        self.forget(&path);
        Ok(())
    }

    /// The same while it is open, and remains so.
    pub fn unmount_lazily(&self, mount: &Mount) -> Result<()> {
        self.step("unmount lazily");
        mount::unmount_lazily(mount.root())?;
        self.forget(mount.root());
        Ok(())
    }

    fn forget(&self, path: &Path) {
        let is_it = |layer: &Layer| matches!(layer, Layer::Mount { root, .. } if root == path);
        self.layers.borrow_mut().retain(|layer| !is_it(layer));
    }

    pub fn dm(&self, name: &str, table: &str) -> Result<Dm> {
        let dm = Dm::create(name, table)?;
        self.layers.borrow_mut().push(Layer::Dm(dm.clone()));
        Ok(dm)
    }

    /// A volume group on both scratch disks.
    pub fn volume_group(&self, name: &str) -> Result<VolumeGroup> {
        let disks: Vec<_> = disk::SCRATCH
            .into_iter()
            .map(disk::by_serial)
            .collect::<Result<_>>()?;
        let group = VolumeGroup::create(name, &disks)?;
        self.layers
            .borrow_mut()
            .push(Layer::VolumeGroup(group.clone()));
        Ok(group)
    }

    /// The kernel swaps to the device until the case is over.
    pub fn swap_on(&self, device: &Path) -> Result<()> {
        self.step("mkswap and swapon");
        let swap = Swap::on(device)?;
        self.layers.borrow_mut().push(Layer::Swap(swap));
        Ok(())
    }

    /// The longest wait for what may hang.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// A program that runs until the case is over; it says on standard error what it does not like.
    /// One that cannot be started has ended ([`Actor::is_alive`]), and is no error yet.
    pub fn daemon(&self, what: &str, command: &mut Command) -> Result<Actor> {
        self.actor(what, || Err(command.exec()))
    }

    /// A child process that performs an operation, which may block.
    pub fn actor(&self, what: &str, operation: impl FnOnce() -> io::Result<()>) -> Result<Actor> {
        let actor = Actor::spawn(what, self.patience, operation)?;
        self.children.borrow_mut().push(actor.pid());
        Ok(actor)
    }

    /// A child process that makes calls at given moments.
    pub fn racer(&self, calls: &[Call<'_>]) -> Result<Racer> {
        let racer = Racer::spawn(calls)?;
        self.children.borrow_mut().push(racer.pid());
        Ok(racer)
    }

    /// Processes that freeze and thaw at the same instant.
    pub fn pool(&self, size: usize, mount: &Mount) -> Result<Pool> {
        let pool = Pool::spawn(size, mount)?;
        self.children.borrow_mut().extend(pool.pids());
        Ok(pool)
    }

    /// Processes that write files to the filesystem, one after the other, until they are stopped.
    pub fn writers(&self, count: usize, mount: &Mount) -> Result<Writers> {
        self.step("writers start");
        let writers = Writers::spawn(count, mount, self.patience)?;
        self.children.borrow_mut().extend(writers.pids());
        Ok(writers)
    }

    /// Makes a call that must return, and says so instead of hanging itself.
    pub fn returns(
        &self,
        what: &str,
        call: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<Result<(), Errno>> {
        self.step(what);
        self.actor(what, || call().map_err(io::Error::from))?
            .outcome()
    }

    /// Asks for an emergency thaw and returns when the kernel reports its end.
    pub fn emergency_thaw(&self) -> Result<()> {
        let mut log = Kmsg::mark()?;
        self.begin_emergency_thaw()?;
        log.wait_for(EMERGENCY_THAWED).map(drop)
    }

    /// Asks for an emergency thaw, which may wait for a suspended device.
    pub fn begin_emergency_thaw(&self) -> Result<()> {
        self.step("SysRq j");
        fs::write("/proc/sysrq-trigger", "j").context("failed to write SysRq j")
    }

    /// Takes everything down, whatever the case left behind.
    ///
    /// # Errors
    /// What was found wrong: a damaged filesystem, complaints of the kernel,
    /// and, if the case `passed`, a freeze or a suspension that it left.
    pub fn finish(self, passed: bool) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for pid in self.children.borrow().iter() {
            // It may have ended already; a blocked one ends when it is thawed.
            let _ = kill(*pid, Signal::SIGKILL);
        }
        self.release(passed, &mut problems);
        self.cleanup("waiting for the actors");
        for pid in self.children.take() {
            let ended = waitpid(pid, None).context("failed to wait for an actor");
            problems.found.extend(ended.err());
        }
        // What one of them had begun to freeze before it ended.
        self.release(passed, &mut problems);
        for layer in self.layers.take().into_iter().rev() {
            match self.dismantle(layer) {
                Ok(check) => problems.found.extend(check.err()),
                Err(error) => problems.dirty(error),
            }
        }
        match self.kmsg.borrow_mut().complaints() {
            Ok(said) => {
                let unexpected = said
                    .lines
                    .iter()
                    .filter(|line| !contains_any(line, self.expected));
                let complaints = unexpected.map(|line| anyhow!("kernel log: {line}"));
                problems.found.extend(complaints);
            }
            Err(error) => problems.found.push(error),
        }
        match problems.found.is_empty() {
            true => Ok(()),
            false => Err(problems),
        }
    }

    /// Ends every suspension and freeze that is left, which one that `passed` should not leave.
    fn release(&self, passed: bool, problems: &mut Problems) {
        let mut leftovers = Vec::new();
        self.cleanup("dmsetup resume");
        // Suspensions first, as a thaw may need to write.
        match dm::resume_all() {
            Ok(names) => {
                let left = |name| anyhow!("{name} was left suspended");
                leftovers.extend(names.into_iter().map(left));
            }
            Err(error) => problems.dirty(error),
        }
        self.cleanup("FITHAW");
        for root in self.layers.borrow().iter().flat_map(Layer::roots) {
            let mount = Mount::new(root.to_owned(), MsFlags::empty());
            match mount.and_then(|mount| mount.thaw_fully()) {
                Ok(0) => {}
                Ok(holds) => {
                    let root = root.display();
                    leftovers.push(anyhow!("{root} was left with file holds: {holds}"));
                }
                Err(error) => problems.dirty(error),
            }
        }
        if passed {
            problems.found.extend(leftovers);
        }
    }

    /// Takes it down, and says what it looked like inside.
    fn dismantle(&self, layer: Layer) -> Result<Result<()>> {
        match layer {
            Layer::Mount { device, root } => {
                self.cleanup("umount");
                mount::unmount(&root)?;
                disk::until_unused(&device, self.patience)?;
                self.cleanup("fsck");
                Ok(disk::check(self.filesystem, &device))
            }
            Layer::Bind { root } => {
                self.cleanup("umount of a bind mount");
                mount::unmount(&root)?;
                Ok(Ok(()))
            }
            Layer::Dm(dm) => {
                self.cleanup("dmsetup remove");
                // A deadline says that it has passed before it lets the superblock go.
                disk::until_unused(&dm.node(), self.patience)?;
                dm.remove().map(Ok)
            }
            Layer::Herd(herd) => {
                self.cleanup("umount, fsck and dmsetup remove of the herd");
                herd::take_down(&herd, self.patience)
            }
            Layer::Swap(swap) => {
                self.cleanup("swapoff");
                swap.off().map(Ok)
            }
            Layer::VolumeGroup(group) => {
                self.cleanup("vgremove");
                group.remove().map(Ok)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_can_be_told_from_a_failure() {
        let error = skip("no such tool").unwrap_err();
        let reason = error.downcast_ref::<Skip>();
        assert_eq!(reason, Some(&Skip("no such tool".to_owned())));
        assert!(anyhow!("no such tool").downcast_ref::<Skip>().is_none());
    }
}
