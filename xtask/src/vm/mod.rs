//! Guests: which accelerator, which command line, and who watches them.

pub mod accelerator;
pub mod boot;
pub mod capacity;
#[cfg(test)]
mod faults;
pub mod qemu;
pub mod root;
pub mod run;
pub mod watch;
