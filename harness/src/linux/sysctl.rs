//! Settings of the kernel below /proc/sys and /sys.

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
        let shown = fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?;
        let before = chosen(&shown).to_owned();
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

/// Of a choice all is shown, and what is chosen is in brackets.
fn chosen(shown: &str) -> &str {
    let bracketed = shown
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    bracketed.map_or(shown, |(chosen, _)| chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_restored_by_its_name() {
        assert_eq!(
            chosen("[none] core processors platform devices freezer\n"),
            "none"
        );
        assert_eq!(chosen("s2idle [deep]\n"), "deep");
        assert_eq!(chosen("0\n"), "0\n");
    }
}
