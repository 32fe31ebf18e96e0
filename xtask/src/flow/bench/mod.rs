//! Numbers, and whether they are as they should be.

pub mod kernel;
pub mod tool;
