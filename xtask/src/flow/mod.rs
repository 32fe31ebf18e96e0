//! What commands do: what has to be there, what is run, what came of it. Command lines are read elsewhere.

pub mod bench;
pub mod bisection;
pub mod check;
pub mod ci;
pub mod clean;
pub mod diff;
pub mod doctor;
pub mod edit;
mod facts;
pub mod git_bisect;
pub mod mail;
pub mod mutants;
pub mod prepare;
pub mod rebase;
mod recording;
pub mod refresh;
pub mod reports;
pub mod select;
pub mod sent;
pub mod shell;
pub mod test_kernel;
pub mod trailers;
pub mod usage;
