//! What to build, as it was asked for.

use camino::Utf8PathBuf;
use harness::wire::Filesystem;

use super::config;

/// What to build.
#[derive(Clone, Debug)]
pub struct Request {
    /// A name from `configs/kernels.toml`; with `tree` it still chooses the patches and `BASE.config`.
    pub base: String,
    /// A kernel tree to take instead of the base's own source.
    pub tree: Option<Utf8PathBuf>,
    /// Names of folders under `patches/BASE/`, applied in this order; none for the stock kernel.
    pub series: Vec<String>,
    /// Extra fragments: `debug` is `configs/debug.config`, `f2fs` what that filesystem takes.
    pub configs: Vec<String>,
    pub part: Part,
    /// For make; as many as there are processors if `None`.
    pub jobs: Option<usize>,
}

impl Request {
    /// The same for a kernel that has these filesystems, too.
    pub fn with(self, filesystems: &[Filesystem]) -> Self {
        Self {
            configs: config::with(&self.configs, filesystems),
            ..self
        }
    }
}

/// How much of the series, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All patches, in the work tree that people edit.
    Whole,
    /// The first so many patches, in a work tree that is for checking them only. All such requests share it and its
    /// build folder, so that going from one patch to the next rebuilds no more than the patch touches.
    First(usize),
}
