//! Tells whether the modules of a crate import only what stands below them.
//!
//! A layer is a module at the top of the crate: a file, or a folder with all that is in it. The order of the layers
//! is a list. Two rules:
//!
//! - A module imports nothing from a layer above its own, or beside it.
//! - Inside a folder, no files or subfolders import each other in a circle. The folder's `mod.rs` is one of them: what
//!   it hands on from its children cannot be where they import from.
//!
//! Paths count wherever they stand: in `use` and `pub use`, in code, in macros, in attributes. `mod` alone, visibility
//! and whatever is compiled for tests only do not. Where a path begins with a name that was imported, it leads on from
//! there. Paths are taken as they are written: a name that a macro makes up is not seen, nor is a path in a string.

mod attributes;
mod circles;
mod imports;
mod scopes;
mod sources;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use imports::Import;
use sources::Module;

/// An import that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Below the folder that was checked.
    pub file: PathBuf,
    /// From 1; 0 if the file as a whole is in the wrong place.
    pub line: usize,
    /// The path as it is written; empty if the file as a whole is in the wrong place.
    pub import: String,
    /// Which rule it breaks.
    pub rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            file, line, rule, ..
        } = self;
        match self.import.as_str() {
            "" => write!(f, "{}: {rule}", file.display()),
            import => write!(f, "{}:{line}: {import}: {rule}", file.display()),
        }
    }
}

/// Checks all modules below `src`. The layers of `order` stand from the top down; those in one string, apart by
/// blanks, stand side by side. `lib.rs` and `main.rs` stand above all.
///
/// # Panics
/// If a file cannot be read, is not Rust, or takes a module from elsewhere by `#[path]`; if a layer is there twice.
pub fn check(src: &Path, order: &[&str]) -> Vec<Violation> {
    let modules = sources::modules(src);
    let imports = imports::all(src, &modules);
    let layers = layers(order);
    let mut found = misplaced(&modules, &layers);
    found.extend(imports.iter().filter_map(|import| upward(import, &layers)));
    found.extend(circles::all(&imports).into_iter().map(of_circle));
    found.sort();
    found.dedup();
    found
}

/// For the test of a package that its own `src` is in order.
///
/// # Panics
/// If it is not, with all that is wrong, and where [`check`] does.
pub fn assert_kept(order: &[&str]) {
    // Where cargo runs the test, not where it was compiled: a checkout may have been moved.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let found = check(&Path::new(&package).join("src"), order);
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// Each layer and its place, counted from the top.
fn layers<'a>(order: &[&'a str]) -> BTreeMap<&'a str, usize> {
    let mut places = BTreeMap::new();
    for (place, names) in order.iter().enumerate() {
        for name in names.split_whitespace() {
            let before = places.insert(name, place);
            assert!(before.is_none(), "the layer {name} is there twice");
        }
    }
    places
}

/// Modules that stand in no layer, and layers that have no module.
fn misplaced(modules: &[Module], layers: &BTreeMap<&str, usize>) -> Vec<Violation> {
    let without_layer = modules.iter().filter_map(|module| {
        let layer = module.path.first()?;
        let known = layers.contains_key(layer.as_str());
        (!known).then(|| whole(&module.file, format!("{layer} stands in no layer")))
    });
    let without_module = layers.keys().filter_map(|layer| {
        let mut tops = modules.iter().filter_map(|module| module.path.first());
        let known = tops.any(|top| top == layer);
        (!known).then(|| whole(Path::new(""), format!("the layer {layer} has no module")))
    });
    without_layer.chain(without_module).collect()
}

fn whole(file: &Path, rule: String) -> Violation {
    Violation {
        file: file.to_owned(),
        line: 0,
        import: String::new(),
        rule,
    }
}

/// What is wrong with an import from another layer.
fn upward(import: &Import, layers: &BTreeMap<&str, usize>) -> Option<Violation> {
    // From the root, everything may be imported.
    let from = import.from.path.first()?;
    let rule = match import.to.first() {
        None => format!("{from} stands below the root of the crate"),
        Some(to) if to == from => return None,
        Some(to) => {
            let (here, there) = (layers.get(from.as_str())?, layers.get(to.as_str())?);
            match here.cmp(there) {
                std::cmp::Ordering::Less => return None,
                std::cmp::Ordering::Equal => format!("{from} and {to} stand side by side"),
                std::cmp::Ordering::Greater => format!("{from} stands below {to}"),
            }
        }
    };
    Some(Violation {
        file: import.from.file.clone(),
        line: import.line,
        import: import.text.clone(),
        rule,
    })
}

fn of_circle((import, members): (&Import, Vec<String>)) -> Violation {
    Violation {
        file: import.from.file.clone(),
        line: import.line,
        import: import.text.clone(),
        rule: format!("a circle of {}", members.join(", ")),
    }
}
