//! `ci`: what a merge needs, stopping at the first step that fails, and how long each took.

use clap::{Args, Parser};

use super::options::DepsOptions;
use super::test_kernel;
use crate::failure::{Kind, Result};
use crate::flow::ci::{self, Order};
use crate::host::session::Session;

const AFTER_HELP: &str = "\
Examples:
  cargo xtask ci --install-deps      all of it, on a machine that may lack tools
  cargo xtask ci --no-kernel         what takes no kernel: minutes

Exit codes:
  0 all is well   1 a check, a test or a case failed   3 a kernel could not be built
  4 no verdict: a tool is missing, which is said first   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    #[command(flatten)]
    pub deps: DepsOptions,

    /// Leave test-kernel out
    #[arg(long)]
    pub no_kernel: bool,
}

/// The command line of `test-kernel`.
#[derive(Debug, Parser)]
struct TestKernelLine {
    #[command(flatten)]
    options: test_kernel::Options,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    let order = Order {
        install: options.deps.install_deps,
        no_kernel: options.no_kernel,
    };
    let test_kernel = |arguments: &[&str]| test_kernel(arguments, session);
    ci::run(order, &test_kernel, session)
}

fn test_kernel(arguments: &[&str], session: &Session) -> Result<u8> {
    let words = ["test-kernel"].iter().chain(arguments);
    let command =
        TestKernelLine::try_parse_from(words).map_err(|error| Kind::Machinery.error(error))?;
    test_kernel::run(&command.options, session)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::flow::ci::{KERNELS, Step};
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;
    use crate::kernel::bases;
    use crate::kernel::request::Request;
    use crate::series;

    fn requests() -> impl Iterator<Item = Request> {
        let session = Session::new(Layout::of_this_checkout().unwrap(), Stop::default());
        KERNELS.iter().map(move |step| {
            let Step::TestKernel(arguments) = step else {
                panic!("{step:?}")
            };
            let words = ["test-kernel"].into_iter().chain(arguments.concat());
            let line = TestKernelLine::try_parse_from(words).unwrap();
            line.options.kernel.request(&session).unwrap()
        })
    }

    #[test]
    fn every_base_is_tested_with_every_series_and_one_of_them_as_a_debug_kernel() {
        let layout = Layout::of_this_checkout().unwrap();
        let known = bases::load(&layout).unwrap();
        let known: BTreeSet<String> = known.into_iter().map(|base| base.name).collect();
        let tested: BTreeSet<String> = requests().map(|request| request.base).collect();
        assert_eq!(tested, known);
        for request in requests() {
            let series: BTreeSet<String> = request.series.iter().cloned().collect();
            let all = series::known(&layout, &request.base).into_iter().collect();
            assert_eq!(series, all, "{}", request.base);
        }
        let debug = requests().filter(|request| request.configs == ["debug"]);
        assert_eq!(debug.count(), 1);
    }
}
