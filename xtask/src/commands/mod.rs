//! One file for each command. Each has its options and a `run` that returns the exit code.

mod bench;
mod bisect;
mod check;
mod ci;
mod clean;
mod mutants;
mod options;
mod report;
mod series;
mod shell;
mod test_kernel;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::failure::Result;
use crate::flow::{doctor, usage};
use crate::host::layout::Layout;
use crate::host::proc::Stop;
use crate::host::session::Session;

const AFTER_HELP: &str = "\
Examples:
  cargo xtask doctor                                  what this machine lacks, and the line that installs it
  cargo xtask test-kernel --install-deps              Debian's 6.12 with the series generic-freeze, every case
  cargo xtask test-kernel --compare stock             the same, beside the kernel without the series
  cargo xtask test-kernel --tree ~/linux --filter thaw --fs xfs --repeat 10
  cargo xtask shell --stock                           a guest to look around in
  cargo xtask bisect --tree ~/linux --good v6.11 --bad v6.12 --filter thaws
  cargo xtask clean                                   what target/freeze costs

Exit codes:
  0 all passed   1 a case, a check, a measurement failed   2 the command line is wrong   3 the kernel could not be built
  4 no verdict: a tool is missing, the guest does not boot, nothing ran, standard output is full   130 interrupted
  141 all is well, but nobody read standard output to its end";

const AFTER_DOCTOR_HELP: &str = "\
Examples:
  cargo xtask doctor

Exit codes:
  0 test-kernel has all it needs   4 something is missing";

/// Builds kernels that freeze filesystems as they should, and shows that they do.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a kernel, boot it, run the freeze cases, report
    TestKernel(test_kernel::Options),
    /// Boot the same kernel with the same scratch disks, and a shell on this terminal
    Shell(shell::Options),
    /// Find the commit of a tree, or the patch of a series, that broke a case, and prove it
    Bisect(Box<bisect::Options>),
    /// Try wrong versions of the patches: each has to make a case fail
    Mutants(mutants::Options),
    /// Measure what the patches cost
    Bench(bench::Options),
    /// Check patch files, edit them in a work tree, carry them to another base, write them back, or compare those of two bases
    Series(series::Options),
    /// Merge the reports of several runs
    Report(report::Options),
    /// Say what this machine lacks, which kernels are known and built, which accelerator is worth using
    #[command(after_help = AFTER_DOCTOR_HELP)]
    Doctor,
    /// Say what is under target/freeze and what it costs, or remove it
    Clean(clean::Options),
    /// All that a merge needs: formatting, spelling, clippy, rustdoc, the host's tests, then test-kernel
    Ci(ci::Options),
}

impl Command {
    pub fn run(&self, session: &Session) -> Result<u8> {
        let _lock = match self {
            Command::Clean(_) | Command::Doctor => None,
            _ => Some(usage::share(session)?),
        };
        match self {
            Command::TestKernel(options) => test_kernel::run(options, session),
            Command::Shell(options) => shell::run(options, session),
            Command::Bisect(options) => bisect::run(options, session),
            Command::Mutants(options) => mutants::run(options, session),
            Command::Bench(options) => bench::run(options, session),
            Command::Series(options) => series::run(options, session),
            Command::Report(options) => report::run(options, session),
            Command::Doctor => doctor::run(session),
            Command::Clean(options) => clean::run(options, session),
            Command::Ci(options) => ci::run(options, session),
        }
    }
}

/// The session of this process: Ctrl-C, SIGTERM and SIGHUP stop it.
pub fn session() -> Result<Session> {
    let stop = Stop::default();
    let handler = stop.clone();
    ctrlc::set_handler(move || handler.request()).context("failed to handle Ctrl-C")?;
    Ok(Session::new(Layout::of_this_checkout()?, stop))
}
