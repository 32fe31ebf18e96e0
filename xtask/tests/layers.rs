//! No module imports what stands above it, or beside it.

use std::path::Path;

/// From the top down; DESIGN.md says what each is for.
const ORDER: &[&str] = &[
    "commands",
    "flow",
    "bench",
    "vm",
    "mail",
    "report",
    "review",
    "kernel",
    "deps series",
    "host",
    "shard",
    "diff event failure",
    "words",
];

#[test]
fn every_module_imports_only_what_stands_below_it() {
    // Where cargo runs the test, not where it was compiled: a checkout may have been moved.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let found = layers::check(&Path::new(&package).join("src"), ORDER);
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}
