//! What a descriptor is good for that was open when the filesystem was frozen
//! (Documentation/filesystems/freeze.rst).

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::MsFlags;
use nix::sys::stat::Mode;

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::devices::{disk, filesystem};
use crate::fixture::{Fixture, skip};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{WRITTEN, Writer, holds_old, prepare};
use crate::wire::filesystem::entry::Shutdown;
use crate::wire::storage::SCRATCH;

pub const CASES: &[Case] = &[
    Case::new(
        "descriptor_outlives_unmount",
        "FITHAW works on a descriptor after a lazy unmount, or through a new mount \
         if that is as writable; else SysRq j",
        outlives_unmount,
    ),
    Case::new(
        "descriptor_outlives_shutdown",
        "FITHAW works on a descriptor after the filesystem has shut down, when open(2) is EIO",
        outlives_shutdown,
    )
    .complaining(SHUT_DOWN),
];

/// What it is right to say when the scratch filesystem is told to shut down.
const SHUT_DOWN: &[&str] = &[
    "): shut down requested (",
    "Aborting journal on device dm-",
    "Aborting journal on device vd",
    "): User initiated shutdown received",
    "): Log I/O Error (",
    "): Please unmount the filesystem and rectify the problem(s)",
];

/// It outlives a lazy unmount. Without one, a new mount helps, if it is writable as the old one, or SysRq j.
fn outlives_unmount(fixture: &Fixture) -> Result<()> {
    let device = disk::by_serial(SCRATCH[0])?;
    let fs = fixture.scratch()?;
    drop(prepare(&fs)?);
    freeze(&fs)?;
    fixture.unmount_lazily(&fs)?;
    let again = again(fixture, &device)?;
    thaw(&fs).context("through the descriptor that was kept")?;
    is_thawed(&again)?;
    drop(fs);
    freeze(&again)?;
    fixture.unmount(again)?;
    let again = self::again(fixture, &device)?;
    thaw(&again).context("through a new mount")?;
    is_thawed(&again)?;
    fails_with("FITHAW", again.thaw(), Errno::EINVAL)?;
    holds_old(&again)?;
    freeze(&again)?;
    fixture.unmount(again)?;
    fixture.emergency_thaw()?;
    fixture.step("wait until nobody uses the device");
    disk::until_unused(&device, fixture.patience())
}

/// A mount of the filesystem that is frozen and mounted no more.
fn again(fixture: &Fixture, device: &Path) -> Result<Mount> {
    let read_only = fixture.mount(device, MsFlags::MS_RDONLY, "");
    match read_only.map_err(|error| error.downcast::<Errno>()) {
        Err(Ok(Errno::EBUSY)) => {}
        Ok(fs) if fixture.filesystem().entry().mixes_mounts => fixture.unmount(fs)?,
        outcome => bail!("a read-only mount: {outcome:?}, not EBUSY"),
    }
    let fs = fixture.mount(device, MsFlags::empty(), "")?;
    is_frozen(&fs)?;
    Ok(fs)
}

/// It outlives the shutdown of a frozen filesystem, which may let nobody open anything.
fn outlives_shutdown(fixture: &Fixture) -> Result<()> {
    let filesystem = fixture.filesystem();
    let Some(shutdown) = &filesystem.entry().shuts_down else {
        return skip(format!(
            "{filesystem} cannot be told to shut down while it is frozen"
        ));
    };
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    let writer = Writer::start(fixture, &file)?;
    fixture.step("shut down");
    filesystem::shut_down(fs.fd()).context("failed to shut down")?;
    writer.is_blocked()?;
    cannot_be_opened(&fs.path(WRITTEN))?;
    if matches!(shutdown, Shutdown::ClosesRoot) {
        cannot_be_opened(fs.root())?;
    }
    thaw(&fs)?;
    fixture.step("the writer ends");
    fails_with("the write", writer.actor.outcome()?, Errno::EIO)?;
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    drop(file);
    fixture.unmount(fs)?;
    fixture.step("recovery");
    let device = disk::by_serial(SCRATCH[0])?;
    holds_old(&fixture.mount(&device, MsFlags::empty(), "")?)
}

fn cannot_be_opened(path: &Path) -> Result<()> {
    let opened = open(path, OFlag::O_RDONLY, Mode::empty());
    let what = format!("open of {}", path.display());
    fails_with(&what, opened.map(drop), Errno::EIO)
}
