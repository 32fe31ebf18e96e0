//! Whose hold is whose: each belongs to the open file through which it was taken.

pub mod deadlines;
mod model;
pub mod orders;
pub mod owners;
mod script;
