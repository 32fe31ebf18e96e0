//! Every program that a case calls, and where each comes from.

use std::collections::HashSet;

use crate::linux::program::{self, CONFIGURATION, TOOLS};
use crate::wire::Filesystem;
use crate::wire::filesystem::entry::Entry;

/// Where a guest has the test that the kernel tree has of freezing, if its root is not the host's.
pub const SELFTEST: &str = "/freeze_test";
/// Where such a guest has the kernel tree's daemon that freezes for Hyper-V.
pub const HV_VSS_DAEMON: &str = "/hv_vss_daemon";

/// Every program that a case calls, or that such a program calls in its turn, and the Debian package that has it.
///
/// The host installs these, and a guest that boots from an initramfs has no others.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    once(entries().flat_map(of_entry).chain(TOOLS.iter().copied()))
}

/// Those without which nothing runs: not those of filesystems that the kernel has only if they are asked for.
pub fn always() -> impl Iterator<Item = (&'static str, &'static str)> {
    let usual = Filesystem::ALL.iter().filter(|it| !it.is_extra());
    let of_filesystems = usual.flat_map(|it| of_entry(it.entry()));
    once(of_filesystems.chain(TOOLS.iter().copied()))
}

/// Those of one filesystem.
pub fn of(filesystem: Filesystem) -> impl Iterator<Item = (&'static str, &'static str)> {
    once(of_entry(filesystem.entry()))
}

fn entries() -> impl Iterator<Item = &'static Entry> {
    Filesystem::ALL.iter().map(|filesystem| filesystem.entry())
}

fn of_entry(entry: &'static Entry) -> impl Iterator<Item = (&'static str, &'static str)> {
    let prepare = entry.second.as_ref().map(|second| second.prepare);
    let lines = [entry.mkfs, entry.check, prepare.unwrap_or_default()];
    let of_lines = lines.into_iter().filter_map(|line| line.first());
    let names = of_lines.chain(entry.programs);
    names.map(|name| (*name, entry.package))
}

/// Each name once, in their order.
fn once(
    all: impl Iterator<Item = (&'static str, &'static str)>,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut seen = HashSet::new();
    all.filter(move |(name, _)| seen.insert(*name))
}

/// Whether this one of [`all`] is installed.
///
/// # Panics
/// When it is none of them: a case that asks would be skipped in every guest.
pub fn exists(name: &str) -> bool {
    assert!(is_tool(name), "{name:?} is in no list of tools");
    program::is_in_path(name)
}

fn is_tool(name: &str) -> bool {
    all().any(|(tool, _)| tool == name)
}

/// What the programs read if it is there.
pub fn configuration() -> impl Iterator<Item = &'static str> {
    let of_filesystems = entries().flat_map(|entry| entry.configuration);
    CONFIGURATION.iter().chain(of_filesystems).copied()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_program_that_a_case_calls_is_a_tool() {
        // Where cargo runs the test, not where it was compiled: a checkout may have been moved.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
        let called = called_below(&Path::new(&package).join("src"));
        assert!(called.contains(&"dmsetup".to_owned()), "{called:?}");
        for name in called {
            assert!(is_tool(&name), "{name:?} is in no list of tools");
        }
    }

    #[test]
    fn programs_of_a_filesystem_may_be_asked_for() {
        assert!(exists("expr"));
        for (name, _) in all() {
            assert_eq!(exists(name), program::is_in_path(name), "{name}");
        }
    }

    #[test]
    fn programs_are_wanted_for_what_is_asked_for() {
        let mkfs = ("mkfs.f2fs", "f2fs-tools");
        assert!(all().any(|tool| tool == mkfs));
        assert!(!always().any(|tool| tool == mkfs));
        let of_f2fs: Vec<_> = of(Filesystem::F2fs).collect();
        assert_eq!(of_f2fs, [mkfs, ("fsck.f2fs", "f2fs-tools")]);
        let of_journal: Vec<_> = of(Filesystem::Ext3Journal).map(|(name, _)| name).collect();
        assert_eq!(of_journal, ["mkfs.ext3", "e2fsck", "mke2fs"]);
    }

    #[test]
    #[should_panic(expected = "is in no list of tools")]
    fn nobody_asks_for_what_no_guest_has() {
        exists("no-such-program");
    }

    /// Programs by name, not by path, in all source files but their tests.
    fn called_below(folder: &Path) -> Vec<String> {
        let paths = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
        paths
            .flat_map(|path| match path.is_dir() {
                true => called_below(&path),
                false => called_in(&fs::read_to_string(path).unwrap()),
            })
            .collect()
    }

    fn called_in(source: &str) -> Vec<String> {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        ["Command::new(\"", "of_administrator(\""]
            .into_iter()
            .flat_map(|call| code.split(call).skip(1))
            .filter_map(|rest| rest.split('"').next())
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect()
    }
}
