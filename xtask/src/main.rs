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
    let code = match Cli::try_parse() {
        Ok(cli) => run(&cli).unwrap_or_else(|failure| {
            terminal::failure(&failure);
            failure.kind.exit_code()
        }),
        Err(by_clap) => output::told(&by_clap),
    };
    ExitCode::from(output::settle(code))
}

fn run(cli: &Cli) -> Result<u8> {
    let context = Context::new()?;
    cli.command.run(&context)
}
