//! Where things live. Inputs are in the repository, everything made is under `target/`.

use std::env;

use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::{Kind, Result};

/// What tells a checkout of ours from any other folder.
const LANDMARKS: &[&str] = &[
    "configs/kernels.toml",
    "harness/Cargo.toml",
    "xtask/Cargo.toml",
];

/// Names what mutants are built in.
pub const MUTANTS: &str = "mutants";

/// Paths of one checkout.
#[derive(Clone, Debug)]
pub struct Layout {
    root: Utf8PathBuf,
    /// Whether nothing is taken from other checkouts, nor left to them.
    apart: bool,
    /// The folder of work trees and builds, if it is not the one that people know.
    aside: Option<&'static str>,
}

impl Layout {
    /// The checkout that cargo runs us in, or else the one around the current folder, or else around this program.
    ///
    /// Looked for in each run: where the program was compiled says nothing once a checkout was moved or copied.
    pub fn of_this_checkout() -> Result<Self> {
        let path = |path: std::path::PathBuf| Utf8PathBuf::try_from(path).ok();
        let starts = [
            env::var_os("CARGO_MANIFEST_DIR")
                .map(Into::into)
                .and_then(path),
            env::current_dir().ok().and_then(path),
            env::current_exe().ok().and_then(path),
        ];
        let root = starts.iter().flatten().find_map(|start| root(start));
        root.map(Self::at).ok_or_else(|| {
            let nearby = LANDMARKS.join(" and ");
            Kind::Machinery.error(format!(
                "no checkout with {nearby} is here or above, nor around this program: run `cargo xtask` in one"
            ))
        })
    }

    pub fn at(root: impl Into<Utf8PathBuf>) -> Self {
        Self {
            root: root.into(),
            apart: false,
            aside: None,
        }
    }

    /// One that compiles without the user's compiler cache: what was compiled elsewhere does not count.
    pub fn apart(root: impl Into<Utf8PathBuf>) -> Self {
        Self {
            apart: true,
            ..Self::at(root)
        }
    }

    /// The same with work trees and builds of their own, below `target/freeze/NAME`. They are called as they are here, so
    /// the compiler's cache knows them.
    pub fn aside(&self, name: &'static str) -> Self {
        Self {
            aside: Some(name),
            ..self.clone()
        }
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
        self.work(self.aside.unwrap_or_default()).join("trees")
    }

    /// Kernel build folders, one a tree and config.
    pub fn builds(&self) -> Utf8PathBuf {
        self.work(self.aside.unwrap_or_default()).join("builds")
    }

    /// A compiler cache of its own, of a layout that is apart; others have the user's, which a second checkout finds.
    pub fn ccache(&self) -> Option<Utf8PathBuf> {
        self.apart.then(|| self.work("ccache"))
    }

    /// Reports, one folder a run, newest under `latest`.
    pub fn runs(&self) -> Utf8PathBuf {
        self.work("runs")
    }

    /// Benchmarks, likewise.
    pub fn benchmarks(&self) -> Utf8PathBuf {
        self.work("benchmarks")
    }

    /// Searches for the commit that broke something, a folder each.
    pub fn bisections(&self) -> Utf8PathBuf {
        self.work("bisections")
    }

    /// What became of mutants, a folder for each base; and [`Self::aside`], where they are built.
    pub fn mutants(&self) -> Utf8PathBuf {
        self.work(MUTANTS)
    }

    /// Mails of a version of a series.
    pub fn mails(&self, version: u32) -> Utf8PathBuf {
        self.root.join("target/mail").join(format!("v{version}"))
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

/// The nearest folder at or above `start` that is a checkout, by its one true name.
fn root(start: &Utf8Path) -> Option<Utf8PathBuf> {
    let start = start.canonicalize_utf8().ok()?;
    let is_root = |folder: &&Utf8Path| LANDMARKS.iter().all(|name| folder.join(name).is_file());
    start.ancestors().find(is_root).map(Utf8Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_found_from_within() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let dir = dir.canonicalize_utf8().unwrap();
        let (outer, inner) = (dir.join("outer"), dir.join("outer/target/inner"));
        for name in LANDMARKS {
            for checkout in [&outer, &inner] {
                let file = checkout.join(name);
                fs_err::create_dir_all(file.parent().unwrap()).unwrap();
                fs_err::write(file, "").unwrap();
            }
        }
        std::os::unix::fs::symlink(&inner, dir.join("link")).unwrap();
        for (start, expected) in [
            (outer.clone(), Some(&outer)),
            (outer.join("xtask"), Some(&outer)),
            (inner.join("configs/kernels.toml"), Some(&inner)),
            (dir.join("link/xtask"), Some(&inner)),
            (dir.clone(), None),
            (dir.join("nowhere"), None),
        ] {
            assert_eq!(root(&start).as_ref(), expected, "{start}");
        }
    }
}
