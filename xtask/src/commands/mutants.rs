//! `mutants`: whether the cases notice wrong versions of the patches.

use std::time::Duration;

use clap::Args;
use harness::wire::Asked;
use regex::Regex;

use super::options::{DepsOptions, GuestOptions, filesystems};
use crate::failure::{Kind, OrFail, PASSED, Result};
use crate::flow::mutants::{self, Order};
use crate::flow::select;
use crate::flow::test_kernel::How;
use crate::host::session::Session;
use crate::kernel;
use crate::kernel::request::{Part, Request};
use crate::report::terminal;
use crate::series::STACK;
use crate::series::mutants::{Mutant, load};
use crate::shard::Wanted;

const AFTER_HELP: &str = "\
A mutant is a small mistake in the kernel with all series: a patch in patches/mutants, whose \
subject says what is wrong. Each is built in a work tree below target/freeze/mutants, from one to \
the next only what it touches, and is killed by the first case that fails. Those that the \
patch names run first, then the others, the shortest first, until the budget is spent. A case \
that fails without a mutant, too, kills nothing. What survives shows what no case looks at.

The report is target/freeze/mutants/BASE/report.md; it keeps what is known of mutants that are not \
tried this time. The console of each run is beside it.

Examples:
  cargo xtask mutants                        all of them on 6.12
  cargo xtask mutants --only deadline        those with this in their name or class
  cargo xtask mutants --list                 what there is
  cargo xtask mutants --resume               after Ctrl-C, or a new case: without those that were killed

Exit codes:
  0 each was killed   1 one has survived   2 the command line is wrong
  3 one does not apply, does not compile, or changes nothing: mend that first
  4 no verdict: no source, no tool, no space   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// The kernel to start from, a name in configs/kernels.toml, with all series
    #[arg(long, default_value = "6.12")]
    base: String,

    /// Only mutants whose name or class matches
    #[arg(long, value_name = "REGEX")]
    only: Option<String>,

    /// List the chosen mutants, and try none
    #[arg(long)]
    list: bool,

    /// Do not try again what was killed on the same kernel
    #[arg(long)]
    resume: bool,

    /// How long cases that are not likely to kill may take for one mutant, by the times of earlier runs
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    budget: u64,

    /// Add the options of configs/NAME.config, e.g. debug; may be given more than once
    #[arg(long = "config", value_name = "NAME")]
    configs: Vec<String>,

    /// How many compilers run at once, and how many guests [default: one compiler for each processor; as many guests as
    /// save time]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,

    #[arg(long, value_delimiter = ',', value_name = "NAMES", help = filesystems())]
    fs: Vec<Asked>,

    /// How long one case may take [default: 120 under emulation, 60 under KVM]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: Option<u64>,

    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    deps: DepsOptions,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    let filesystems = Asked::of(&options.fs);
    let request = kernel::checked(options.request().with(&filesystems), session)?;
    let mutants = options.mutants(session)?;
    let cases = select::runs(&select::choose(&filesystems, &[])?, 1);
    if options.list {
        terminal::mutants(&mutants);
        return Ok(PASSED);
    }
    let order = Order {
        request,
        mutants,
        how: How {
            wanted: Wanted::of(cases, None)?,
            guests: options.guest.guests(),
            deadline: options.timeout.map(Duration::from_secs),
            at_once: options.jobs(),
            fail_fast: true,
            install: options.deps.install_deps,
        },
        budget: Duration::from_secs(options.budget),
        resume: options.resume,
    };
    mutants::run(&order, session)
}

impl Options {
    fn jobs(&self) -> Option<usize> {
        self.jobs.map(usize::from)
    }

    fn request(&self) -> Request {
        Request {
            base: self.base.clone(),
            tree: None,
            series: STACK.map(str::to_owned).to_vec(),
            configs: self.configs.clone(),
            part: Part::Whole,
            jobs: self.jobs(),
        }
    }

    fn mutants(&self, session: &Session) -> Result<Vec<Mutant>> {
        let only = self.only.as_deref().unwrap_or_default();
        let regex = Regex::new(only).or_fail(Kind::Usage)?;
        let mut mutants = load(&session.layout)?;
        mutants.retain(|mutant| regex.is_match(&mutant.name) || regex.is_match(&mutant.class));
        match mutants.is_empty() {
            true => Err(Kind::Usage.error(format!(
                "--only {only:?} matches no mutant; --list names all"
            ))),
            false => Ok(mutants),
        }
    }
}
