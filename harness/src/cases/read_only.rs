//! A filesystem that becomes read-only while it is frozen: who waits for the thaw must not wait for ever.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::case::Case;
use crate::devices::disk;
use crate::devices::dm::{self, Dm};
use crate::devices::mount::Mount;
use crate::fixture::{Fixture, skip};
use crate::kit::complaints::DEVICE_GONE;
use crate::kit::state::{freeze, is_frozen, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::linux::program;
use crate::linux::sysrq::{self, Key};
use crate::wire::storage::SCRATCH;
use crate::wire::{Feature, Filesystem};

pub const CASES: &[Case] = &[
    Case::new(
        "read_only_ext2",
        "an error makes a frozen ext2 read-only; its writers come free with the thaw",
        ext2,
    )
    .needing(Feature::ReadOnly)
    // It takes the programs of ext3.
    .only_on(&[Filesystem::Ext3])
    .complaining(DEVICE_GONE),
    Case::new(
        "read_only_ext3",
        "an error of a frozen ext3 that is mounted with errors=remount-ro; its writers come free with the thaw",
        ext3,
    )
    .needing(Feature::ReadOnly)
    .only_on(&[Filesystem::Ext3])
    .complaining(DEVICE_GONE),
    Case::new(
        "read_only_sysrq",
        "SysRq u leaves a frozen filesystem alone",
        sysrq,
    ),
];

const OPTIONS: &str = "errors=remount-ro";

/// Files, so that the inode in the middle is in another block than those that were read, and the one that is new.
const FILES: usize = 300;
const MIDDLE: usize = FILES / 2;

/// What the kernel logs at the end of an emergency remount (`do_emergency_remount` in fs/super.c).
const REMOUNTED: &str = "Emergency Remount complete";

fn ext2(fixture: &Fixture) -> Result<()> {
    let disk = disk::by_serial(SCRATCH[0])?;
    let sectors = disk::sectors(&disk)?;
    let dm = fixture.dm("linear", &dm::linear(sectors, &disk))?;
    let fs = with_files(fixture, &dm)?;
    if ext4_folder(&dm)?.exists() {
        return skip("the kernel has no driver for ext2 but ext4's");
    }
    let file = prepare(&fs)?;
    // The error shall be in the inode, not in the folder.
    ensure!(
        fs::read_dir(fs.root())?.count() > FILES,
        "files are missing"
    );
    let unread = fs.path(&MIDDLE.to_string());
    let fail = || {
        fixture.step("the device fails, and works again");
        dm.replace(&dm::error(sectors))?;
        ensure!(
            File::open(&unread).is_err(),
            "{} was read",
            unread.display()
        );
        dm.replace(&dm::linear(sectors, &disk))
    };
    lets_writers_go(fixture, &fs, &file, fail)
}

/// None of it is in memory.
fn with_files(fixture: &Fixture, dm: &Dm) -> Result<Mount> {
    program::run(
        Command::new("mke2fs")
            .args(["-q", "-F", "-text2"])
            .arg(dm.node()),
    )?;
    let mount = || fixture.mount_unchecked("ext2", &dm.node(), OPTIONS);
    let fs = mount()?;
    for number in 0..FILES {
        File::create(fs.path(&number.to_string())).context("failed to create a file")?;
    }
    fixture.unmount(fs)?;
    mount()
}

fn ext3(fixture: &Fixture) -> Result<()> {
    let disk = disk::by_serial(SCRATCH[0])?;
    let dm = fixture.dm("linear", &dm::linear(disk::sectors(&disk)?, &disk))?;
    fixture.unmount(fixture.fresh(&dm.node())?)?;
    let fs = fixture.mount_unchecked(fixture.filesystem().kind(), &dm.node(), OPTIONS)?;
    let file = prepare(&fs)?;
    let fail = || {
        fixture.step("an error");
        let trigger = ext4_folder(&dm)?.join("trigger_fs_error");
        fs::write(trigger, "of a case").context("failed to trigger an error")
    };
    lets_writers_go(fixture, &fs, &file, fail)
}

/// Where ext4 tells of what it serves.
fn ext4_folder(dm: &Dm) -> Result<PathBuf> {
    Ok(Path::new("/sys/fs/ext4").join(dm.kernel_name()?))
}

/// Frozen, it fails, and becomes read-only on most kernels. All can be as before afterwards.
fn lets_writers_go(
    fixture: &Fixture,
    fs: &Mount,
    file: &File,
    fail: impl FnOnce() -> Result<()>,
) -> Result<()> {
    freeze(fs)?;
    let writer = Writer::start(fixture, file)?;
    fail()?;
    let read_only = statvfs(fs.root())?.flags().contains(FsFlags::ST_RDONLY);
    fixture.step(&format!("read-only: {read_only}"));
    writer.is_blocked()?;
    thaw(fs)?;
    fixture.step("the writer ends");
    let outcome = writer.actor.outcome()?;
    fixture.step(&format!("it ended with {outcome:?}"));
    fixture.step("remount writable");
    if read_only && fs.remount(MsFlags::empty()).is_err() {
        return Ok(());
    }
    // Its driver may have had enough of it.
    let Ok(file) = prepare(fs) else {
        return Ok(());
    };
    // The first may be told of the error before.
    match fs.freeze() {
        Err(Errno::EIO) => freeze(fs)?,
        other => other.context("FIFREEZE")?,
    }
    let writer = Writer::start(fixture, &file)?;
    thaw(fs)?;
    writer.completes(fixture, fs)
}

fn sysrq(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    let writer = Writer::start(fixture, &file)?;
    let mut log = Kmsg::mark()?;
    fixture.step("SysRq u");
    sysrq::press(Key::RemountReadOnly).context("failed to write SysRq u")?;
    log.wait_for(REMOUNTED)?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    thaw(&fs)?;
    writer.completes(fixture, &fs)
}
