//! Many deadlines whose thaws hang, and one that must be met all the same.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::case::Case;
use crate::devices::dm::{self, Dm};
use crate::devices::mount::Mount;
use crate::devices::{disk, herd};
use crate::fixture::{Fixture, skip};
use crate::kit::deadline::{
    HOUR, SHORT, after, ends_at, freeze_for, logged_nothing_else, reset, sleep_until,
};
use crate::kit::device::{resume, suspend};
use crate::kit::expiry::{device, expired, next_expired};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::linux::program;
use crate::wire::storage::SCRATCH;
use crate::wire::{Feature, Filesystem};

pub const CASES: &[Case] = &[Case::new(
    "timeout_beside_hung_thaws",
    "while the thaws of 256 filesystems hang in their device, the deadline of another is met",
    beside_hung_thaws,
)
.needing(Feature::Timeout)
// XFS writes nothing when it is thawed.
.only_on(&[Filesystem::Ext3, Filesystem::Ext4])];

/// What a workqueue runs at once where nothing else is asked for (`WQ_DFL_ACTIVE`), up to Linux 6.14.
const CROWD: u64 = 256;
/// Sectors of the smallest filesystem with a journal, of which so many fit on the disk: 2 MiB.
const SECTORS: u64 = (2 << 20) / 512;

/// Where lockdep tells of itself.
const LOCKDEP: &str = "/proc/lockdep";

fn beside_hung_thaws(fixture: &Fixture) -> Result<()> {
    if Path::new(LOCKDEP).exists() {
        return skip("a kernel with lockdep takes minutes for that many filesystems");
    }
    let (crowd, below) = crowd(fixture)?;
    let other = disk::by_serial(SCRATCH[1])?;
    let fs = fixture.fresh(&other)?;
    let file = prepare(&fs)?;
    fixture.step("freeze all");
    for one in crowd.iter().chain([&fs]) {
        freeze_for(one, HOUR)?;
    }
    suspend(fixture, &below)?;
    let writer = Writer::start(fixture, &file)?;
    let mut log = Kmsg::mark()?;
    fixture.step("their deadlines pass");
    crowd.iter().try_for_each(|one| reset(one, 1))?;
    sleep_until(after(1));
    logged_nothing_else(&mut log).context("though the device is suspended")?;
    let deadline = after(SHORT);
    reset(&fs, SHORT)?;
    let next = next_expired(fixture, &mut log)?;
    ensure!(
        Path::new("/dev").join(&next) == other,
        "{next} was thawed, not {}",
        other.display()
    );
    ends_at(fixture, &fs, writer, deadline)?;
    logged_nothing_else(&mut log)?;
    resume(fixture, &below)?;
    let thawed = expired(fixture, &mut log, crowd.len())?;
    for one in &crowd {
        ensure!(thawed.contains(&device(one)?), "some were not thawed");
    }
    Ok(())
}

/// Their devices are on the device that is returned: to suspend that does not freeze them.
fn crowd(fixture: &Fixture) -> Result<(Vec<Mount>, Dm)> {
    let disk = disk::by_serial(SCRATCH[0])?;
    let below = fixture.dm("below", &dm::linear(disk::sectors(&disk)?, &disk))?;
    let kind = fixture.filesystem().name();
    let members = fixture.herd_on(&below.node(), (CROWD, SECTORS), |device| mkfs(kind, device))?;
    let mounts = members.iter().map(herd::Member::open);
    Ok((mounts.collect::<Result<_>>()?, below))
}

fn mkfs(kind: &str, device: &Path) -> Result<()> {
    let options = ["-q", "-F", "-b1024", "-t", kind];
    program::run(Command::new("mke2fs").args(options).arg(device)).map(drop)
}
