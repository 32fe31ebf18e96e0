//! What becomes of a command whose output cannot be written: it does not end as if all had been told.
#![expect(
    clippy::disallowed_methods,
    reason = "the command is our own program, with what the test sets"
)]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output, Stdio};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};

/// Commands that need nothing but the checkout, and say something.
const TELLING: &[&[&str]] = &[
    &["test-kernel", "--list"],
    &["series", "check", "--list"],
    &["series", "diff", "6.12", "mainline"],
    &["bench", "kernel", "--list"],
    &["report", "table", RESULTS],
    &["--help"],
    &["--version"],
    &["report", "merge", "--help"],
];
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/results.json");

fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).stderr(Stdio::piped());
    command
}

fn ending(command: &mut Command) -> (Output, String) {
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output, said)
}

#[test]
fn a_full_standard_output_is_told() {
    for arguments in TELLING {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (output, said) = ending(xtask(arguments).stdout(full));
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: {said}");
        assert!(
            said.contains("standard output: No space left"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn a_reader_that_is_gone_is_told_nothing_and_sees_no_pass() {
    for arguments in TELLING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (output, said) = ending(xtask(arguments).stdout(writer));
        assert_eq!(output.status.code(), Some(141), "{arguments:?}: {said}");
        assert_eq!(said, "", "{arguments:?}");
    }
}

#[test]
fn what_is_told_whole_is_a_pass() {
    for arguments in TELLING {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = xtask(arguments);
        let child = command.stdout(writer).spawn().unwrap();
        // It holds the other end of the pipe as well.
        drop(command);
        let mut told = String::new();
        reader.read_to_string(&mut told).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(told.ends_with('\n'), "{arguments:?}: {told}");
    }
}

#[test]
fn nobody_to_tell_an_error_is_no_panic() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for (arguments, code) in [
        (["report", "table", "nonesuch"].as_slice(), 2),
        (&["--nonesuch"], 2),
        (&["--help"], 4),
    ] {
        let mut command = xtask(arguments);
        let status = command.stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

/// Runs it with so many bytes as the most that a file may have.
fn limited(command: &mut Command, bytes: u64) -> (Output, String) {
    let limit = move || -> std::io::Result<()> {
        setrlimit(Resource::RLIMIT_FSIZE, bytes, bytes)?;
        // SAFETY: no handler is set. A shell leaves this signal alone, whatever runs the tests.
        unsafe { signal(Signal::SIGXFSZ, SigHandler::SigDfl) }?;
        Ok(())
    };
    // SAFETY: nothing in it but two system calls.
    unsafe { command.pre_exec(limit) };
    ending(command)
}

#[test]
fn a_file_size_limit_is_told_with_the_name_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("merged");
    let folder = path.to_str().unwrap();
    let merge = ["report", "merge", RESULTS, "--output", folder];
    let (output, said) = limited(xtask(&merge).stdout(Stdio::piped()), 100);
    assert_eq!(output.status.signal(), None, "{said}");
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("File too large"), "{said}");
    assert!(said.contains(folder), "{said}");

    // Git takes the patches apart in files.
    let list = ["test-kernel", "--list"];
    let (output, said) = limited(xtask(&list).stdout(Stdio::piped()), 100);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("git"), "{said}");

    let told = dir.path().join("told");
    let file = File::create(&told).unwrap();
    let (output, said) = limited(xtask(&["test-kernel", "--help"]).stdout(file), 100);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("standard output: File too large"), "{said}");
    assert_eq!(fs::metadata(told).unwrap().len(), 100);
}
