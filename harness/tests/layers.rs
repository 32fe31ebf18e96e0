//! No module imports what stands above it, or beside it.

/// From the top down; DESIGN.md says what each is for.
const ORDER: &[&str] = &[
    "init",
    "run",
    "faults absent",
    "cases measure",
    "kit",
    "case",
    "fixture",
    "actors",
    "devices",
    "freeze linux",
    "wire words",
];

#[test]
fn every_module_imports_only_what_stands_below_it() {
    layers::assert_kept(ORDER);
}
