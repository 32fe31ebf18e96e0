//! Child processes that do what may block, and tell what came of it.

pub mod actor;
pub mod pool;
pub mod process;
pub mod racer;
pub mod report;
pub mod writers;
