//! `cargo xtask`: builds kernels with the series in `patches/`, runs the freeze cases in guests, reports.

mod bench;
mod commands;
mod deps;
mod event;
mod failure;
mod finding;
mod kernel;
mod layout;
mod proc;
mod report;
mod series;
mod shard;
mod vm;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use commands::{Cli, Context, PASSED, bisect};
use failure::{Kind, Result};

fn main() -> ExitCode {
    let end = match Cli::try_parse() {
        Ok(cli) => run(&cli),
        Err(said) => told(&said),
    };
    let code = match &end {
        end if bisect::is_asked(std::env::args_os()) => bisect::exit_code(end),
        Err(failure) => failure.kind.exit_code(),
        Ok(code) => *code,
    };
    ExitCode::from(code)
}

/// Runs the command, and says why if it comes to nothing.
fn run(cli: &Cli) -> Result<u8> {
    let end = catch_unwind(AssertUnwindSafe(|| {
        let context = Context::new()?;
        cli.command.run(&context)
    }));
    // Said already: a panic is told where it happens.
    let end = end.unwrap_or_else(|_| Err(Kind::Machinery.error("a bug of xtask: it panicked")));
    end.inspect_err(report::terminal::failure)
}

/// Help that was asked for, or what is wrong with the command line.
fn told(said: &clap::Error) -> Result<u8> {
    // Nobody is left to tell if this cannot be written.
    let _ = said.print();
    match said.exit_code() {
        0 => Ok(PASSED),
        _ => Err(Kind::Usage.error("wrong command line")),
    }
}
