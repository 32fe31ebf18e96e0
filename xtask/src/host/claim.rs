//! Folders that a killed run leaves behind, and the next one removes.
//!
//! The owner holds a lock inside for as long as it lives, however it dies.

use std::fs::File;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use super::locked::Locked;

/// Also the sign that a folder is one of ours: others may be named alike in /tmp.
const LOCK: &str = ".xtask-lock";

/// A folder in use. Dropping it leaves the folder to the next [`sweep`].
#[derive(Debug)]
pub struct Claim {
    _lock: Locked,
    path: Utf8PathBuf,
}

impl Claim {
    pub fn new(dir: &Utf8Path) -> Result<Self> {
        let path = dir.join(LOCK);
        // Locked before it has its name, lest a sweep at this moment take it for left behind.
        let hidden = dir.join(format!("{LOCK}.new"));
        let file = || -> std::io::Result<File> {
            let file = File::create(&hidden)?;
            file.try_lock().map_err(std::io::Error::from)?;
            std::fs::rename(&hidden, &path)?;
            Ok(file)
        };
        let lock = file().with_context(|| format!("failed to lock {path}"))?;
        Ok(Self {
            _lock: Locked::of(lock),
            path,
        })
    }

    /// The folder is to be kept: it no longer counts as left behind.
    pub fn release(self) -> Result<()> {
        fs_err::remove_file(&self.path)?;
        Ok(())
    }
}

/// A claimed folder that is removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
    _claim: Claim,
}

impl Scratch {
    /// Makes `PREFIX…` in `parent`, and removes what others of this name were left behind there.
    pub fn new(parent: &Utf8Path, prefix: &str) -> Result<Self> {
        sweep(parent, prefix);
        let dir = TempDir::with_prefix_in(prefix, parent)
            .with_context(|| format!("failed to make a folder in {parent}"))?;
        let path = Utf8Path::from_path(dir.path()).context("the folder's path is not UTF-8")?;
        let claim = Claim::new(path)?;
        Ok(Self { dir, _claim: claim })
    }

    pub fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.dir.path()).expect("checked when it was made")
    }
}

/// The folder for what must have a short path.
pub fn temporary() -> Result<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(std::env::temp_dir())
        .ok()
        .context("the path of the temporary folder is not UTF-8")
}

/// Removes the folders `PREFIX…` in `parent` that were claimed once and belong to nobody now.
pub fn sweep(parent: &Utf8Path, prefix: &str) {
    for entry in parent.read_dir_utf8().into_iter().flatten().flatten() {
        if entry.file_name().starts_with(prefix) && is_left_behind(entry.path()) {
            // In /tmp it may be another user's.
            let _ = fs_err::remove_dir_all(entry.path());
        }
    }
}

fn is_left_behind(dir: &Utf8Path) -> bool {
    File::open(dir.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_claimed_and_is_not_any_more_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let parent = Utf8Path::from_path(parent.path()).unwrap();
        let scratch = Scratch::new(parent, "disks-").unwrap();
        for name in ["disks-dead", "disks-strange", "other"] {
            fs_err::create_dir(parent.join(name)).unwrap();
        }
        for name in ["disks-dead", "other"] {
            drop(Claim::new(&parent.join(name)).unwrap());
        }
        sweep(parent, "disks-");
        let there = |name: &str| parent.join(name).exists();
        assert!(scratch.path().exists() && there("disks-strange") && there("other"));
        assert!(!there("disks-dead"));
    }

    #[test]
    fn a_sweep_leaves_what_is_being_claimed() {
        let parent = tempfile::tempdir().unwrap();
        let parent = Utf8Path::from_path(parent.path()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let scratch = Scratch::new(parent, "disks-").unwrap();
                        assert!(scratch.path().exists());
                    }
                });
            }
        });
    }
}
