//! Quotas of a frozen filesystem.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sys::quota::{
    Dqblk, QuotaType, QuotaValidFlags, quotactl_get, quotactl_set, quotactl_sync,
};

use crate::case::Case;
use crate::devices::disk;
use crate::fixture::{Fixture, skip};
use crate::kit::device::succeeds;
use crate::kit::state::{freeze, is_frozen, thaw};
use crate::wire::Filesystem;
use crate::wire::storage::SCRATCH;

pub const CASES: &[Case] = &[Case::new(
    "operations_quota",
    "to set a quota of a frozen filesystem, and to ask for one, is blocked; to write quotas out is not",
    quota,
)
// ext3 has quotas in files, which a program of their own makes.
.only_on(&[Filesystem::Xfs])];

/// Has a quota from the start, as it has the root folder.
const ROOT: i32 = 0;
/// Has none yet.
const NOBODY: i32 = 65534;
const LIMIT: u64 = 1000;

fn quota(fixture: &Fixture) -> Result<()> {
    let sync = |device| quotactl_sync(QuotaType::USRQUOTA, device);
    if sync(None::<&Path>) == Err(Errno::ENOSYS) {
        return skip("the kernel has no quotas");
    }
    let device = disk::by_serial(SCRATCH[0])?;
    fixture.unmount(fixture.fresh(&device)?)?;
    let fs = fixture.mount(&device, MsFlags::empty(), "uquota")?;
    freeze(&fs)?;
    succeeds(fixture, "Q_SYNC", || sync(Some(&device)))?;
    fixture.step("Q_SETQUOTA and Q_GETQUOTA");
    let setting = fixture.actor("set", || Ok(set_limit(&device, NOBODY)?))?;
    let asking = fixture.actor("ask", || Ok(limit(&device, ROOT).map(drop)?))?;
    for actor in [&setting, &asking] {
        actor.blocked()?;
    }
    is_frozen(&fs)?;
    thaw(&fs)?;
    for actor in [setting, asking] {
        actor.outcome()?.context("after the thaw")?;
    }
    let found = limit(&device, NOBODY)?;
    ensure!(found == LIMIT, "the limit is {found}, not {LIMIT}");
    Ok(())
}

fn set_limit(device: &Path, user: i32) -> Result<(), Errno> {
    let mut quota = Dqblk::default();
    quota.set_blocks_hard_limit(LIMIT);
    let flags = QuotaValidFlags::QIF_BLIMITS;
    quotactl_set(QuotaType::USRQUOTA, device, user, &quota, flags)
}

fn limit(device: &Path, user: i32) -> Result<u64, Errno> {
    let quota = quotactl_get(QuotaType::USRQUOTA, device, user)?;
    Ok(quota.blocks_hard_limit().unwrap_or_default())
}
