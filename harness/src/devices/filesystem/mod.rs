//! What is done with a filesystem under test, as its entry in the table says ([`crate::wire::filesystem`]).

mod e2fs;
mod shutdown;
mod xfs;

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::linux::program::{self, Runner};
use crate::wire::Filesystem;
use crate::wire::filesystem::entry::{Clean, Entry, PLACE, Second};

pub use shutdown::shut_down;

/// Where the second device is of a filesystem that is on two in every case.
pub const SECOND: &str = "/dev/mapper/second";

/// Makes an empty filesystem, whatever was on the device before.
pub fn mkfs(filesystem: Filesystem, device: &Path) -> Result<()> {
    let entry = filesystem.entry();
    match &entry.second {
        Some(second) if entry.is_on_two => on_two(entry, second, device, Path::new(SECOND)),
        _ => make(entry, &[], device, &[]),
    }
}

/// Makes one on two devices, and returns the mount options for that; `None` if it cannot be.
pub fn mkfs_on_two(filesystem: Filesystem, device: &Path, other: &Path) -> Option<Result<String>> {
    let entry = filesystem.entry();
    let second = entry.second.as_ref()?;
    let made = on_two(entry, second, device, other);
    Some(made.map(|()| place(second.mount, other)))
}

/// Mount options without which it cannot be mounted.
pub fn mount_options(filesystem: Filesystem) -> Option<String> {
    let second = of_two(filesystem.entry())?;
    Some(place(second.mount, Path::new(SECOND)))
}

/// Fails unless the unmounted filesystem is consistent; changes nothing.
pub fn check(filesystem: Filesystem, device: &Path) -> Result<()> {
    let mut check = checker(filesystem);
    let said = program::output(check.arg(device))?;
    match filesystem.entry().unchecked {
        Some(words) if said.stderr.contains(words) => Ok(()),
        _ => said.of_success(&check).map(drop),
    }
}

/// Fails unless the filesystem, an unmounted device or an image, is consistent
/// with its journal ignored, and the journal would add nothing; changes nothing.
pub fn is_clean_as_it_is(filesystem: Filesystem, device: &Path) -> Result<()> {
    is_clean_by(&program::output, filesystem, device)
}

/// The same with the caller's way to run programs, which may be limited in time.
pub fn is_clean_by(run: Runner<'_>, filesystem: Filesystem, device: &Path) -> Result<()> {
    let mut check = checker(filesystem);
    check.arg(device);
    match filesystem.entry().clean {
        Clean::Xfs => return xfs::is_clean(run, check, device),
        Clean::E2fs => e2fs::needs_no_recovery(device)?,
        Clean::Checked | Clean::Except(_) => {}
    }
    let said = run(&mut check)?;
    match filesystem.entry().clean {
        Clean::Except(lines) if says_only(&said.stderr, lines) => Ok(()),
        _ => said.of_success(&check).map(drop),
    }
}

/// Whether something is said, and every line of it begins in one of these ways.
fn says_only(text: &str, beginnings: &[&str]) -> bool {
    let is_expected =
        |line: &str| line.is_empty() || beginnings.iter().any(|it| line.starts_with(it));
    !text.is_empty() && text.lines().all(is_expected)
}

/// The program that checks the filesystem on the device to be appended, and changes nothing.
fn checker(filesystem: Filesystem) -> Command {
    let entry = filesystem.entry();
    let mut command = command(entry.check);
    if let Some(second) = of_two(entry) {
        command.args(placed(second.check, Path::new(SECOND)));
    }
    command
}

/// The second device, if there is one in every case.
fn of_two(entry: &Entry) -> Option<&Second> {
    entry.second.as_ref().filter(|_| entry.is_on_two)
}

fn on_two(entry: &Entry, second: &Second, device: &Path, other: &Path) -> Result<()> {
    if !second.prepare.is_empty() {
        program::run(command(second.prepare).arg(other))?;
    }
    let [options, behind] = [second.mkfs, second.behind].map(|words| placed(words, other));
    make(entry, &options, device, &behind)
}

fn make(entry: &Entry, options: &[String], device: &Path, behind: &[String]) -> Result<()> {
    let make = |more: &[&str]| {
        let mut mkfs = command(entry.mkfs);
        mkfs.args(more).args(options).arg(device).args(behind);
        mkfs.envs(entry.mkfs_environment.iter().map(|name| (name, "1")));
        program::run(&mut mkfs).map(drop)
    };
    match entry.mkfs_newer {
        [] => make(&[]),
        newer => make(newer).or_else(|_| make(&[])),
    }
}

fn command(line: &[&str]) -> Command {
    let (name, arguments) = line.split_first().unwrap_or((&"", &[]));
    let mut command = program::of_administrator(name);
    command.args(arguments);
    command
}

fn placed(options: &[&str], device: &Path) -> Vec<String> {
    options.iter().map(|option| place(option, device)).collect()
}

fn place(option: &str, device: &Path) -> String {
    option.replace(PLACE, &device.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_gfs2_counts_for_itself() {
        let Clean::Except(lines) = Filesystem::Gfs2.entry().clean else {
            panic!("it is clean as others are");
        };
        let said = "\nThe statfs file is wrong:\nfree:    128717 (0x1f6cd)\n";
        assert!(says_only(said, lines));
        assert!(!says_only("", lines));
        assert!(!says_only(&format!("{said}Block 5 is lost.\n"), lines));
    }

    #[test]
    fn the_second_device_has_its_place() {
        let line = |filesystem| {
            let mut line = checker(filesystem);
            format!("{:?}", line.arg("/dev/a")).replace('"', "")
        };
        for (filesystem, check, mount) in [
            (Filesystem::Ext3, "e2fsck -fn /dev/a", None),
            (
                Filesystem::Ext3Journal,
                "e2fsck -fn -j/dev/mapper/second /dev/a",
                Some("journal_path=/dev/mapper/second"),
            ),
            (
                Filesystem::XfsLog,
                "xfs_repair -n -o force_geometry -l/dev/mapper/second /dev/a",
                Some("logdev=/dev/mapper/second"),
            ),
            (
                Filesystem::Btrfs,
                "btrfs check --readonly /dev/a",
                Some("device=/dev/mapper/second"),
            ),
        ] {
            assert!(line(filesystem).ends_with(check), "{}", line(filesystem));
            assert_eq!(mount_options(filesystem).as_deref(), mount);
        }
    }
}
