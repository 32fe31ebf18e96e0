//! What child processes see of the caller's environment.
//!
//! A kernel, a harness or a patch that is checked must not depend on what the caller has set, and no list of names to
//! clear is ever complete (`HOSTCFLAGS`, `XZ_OPT`, `LD_PRELOAD`, ...). So a child gets what is listed here, and what its
//! caller sets for it. Clippy refuses `Command::new` elsewhere (`clippy.toml`).

use std::ffi::{OsStr, OsString};
use std::process::Command;

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
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
];
/// Which toolchain and registry; not where it builds to, for which machine, or with which flags.
const CARGO: &[&str] = &["CARGO_HOME", "CARGO_BUILD_JOBS"];
const CARGO_PREFIXES: &[&str] = &["RUSTUP_", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR"];
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

/// A program that speaks English and knows nothing of the caller's settings.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    with(program, |name| EVERYONE.contains(&name))
}

/// The same for one that compiles, perhaps through ccache.
pub fn compiling(program: impl AsRef<OsStr>) -> Command {
    with(program, |name| [EVERYONE, CCACHE].concat().contains(&name))
}

/// The same for one that downloads.
pub fn networked(program: impl AsRef<OsStr>) -> Command {
    with(program, |name| {
        [EVERYONE, NETWORK, PIP].concat().contains(&name)
    })
}

/// The cargo that has started us, or else the one in `PATH`.
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or("cargo".into());
    with(program, |name| {
        [EVERYONE, NETWORK, CARGO].concat().contains(&name)
            || CARGO_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// A command as a part of a pipe: in a process group of its own, lest a Ctrl-C reach it before it reaches us.
///
/// Only for commands from here: of others, what they inherit is left out.
pub fn piped(command: &Command) -> duct::Expression {
    let set = command.get_envs();
    let set = set.filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    duct::cmd(command.get_program(), command.get_args())
        .full_env(set.collect::<Vec<(OsString, OsString)>>())
        .before_spawn(|command| {
            std::os::unix::process::CommandExt::process_group(command, 0);
            Ok(())
        })
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn with(program: impl AsRef<OsStr>, may_pass: impl Fn(&str) -> bool) -> Command {
    let mut command = Command::new(program);
    let passed = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(&may_pass));
    command.env_clear().envs(passed).env("LC_ALL", "C");
    command
}

#[cfg(test)]
mod tests {
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
        let said = proc::read(env.args(["-0"]), &Stop::default()).unwrap();
        said.split('\0')
            .filter_map(|set| set.split_once('='))
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    #[test]
    fn children_see_nothing_of_a_poisoned_environment() {
        if std::env::var_os(INNER).is_none() {
            let mut outer = Command::new(std::env::current_exe().unwrap());
            outer.args([
                "--exact",
                "host::environment::tests::children_see_nothing_of_a_poisoned_environment",
            ]);
            outer
                .envs(POISON.iter().map(|name| (name, "poison")))
                .env(INNER, "1");
            let output = outer.output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && said.contains("1 passed"),
                "{said}"
            );
            return;
        }
        let mut mortal = proc::mortal(nix::sys::signal::Signal::SIGKILL, &command("env"));
        mortal.env("LC_ALL", "C");
        let cargo = {
            let mut env = command("env");
            env.env_clear().envs(
                cargo()
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            env
        };
        for child in [
            command("env"),
            compiling("env"),
            networked("env"),
            cargo,
            mortal,
        ] {
            let seen = seen(child);
            assert!(seen.iter().any(|name| name == "PATH"), "{seen:?}");
            let leaked: Vec<_> = seen
                .iter()
                .filter(|name| POISON.contains(&name.as_str()) || *name == INNER)
                .collect();
            assert!(leaked.is_empty(), "{leaked:?}");
        }
        let piped = piped(&command("env")).read().unwrap();
        assert!(
            piped.contains("LC_ALL=C") && !piped.contains("=poison"),
            "{piped}"
        );
    }
}
