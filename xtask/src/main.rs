//! `cargo xtask`: builds kernels with the series in `patches/`, runs the freeze cases in guests, reports.

// Tests say themselves what a child gets.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod bench;
mod bisect;
mod commands;
mod deps;
mod diff;
mod event;
mod failure;
mod flow;
mod host;
mod kernel;
mod mail;
mod report;
mod review;
mod series;
mod shard;
mod vm;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use commands::Cli;
use failure::{Kind, Result};
use report::output;

fn main() -> ExitCode {
    output::outlive_file_limits();
    let end = match Cli::try_parse() {
        Ok(cli) => run(&cli),
        Err(by_clap) => output::told(&by_clap),
    };
    let code = match output::settle(end) {
        end if flow::git_bisect::is_asked(std::env::args_os()) => flow::git_bisect::exit_code(&end),
        Err(failure) => failure.kind.exit_code(),
        Ok(code) => code,
    };
    ExitCode::from(code)
}

/// Runs the command, and says why if it comes to nothing.
fn run(cli: &Cli) -> Result<u8> {
    let end = catch_unwind(AssertUnwindSafe(|| {
        let session = commands::session()?;
        cli.command.run(&session)
    }));
    // Said already: a panic is told where it happens.
    let end = end.unwrap_or_else(|_| Err(Kind::Machinery.error("a bug of xtask: it panicked")));
    end.inspect_err(output::failure)
}
