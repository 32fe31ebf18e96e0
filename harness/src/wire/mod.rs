//! What host and guest say to each other, and the words for it. Nothing here needs a kernel to test.

mod feature;
pub mod filesystem;
pub mod ktap;
pub mod lines;
pub mod marks;
pub mod names;
pub mod plan;
pub mod port;
pub mod samples;
pub mod storage;

pub use feature::Feature;
pub use filesystem::{Asked, Filesystem};
