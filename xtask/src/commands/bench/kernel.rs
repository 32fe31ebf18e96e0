//! `bench kernel`: the kernel with the series against the one without.

use clap::Args;
use harness::wire::Asked;
use harness::wire::samples::Effort;

use crate::commands::options::{GuestOptions, KernelOptions, filesystems};
use crate::failure::{PASSED, Result};
use crate::flow::bench::kernel::{self, Against, Order};
use crate::host::session::Session;
use crate::report::terminal;

const AFTER_HELP: &str = "\
Examples:
  cargo xtask bench kernel                       the patched kernel against the stock one
  cargo xtask bench kernel --against itself      what the benchmark makes of equals
  cargo xtask bench kernel --quick --rounds 1    whether it works, in minutes
  cargo xtask bench kernel --list                what is measured

Exit codes:
  0 it was measured
  1 a measurement failed; with --check, a goal is not met, or too little is known of one
  2 the command line is wrong   3 a kernel could not be built
  4 no numbers: a tool is missing, a guest does not boot   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    #[command(flatten)]
    kernel: KernelOptions,
    #[command(flatten)]
    guest: GuestOptions,

    /// What to compare with; `itself` shows what the benchmark makes of equals
    #[arg(long, value_enum, value_name = "WITH", default_value = "stock")]
    against: Against,

    #[arg(long, value_delimiter = ',', value_name = "NAMES", help = filesystems())]
    fs: Vec<Asked>,

    /// Only measurements whose name matches; may be given more than once, then any of them
    #[arg(long = "filter", value_name = "REGEX")]
    filters: Vec<String>,

    /// List the chosen measurements, and run nothing
    #[arg(long)]
    list: bool,

    /// How often everything is done; fewer than six times show no difference for certain
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Benchmark")]
    rounds: u32,

    /// Few samples: shows that it works, not how fast
    #[arg(long, help_heading = "Benchmark")]
    quick: bool,

    /// Exit with 1 unless every goal is met
    #[arg(long, help_heading = "Benchmark")]
    check: bool,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    let filesystems = Asked::of(&options.fs);
    let chosen = kernel::choose(&options.filters, &filesystems)?;
    let request = options.kernel.request(session)?.with(&filesystems);
    let order = Order {
        request,
        against: options.against,
        chosen,
        guests: options.guest.guests(),
        rounds: options.rounds,
        effort: match options.quick {
            true => Effort::Quick,
            false => Effort::Full,
        },
        check: options.check,
        install: options.kernel.deps().install_deps,
    };
    let requests = order.requests()?;
    if options.list {
        terminal::text(&kernel::list(&order.chosen));
        return Ok(PASSED);
    }
    kernel::run(order, requests, session)
}
