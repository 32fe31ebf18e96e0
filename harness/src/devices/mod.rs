//! What filesystems are made on, and how they are made, mounted and checked.

pub mod disk;
pub mod dm;
pub mod filesystem;
pub mod herd;
pub mod loopdev;
pub mod lvm;
pub mod mount;
pub mod swap;
pub mod switch;
pub mod tools;
