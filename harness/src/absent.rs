//! Whether the kernel has what nobody says that it provides: its cases must not be left out then.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;

use crate::fixture::{Fixture, skip};
use crate::freeze::ioctl;
use crate::linux::sysctl;
use crate::wire::{Feature, Filesystem};

/// No address: a request that takes one fails before it does anything.
const NOWHERE: usize = 0;
/// The ioctls of ext3 are only there on a filesystem of that kind.
pub const FILESYSTEM: Filesystem = Filesystem::Ext3;

/// Skips if the kernel lacks the feature, and fails if it has it.
pub fn must_be_absent(feature: Feature, fixture: &Fixture) -> Result<()> {
    if is_there(feature, fixture)? {
        bail!(
            "the kernel has the {feature}, but the series does not say so: a patch with it has a line \
             `Provides: {feature}` below its `---`"
        );
    }
    skip(is_not_provided(feature))
}

/// Why a case is skipped.
pub fn is_not_provided(feature: Feature) -> String {
    format!("the kernel does not provide the {feature}")
}

fn is_there(feature: Feature, fixture: &Fixture) -> Result<bool> {
    match feature {
        Feature::Timeout => {
            let root = File::open("/").context("failed to open /")?;
            Ok(is_known(ioctl::reset_timeout(root.as_raw_fd(), NOWHERE)))
        }
        Feature::Argument => Ok(Path::new(sysctl::FREEZE_ARGUMENT).exists()),
        Feature::Ext3Ioctl => {
            let fs = fixture.scratch()?;
            Ok(is_known(ioctl::ext3_freeze(fs.fd(), NOWHERE)))
        }
        _ => bail!("no request tells whether the kernel has the {feature}"),
    }
}

/// A kernel that knows a request finds fault with something else (`do_vfs_ioctl` in fs/ioctl.c).
fn is_known(answer: Result<(), Errno>) -> bool {
    answer != Err(Errno::ENOTTY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        for (answer, known) in [
            (Err(Errno::ENOTTY), false),
            (Err(Errno::EFAULT), true),
            (Err(Errno::EPERM), true),
            (Ok(()), true),
        ] {
            assert_eq!(is_known(answer), known, "{answer:?}");
        }
    }
}
