//! This machine: its files, its programs, and what a run holds of it.

pub mod cgroup;
pub mod claim;
pub mod environment;
pub mod files;
pub mod foreground;
pub mod git;
pub mod layout;
pub mod lock;
pub mod locked;
pub mod patience;
pub mod phase;
pub mod proc;
#[cfg(test)]
pub mod scripts;
pub mod session;
pub mod space;
