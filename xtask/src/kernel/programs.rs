//! The programs that a kernel tree has for the cases: its test of freezing, and the daemon that freezes for Hyper-V.

use camino::{Utf8Path, Utf8PathBuf};
use harness::devices::tools;
use serde::{Deserialize, Serialize};
use xshell::cmd;

use crate::failure::{Kind, Result};
use crate::host::environment::PLAIN;
use crate::host::proc;
use crate::host::session::Session;

/// A program that was made of a kernel tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub path: Utf8PathBuf,
    /// Where guests have it.
    pub place: Utf8PathBuf,
}

/// What a tree may have.
struct Source {
    folder: &'static str,
    program: &'static str,
    place: &'static str,
    /// What its Makefile wants behind the folder for what it makes.
    separator: &'static str,
}

const SOURCES: [Source; 2] = [
    Source {
        folder: "tools/testing/selftests/filesystems/freeze",
        program: "freeze_test",
        place: tools::SELFTEST,
        separator: "",
    },
    Source {
        folder: "tools/hv",
        program: "hv_vss_daemon",
        place: tools::HV_VSS_DAEMON,
        separator: "/",
    },
];

/// Makes those that the tree has by their own Makefiles, in `out`. Static, as a guest has no loader for them.
pub fn provide(tree: &Utf8Path, out: &Utf8Path, session: &Session) -> Result<Vec<Program>> {
    let there = |source: &&Source| tree.join(source.folder).join("Makefile").exists();
    let sources = SOURCES.iter().filter(there);
    sources
        .map(|source| source.make(tree, out, session))
        .collect()
}

impl Source {
    fn make(&self, tree: &Utf8Path, out: &Utf8Path, session: &Session) -> Result<Program> {
        let out = out.join("programs").join(self.program);
        fs_err::create_dir_all(&out)?;
        let (folder, path) = (tree.join(self.folder), out.join(self.program));
        let separator = self.separator;
        let make = cmd!(
            PLAIN,
            "make -s -C {folder} OUTPUT={out}{separator} LDFLAGS=-static {path}"
        );
        proc::read(make, &session.stop).map_err(|error| error.or(Kind::Build))?;
        Ok(Program {
            path,
            place: self.place.into(),
        })
    }
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
        assert_eq!(provide(tree, &tree.join("out"), &session).unwrap(), []);
        assert!(!tree.join("out").exists());
    }

    #[test]
    fn one_is_made_by_its_makefile() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(dir.path()).unwrap();
        let folder = tree.join("tools/hv");
        fs_err::create_dir_all(&folder).unwrap();
        let rule = "$(OUTPUT)hv_vss_daemon: ; echo $(LDFLAGS) > $@\n";
        fs_err::write(folder.join("Makefile"), rule).unwrap();
        let session = Session::new(Layout::at(tree), Stop::default());
        let programs = provide(tree, &tree.join("out"), &session).unwrap();
        let places: Vec<_> = programs.iter().map(|it| it.place.as_str()).collect();
        assert_eq!(places, [tools::HV_VSS_DAEMON]);
        assert_eq!(
            fs_err::read_to_string(&programs[0].path).unwrap(),
            "-static\n"
        );
    }
}
