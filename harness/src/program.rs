//! External programs, run to their end.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs `command` and returns its standard output.
///
/// # Errors
/// Anything but exit code 0, with the command line and all that it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {command:?}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}\n{}{}", output.status, stdout, stderr);
    }
    Ok(stdout.into_owned())
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
