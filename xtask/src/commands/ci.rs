//! `ci`: what a merge needs, stopping at the first step that fails.

use clap::{Args, Parser};

use super::options::DepsOptions;
use super::prepare::{TO_TEST, provide_deps};
use super::{Context, FAILED, PASSED, foreground, test_kernel};
use crate::environment;
use crate::failure::{Kind, Result};
use crate::report::{terminal, watched};

#[derive(Clone, Debug, Args)]
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
    &["test", "--workspace"],
];

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

pub fn run(options: &Options, context: &Context) -> Result<u8> {
    if options.deps.install_deps {
        watched(None, |events| {
            provide_deps(options.deps, TO_TEST, events, context)
        })?;
    }
    for check in CHECKS {
        let code = cargo(check, context)?;
        if code != PASSED {
            return Ok(code);
        }
    }
    if options.no_kernel {
        return Ok(PASSED);
    }
    for arguments in KERNELS {
        let code = test_kernel(arguments, context)?;
        if code != PASSED {
            return Ok(code);
        }
    }
    Ok(PASSED)
}

fn test_kernel(arguments: &[&str], context: &Context) -> Result<u8> {
    let words: Vec<_> = ["test-kernel"].iter().chain(arguments).copied().collect();
    terminal::text(&format!("$ cargo xtask {}", words.join(" ")));
    let command =
        TestKernel::try_parse_from(words).map_err(|error| Kind::Machinery.error(error))?;
    test_kernel::run(&command.options, context)
}

/// Runs cargo on our own terminal, for its exit code.
fn cargo(arguments: &[&str], context: &Context) -> Result<u8> {
    terminal::text(&format!("$ cargo {}", arguments.join(" ")));
    let mut cargo = environment::cargo();
    cargo.current_dir(context.layout.root()).args(arguments);
    let status = foreground::run(&mut cargo, &context.stop)?;
    Ok(exit_code(status.code()))
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
