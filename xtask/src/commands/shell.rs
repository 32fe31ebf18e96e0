//! `shell`: the kernel under test, virtme-ng's init, the host's root read only, and the scratch disks.

use std::io::{IsTerminal, stdin};

use clap::Args;

use super::options::{AccelOptions, KernelOptions};
use crate::failure::Result;
use crate::flow::shell::{self, Order};
use crate::host::session::Session;

const AFTER_HELP: &str = "\
Without COMMAND it is a shell on this terminal; if standard input is no terminal, that is run as \
a script of sh. All of this machine's files are there, read only; what is written to /tmp is gone \
afterwards. The scratch disks have the serials scratch0 and scratch1: \
`grep . /sys/block/*/serial` names the devices.

Examples:
  cargo xtask shell                         leave with `exit`
  cargo xtask shell --stock -- uname -r     one command, its output and its exit code
  cargo xtask shell -- sh -c 'mkfs.xfs -q /dev/vda && mount /dev/vda /mnt && fsfreeze -f /mnt'
  cargo xtask shell < script.sh

Exit codes:
  0 the shell has ended; that of COMMAND or of the script, if there is one
  2 the command line is wrong   3 the kernel could not be built
  4 a tool is missing, the guest does not boot or has died   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    #[command(flatten)]
    pub kernel: KernelOptions,
    #[command(flatten)]
    pub accel: AccelOptions,

    /// What to run in place of a shell, after `--`; its standard input is ours unless that is a terminal
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    let order = Order {
        script: shell::script(&options.command, stdin().is_terminal())?,
        request: options.kernel.request(session)?,
        accel: options.accel.accel,
        install: options.kernel.deps().install_deps,
    };
    shell::run(&order, session)
}
