//! `cargo xtask`: builds kernels with the series in `patches/`, runs the freeze cases in guests, reports.

mod bench;
mod commands;
mod deps;
mod event;
mod failure;
mod finding;
mod kernel;
mod layout;
mod patience;
mod proc;
mod report;
mod series;
mod shard;
mod vm;

use std::process::ExitCode;

use clap::Parser;

use commands::{Cli, Context};
use failure::Result;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            report::terminal::failure(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<u8> {
    let context = Context::new()?;
    cli.command.run(&context)
}
