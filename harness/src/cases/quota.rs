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

const USER: u32 = 65534;
const LIMIT: u64 = 1000;

fn quota(fixture: &Fixture) -> Result<()> {
    let device = disk::by_serial(SCRATCH[0])?;
    fixture.unmount(fixture.fresh(&device)?)?;
    let fs = fixture.mount(&device, MsFlags::empty(), "uquota")?;
    match limit(&device) {
        Err(Errno::ENOSYS | Errno::ESRCH) => return skip("the kernel has no quotas"),
        outcome => drop(outcome.context("failed to ask for a quota")?),
    }
    freeze(&fs)?;
    succeeds(fixture, "Q_SYNC", || {
        quotactl_sync(QuotaType::USRQUOTA, Some(&device))
    })?;
    fixture.step("Q_SETQUOTA and Q_GETQUOTA");
    let setting = fixture.actor("set", || Ok(set_limit(&device)?))?;
    let asking = fixture.actor("ask", || Ok(limit(&device).map(drop)?))?;
    for actor in [&setting, &asking] {
        actor.blocked()?;
    }
    is_frozen(&fs)?;
    thaw(&fs)?;
    for actor in [setting, asking] {
        actor.outcome()?.context("after the thaw")?;
    }
    let found = limit(&device)?;
    ensure!(found == LIMIT, "the limit is {found}, not {LIMIT}");
    Ok(())
}

fn set_limit(device: &Path) -> Result<(), Errno> {
    let mut quota = Dqblk::default();
    quota.set_blocks_hard_limit(LIMIT);
    let flags = QuotaValidFlags::QIF_BLIMITS;
    let id = USER.cast_signed();
    quotactl_set(QuotaType::USRQUOTA, device, id, &quota, flags)
}

fn limit(device: &Path) -> Result<u64, Errno> {
    let quota = quotactl_get(QuotaType::USRQUOTA, device, USER.cast_signed())?;
    Ok(quota.blocks_hard_limit().unwrap_or_default())
}
