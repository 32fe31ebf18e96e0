//! Settings of the kernel below /proc/sys.

use std::fs;

use anyhow::{Context as _, Result};

/// Whether `FIFREEZE` takes a timeout; it is there if the kernel can do that.
pub const FREEZE_ARGUMENT: &str = "/proc/sys/fs/fifreeze_timeout_arg";

/// A setting that is as it was before once this is dropped.
#[derive(Debug)]
pub struct Setting {
    path: &'static str,
    before: String,
}

impl Setting {
    pub fn change(path: &'static str, value: &str) -> Result<Setting> {
        let before = fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?;
        fs::write(path, value).with_context(|| format!("failed to write {value} to {path}"))?;
        Ok(Setting { path, before })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(self.path, &self.before) {
            eprintln!("failed to write {}: {error}", self.path);
        }
    }
}
