//! A checkout that was copied or moved, with its compiled program, works on its own files and on no others.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// A checkout with one base, named after it, and the compiled program where cargo puts it.
fn checkout(at: &Path, base: &str) -> PathBuf {
    for folder in [
        "configs",
        "harness",
        "xtask",
        "target/debug",
        "elsewhere/deep",
    ] {
        fs::create_dir_all(at.join(folder)).unwrap();
    }
    for package in ["harness", "xtask"] {
        fs::write(at.join(package).join("Cargo.toml"), "").unwrap();
    }
    name(at, base);
    let program = at.join("target/debug/xtask");
    copy(&program);
    program
}

/// Copies the compiled program. Another process does it: tests run in parallel, and what this one has open for writing,
/// a child that the other test starts at this moment has open, too; then it cannot be run (execve(2), `ETXTBSY`).
fn copy(program: &Path) {
    Command::new("cp")
        .args([Path::new(env!("CARGO_BIN_EXE_xtask")), program])
        .assert()
        .success();
}

fn name(checkout: &Path, base: &str) {
    let text = format!("[[base]]\nname = {base:?}\npackage = \"linux-source-{base}\"\n");
    fs::write(checkout.join("configs/kernels.toml"), text).unwrap();
}

/// What it says of an unknown base: it lists those of the checkout.
fn said(program: &Path, folder: &Path, manifest: Option<&Path>) -> (Option<i32>, String) {
    let mut command = Command::new(program);
    command.args(["test-kernel", "--base", "nonesuch"]);
    command.current_dir(folder).env_remove("CARGO_MANIFEST_DIR");
    if let Some(checkout) = manifest {
        command.env("CARGO_MANIFEST_DIR", checkout.join("xtask"));
    }
    let output = command.output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn each_copy_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let in_one = checkout(&one, "1.0");
    Command::new("cp")
        .arg("-a")
        .args([&one, &two])
        .assert()
        .success();
    name(&two, "2.0");
    let in_two = two.join("target/debug/xtask");
    let outside = dir.path();
    for (program, folder, manifest, base) in [
        (&in_one, outside, None, "1.0"),
        (&in_two, outside, None, "2.0"),
        (&in_one, &*two.join("elsewhere/deep"), None, "2.0"),
        (&in_one, outside, Some(&two), "2.0"),
        (&in_two, &*one, Some(&two), "2.0"),
    ] {
        let (code, said) = said(program, folder, manifest.map(PathBuf::as_path));
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains(&format!("known: {base}")),
            "{program:?} in {folder:?}: {said}"
        );
    }
    let three = dir.path().join("three");
    fs::rename(&two, &three).unwrap();
    let (_, words) = said(&three.join("target/debug/xtask"), outside, Some(&two));
    assert!(words.contains("known: 2.0"), "{words}");
}

#[test]
fn outside_of_any_checkout_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("xtask");
    copy(&program);
    let (code, said) = said(&program, dir.path(), None);
    assert_eq!(code, Some(4), "{said}");
    assert!(
        said.contains("no checkout with configs/kernels.toml"),
        "{said}"
    );
}
