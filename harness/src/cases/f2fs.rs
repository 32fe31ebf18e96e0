//! f2fs, which freezes itself to be resized, and writes while it is frozen so.

use std::io;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;

use crate::actors::racer::Call;
use crate::case::Case;
use crate::devices::disk;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::after;
use crate::kit::device::{resume, scratch_with_device, suspend};
use crate::kit::state::{fails_with, freeze, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::wire::storage::SCRATCH;
use crate::wire::{Feature, Filesystem};

pub const CASES: &[Case] = &[
    Case::new(
        "f2fs_resize_waits",
        "a resize waits for the end of a freeze by FIFREEZE and by dmsetup suspend, and works then",
        waits,
    )
    .only_on(ONLY),
    Case::new(
        "f2fs_resize_is_alone",
        "FITHAW does not end the freeze of a resize; FIFREEZE beside one works, or is EBUSY",
        is_alone,
    )
    .needing(Feature::DeviceHolds)
    .only_on(ONLY),
];

const ONLY: &[Filesystem] = &[Filesystem::F2fs];

// linux/f2fs.h: _IOW(0xf5, 16, __u64), with the number of blocks, which may only become less.
nix::ioctl_write_ptr!(resize_fs, 0xf5, 16, u64);

/// A section, by which it shrinks at least: 512 blocks of 8 sectors.
const BLOCKS: u64 = 512;
const SECTORS: u64 = BLOCKS * 8;

/// Resizes that race, and attempts of who races with them.
const RESIZES: u64 = 24;
const ATTEMPTS: usize = 2000;

/// Makes it smaller than its device by so many sections.
fn shrink(fs: &Mount, sections: u64) -> Result<()> {
    let device = disk::sectors(&disk::by_serial(SCRATCH[0])?)?;
    let blocks = (device / SECTORS - sections) * BLOCKS;
    // SAFETY: the kernel checks the descriptor, and the argument outlives the call.
    let resized = unsafe { resize_fs(fs.fd(), &raw const blocks) };
    resized
        .map(drop)
        .with_context(|| format!("resize to {blocks} blocks"))
}

fn waits(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    shrink(&fs, 1)?;
    resize_beside(fixture, &fs, 2, || freeze(&fs), || thaw(&fs))?;
    let ends = || resume(fixture, &dm);
    resize_beside(fixture, &fs, 3, || suspend(fixture, &dm), ends)
}

/// Frozen in this way, a resize and a writer wait until the other.
fn resize_beside(
    fixture: &Fixture,
    fs: &Mount,
    sections: u64,
    freezes: impl FnOnce() -> Result<()>,
    ends: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let file = prepare(fs)?;
    freezes()?;
    let writer = Writer::start(fixture, &file)?;
    fixture.step("a resize");
    let resize = || shrink(fs, sections).map_err(io::Error::other);
    let resizer = fixture.actor("resize", resize)?;
    resizer.blocked()?;
    writer.is_blocked()?;
    ends()?;
    fixture.step("the resize ends");
    resizer.outcome()?.context("the resize")?;
    writer.completes(fixture, fs)?;
    is_thawed(fs)
}

fn is_alone(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let (freezing, other) = (fs.again()?, fs.again()?);
    drop(prepare(&fs)?);
    fixture.step("resizes, beside FIFREEZE and FITHAW");
    let freeze_and_thaw = || match freezing.freeze() {
        Err(Errno::EBUSY) => Ok(()),
        frozen => frozen.and_then(|()| freezing.thaw()),
    };
    let freezer = fixture.racer(&calls(&freeze_and_thaw))?;
    for resize in 1..=RESIZES {
        again_if_busy(|| shrink(&fs, resize))?;
    }
    for outcome in freezer.outcomes()? {
        outcome.context("FIFREEZE and FITHAW")?;
    }
    is_thawed(&fs)?;
    fixture.step("resizes, beside FITHAW of what nobody froze");
    let release = || other.thaw();
    let thawer = fixture.racer(&calls(&release))?;
    for resize in 1..=RESIZES {
        shrink(&fs, RESIZES + resize)?;
    }
    for outcome in thawer.outcomes()? {
        fails_with("FITHAW beside a resize", outcome, Errno::EINVAL)?;
    }
    is_thawed(&fs)?;
    freeze(&fs)?;
    thaw(&fs)
}

/// A freeze that comes first is EBUSY to the resize.
fn again_if_busy(resize: impl Fn() -> Result<()>) -> Result<()> {
    for _ in 0..ATTEMPTS {
        match resize() {
            Err(error) if error.downcast_ref() == Some(&Errno::EBUSY) => {}
            outcome => return outcome,
        }
    }
    bail!("the resize was busy {ATTEMPTS} times")
}

fn calls<'a>(call: &'a dyn Fn() -> Result<(), Errno>) -> Vec<Call<'a>> {
    (0..ATTEMPTS)
        .map(|_| (after(0), Box::new(call) as Box<_>))
        .collect()
}
