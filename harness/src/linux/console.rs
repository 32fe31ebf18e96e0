//! The console, where the host reads what the kernel complains of.

use std::fs::{self, File};
use std::io;

/// How much of the kernel log goes to the console (Documentation/admin-guide/sysctl/kernel.rst).
pub const PRINTK: &str = "/proc/sys/kernel/printk";

/// Everything but debug messages. The kernel may have been started with less, as a serial port makes a boot slow.
const LEVEL: &str = "7";

/// Lets the kernel's messages reach the console, whatever a case has done about them.
pub fn show_all() -> io::Result<()> {
    fs::write(PRINTK, LEVEL)
}

/// The console, to write to.
pub fn open() -> io::Result<File> {
    File::options().write(true).open("/dev/console")
}
