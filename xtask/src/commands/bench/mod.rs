//! `bench`: numbers, and whether they are as they should be.

mod kernel;
mod tool;

use camino::Utf8Path;
use clap::{Args, Subcommand};
use harness::wire::plan::Work;

use super::Context;
use super::prepare::Prepared;
use crate::bench::plot::Plot;
use crate::failure::Result;
use crate::vm::boot::Way;
use crate::vm::{self, Machine};

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

pub fn run(options: &Options, context: &Context) -> Result<u8> {
    match &options.what {
        What::Kernel(options) => kernel::run(options, context),
        What::Tool(options) => tool::run(options, context),
    }
}

fn machine<'a>(prepared: &'a Prepared, way: Way, init: &'a Utf8Path, work: Work) -> Machine<'a> {
    Machine {
        kernel: vm::Kernel {
            image: &prepared.kernel.image,
            accel: prepared.accel,
            single_thread: prepared.single_thread,
        },
        way,
        init,
        provides: &prepared.kernel.provides,
        work,
    }
}

fn names(plots: &[Plot]) -> Vec<String> {
    plots.iter().map(|plot| plot.name.clone()).collect()
}
