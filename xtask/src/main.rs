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
mod words;

use std::process::ExitCode;

use clap::Parser;

use commands::{Cli, Context};
use failure::Result;
use report::{output, terminal};

fn main() -> ExitCode {
    output::outlive_file_limits();
    let end = match Cli::try_parse() {
        Ok(cli) => run(&cli),
        Err(by_clap) => output::told(&by_clap),
    };
    let code = output::settle(end).unwrap_or_else(|failure| failure.kind.exit_code());
    ExitCode::from(code)
}

/// Runs the command, and says why if it comes to nothing.
fn run(cli: &Cli) -> Result<u8> {
    let context = Context::new();
    let end = context.and_then(|context| cli.command.run(&context));
    end.inspect_err(terminal::failure)
}
