//! `configs/kernels.toml`: the bases, and the Debian package that each is taken from.

use serde::Deserialize;

use crate::failure::{Kind, OrFail, Result};
use crate::host::layout::Layout;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// As `--base` and the folders under `patches/` have it.
    pub name: String,
    pub package: String,
    /// A suite to look in besides those of the machine, e.g. `experimental`.
    pub suite: Option<String>,
}

impl Base {
    /// The version that its package is named after, e.g. `6.12`.
    pub fn version(&self) -> Option<&str> {
        self.package.strip_prefix("linux-source-")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    base: Vec<Base>,
}

/// All bases, in the order of the file.
pub fn load(layout: &Layout) -> Result<Vec<Base>> {
    let path = layout.configs().join("kernels.toml");
    let text = fs_err::read_to_string(&path).or_fail(Kind::Usage)?;
    let file: File =
        toml::from_str(&text).map_err(|error| Kind::Usage.error(format!("{path}: {error}")))?;
    Ok(file.base)
}

pub fn find(layout: &Layout, name: &str) -> Result<Base> {
    let bases = load(layout)?;
    let known: Vec<String> = bases.iter().map(|base| base.name.clone()).collect();
    let found = bases.into_iter().find(|base| base.name == name);
    found.ok_or_else(|| {
        Kind::Usage.error(format!(
            "unknown --base {name:?}; known: {}",
            known.join(", ")
        ))
    })
}
