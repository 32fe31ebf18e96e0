//! What the host must have, and how to get it.

mod advice;
pub mod apt;
mod b4;
mod install;
pub mod need;
mod typos;
mod venv;
pub mod versions;
mod virtme;

pub use advice::to_have;
pub use b4::b4;
pub use install::install;
pub use typos::typos;
pub use virtme::virtme;
