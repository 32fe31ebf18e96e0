//! What is found in small crates.

use std::fs;
use std::path::Path;

use layers::check;
use tempfile::TempDir;

/// A crate named `some-crate` of these files.
fn sources(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[package]\nname = \"some-crate\"\n";
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    for (file, text) in files {
        let path = folder.path().join("src").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// What is wrong with these files, one line for each.
fn found(files: &[(&str, &str)], order: &[&str]) -> Vec<String> {
    let folder = sources(files);
    let violations = check(&folder.path().join("src"), order);
    violations.iter().map(ToString::to_string).collect()
}

/// What is found in the file `low.rs` if there are `top`, `mid`, `low` from the top down, and all of them have a `T`.
fn found_in_low(text: &str) -> Vec<String> {
    let lib = "pub mod top;\npub mod mid;\npub mod low;\n";
    let files = [
        ("lib.rs", lib),
        ("top.rs", "pub struct T;\nuse crate::low::T as Low;\n"),
        ("mid/mod.rs", "pub mod part;\npub struct T;\n"),
        ("mid/part.rs", "pub struct T;\n"),
        ("low.rs", text),
    ];
    found(&files, &["top", "mid", "low"])
}

#[test]
fn whatever_leads_upward_is_found() {
    let table = [
        "use crate::top::T;",
        "pub use crate::top::T;",
        "pub(crate) use crate::top::T as Other;",
        "use crate::{top::T};",
        "use crate::top::{self};",
        "use crate::top::*;",
        "use super::top::T;",
        "use self::super::top::T;",
        "use some_crate::top::T;",
        "fn f() { use crate::top::T; }",
        "fn f() -> crate::top::T { loop {} }",
        "fn f() { crate::top::g(); }",
        "fn f(_: Vec<crate::top::T>) {}",
        "fn f<X: crate::top::Tr>() {}",
        "impl crate::top::Tr for u8 {}",
        "type A = <u8 as crate::top::Tr>::B;",
        "fn f() { println!(\"{}\", crate::top::T); }",
        "fn f() { println!(\"{}\", [(1, super::top::g(\"\"))]); }",
        "fn f() { crate::top::m!(); }",
        "macro_rules! m { () => { $crate::top::g() } }",
        "mod inner { use super::super::top::T; }",
        "mod inner { mod more { fn f() { super::super::super::top::g() } } }",
        "impl u8 { #[inline] fn f() { crate::top::g() } }",
        "#[cfg(not(test))] use crate::top::T;",
        "#[cfg(any(test, debug_assertions))] use crate::top::T;",
        "#[arg(value_parser = crate::top::f)] struct S;",
        "struct S { #[arg(long, value_parser = [1, crate::top::f()])] field: u8 }",
        "#[derive(crate::top::D)] struct S;",
        "#[crate::top::attribute] struct S;",
        // What is imported is found where it is imported, and no more.
        "use crate::top; fn f() { top::g(); top::T::new() }",
        "use crate::top::{self as other}; fn f() { other::g() }",
    ];
    for text in table {
        let found = found_in_low(text);
        let rule = "low stands below top";
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with("low.rs:1: "), "{text}: {found:?}");
        assert!(found[0].ends_with(rule), "{text}: {found:?}");
    }
}

#[test]
fn each_import_has_its_line() {
    let text =
        "use crate::{\n    mid::part::T,\n    top,\n};\n\nfn f() {\n    super::mid::g();\n}\n";
    let wanted = [
        "low.rs:2: crate::mid::part::T: low stands below mid",
        "low.rs:3: crate::top: low stands below top",
        "low.rs:7: super::mid::g: low stands below mid",
    ];
    assert_eq!(found_in_low(text), wanted);
}

#[test]
fn the_root_stands_above_all() {
    let rule = "low stands below the root of the crate";
    let wanted = format!("low.rs:1: crate::Thing: {rule}");
    assert_eq!(found_in_low("use crate::Thing;"), [wanted]);
    // By another name, all of it could be had.
    for text in ["use crate::{self as root};", "use super as root;"] {
        let found = found_in_low(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].ends_with(rule), "{text}: {found:?}");
    }
}

