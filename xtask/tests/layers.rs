//! No module imports what stands above it, or beside it.

/// From the top down; DESIGN.md says what each is for.
const ORDER: &[&str] = &[
    "commands",
    "flow",
    "bisect",
    "mail",
    "bench",
    "vm",
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
    layers::assert_kept(ORDER);
}
