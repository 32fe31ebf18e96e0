//! What the host must have, and how to get it.

mod advice;
pub mod apt;
mod install;
pub mod need;
mod typos;
mod venv;
pub mod versions;
mod virtme;

pub use advice::to_have;
pub use install::install;
pub use typos::typos;
pub use virtme::virtme;
