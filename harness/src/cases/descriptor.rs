//! What a descriptor is good for that was open when the filesystem was frozen
//! (Documentation/filesystems/freeze.rst).

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::MsFlags;
use nix::sys::stat::Mode;

use super::{WRITTEN, Writer, fails_with, freeze, holds_old, is_frozen, is_thawed, prepare, thaw};
use crate::bench::Bench;
use crate::case::Filesystem;
use crate::mount::Mount;
use crate::{disk, ioctl};

/// It outlives a lazy unmount. Without one, a new mount helps, if it is writable as the old one, or SysRq j.
pub fn outlives_unmount(bench: &Bench) -> Result<()> {
    let device = disk::by_serial(disk::SCRATCH[0])?;
    let fs = bench.scratch()?;
    drop(prepare(&fs)?);
    freeze(&fs)?;
    bench.unmount_lazily(&fs)?;
    let again = again(bench, &device)?;
    thaw(&fs).context("through the descriptor that was kept")?;
    is_thawed(&again)?;
    drop(fs);
    freeze(&again)?;
    bench.unmount(again)?;
    let again = self::again(bench, &device)?;
    thaw(&again).context("through a new mount")?;
    is_thawed(&again)?;
    fails_with("FITHAW", again.thaw(), Errno::EINVAL)?;
    holds_old(&again)?;
    freeze(&again)?;
    bench.unmount(again)?;
    bench.emergency_thaw()?;
    bench.step("wait until nobody uses the device");
    disk::until_unused(&device, bench.patience())
}

/// A mount of the filesystem that is frozen and mounted no more.
fn again(bench: &Bench, device: &Path) -> Result<Mount> {
    let read_only = bench.mount(device, MsFlags::MS_RDONLY, "");
    match read_only.map_err(|error| error.downcast::<Errno>()) {
        Err(Ok(Errno::EBUSY)) => {}
        outcome => bail!("a read-only mount: {outcome:?}, not EBUSY"),
    }
    let fs = bench.mount(device, MsFlags::empty(), "")?;
    is_frozen(&fs)?;
    Ok(fs)
}

/// It outlives the shutdown of a frozen filesystem, which may let nobody open anything.
pub fn outlives_shutdown(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    let writer = Writer::start(bench, &file)?;
    bench.step("shut down");
    ioctl::shut_down(fs.fd()).context("failed to shut down")?;
    writer.is_blocked()?;
    cannot_be_opened(&fs.path(WRITTEN))?;
    if bench.filesystem() == Filesystem::Xfs {
        cannot_be_opened(fs.root())?;
    }
    thaw(&fs)?;
    bench.step("the writer ends");
    fails_with("the write", writer.actor.outcome()?, Errno::EIO)?;
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    drop(file);
    bench.unmount(fs)?;
    bench.step("recovery");
    let device = disk::by_serial(disk::SCRATCH[0])?;
    holds_old(&bench.mount(&device, MsFlags::empty(), "")?)
}

fn cannot_be_opened(path: &Path) -> Result<()> {
    let opened = open(path, OFlag::O_RDONLY, Mode::empty());
    let what = format!("open of {}", path.display());
    fails_with(&what, opened.map(drop), Errno::EIO)
}
