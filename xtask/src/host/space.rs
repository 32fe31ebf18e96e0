//! Room on the disk, asked for before it runs out half-way.

use camino::Utf8Path;
use nix::sys::statvfs::statvfs;

use crate::failure::{Kind, Result};

const GIB: u64 = 1 << 30;
/// A source in git, not compressed: that would take longer than all of the import.
pub const SOURCE: u64 = 7 * GIB / 4;
/// A work tree.
pub const TREE: u64 = 7 * GIB / 4;
/// Objects and images of one build; a debug configuration is the largest.
pub const BUILD: u64 = GIB;

/// Fails unless `needed` bytes are free where `folder` is or will be.
pub fn require(folder: &Utf8Path, needed: u64, purpose: &str) -> Result<()> {
    enough(free(folder)?, folder, needed, purpose)
}

/// The same where it is known how many bytes are `free`.
pub fn enough(free: u64, folder: &Utf8Path, needed: u64, purpose: &str) -> Result<()> {
    match shortage("disk space", free, needed) {
        None => Ok(()),
        Some(shortage) => Err(Kind::Machinery.error(format!(
            "{shortage} in {folder} {purpose}; free some, or remove target/freeze"
        ))),
    }
}

/// Bytes that are free where `folder` is or will be.
pub fn free(folder: &Utf8Path) -> Result<u64> {
    let Some(existing) = folder.ancestors().find(|path| path.exists()) else {
        return Err(Kind::Machinery.error(format!("{folder} is in no folder that exists")));
    };
    let stat = statvfs(existing.as_std_path()).map_err(|error| {
        Kind::Machinery.error(format!(
            "cannot ask how much space is free in {existing}: {error}"
        ))
    })?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

/// Says what is lacking, in GiB; sizes are bytes.
pub fn shortage(of: &str, free: u64, needed: u64) -> Option<String> {
    let gib = |bytes: u64| bytes as f64 / GIB as f64;
    (free < needed).then(|| {
        format!(
            "{:.1} GiB of {of} are needed and {:.1} GiB are free",
            gib(needed),
            gib(free)
        )
    })
}

/// The line that says that the disk is full, or a limit reached: whatever failed, it was not the kernel's fault.
pub fn full_disk(stderr: &str) -> Option<&str> {
    let words = [
        "No space left on device",
        "Disk quota exceeded",
        // What a shell, make and gcc say of a program that SIGXFSZ ended, and what write(2) says if that is ignored.
        "File size limit exceeded",
        "File too large",
    ];
    let says_so = |line: &&str| words.iter().any(|words| line.contains(words));
    stderr.lines().find(says_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortages() {
        assert_eq!(shortage("disk space", GIB, GIB), None);
        let said = shortage("disk space", GIB / 2, 5 * GIB).unwrap();
        assert_eq!(
            said,
            "5.0 GiB of disk space are needed and 0.5 GiB are free"
        );
    }

    #[test]
    fn full_disks() {
        let full = "fs/super.c:9: fatal error: error writing to /tmp/x.s: No space left on device";
        let limit =
            "gcc: internal compiler error: File size limit exceeded signal terminated program cc1";
        for (stderr, expected) in [
            (String::new(), None),
            ("fs/super.c:9: error: no".to_owned(), None),
            (format!("a\n{full}\ncompilation terminated."), Some(full)),
            (format!("{limit}\n"), Some(limit)),
        ] {
            assert_eq!(full_disk(&stderr), expected);
        }
    }
}
