//! `ci`: what a merge needs, stopping at the first step that fails.

use std::process::Command;

use clap::{Args, Parser};

use super::options::DepsOptions;
use super::test_kernel;
use crate::deps::need::Need;
use crate::failure::{FAILED, Kind, PASSED, Result};
use crate::flow::prepare::provide_deps;
use crate::host::session::Session;
use crate::host::{environment, foreground, proc};
use crate::report::{terminal, watched};

const AFTER_HELP: &str = "\
Examples:
  cargo xtask ci --install-deps      all of it, on a machine that may lack tools
  cargo xtask ci --no-kernel         what takes no kernel: minutes

Exit codes:
  0 all is well   1 a check, a test or a case failed   3 a kernel could not be built
  4 no verdict: a tool is missing, which is said first   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    #[command(flatten)]
    pub deps: DepsOptions,

    /// Leave test-kernel out
    #[arg(long)]
    pub no_kernel: bool,
}

const CHECKS: &[&[&str]] = &[
    &["fmt", "--all", "--check"],
    &[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ],
    // Those as well that are ignored since they take tools, but not a kernel.
    &[
        "test",
        "--workspace",
        "--",
        "--include-ignored",
        "--skip",
        WITH_KERNEL,
    ],
];

/// Where the tests are that boot a kernel which was built before.
const WITH_KERNEL: &str = "vm::faults";
const CHECKS_WITH_KERNEL: &[&[&str]] =
    &[&["test", "--package", "xtask", "--", "--ignored", WITH_KERNEL]];

/// Parts of a toolchain that rustup installs apart, and the cargo commands that take them.
const COMPONENTS: &[(&str, &str)] = &[("rustfmt", "fmt"), ("clippy", "clippy")];

/// Every base with all that is provided for it, and one kernel that looks for what cases cannot see.
const KERNELS: &[&[&str]] = &[
    &[
        "--base",
        "all",
        "--series",
        "generic-freeze",
        "--series",
        "ext3-ioctl",
    ],
    &[
        "--config",
        "debug",
        "--series",
        "generic-freeze",
        "--series",
        "ext3-ioctl",
    ],
];

/// The command line of `test-kernel`.
#[derive(Debug, Parser)]
struct TestKernel {
    #[command(flatten)]
    options: test_kernel::Options,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    components(|name| {
        let mut cargo = command(&[name, "--version"], session);
        let output = proc::output(&mut cargo, b"", &session.stop)?;
        Ok(output.status.success())
    })?;
    watched(session, None, |session| {
        provide_deps(options.deps.install_deps, needs(options), session)
    })?;
    let code = all(CHECKS, |check| cargo(check, session))?;
    if code != PASSED || options.no_kernel {
        return Ok(code);
    }
    match all(KERNELS, |arguments| test_kernel(arguments, session))? {
        PASSED => all(CHECKS_WITH_KERNEL, |check| cargo(check, session)),
        code => Ok(code),
    }
}

/// One after the other, up to the first that is no pass.
fn all(lines: &[&[&str]], run: impl Fn(&[&str]) -> Result<u8>) -> Result<u8> {
    for line in lines {
        let code = run(line)?;
        if code != PASSED {
            return Ok(code);
        }
    }
    Ok(PASSED)
}

/// Tools that are missing are told before anything is compiled.
fn needs(options: &Options) -> &'static [Need] {
    match options.no_kernel {
        true => &[Need::Tests],
        false => &[Need::Tests, Need::Build, Need::Run],
    }
}

/// # Errors
/// [`Kind::Machinery`] with the line that installs what is missing.
fn components(works: impl Fn(&str) -> Result<bool>) -> Result<()> {
    let mut missing = Vec::new();
    for (component, command) in COMPONENTS {
        if !works(command)? {
            missing.push(*component);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Kind::Machinery.error(format!(
        "{} missing; run: rustup component add {}\n(without rustup, they are packages of their own, or part of cargo's)",
        missing.join(", "),
        missing.join(" ")
    )))
}

fn test_kernel(arguments: &[&str], session: &Session) -> Result<u8> {
    let words: Vec<_> = ["test-kernel"].iter().chain(arguments).copied().collect();
    terminal::text(&format!("$ cargo xtask {}", words.join(" ")));
    let command =
        TestKernel::try_parse_from(words).map_err(|error| Kind::Machinery.error(error))?;
    test_kernel::run(&command.options, session)
}

/// Runs cargo on our own terminal, for its exit code.
fn cargo(arguments: &[&str], session: &Session) -> Result<u8> {
    terminal::text(&format!("$ cargo {}", arguments.join(" ")));
    let mut cargo = command(arguments, session);
    let status = foreground::run_with_children(&mut cargo, &session.stop)?;
    Ok(exit_code(status.code()))
}

fn command(arguments: &[&str], session: &Session) -> Command {
    let mut cargo = environment::cargo();
    cargo.current_dir(session.layout.root()).args(arguments);
    cargo
}

/// Cargo's own codes, such as 101, are not among those that we promise.
fn exit_code(code: Option<i32>) -> u8 {
    let kinds = [Kind::Usage, Kind::Build, Kind::Machinery, Kind::Interrupted];
    let mut ours = kinds.map(Kind::exit_code).into_iter().chain([PASSED]);
    ours.find(|ours| code == Some((*ours).into()))
        .unwrap_or(FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_right() {
        for arguments in KERNELS {
            let words = ["test-kernel"].iter().chain(*arguments);
            TestKernel::try_parse_from(words).unwrap();
        }
    }

    #[test]
    fn missing_components_come_with_their_line() {
        assert!(components(|_| Ok(true)).is_ok());
        let failure = components(|command| Ok(command != "clippy")).unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery);
        let said = failure.to_string();
        assert!(said.contains("rustup component add clippy\n"), "{said}");
        let said = components(|_| Ok(false)).unwrap_err().to_string();
        assert!(
            said.contains("rustup component add rustfmt clippy\n"),
            "{said}"
        );
    }

    #[test]
    fn the_first_that_is_no_pass_is_the_last() {
        let run = |codes: &[&[&str]]| all(codes, |line| Ok(line[0].parse().unwrap()));
        assert_eq!(run(&[&["0"], &["0"]]).unwrap(), PASSED);
        assert_eq!(run(&[&["0"], &["3"], &["1"]]).unwrap(), 3);
    }

    #[test]
    fn exit_codes_are_ours() {
        let table = [
            (Some(0), PASSED),
            (Some(1), FAILED),
            (Some(3), 3),
            (Some(101), FAILED),
            (Some(130), 130),
            (None, FAILED),
        ];
        for (code, wanted) in table {
            assert_eq!(exit_code(code), wanted, "{code:?}");
        }
    }
}
