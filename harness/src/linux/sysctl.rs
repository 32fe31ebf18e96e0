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
        let text = fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?;
        let before = chosen(&text).to_owned();
        fs::write(path, value).with_context(|| format!("failed to write {value} to {path}"))?;
        Ok(Setting { path, before })
    }
}

/// What a file says that it is set to: of several words, the one in brackets.
fn chosen(text: &str) -> &str {
    let mut words = text.split_whitespace();
    let bracketed = words.find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    bracketed.unwrap_or(text)
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(self.path, &self.before) {
            eprintln!("failed to write {}: {error}", self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_words_one_is_chosen() {
        assert_eq!(chosen("[none] core freezer\n"), "none");
        assert_eq!(chosen("none core [freezer]\n"), "freezer");
        assert_eq!(chosen("|/bin/core %p\n"), "|/bin/core %p\n");
    }
}
