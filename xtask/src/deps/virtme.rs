//! virtme-ng, for guests with the host's root.

use camino::Utf8PathBuf;

use super::venv::{Package, provide};
use crate::event::Events;
use crate::failure::Result;
use crate::layout::Layout;
use crate::proc::Stop;

/// Programs of an environment that is complete.
#[derive(Clone, Debug)]
pub struct Virtme {
    pub virtme_run: Utf8PathBuf,
}

pub fn virtme(layout: &Layout, events: &Events, stop: &Stop) -> Result<Virtme> {
    let package = Package {
        name: "virtme-ng",
        requirements: "virtme-requirements.txt",
        folder: layout.venv(),
        program: "virtme-run",
    };
    let virtme_run = provide(&package, layout, events, stop)?;
    Ok(Virtme { virtme_run })
}
