//! The test that a kernel tree has of freezing, as a program for guests.

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use crate::failure::{Kind, Result};
use crate::host::environment::PLAIN;
use crate::host::proc;
use crate::host::session::Session;

const FOLDER: &str = "tools/testing/selftests/filesystems/freeze";
const PROGRAM: &str = "freeze_test";

/// Makes it by its own Makefile, in `out`; `None` if the tree has none. Static, as a guest has no loader for it.
pub fn provide(tree: &Utf8Path, out: &Utf8Path, session: &Session) -> Result<Option<Utf8PathBuf>> {
    let source = tree.join(FOLDER);
    if !source.join("Makefile").exists() {
        return Ok(None);
    }
    let out = out.join("selftest");
    fs_err::create_dir_all(&out)?;
    let make = cmd!(PLAIN, "make -s -C {source} OUTPUT={out} LDFLAGS=-static");
    proc::read(make, &session.stop).map_err(|error| error.or(Kind::Build))?;
    Ok(Some(out.join(PROGRAM)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;

    #[test]
    fn a_tree_may_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(dir.path()).unwrap();
        let session = Session::new(Layout::at(tree), Stop::default());
        assert_eq!(provide(tree, &tree.join("out"), &session).unwrap(), None);
        assert!(!tree.join("out").exists());
    }
}
