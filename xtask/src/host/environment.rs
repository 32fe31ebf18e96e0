//! What child processes see of the caller's environment.
//!
//! A kernel, a harness or a patch that is checked must not depend on what the caller has set, and no list of names to
//! clear is ever complete (`HOSTCFLAGS`, `XZ_OPT`, `LD_PRELOAD`, ...). So a child gets what is listed here, and what its
//! caller sets for it. Clippy refuses `Command::new` and `Shell::new` elsewhere (`clippy.toml`).

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use xshell::{Cmd, Shell};

/// Where programs and the user's files are, and who and where the user is. None changes what a program makes.
const EVERYONE: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TERM"];
/// How to get out, and whom to trust there.
const NETWORK: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
];
/// Which toolchain and registry; not where it builds to, for which machine, or with which flags.
const TOOLCHAIN: &[&str] = &[
    "CARGO_HOME",
    "CARGO_BUILD_JOBS",
    "RUSTUP_*",
    "CARGO_HTTP_*",
    "CARGO_NET_*",
    "CARGO_REGISTR*",
];
/// Which package index.
const PIP: &[&str] = &[
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_TRUSTED_HOST",
    "PIP_CERT",
    "PIP_PROXY",
    "PIP_DEFAULT_TIMEOUT",
];
/// Whether ccache is used, where it keeps what, and a store to share; not what it compiles with.
const CCACHE: &[&str] = &[
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "CCACHE_DIR",
    "CCACHE_CONFIGPATH",
    "CCACHE_MAXSIZE",
    "CCACHE_DISABLE",
    "CCACHE_RECACHE",
    "CCACHE_REMOTE_STORAGE",
    "CCACHE_SECONDARY_STORAGE",
];

/// What a child sees of the caller's environment, as lists of names; a `*` stands for any end. Is the shell of a `cmd!`.
#[derive(Clone, Copy, Debug)]
pub struct Environment(&'static [&'static [&'static str]]);

/// For a program that speaks English and knows nothing of the caller's settings.
pub const PLAIN: Environment = Environment(&[EVERYONE]);
/// For one that compiles, perhaps through ccache.
pub const COMPILING: Environment = Environment(&[EVERYONE, CCACHE]);
/// For one that downloads.
pub const NETWORKED: Environment = Environment(&[EVERYONE, NETWORK, PIP]);
/// For cargo.
pub const CARGO: Environment = Environment(&[EVERYONE, NETWORK, TOOLCHAIN]);

impl Environment {
    /// What `cmd!` calls for the first word of a line.
    pub fn cmd(self, program: impl AsRef<Path>) -> Cmd<'static> {
        let passed = std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(|name| self.has(name)));
        let cmd = shell().cmd(program).env_clear();
        cmd.envs(passed).env("LC_ALL", "C")
    }

    fn has(self, name: &str) -> bool {
        let mut listed = self.0.iter().copied().flatten();
        listed.any(|listed| match listed.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => name == *listed,
        })
    }
}

/// This thread's: command lines borrow it, and threads cannot share it.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn shell() -> &'static Shell {
    static FIRST: LazyLock<Mutex<Shell>> = LazyLock::new(|| {
        let shell = Shell::new().expect("cargo starts nothing in a folder that is gone");
        // Where we are when a child starts, though the folder may have been moved or removed by then.
        shell.change_dir("/proc/self/cwd");
        Mutex::new(shell)
    });
    thread_local! {
        static OURS: &'static Shell = {
            let first = FIRST.lock().expect("to clone it does not panic");
            Box::leak(Box::new(first.clone()))
        };
    }
    OURS.with(|shell| *shell)
}

/// The cargo that has started us, or else the one in `PATH`.
pub fn cargo() -> Command {
    CARGO.cmd(cargo_program()).into()
}

pub fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or("cargo".into())
}

