//! Which files of a tree a build has read: kbuild writes the command of each file that it makes, and what the compiler
//! opened for it, to `.NAME.cmd` (`scripts/basic/fixdep.c`).

use std::collections::{BTreeSet, HashSet};

use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use crate::failure::{Kind, OrFail, Result};

/// The files of `tree` that the build in `out` has read, by their paths below it.
///
/// Every word of a `.cmd` file that leads to a file of the tree counts: tables that a script makes headers of are named in
/// its command only. Kconfig files and Makefiles, which have no such file, are not among them.
pub fn files(tree: &Utf8Path, out: &Utf8Path) -> Result<BTreeSet<String>> {
    let (mut seen, mut read) = (HashSet::new(), BTreeSet::new());
    for entry in WalkDir::new(out) {
        let entry = entry.or_fail(Kind::Machinery)?;
        let name = entry.file_name().to_str().unwrap_or_default();
        if !(name.starts_with('.') && name.ends_with(".cmd")) {
            continue;
        }
        let text = fs_err::read_to_string(entry.path())?;
        for word in text.split_ascii_whitespace() {
            let path = below(tree, out, word.trim_matches(['\'', '"', ')']));
            if let Some(path) = path
                && seen.insert(path.clone())
                && tree.join(&path).is_file()
            {
                read.insert(path);
            }
        }
    }
    Ok(read)
}

/// The path below the tree that a word of a command is, if it can be one. ccache makes paths relative to `out`.
fn below(tree: &Utf8Path, out: &Utf8Path, word: &str) -> Option<String> {
    if !word.contains('/') {
        return None;
    }
    let mut path = Utf8PathBuf::new();
    for part in out.join(word).components() {
        match part.as_str() {
            ".." => _ = path.pop(),
            "." => {}
            part => path.push(part),
        }
    }
    let path = path.strip_prefix(tree).ok()?;
    (!path.as_str().is_empty()).then(|| path.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_names_and_what_the_compiler_opened() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (tree, out) = (dir.join("trees/6.12"), dir.join("builds/6.12/out"));
        for name in ["fs/super.c", "include/linux/fs.h", "a/b.tbl", "a/not.c"] {
            let path = tree.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "").unwrap();
        }
        fs_err::create_dir_all(out.join("fs")).unwrap();
        fs_err::write(
            out.join("fs/.super.o.cmd"),
            format!(
                "savedcmd_fs/super.o := gcc -c -o fs/super.o {tree}/fs/super.c\n\
                 deps_fs/super.o := \\\n    $(wildcard include/config/SMP) \\\n  \
                 ../../../trees/6.12/include/linux/fs.h \\\n {tree}/gone.h \\\n /usr/include/stdio.h\n"
            ),
        )
        .unwrap();
        let table = format!("cmd_x.h := sh {tree}/../6.12/a/b.tbl x.h; (cat '{tree}/a/b.tbl')\n");
        fs_err::write(out.join(".x.h.cmd"), table).unwrap();
        fs_err::write(out.join("notes"), format!("{tree}/a/not.c\n")).unwrap();
        let read = files(&tree, &out).unwrap();
        let read: Vec<&str> = read.iter().map(String::as_str).collect();
        assert_eq!(read, ["a/b.tbl", "fs/super.c", "include/linux/fs.h"]);
    }
}
