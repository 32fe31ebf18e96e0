//! The sysctl that makes `FIFREEZE` take a timeout.

use anyhow::Result;

use crate::linux::sysctl::{FREEZE_ARGUMENT, Setting};

/// The argument counts for as long as this lives.
pub fn honour() -> Result<Setting> {
    Setting::change(FREEZE_ARGUMENT, "1")
}
