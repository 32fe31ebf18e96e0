//! The freeze cases and what they are written with.
//!
//! The host links this crate to list and filter cases; the guest runs its
//! binary as init. See DESIGN.md for the way a run goes.

pub mod absent;
pub mod actors;
pub mod case;
pub mod cases;
pub mod devices;
pub mod faults;
pub mod fixture;
pub mod freeze;
pub mod init;
pub mod kit;
pub mod linux;
pub mod measure;
pub mod run;
pub mod wire;
pub mod words;
