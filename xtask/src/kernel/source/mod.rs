//! Where a kernel's source comes from. Whatever it is, it ends as a commit in a bare repository of ours.

mod clone;
mod given;
mod lent;
mod obtain;
mod package;
mod repository;
mod stream;
mod unpack;

pub use given::{Given, NoKernel, name_some};
pub use lent::{borrow, lend, of_tree};
pub use obtain::{FRESH, is_known, obtain, sweep, version};
pub use repository::Source;
