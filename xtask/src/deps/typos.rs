//! typos, which finds misspelt words. Its wheel has the compiled program.

use camino::Utf8PathBuf;

use super::venv::{Package, provide};
use crate::failure::Result;
use crate::host::session::Session;

pub fn typos(session: &Session) -> Result<Utf8PathBuf> {
    let package = Package {
        name: "typos",
        requirements: "typos-requirements.txt",
        // `clean` takes what begins so for a part of `venv`.
        folder: session.layout.work("venv.typos"),
        program: "typos",
    };
    provide(&package, session)
}
