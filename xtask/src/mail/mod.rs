//! From a tested series to mails: a base that others have, the series on top of it, and b4, which does the rest.

pub mod b4;
pub mod base;
#[cfg(test)]
mod fixture;
pub mod graft;
pub mod identity;
pub mod letter;

use camino::Utf8PathBuf;

/// A series as it was tested: commits on top of a source that nobody else may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// A repository or work tree that has the commits.
    pub repository: Utf8PathBuf,
    /// The commit of the source.
    pub base: String,
    /// The commit of the last patch.
    pub tip: String,
}
