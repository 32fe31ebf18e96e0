//! `series check`: everything that can be said of patches before a person reads them.

use clap::Args;

use super::options::{CaseOptions, GuestOptions, PatchedOptions, TreeOptions};
use crate::failure::{PASSED, Result};
use crate::flow::check::{self, Order};
use crate::flow::test_kernel::How;
use crate::host::session::Session;
use crate::report::terminal;

const AFTER_HELP: &str = "\
What is checked, one column for each:
  applies          with `git apply`, in order
  checkpatch       the kernel's own checkpatch.pl --strict; types that it is not asked for are
                   named below the table
  warnings         of gcc (W=1), sparse and kernel-doc, in every C file that a patch touches,
                   also in the drivers of configs/check.config; only what is new counts
  builds           the kernel that test-kernel boots
  boots and cases  what test-kernel runs; a case that needs a later patch is skipped

The patch files count. The work tree of test-kernel is left alone: a tree and a build folder whose
names end in @check are used instead. From one patch to the next only what it touches is compiled,
which is nearly everything if that is a header such as include/linux/fs.h.

Examples:
  cargo xtask series check               quick checks of each patch, then a kernel with all of them
  cargo xtask series check --no-run      the same, and no guest is booted
  cargo xtask series check --each        a kernel after each patch: before sending
  cargo xtask series check --each --filter thaws --fs xfs
  cargo xtask series check --series generic-freeze --series ext3-ioctl

Exit codes:
  0 all is well   1 a check failed   2 the command line is wrong
  3 a patch does not apply or compile
  4 no verdict: a tool is missing, the guest does not boot, nothing ran   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// Build, check for warnings, boot and test after every patch, not only after the last
    #[arg(long)]
    each: bool,

    /// Boot no guest
    #[arg(long)]
    no_run: bool,

    #[command(flatten)]
    kernel: PatchedOptions,
    #[command(flatten)]
    given: TreeOptions,
    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    cases: CaseOptions,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    let Options { kernel, given, .. } = options;
    let (wanted, listed) = options.cases.wanted()?;
    let request = kernel.request(&kernel.series, given.tree.as_deref(), session)?;
    let order = Order {
        request,
        each: options.each,
        no_run: options.no_run,
        how: How {
            wanted,
            guests: options.guest.guests(),
            deadline: options.cases.deadline(),
            at_once: kernel.jobs(),
            fail_fast: false,
            install: kernel.deps.install_deps,
        },
    };
    if options.cases.list {
        order.series(session)?;
        terminal::cases(&listed);
        return Ok(PASSED);
    }
    check::run(&order, session)
}
