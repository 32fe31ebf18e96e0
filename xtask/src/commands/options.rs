//! Flags that mean the same in every command.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::Args;
use harness::case::Filesystem;

use crate::failure::{Kind, Result};
use crate::kernel::{self, Part, Request};
use crate::layout::Layout;
use crate::series;
use crate::shard::Shard;
use crate::vm::accel::Choice;
use crate::vm::boot::Way;

/// Which kernel.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kernel")]
pub struct KernelOptions {
    /// The kernel to start from, a name in configs/kernels.toml; chooses the patches, too. For test-kernel, `all` is every one
    #[arg(long, default_value = "6.12")]
    pub base: String,

    /// Take the source from this kernel tree (what is committed there) instead of Debian's; it is never written to.
    /// Patches that it has already are not applied again, and tested
    #[arg(long, value_name = "PATH")]
    pub tree: Option<Utf8PathBuf>,

    /// Apply no patches. Those that a --tree has already are tested: then it is no stock kernel
    #[arg(long, conflicts_with = "series")]
    pub stock: bool,

    /// Apply patches/BASE/NAME; may be given more than once, in the order to apply
    #[arg(long, value_name = "NAME", default_value = "generic-freeze")]
    pub series: Vec<String>,

    /// Add the options of configs/NAME.config, e.g. debug; may be given more than once
    #[arg(long = "config", value_name = "NAME")]
    pub configs: Vec<String>,

    /// How many compilers run at once, and how many guests [default: a compiler a processor; as many guests as
    /// save time]. There are never more guests than processors, free memory and disk space are enough for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    #[command(flatten)]
    pub deps: DepsOptions,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct DepsOptions {
    /// Install the packages that this machine lacks (as root, or by a sudo that asks for no password)
    #[arg(long)]
    pub install_deps: bool,
}

/// How guests run.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Guest")]
pub struct GuestOptions {
    #[command(flatten)]
    pub accel: AccelOptions,

    /// Where the guest's root comes from
    #[arg(long, value_enum, default_value = "initramfs")]
    pub boot: Way,
}

#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Guest")]
pub struct AccelOptions {
    /// Hardware or emulation; auto boots the kernel with both and keeps the faster one
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: Choice,
}

/// Which cases.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cases")]
pub struct CaseOptions {
    /// Only on these filesystems, e.g. ext3,xfs
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub fs: Vec<Filesystem>,

    /// Only cases whose name matches
    #[arg(long, value_name = "REGEX")]
    pub filter: Option<String>,

    /// List the chosen cases, and run nothing
    #[arg(long)]
    pub list: bool,

    /// Run the whole list N times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeat: u32,

    /// Run only the Kth of N shares of these cases, e.g. 1/3; `report merge` makes one run of the shares
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,

    /// How long one case may take [default: 120 under emulation, 60 under KVM]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: Option<u64>,
}

/// The `--base` that stands for every one.
const ALL: &str = "all";

impl KernelOptions {
    /// What to build; what can be found wrong at once is found here.
    pub fn request(&self, layout: &Layout) -> Result<Request> {
        let known = known(layout)?;
        if !known.contains(&self.base) {
            return Err(Kind::Usage.error(format!(
                "unknown --base {:?}; known: {}",
                self.base,
                known.join(", ")
            )));
        }
        self.of(&self.base, layout)
    }

    /// One request, or one for each base if `--base` is `all`.
    pub fn requests(&self, layout: &Layout) -> Result<Vec<Request>> {
        if self.base != ALL {
            return Ok(vec![self.request(layout)?]);
        }
        if self.tree.is_some() {
            return Err(Kind::Usage.error("--tree is one kernel, --base all is several"));
        }
        known(layout)?
            .iter()
            .map(|base| self.of(base, layout))
            .collect()
    }

    pub fn jobs(&self) -> Option<usize> {
        self.jobs.map(usize::from)
    }

    fn of(&self, base: &str, layout: &Layout) -> Result<Request> {
        let series = if self.stock {
            Vec::new()
        } else {
            self.series.clone()
        };
        for name in &series {
            series::load(layout, base, name)?;
        }
        Ok(Request {
            base: base.to_owned(),
            tree: self.tree.clone(),
            series,
            configs: self.configs.clone(),
            part: Part::Whole,
            jobs: self.jobs(),
        })
    }
}

fn known(layout: &Layout) -> Result<Vec<String>> {
    let bases = kernel::bases(layout)?.into_iter();
    Ok(bases.map(|base| base.name).collect())
}

impl CaseOptions {
    pub fn deadline(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs)
    }
}
