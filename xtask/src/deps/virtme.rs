//! virtme-ng, for guests with the host's root.

use camino::Utf8PathBuf;

use super::venv::{Package, provide};
use crate::failure::Result;
use crate::host::session::Session;

/// Programs of an environment that is complete.
#[derive(Clone, Debug)]
pub struct Virtme {
    pub virtme_run: Utf8PathBuf,
}

pub fn virtme(session: &Session) -> Result<Virtme> {
    let package = Package {
        name: "virtme-ng",
        requirements: "virtme-requirements.txt",
        folder: session.layout.venv(),
        program: "virtme-run",
    };
    let virtme_run = provide(&package, session)?;
    Ok(Virtme { virtme_run })
}
