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
    clean::run(&options.order(), session)
}

impl Options {
    fn order(&self) -> Order {
        Order {
            parts: match self.all {
                true => Part::value_variants().to_vec(),
                false => self.parts.clone(),
            },
            dry_run: self.dry_run,
            force: self.force,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Clean {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn words_become_an_order() {
        let all = Part::value_variants();
        let table: &[(&[&str], &[Part], bool, bool)] = &[
            (&[], &[], false, false),
            (
                &["builds", "runs"],
                &[Part::Builds, Part::Runs],
                false,
                false,
            ),
            (&["--all", "--dry-run"], all, true, false),
            (&["trees", "--force"], &[Part::Trees], false, true),
        ];
        for (words, parts, dry_run, force) in table {
            let words = ["clean"].iter().chain(*words);
            let order = Clean::try_parse_from(words).unwrap().options.order();
            assert_eq!(order.parts, *parts);
            assert_eq!(
                (order.dry_run, order.force),
                (*dry_run, *force),
                "{parts:?}"
            );
        }
    }
}