#[test]
fn what_leads_nowhere_above_is_no_import() {
    let table = [
        "use std::fs;",
        "use ::top::T;",
        "use top::T;",
        "fn f() { top::g(); ::top::g(); }",
        "fn f() { println!(\"crate::top::T\", x.top, a: top); }",
        "//! [`crate::top::T`]\n/// [`crate::top::T`]\nstruct S;",
        "pub(super) struct S;",
        "pub(in crate::top) struct S;",
        "#[cfg(test)] mod tests { use crate::top::T; }",
        "#[cfg(all(test, unix))] use crate::top::T;",
        "#[test] fn f() { crate::top::g() }",
        "impl u8 { #[cfg(test)] fn f() { crate::top::g() } }",
        "mod inner { pub struct T; } fn f(_: inner::T, _: self::inner::T) {}",
        "mod inner { use super::f; } fn f() { self.top; }",
        "#[cfg_attr(test, derive(crate::top::D))] struct S;",
        "#[doc = \"crate::top::T\"] struct S;",
        "#[cfg(feature = \"crate::top::T\")] struct S;",
    ];
    for text in table {
        assert_eq!(found_in_low(text), [""; 0], "{text}");
    }
}

#[test]
fn a_module_of_tests_is_left_out_with_all_below_it() {
    let files = [
        ("lib.rs", "mod top;\n#[cfg(test)]\nmod low;\n"),
        ("top.rs", ""),
        ("low/mod.rs", "mod more;\nuse crate::top::T;\n"),
        ("low/more.rs", "use crate::top::T;\n"),
    ];
    assert_eq!(found(&files, &["top", "low"]), [""; 0]);
}

#[test]
fn layers_of_one_line_stand_side_by_side() {
    let files = [("lib.rs", ""), ("a.rs", "use crate::b::T;"), ("b.rs", "")];
    let wanted = ["a.rs:1: crate::b::T: a and b stand side by side"];
    assert_eq!(found(&files, &["a b"]), wanted);
    assert_eq!(found(&files, &["a", "b"]), [""; 0]);
}

#[test]
fn every_module_has_a_layer_and_every_layer_a_module() {
    let files = [("lib.rs", ""), ("a.rs", ""), ("new.rs", "")];
    let wanted = [
        ": the layer gone has no module",
        "new.rs: new stands in no layer",
    ];
    assert_eq!(found(&files, &["a", "gone"]), wanted);
}

#[test]
fn a_program_may_import_all_of_its_library() {
    let files = [
        ("lib.rs", "pub mod a;"),
        ("main.rs", "use some_crate::a::T;"),
        ("a.rs", ""),
    ];
    assert_eq!(found(&files, &["a"]), [""; 0]);
}

/// The circles in the folder `a` of these files.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    found(files, &["a"])
}

