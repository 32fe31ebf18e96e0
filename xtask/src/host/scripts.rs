//! Programs that a test makes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use camino::Utf8Path;

/// Makes a program of a text that begins with `#!`.
///
/// Another process writes it. Tests run in parallel, and a child that one of them starts at this moment has each file
/// of ours open, too, until it runs its own program: what is open for writing cannot be run (execve(2), `ETXTBSY`).
pub fn make(path: &Utf8Path, text: &str) {
    let mut install = Command::new("install");
    install.args(["-m755", "/dev/stdin", path.as_str()]);
    let mut child = install.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success(), "{path}");
}