/// A line as a part of a pipe: in a process group of its own, lest a Ctrl-C reach it before it reaches us.
pub fn piped(line: Cmd<'_>) -> duct::Expression {
    let command = Command::from(line);
    let set = command.get_envs();
    let set = set.filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    duct::cmd(command.get_program(), command.get_args())
        .full_env(set.collect::<Vec<(OsString, OsString)>>())
        .before_spawn(|command| {
            std::os::unix::process::CommandExt::process_group(command, 0);
            Ok(())
        })
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;
    use xshell::cmd;

    use super::*;
    use crate::host::proc;
    use crate::host::proc::Stop;

    const POISON: &[&str] = &[
        "HOSTCFLAGS",
        "KCFLAGS",
        "KAFLAGS",
        "CFLAGS_KERNEL",
        "MAKEFLAGS",
        "GNUMAKEFLAGS",
        "MAKEFILES",
        "CROSS_COMPILE",
        "KCONFIG_ALLCONFIG",
        "KBUILD_EXTRA_SYMBOLS",
        "CPATH",
        "C_INCLUDE_PATH",
        "LIBRARY_PATH",
        "GCC_EXEC_PREFIX",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD_",
        "CDPATH",
        "BASH_ENV",
        "ENV",
        "GREP_OPTIONS",
        "TAR_OPTIONS",
        "XZ_OPT",
        "XZ_DEFAULTS",
        "APT_CONFIG",
        "PYTHONPATH",
        "PYTHONHOME",
        "PERL5LIB",
        "PERL5OPT",
        "CCACHE_PREFIX",
        "CCACHE_COMPILER",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "RUSTC_WRAPPER",
        "CARGO_PROFILE_DEV_OPT_LEVEL",
        "GIT_DIR",
        "GIT_CONFIG_COUNT",
        "TZ",
        "LANG",
        "LANGUAGE",
        "LC_MESSAGES",
        "SOURCE_DATE_EPOCH",
        "PIP_TARGET",
        "QEMU_AUDIO_DRV",
        "VIRTME_X",
        "FROM_TOMORROW",
    ];
    /// Tells the test below that it is the poisoned one.
    const INNER: &str = "XTASK_TEST_INNER";

    fn seen(mut env: Command) -> Vec<String> {
        let said = proc::read(env.arg("-0"), &Stop::default()).unwrap();
        said.split('\0')
            .filter_map(|set| set.split_once('='))
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// Runs a test of this module in a process of its own, in which these variables are set.
    fn alone(test: &str, poison: &[&str]) {
        let test = format!("host::environment::tests::{test}");
        let mut outer = Command::new(std::env::current_exe().unwrap());
        outer
            .args(["--exact", &test])
            .envs(poison.iter().map(|name| (name, "poison")))
            .env(INNER, "1");
        let output = outer.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }

    #[test]
    fn children_see_nothing_of_a_poisoned_environment() {
        if std::env::var_os(INNER).is_none() {
            alone("children_see_nothing_of_a_poisoned_environment", POISON);
            return;
        }
        let mut mortal = proc::mortal(Signal::SIGKILL, cmd!(PLAIN, "env"));
        mortal.env("LC_ALL", "C");
        let mut children: Vec<Command> = [PLAIN, COMPILING, NETWORKED, CARGO]
            .map(|environment| cmd!(environment, "env").into())
            .into();
        children.push(mortal);
        for child in children {
            let seen = seen(child);
            assert!(seen.iter().any(|name| name == "PATH"), "{seen:?}");
            let leaked: Vec<_> = seen
                .iter()
                .filter(|name| POISON.contains(&name.as_str()) || *name == INNER)
                .collect();
            assert!(leaked.is_empty(), "{leaked:?}");
        }
        let piped = piped(cmd!(PLAIN, "env")).read().unwrap();
        assert!(
            piped.contains("LC_ALL=C") && !piped.contains("=poison"),
            "{piped}"
        );
    }

    #[test]
    fn names_and_beginnings_of_names() {
        assert!(CARGO.has("CARGO_HOME") && CARGO.has("RUSTUP_HOME") && CARGO.has("PATH"));
        assert!(NETWORKED.has("GIT_SSL_CAINFO") && !PLAIN.has("GIT_SSL_CAINFO"));
        assert!(!CARGO.has("CARGO_HOMES") && !CARGO.has("RUSTUP") && !PLAIN.has("RUSTUP_HOME"));
    }

    #[test]
    fn children_start_although_our_folder_is_gone() {
        // The folder is the whole process's, and so of tests that run at the same time.
        if std::env::var_os(INNER).is_none() {
            alone("children_start_although_our_folder_is_gone", &[]);
            return;
        }
        let gone = tempfile::tempdir().unwrap();
        std::env::set_current_dir(&gone).unwrap();
        let start = || proc::read(cmd!(PLAIN, "true"), &Stop::default());
        start().unwrap();
        drop(gone);
        let ends = [start(), std::thread::spawn(start).join().unwrap()];
        assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    }
}
