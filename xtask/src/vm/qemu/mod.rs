//! QEMU: its command line, its process, and what goes in and out of a guest.

pub mod accel;
pub mod bare;
pub mod channel;
pub mod command;
pub mod disks;
pub mod end;
pub mod guest;
pub mod lines;
pub mod machine;
pub mod qmp;
mod storage;
pub mod tsc;
pub mod virtme;
