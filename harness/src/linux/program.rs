//! External programs: which the cases call, and how they are run to their end.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};

/// The programs that cases call whatever the filesystem, or that such a program calls in its turn, and the Debian
/// package of each. Those of a filesystem stand in its entry (`wire::filesystem`).
pub const TOOLS: &[(&str, &str)] = &[
    ("dmsetup", "dmsetup"),
    ("vgcreate", "lvm2"),
    ("lvcreate", "lvm2"),
    ("vgremove", "lvm2"),
    ("fsfreeze", "util-linux"),
    ("mkswap", "util-linux"),
    ("swapon", "mount"),
    ("swapoff", "mount"),
    // The kernel calls it, where it has modules.
    ("modprobe", "kmod"),
    ("qemu-ga", "qemu-guest-agent"),
    ("mkfs.erofs", "erofs-utils"),
    ("mkfs.jfs", "jfsutils"),
    // A shell script, and what it calls.
    ("xfs_freeze", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
    ("dirname", "coreutils"),
    ("expr", "coreutils"),
];

/// Where the guest finds programs, and the host those for the guest, whoever calls it.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What any program reads if it is there.
pub const CONFIGURATION: &[&str] = &["/etc/ld.so.cache"];

/// Where nothing is.
const NOWHERE: &str = "/nonexistent";

/// What a case finds in its environment beside the [`PATH`], and on the host the tools.
///
/// It keeps the machine's language and configuration away from them, so that a case goes the same way
/// everywhere: a filter for devices, or features and error behaviour of new filesystems, would change it.
/// lvm reads nothing if its folder has no name (lvm(8)); e2fsprogs goes by what is built in.
pub const ENVIRONMENT: [(&str, &str); 5] = [
    ("LC_ALL", "C"),
    ("LVM_SUPPRESS_FD_WARNINGS", "1"),
    ("LVM_SYSTEM_DIR", ""),
    ("MKE2FS_CONFIG", NOWHERE),
    ("E2FSCK_CONFIG", NOWHERE),
];

/// Runs `command` and returns its standard output.
///
/// # Errors
/// Anything but exit code 0, with the command line and all that it printed.
pub fn run(command: &mut Command) -> Result<String> {
    output(command)?.of_success(command)
}

/// Runs a program as [`output`] does.
pub type Runner<'a> = &'a dyn Fn(&mut Command) -> Result<Output>;

/// What a program left that has run to its end.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn new(status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Output {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Output {
            status,
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }

    /// The standard output of `command`, which left this.
    ///
    /// # Errors
    /// As [`run`].
    pub fn of_success(self, command: &Command) -> Result<String> {
        let Output {
            status,
            stdout,
            stderr,
        } = self;
        ensure!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
        Ok(stdout)
    }
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
    Ok(Output::new(output.status, &output.stdout, &output.stderr))
}

/// A tool that Debian keeps off the PATH of all users but root, as on the host; in the [`ENVIRONMENT`],
/// whoever runs it. A test of `devices::tools` sees that the guest has all that are called.
pub fn of_administrator(name: &str) -> Command {
    let mut elsewhere = ["/usr/local/sbin", "/usr/sbin", "/sbin"]
        .into_iter()
        .map(|directory| Path::new(directory).join(name));
    let mut command = match elsewhere.find(|program| program.is_file()) {
        Some(program) if !is_in_path(name) => Command::new(program),
        _ => Command::new(name),
    };
    command.envs(ENVIRONMENT);
    command
}

/// Whether a program of this name is below `PATH`; a case asks `devices::tools`, which knows what can be there.
pub fn is_in_path(name: &str) -> bool {
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
    fn tools_do_not_see_the_configuration_of_the_machine() {
        let tool = of_administrator("e2fsck");
        let environment: Vec<_> = tool.get_envs().collect();
        for (variable, value) in ENVIRONMENT {
            let set = (variable.as_ref(), Some(value.as_ref()));
            assert!(environment.contains(&set), "{variable}");
        }
    }

    #[test]
    fn programs_are_found_in_the_path() {
        assert!(is_in_path("expr"));
        assert!(!is_in_path("no-such-program"));
    }
}
