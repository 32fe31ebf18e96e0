//! `clean`: what is under `target/freeze`, what it costs, and its removal.

use clap::{Args, ValueEnum as _};

use crate::failure::Result;
use crate::flow::clean::{self, Order, Part};
use crate::host::session::Session;

const AFTER_HELP: &str = "\
Without PART it lists them all, and what each costs on the disk. All of them come back by \
themselves when they are needed, but for runs, benchmarks, and edits in work trees. It removes \
nothing while another command is at work, and nothing outside of target/freeze. Work trees with \
edits, and sources with branches, stay unless there is --force. What cargo has built is left to \
cargo clean.

Examples:
  cargo xtask clean                      what there is
  cargo xtask clean builds runs          removes these
  cargo xtask clean --all --dry-run      says what would go

Exit codes:
  0 done   2 the command line is wrong, or there is something to lose
  4 another command is at work, or something cannot be removed   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// What to remove
    #[arg(value_enum, value_name = "PART", conflicts_with = "all")]
    parts: Vec<Part>,

    /// Remove all of it
    #[arg(long)]
    all: bool,

    /// Remove nothing, and say what would be
    #[arg(long)]
    dry_run: bool,

    /// Remove work trees with edits, and sources with branches, too
    #[arg(long)]
    force: bool,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    let order = Order {
        parts: match options.all {
            true => Part::value_variants().to_vec(),
            false => options.parts.clone(),
        },
        dry_run: options.dry_run,
        force: options.force,
    };
    clean::run(&order, session)
}
