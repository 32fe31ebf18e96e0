//! What several commands share: what has to be there, what is run, what came of it.

pub mod prepare;
pub mod select;
pub mod usage;
