//! Flags that mean the same in every command.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use harness::wire::{Asked, Filesystem, names};

use crate::failure::Result;
use crate::flow::prepare::Guests;
use crate::flow::select;
use crate::host::session::Session;
use crate::kernel;
use crate::kernel::request::{Part, Request};
use crate::shard::{Shard, Wanted};
use crate::vm::accelerator::Choice;
use crate::vm::boot::Way;

/// Which kernel.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kernel")]
pub struct KernelOptions {
    #[command(flatten)]
    pub patched: PatchedOptions,
    #[command(flatten)]
    pub given: TreeOptions,
    #[command(flatten)]
    pub unpatched: StockOptions,
}

/// Which kernel, where it cannot be one without patches.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kernel")]
pub struct PatchedOptions {
    /// The kernel to start from, a name in configs/kernels.toml; chooses the patches, too
    #[arg(long, default_value = "6.12")]
    pub base: String,

    /// Apply patches/BASE/NAME; may be given more than once, in the order to apply
    #[arg(long, value_name = "NAME", default_value = "generic-freeze")]
    pub series: Vec<String>,

    /// Add the options of configs/NAME.config, e.g. debug; may be given more than once
    #[arg(long = "config", value_name = "NAME")]
    pub configs: Vec<String>,

    /// How many compilers run at once, and how many guests [default: one compiler for each processor; as many guests as
    /// save time]. There are never more guests than processors, free memory and disk space are enough for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    #[command(flatten)]
    pub deps: DepsOptions,
}

#[derive(Clone, Debug, Args)]
pub struct TreeOptions {
    /// Take the source from this kernel tree (what is committed there) instead of Debian's; it is never written to.
    /// Patches that it has already are not applied again, and tested
    #[arg(long, value_name = "PATH", help_heading = "Kernel")]
    pub tree: Option<Utf8PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct StockOptions {
    /// Apply no patches. Those that a --tree has already are tested: then it is no stock kernel
    #[arg(long, conflicts_with = "series", help_heading = "Kernel")]
    pub stock: bool,
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

/// What `--fs` is for.
pub fn filesystems() -> String {
    let (all, default) = (Filesystem::choice(), names::list(Filesystem::DEFAULT, ","));
    format!("On these filesystems, of {all} [default: {default}]")
}

/// Which cases.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cases")]
pub struct CaseOptions {
    #[arg(long, value_delimiter = ',', value_name = "NAMES", help = filesystems())]
    pub fs: Vec<Asked>,

    /// Only cases whose name matches; may be given more than once, then any of them
    #[arg(long = "filter", value_name = "REGEX")]
    pub filters: Vec<String>,

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

impl GuestOptions {
    pub fn guests(&self) -> Guests {
        Guests {
            accel: self.accel.accel,
            way: self.boot,
        }
    }
}

impl KernelOptions {
    /// What to build; what is wrong with it is found here.
    pub fn request(&self, session: &Session) -> Result<Request> {
        kernel::checked(self.unchecked(), session)
    }

    /// One request, or one for each base if that is what `--base` says.
    pub fn requests(&self, session: &Session) -> Result<Vec<Request>> {
        kernel::of_each_base(self.unchecked(), session)
    }

    fn unchecked(&self) -> Request {
        let series = self.unpatched.series(&self.patched);
        self.patched.unchecked(series, self.given.tree.as_deref())
    }

    pub fn jobs(&self) -> Option<usize> {
        self.patched.jobs()
    }

    pub fn deps(&self) -> DepsOptions {
        self.patched.deps
    }
}

impl StockOptions {
    /// What is to be applied.
    pub fn series<'a>(&self, patched: &'a PatchedOptions) -> &'a [String] {
        match self.stock {
            true => &[],
            false => &patched.series,
        }
    }
}

impl PatchedOptions {
    pub fn jobs(&self) -> Option<usize> {
        self.jobs.map(usize::from)
    }

    /// What to build, with these of its series, from the base's own source or from this tree; what is wrong with it is
    /// found here.
    pub fn request(
        &self,
        series: &[String],
        tree: Option<&Utf8Path>,
        session: &Session,
    ) -> Result<Request> {
        kernel::checked(self.unchecked(series, tree), session)
    }

    fn unchecked(&self, series: &[String], tree: Option<&Utf8Path>) -> Request {
        Request {
            base: self.base.clone(),
            tree: tree.map(Utf8Path::to_owned),
            series: series.to_vec(),
            configs: self.configs.clone(),
            part: Part::Whole,
            jobs: self.jobs(),
        }
    }
}

impl CaseOptions {
    /// The runs that are wanted, and the cases that these are of.
    pub fn wanted(&self) -> Result<(Wanted, Vec<select::Chosen>)> {
        let chosen = select::choose(&self.filesystems(), &self.filters)?;
        let wanted = Wanted::of(select::runs(&chosen, self.repeat), self.shard)?;
        let listed = select::only(chosen, &wanted.cases);
        Ok((wanted, listed))
    }

    pub fn filesystems(&self) -> Vec<Filesystem> {
        Asked::of(&self.fs)
    }

    pub fn deadline(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs)
    }
}
