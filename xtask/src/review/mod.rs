//! What is said of patch files before people read them, and how they are written.

pub mod checkpatch;
pub mod compile;
pub mod diff;
pub mod finding;
pub mod refresh;
