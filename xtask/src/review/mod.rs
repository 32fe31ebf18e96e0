//! What is said of patch files before people read them, how they are written, and carried to another base.

pub mod checkpatch;
pub mod compile;
pub mod diff;
pub mod finding;
pub mod rebase;
pub mod refresh;
