//! The files of a crate, and the modules that they are.

use std::fs;
use std::path::{Path, PathBuf};

/// A module that is a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// From the root of the crate; empty for the root itself.
    pub path: Vec<String>,
    /// Below the folder of all sources.
    pub file: PathBuf,
}

/// All modules below a folder, in the order of their files.
pub fn modules(src: &Path) -> Vec<Module> {
    let mut files = Vec::new();
    collect(src, Path::new(""), &mut files);
    files.sort();
    let module = |file: PathBuf| Module {
        path: path_of(&file),
        file,
    };
    files.into_iter().map(module).collect()
}

fn collect(src: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    let place = src.join(folder);
    let entries = fs::read_dir(&place);
    for entry in entries.unwrap_or_else(|error| panic!("{}: {error}", place.display())) {
        let entry = entry.unwrap_or_else(|error| panic!("{}: {error}", place.display()));
        let path = folder.join(entry.file_name());
        if src.join(&path).is_dir() {
            collect(src, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`.
fn path_of(file: &Path) -> Vec<String> {
    let names = file.with_extension("");
    let mut path: Vec<_> = names
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let is_root = |name: &str| path.len() == 1 && matches!(name, "lib" | "main");
    if path
        .last()
        .is_some_and(|name| name == "mod" || is_root(name))
    {
        path.pop();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_modules() {
        let table: [(&str, &[&str]); 6] = [
            ("lib.rs", &[]),
            ("main.rs", &[]),
            ("a.rs", &["a"]),
            ("a/mod.rs", &["a"]),
            ("a/main.rs", &["a", "main"]),
            ("a/b/c.rs", &["a", "b", "c"]),
        ];
        for (file, path) in table {
            assert_eq!(path_of(Path::new(file)), path, "{file}");
        }
    }
}
