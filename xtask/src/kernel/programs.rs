//! The programs that a kernel tree has for the cases: its test of freezing, and the daemon that freezes for Hyper-V; and
//! the kernel's modules.

use camino::{Utf8Path, Utf8PathBuf};
use harness::devices::tools;
use serde::{Deserialize, Serialize};
use xshell::cmd;

use crate::failure::{Kind, Result};
use crate::host::environment::PLAIN;
use crate::host::proc;
use crate::host::session::Session;

/// A program, or a module, that was made of a kernel tree.
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

/// Where a tree has them.
#[cfg(test)]
pub fn folders() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|source| source.folder)
}

/// Makes those that the tree has by their own Makefiles, in `out`. Static, as a guest has no loader for them. Modules were
/// installed there with the kernel.
pub fn provide(tree: &Utf8Path, out: &Utf8Path, session: &Session) -> Result<Vec<Program>> {
    let there = |source: &&Source| tree.join(source.folder).join("Makefile").exists();
    let sources = SOURCES.iter().filter(there);
    let mut programs = sources
        .map(|source| source.make(tree, out, session))
        .collect::<Result<Vec<_>>>()?;
    programs.extend(installed(&modules(out))?);
    Ok(programs)
}

/// The root below which a kernel's modules are installed.
pub fn modules(out: &Utf8Path) -> Utf8PathBuf {
    out.join("root")
}

/// All below a root but links, which lead to the tree and to `out`.
fn installed(root: &Utf8Path) -> Result<Vec<Program>> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = root.exists().then(|| root.to_owned()).into_iter().collect();
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let entry = entry?;
            let path = folder.join(&*entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let inside = path.as_str().trim_start_matches(root.as_str());
                let place = inside.into();
                found.push(Program { path, place });
            }
        }
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(found)
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
    use std::os::unix::fs::symlink;

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
    fn modules_are_where_modprobe_looks() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap().join("root");
        assert_eq!(installed(&root).unwrap(), []);
        let folder = root.join("usr/lib/modules/6.12.1");
        fs_err::create_dir_all(folder.join("kernel")).unwrap();
        fs_err::write(folder.join("kernel/xfs.ko"), "").unwrap();
        fs_err::write(folder.join("modules.dep"), "").unwrap();
        symlink(&root, folder.join("build")).unwrap();
        let modules = installed(&root).unwrap();
        let places: Vec<_> = modules.iter().map(|it| it.place.as_str()).collect();
        let wanted =
            ["kernel/xfs.ko", "modules.dep"].map(|name| format!("/usr/lib/modules/6.12.1/{name}"));
        assert_eq!(places, wanted);
        assert!(modules.iter().all(|it| it.path.exists()));
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
