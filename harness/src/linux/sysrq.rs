//! The keys of SysRq (Documentation/admin-guide/sysrq.rst).

use std::fs;
use std::io;

/// A key of SysRq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Panics the kernel.
    Crash,
    /// Thaws every frozen filesystem, whoever holds it.
    EmergencyThaw,
    /// Remounts what is on block devices read-only.
    RemountReadOnly,
    /// Shows the tasks in D state on the console.
    Blocked,
}

/// Presses the key.
pub fn press(key: Key) -> io::Result<()> {
    let letter = match key {
        Key::Crash => "c",
        Key::EmergencyThaw => "j",
        Key::RemountReadOnly => "u",
        Key::Blocked => "w",
    };
    fs::write("/proc/sysrq-trigger", letter)
}
