//! `bench tool`: this program against plain virtme-ng.

use clap::{Args, ValueEnum as _};

use crate::bench::tool::model::Part;
use crate::commands::options::{GuestOptions, PatchedOptions, StockOptions};
use crate::failure::Result;
use crate::flow::bench::tool::{self, Order};
use crate::host::session::Session;

const AFTER_HELP: &str = "\
Examples:
  cargo xtask bench tool --only start      guest starts: this program, plain virtme-ng, a bare boot
  cargo xtask bench tool                   and builds: from nothing, after an edit, after nothing

Exit codes:
  0 it was measured   2 the command line is wrong   3 a kernel could not be built
  4 no numbers: a tool is missing, a guest does not boot   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    #[command(flatten)]
    kernel: PatchedOptions,
    #[command(flatten)]
    unpatched: StockOptions,
    #[command(flatten)]
    guest: GuestOptions,

    /// Only this
    #[arg(long, value_enum, value_name = "PART", help_heading = "Benchmark")]
    only: Option<Part>,

    /// How often: builds once a round, guest starts five times
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=200), help_heading = "Benchmark")]
    rounds: u32,

    /// In how many of the rounds kernels are built from nothing, too; in the first they are in any case
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = "Benchmark"
    )]
    cold: u32,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    let series = options.unpatched.series(&options.kernel);
    let all = || Part::value_variants().to_vec();
    let order = Order {
        request: options.kernel.request(series, None, session)?,
        guests: options.guest.guests(),
        parts: options.only.map_or_else(all, |only| vec![only]),
        rounds: options.rounds,
        cold: options.cold,
        install: options.kernel.deps.install_deps,
    };
    tool::run(&order, session)
}
