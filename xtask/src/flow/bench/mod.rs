//! Numbers, and whether they are as they should be.

mod both;
pub mod kernel;
pub mod tool;
