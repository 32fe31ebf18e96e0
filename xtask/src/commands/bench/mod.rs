//! `bench`: numbers, and whether they are as they should be.

mod kernel;
mod tool;

use clap::{Args, Subcommand};

use crate::failure::Result;
use crate::host::session::Session;

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// What freezing costs, and what it costs not to freeze: the kernel with the series against the one without
    ///
    /// Guests of both kernels take turns, each round in a random order. Kernels are compared round by round.
    Kernel(kernel::Options),
    /// This program against plain virtme-ng: to build a kernel, to build it again, to start a guest
    ///
    /// Builds from nothing take most of the time; --only start leaves all builds out.
    Tool(tool::Options),
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    match &options.what {
        What::Kernel(options) => kernel::run(options, session),
        What::Tool(options) => tool::run(options, session),
    }
}
