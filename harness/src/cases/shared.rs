//! A device that two filesystems share. Of those in the tree only EROFS can: it keeps the content of files on a device
//! of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;

use crate::case::Case;
use crate::devices::disk;
use crate::devices::dm::{self, Dm};
use crate::devices::mount::Mount;
use crate::fixture::{Fixture, Skip, unless_there_is};
use crate::kit::complaints::DEVICE_GONE;
use crate::kit::device::{make_dirty, resume, suspend};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::linux::program;
use crate::wire::storage::SCRATCH;
use crate::wire::{Feature, Filesystem};

pub const CASES: &[Case] = &[
    Case::new(
        "shared_suspend",
        "to suspend a device that two filesystems share freezes both until it is resumed",
        suspend_freezes_both,
    )
    .needing(Feature::DeviceHolds)
    .only_on(ONCE),
    Case::new(
        "shared_emergency_thaw",
        "SysRq j thaws both, and no hold is left over or owed",
        emergency_thaw,
    )
    .needing(Feature::Emergency)
    .only_on(ONCE),
    Case::new(
        "shared_sync_failure",
        "a suspension that fails since a device that two filesystems share cannot be synced leaves none of them frozen",
        sync_failure,
    )
    .needing(Feature::SyncFailure)
    .only_on(ONCE)
    .complaining(DEVICE_GONE),
];

/// It brings filesystems of its own.
const ONCE: &[Filesystem] = &[Filesystem::Xfs];

/// Where they are made, in memory.
const FOLDER: &str = "/run/shared";
/// Sectors of each device: 8 MiB.
const SECTORS: u64 = (8 << 20) / 512;

/// Two filesystems with the same files, which are on the device.
struct Shared {
    all: [Mount; 2],
    dm: Dm,
    options: String,
    own: [PathBuf; 2],
}

impl Shared {
    fn new(fixture: &Fixture) -> Result<Shared> {
        unless_there_is("EROFS")?;
        let dm = fixture.dm("shared", &table()?)?;
        let other = disk::by_serial(SCRATCH[1])?;
        let own = |name: &str, start| {
            let dm = fixture.dm(name, &dm::slice(SECTORS, &other, start))?;
            Ok::<_, anyhow::Error>(dm.node())
        };
        let own = [own("one", 0)?, own("other", SECTORS)?];
        fixture.step("mkfs");
        own.iter().try_for_each(|device| mkfs(device, &dm.node()))?;
        let options = format!("device={}", dm.node().display());
        let mount = |device: &Path| fixture.mount_unchecked("erofs", device, &options);
        let shared = Shared {
            all: [mount(&own[0])?, mount(&own[1])?],
            dm,
            options,
            own,
        };
        suspend(fixture, &shared.dm)?;
        let frozen = shared.all[0].is_frozen()?;
        resume(fixture, &shared.dm)?;
        match frozen {
            true => Ok(shared),
            false => Err(Skip("to suspend a shared device does not freeze here".to_owned()).into()),
        }
    }

    fn are_frozen(&self) -> Result<()> {
        self.all.iter().try_for_each(is_frozen)
    }

    fn are_thawed(&self) -> Result<()> {
        self.all.iter().try_for_each(is_thawed)
    }

    /// No hold is left over, nor one owed; and no device counts as frozen, which could not be mounted.
    fn ends_well(self, fixture: &Fixture) -> Result<()> {
        self.are_thawed()?;
        suspend(fixture, &self.dm)?;
        self.are_frozen()?;
        resume(fixture, &self.dm)?;
        self.are_thawed()?;
        for fs in self.all {
            fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
            freeze(&fs)?;
            thaw(&fs)?;
            is_thawed(&fs)?;
            fixture.unmount(fs)?;
        }
        let again = fixture.mount_unchecked("erofs", &self.own[0], &self.options);
        again.map(drop)
    }
}

/// Of the shared device.
fn table() -> Result<String> {
    Ok(dm::linear(SECTORS, &disk::by_serial(SCRATCH[0])?))
}

fn mkfs(device: &Path, shared: &Path) -> Result<()> {
    let [files, image, content] =
        ["files", "image", "content"].map(|it| Path::new(FOLDER).join(it));
    fs::create_dir_all(&files)?;
    fs::write(files.join("a"), [b'a'; 4096])?;
    fs::write(&content, [])?;
    let option = format!("--blobdev={}", content.display());
    let mut command = Command::new("mkfs.erofs");
    command.args(["--quiet", "--chunksize=4096"]).arg(option);
    program::run(command.arg(&image).arg(&files))?;
    for (from, to) in [(image, device), (content, shared)] {
        let bytes = fs::read(&from)?;
        fs::write(to, bytes).with_context(|| format!("failed to write {}", to.display()))?;
    }
    Ok(())
}

fn suspend_freezes_both(fixture: &Fixture) -> Result<()> {
    let shared = Shared::new(fixture)?;
    let [one, other] = &shared.all;
    freeze(one)?;
    suspend(fixture, &shared.dm)?;
    shared.are_frozen()?;
    thaw(one)?;
    for fs in &shared.all {
        fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    }
    shared.are_frozen()?;
    freeze(other)?;
    resume(fixture, &shared.dm)?;
    is_thawed(one)?;
    is_frozen(other)?;
    thaw(other)?;
    shared.ends_well(fixture)
}

fn emergency_thaw(fixture: &Fixture) -> Result<()> {
    let shared = Shared::new(fixture)?;
    suspend(fixture, &shared.dm)?;
    freeze(&shared.all[0])?;
    fixture.emergency_thaw()?;
    shared.are_thawed()?;
    resume(fixture, &shared.dm)?;
    shared.ends_well(fixture)
}

fn sync_failure(fixture: &Fixture) -> Result<()> {
    let shared = Shared::new(fixture)?;
    make_dirty(&shared.dm, SECTORS)?;
    fixture.step("the device fails");
    shared.dm.replace(&dm::error(SECTORS))?;
    let suspended = shared.dm.suspend().is_ok();
    shared.dm.replace(&table()?)?;
    ensure!(!suspended, "a device that cannot be synced was suspended");
    shared.ends_well(fixture)
}
