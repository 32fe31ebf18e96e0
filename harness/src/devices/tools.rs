//! Every program that a case calls, and where each comes from.

use super::filesystem;
use crate::linux::program::{self, CONFIGURATION, TOOLS};

/// Where a guest has the test that the kernel tree has of freezing, if its root is not the host's.
pub const SELFTEST: &str = "/freeze_test";
/// Where such a guest has the kernel tree's daemon that freezes for Hyper-V.
pub const HV_VSS_DAEMON: &str = "/hv_vss_daemon";

/// Every program that a case calls, or that such a program calls in its turn, and the Debian package that has it.
///
/// The host installs these, and a guest that boots from an initramfs has no others.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_filesystems = filesystem::all().flat_map(|entry| entry.tools);
    let mut all: Vec<_> = of_filesystems.chain(TOOLS).copied().collect();
    let mut seen = Vec::new();
    all.retain(|(name, _)| {
        let is_new = !seen.contains(name);
        seen.push(name);
        is_new
    });
    all.into_iter()
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
    let of_filesystems = filesystem::all().flat_map(|entry| entry.configuration);
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
        for entry in filesystem::all() {
            assert!(is_tool(entry.checker.0), "{entry:?}");
        }
    }

    #[test]
    fn programs_of_a_filesystem_may_be_asked_for() {
        assert!(exists("expr"));
        for entry in filesystem::all() {
            for (name, _) in entry.tools {
                assert_eq!(exists(name), program::is_in_path(name), "{name}");
            }
        }
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
