//! The freeze cases and what they are written with.
//!
//! The host links this crate to list and filter cases; the guest runs its
//! binary as init. See DESIGN.md for the way a run goes.

pub mod agent;
pub mod bench;
pub mod case;
pub mod cases;
pub mod compat;
pub mod disk;
pub mod dm;
pub mod faults;
pub mod feature;
pub mod fsck;
pub mod herd;
pub mod init;
pub mod ioctl;
pub mod kmsg;
pub mod ktap;
pub mod lines;
pub mod loopdev;
pub mod lvm;
pub mod mapping;
pub mod measure;
pub mod mount;
pub mod output;
pub mod plan;
pub mod pool;
pub mod port;
pub mod program;
pub mod racer;
pub mod run;
pub mod storage;
pub mod swap;
pub mod switch;
pub mod sysctl;
pub mod task;
pub mod words;
pub mod writers;
