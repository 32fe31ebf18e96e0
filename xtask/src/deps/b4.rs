//! b4, which makes mails of patches as the kernel's lists expect them.

use camino::Utf8PathBuf;

use super::venv::{Package, provide};
use crate::failure::Result;
use crate::host::session::Session;

pub fn b4(session: &Session) -> Result<Utf8PathBuf> {
    let package = Package {
        name: "b4",
        requirements: "b4-requirements.txt",
        folder: session.layout.work("venv.b4"),
        program: "b4",
    };
    provide(&package, session)
}
