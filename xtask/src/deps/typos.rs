//! typos, which finds misspelt words. Its wheel has the compiled program.

use camino::Utf8PathBuf;

use super::venv::{Package, provide};
use crate::event::Events;
use crate::failure::Result;
use crate::layout::Layout;
use crate::proc::Stop;

pub fn typos(layout: &Layout, events: &Events, stop: &Stop) -> Result<Utf8PathBuf> {
    let package = Package {
        name: "typos",
        requirements: "typos-requirements.txt",
        // `clean` takes what begins so for a part of `venv`.
        folder: layout.work("venv.typos"),
        program: "typos",
    };
    provide(&package, layout, events, stop)
}