#[test]
fn files_of_a_folder_are_in_no_circle() {
    let found = circles(&[
        ("a/mod.rs", "mod x;\nmod y;\nmod z;\n"),
        ("a/x.rs", "use super::y::T;\n"),
        ("a/y.rs", "use super::z::T;\n"),
        ("a/z.rs", "use crate::a::x::T;\n"),
        ("a/free.rs", "use super::x::T;\n"),
    ]);
    let wanted = [
        "a/x.rs:1: super::y::T: a circle of x, y, z",
        "a/y.rs:1: super::z::T: a circle of x, y, z",
        "a/z.rs:1: crate::a::x::T: a circle of x, y, z",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn a_folder_and_its_own_file_are_in_no_circle() {
    let found = circles(&[
        ("a/mod.rs", "mod x;\npub use x::T;\npub struct S;\n"),
        ("a/x.rs", "use super::S;\npub struct T;\n"),
    ]);
    let wanted = [
        "a/mod.rs:2: x::T: a circle of mod.rs, x",
        "a/x.rs:1: super::S: a circle of mod.rs, x",
    ];
    assert_eq!(found, wanted);
    let without = circles(&[
        ("a/mod.rs", "mod x;\npub struct S;\n"),
        ("a/x.rs", "use super::S;\n"),
    ]);
    assert_eq!(without, [""; 0]);
}

#[test]
fn subfolders_are_in_no_circle_even_if_their_files_are_in_none() {
    let found = circles(&[
        ("a/mod.rs", "mod x;\nmod y;\n"),
        ("a/x/mod.rs", "mod one;\nmod two;\n"),
        ("a/x/one.rs", "fn f() { crate::a::y::g() }\n"),
        ("a/x/two.rs", ""),
        ("a/y.rs", "use super::x::two::T;\n"),
    ]);
    let wanted = [
        "a/x/one.rs:1: crate::a::y::g: a circle of x, y",
        "a/y.rs:1: super::x::two::T: a circle of x, y",
    ];
    assert_eq!(found, wanted);
}

/// The file `a/x.rs` with this text, and `a/y.rs` that imports it.
fn circles_with(text: &str) -> Vec<String> {
    circles(&[
        ("a/mod.rs", "mod x;\nmod y;\n"),
        ("a/x.rs", text),
        ("a/y.rs", "use super::x::T;\n"),
    ])
}

#[test]
fn no_circle_hides_behind_a_name_that_was_imported() {
    let table = [
        "use super::*;\nfn f() { y::g() }",
        "use super::*;\nuse y::T;",
        "use super as up;\nfn f(_: up::y::T) {}",
        "use super::{self as up};\nfn f(_: up::y::T) {}",
        "use super as up;\nuse up::y::T;",
        "use super as up;\nuse up as more; fn f(_: more::y::T) {}",
        "use crate::a;\nfn f(_: a::y::T) {}",
        "use crate::{a as b};\nfn f() { println!(\"{}\", b::y::g()) }",
        "use crate as root;\nfn f(_: root::a::y::T) {}",
        "extern crate self as root;\nfn f(_: root::a::y::T) {}",
        "use super as up;\nfn f(_: self::up::y::T) {}",
        "use super::*;\nfn f(_: self::y::T) {}",
        "\nfn f() { use super::*; y::g() }",
        "\nfn f() { y::g(); use super::*; { use std::y; } }",
        "\nmod inner { use super::super::*; fn f() { y::g() } }",
        "use super::*;\nmod inner { use super::*; fn f() { y::g() } }",
        "use super as up;\nmod inner { use super::*; fn f() { up::y::g() } }",
        "use super as up;\nmod inner { use super::up; fn f() { up::y::g() } }",
    ];
    for text in table {
        let found = circles_with(text);
        let has = |start| found.iter().any(|line| line.starts_with(start));
        assert!(has("a/x.rs:2: "), "{text}: {found:?}");
        assert!(has("a/y.rs:1: super::x::T: "), "{text}: {found:?}");
        let all = found.iter().all(|it| it.ends_with(": a circle of x, y"));
        assert!(all, "{text}: {found:?}");
    }
}

#[test]
fn a_name_that_means_something_else_makes_no_circle() {
    let table = [
        "use super::*; use std::y; fn f() { y::g() }",
        "use super::*; use ::other as y; fn f() { y::g() }",
        "use super::*; mod y {} fn f() { y::g() }",
        "use super::*; fn f() { use std::y; y::g() }",
        "use super::*; mod inner { fn f() { y::g() } }",
        "fn e() { use super::*; } fn f() { y::g() }",
        "mod inner { use super::super::*; } fn f() { y::g() }",
        "#[cfg(test)] use super::*; fn f() { y::g() }",
        "use super::*; mod inner { pub mod y {} } fn f() { self::inner::y::g() }",
        "use self::*; use self::y as y; use self::z as w; use w as z; fn f() { y::g(); z::g() }",
        "use y::y; use y::*; use other::*; fn f() { y::g() }",
    ];
    for text in table {
        assert_eq!(circles_with(text), [""; 0], "{text}");
    }
}

#[test]
#[should_panic(expected = "low.rs:2: #[path] takes the module x from elsewhere")]
fn a_module_is_in_the_file_of_its_name() {
    found_in_low("\n#[path = \"other.rs\"] mod x;");
}

#[test]
#[should_panic(expected = "#[path] takes the module x from elsewhere")]
fn a_module_of_tests_is_in_the_file_of_its_name_too() {
    found_in_low("#[cfg(test)] #[cfg_attr(unix, path = \"other.rs\")] mod x;");
}

#[test]
#[should_panic(expected = "the layer a is there twice")]
fn a_layer_stands_in_one_place() {
    found(&[("lib.rs", ""), ("a.rs", ""), ("b.rs", "")], &["a", "b a"]);
}

#[test]
fn it_keeps_its_own_layers() {
    // Where cargo runs the test, not where it was compiled: a checkout may have been moved.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let found = check(
        &Path::new(&package).join("src"),
        &["circles", "imports", "scopes", "attributes", "sources"],
    );
    assert_eq!(found, []);
}
