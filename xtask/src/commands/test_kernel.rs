//! `test-kernel`: source, patches, build, boot, cases, report.

use clap::Args;

use super::options::{CaseOptions, GuestOptions, KernelOptions};
use crate::failure::{PASSED, Result};
use crate::flow::test_kernel::{self, Compare, How, Order};
use crate::host::session::Session;
use crate::report::terminal;

const AFTER_HELP: &str = "\
Examples:
  cargo xtask test-kernel                              Debian's 6.12 with generic-freeze, every case
  cargo xtask test-kernel --filter '^dm_' --filter thaws --fs xfs
  cargo xtask test-kernel --stock                      without the patches: see them fail
  cargo xtask test-kernel --compare stock              both, and a table of both
  cargo xtask test-kernel --tree ~/linux               what is committed in a kernel tree of yours
  cargo xtask test-kernel --series generic-freeze --series ext3-ioctl
  cargo xtask test-kernel --base all                   every base, one after the other
  cargo xtask test-kernel --repeat 10 --fail-fast      until something fails
  cargo xtask test-kernel --list --filter timeout      the names of cases
  git bisect run sh -c 'cd ~/freeze || exit 128; cargo xtask test-kernel --bisect --tree ~/linux'

Exit codes:
  0 every case passed, or was skipped with a reason
  1 a case failed, hung, or killed the guest
  2 the command line, or a file that it names, is wrong
  3 a patch does not apply, an option got lost, or the kernel does not compile
  4 no verdict: no source, no tool, no space, no boot, or nothing ran   130 interrupted
With --bisect:
  0 and 1 as above   125 (skip) for 3, and for a kernel that does not boot or skips every case
  128 (stop) for 2 and all else of 4   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    #[command(flatten)]
    pub kernel: KernelOptions,
    #[command(flatten)]
    pub guest: GuestOptions,
    #[command(flatten)]
    pub cases: CaseOptions,

    /// Run the same cases on another kernel first, and print a table of both; how they end there does not count
    #[arg(long, value_enum, value_name = "WITH", conflicts_with = "stock")]
    pub compare: Option<Compare>,

    /// End at the first failure: what has run by then is reported, and the rest as not run
    #[arg(long, conflicts_with = "compare")]
    pub fail_fast: bool,

    /// End with the exit codes that `git bisect run` takes: 0, 1 if a case failed, 125 (skip) if the kernel cannot be
    /// built or does not boot, 128 (stop) or more if nothing can be said of any kernel
    #[arg(long)]
    pub bisect: bool,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    let (wanted, listed) = options.cases.wanted()?;
    let requests = options.kernel.requests(session)?.into_iter();
    let filesystems = options.cases.filesystems();
    let requests = requests.map(|it| it.with(&filesystems)).collect();
    if options.cases.list {
        terminal::cases(&listed);
        return Ok(PASSED);
    }
    let order = Order {
        requests,
        compare: options.compare,
        how: How {
            wanted,
            guests: options.guest.guests(),
            deadline: options.cases.deadline(),
            at_once: options.kernel.jobs(),
            fail_fast: options.fail_fast,
            install: options.kernel.deps().install_deps,
        },
    };
    test_kernel::run(&order, session)
}
