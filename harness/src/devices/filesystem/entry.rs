//! What an entry says of its filesystem.

use std::os::fd::RawFd;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use nix::errno::Errno;

use crate::linux::program::{self, Output};

/// Runs a program as [`program::output`] does.
pub type Runner<'a> = &'a dyn Fn(&mut Command) -> Result<Output>;

/// A program, and its options.
pub type Checker = (&'static str, &'static [&'static str]);

/// What is particular to a filesystem under test.
#[derive(Debug)]
pub struct Entry {
    /// The programs that it takes, and the Debian package of each.
    pub tools: &'static [(&'static str, &'static str)],
    /// What the programs read if it is there.
    pub configuration: &'static [&'static str],
    /// Makes an empty filesystem, whatever was on the device before.
    pub mkfs: fn(&Path) -> Result<()>,
    /// Makes one with its journal on the second device, and returns the mount options for that.
    pub mkfs_external: fn(&Path, &Path) -> Result<String>,
    /// The program that checks the device to be appended and changes nothing, and its options.
    pub checker: Checker,
    /// Whether it is good as it is, before any journal is replayed; changes nothing.
    pub is_clean: fn(Runner<'_>, &Path) -> Result<()>,
    /// Mount options for a copy beside its original.
    pub copy: &'static str,
    /// Mount options for such a copy, read-only and with its journal left alone.
    pub unrecovered: &'static str,
    /// The last thaw writes to the device, and the kernel complains if it cannot.
    pub thaw_writes: bool,
    /// Shuts down what is mounted, as it does itself when it cannot go on; at once, whether or not frozen.
    pub shut_down: fn(RawFd) -> Result<(), Errno>,
    /// Once it has shut down, not even its root can be opened.
    pub shutdown_closes_root: bool,
    /// A type that the same device can be mounted as, too.
    pub other_type: Option<&'static str>,
}

impl Entry {
    /// The program that checks the filesystem on the device to be appended, and changes nothing.
    pub fn checker(&self) -> Command {
        checker(self.checker)
    }
}

/// The same of a program that more than one entry has.
pub fn checker((name, options): Checker) -> Command {
    let mut command = program::of_administrator(name);
    command.args(options);
    command
}
