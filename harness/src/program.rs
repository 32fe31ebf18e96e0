//! External programs, run to their end.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Runs `command` and returns its standard output.
///
/// # Errors
/// Anything but exit code 0, with the command line and all that it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = output(command)?;
    ensure!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
    Ok(stdout)
}

/// What a program left that has run to its end.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `command`, and leaves it to the caller to judge its exit code.
///
/// # Errors
/// When it cannot be started.
pub fn output(command: &mut Command) -> Result<Output> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {command:?}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output {
        status: output.status,
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    })
}

/// A program that Debian keeps off the PATH of all users but root, as on the host.
pub fn of_administrator(name: &str) -> Command {
    let mut elsewhere = ["/usr/local/sbin", "/usr/sbin", "/sbin"]
        .into_iter()
        .map(|directory| Path::new(directory).join(name));
    match elsewhere.find(|program| program.is_file()) {
        Some(program) if !exists(name) => Command::new(program),
        _ => Command::new(name),
    }
}

/// Whether a program of this name is below `PATH`.
pub fn exists(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        for part in ["sh", "exit 3", "out\n", "err\n", "exit status: 3"] {
            assert!(error.contains(part), "{part:?} is missing in {error}");
        }
    }

    #[test]
    fn success_returns_standard_output() {
        assert_eq!(run(Command::new("echo").arg("here")).unwrap(), "here\n");
    }

    #[test]
    fn programs_are_found_in_the_path() {
        assert!(exists("sh"));
        assert!(!exists("no-such-program"));
    }
}
