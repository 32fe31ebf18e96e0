//! Where things live. Inputs are in the repository, everything made is under `target/`.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

/// Paths of one checkout.
#[derive(Clone, Debug)]
pub struct Layout {
    root: Utf8PathBuf,
}

impl Layout {
    /// The checkout that this binary was built from.
    pub fn of_this_checkout() -> Result<Self> {
        let manifest = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest
            .parent()
            .context("the xtask crate has no parent folder")?;
        Ok(Self::at(root))
    }

    pub fn at(root: impl Into<Utf8PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    pub fn patches(&self) -> Utf8PathBuf {
        self.root.join("patches")
    }

    pub fn configs(&self) -> Utf8PathBuf {
        self.root.join("configs")
    }

    /// Downloaded packages and unpacked sources, shared by all runs.
    pub fn sources(&self) -> Utf8PathBuf {
        self.work("sources")
    }

    /// Git trees with patches applied.
    pub fn trees(&self) -> Utf8PathBuf {
        self.work("trees")
    }

    /// Kernel build folders, one a tree and config.
    pub fn builds(&self) -> Utf8PathBuf {
        self.work("builds")
    }

    /// Reports, one folder a run, newest under `latest`.
    pub fn runs(&self) -> Utf8PathBuf {
        self.work("runs")
    }

    /// Benchmarks, likewise.
    pub fn benchmarks(&self) -> Utf8PathBuf {
        self.work("benchmarks")
    }

    /// The Python environment that holds virtme-ng.
    pub fn venv(&self) -> Utf8PathBuf {
        self.work("venv")
    }

    /// `target/freeze/NAME`: apart from cargo's own folders.
    pub fn work(&self, name: &str) -> Utf8PathBuf {
        self.root.join("target/freeze").join(name)
    }
}
