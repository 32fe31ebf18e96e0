//! `series`: patch files and the work tree that they are edited in.

use clap::{Args, Subcommand};

use super::{Context, PASSED, check};
use crate::failure::{Kind, Result};
use crate::kernel::{self, tree};
use crate::layout::Layout;
use crate::report::terminal::text;
use crate::series::refresh;

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Apply, compile, check and boot the patches, and print a table: a row a patch, a column a check
    Check(Box<check::Options>),
    /// Write the commits of the series' work tree back as its patch files
    ///
    /// The work tree is the one that test-kernel made and named: edit and commit there. What is not committed
    /// is an error. Running it twice changes nothing.
    Refresh(Which),
}

#[derive(Clone, Debug, Args)]
struct Which {
    /// A name in configs/kernels.toml
    #[arg(long, default_value = "6.12")]
    base: String,

    /// The folder in patches/BASE
    #[arg(long, value_name = "NAME", default_value = "generic-freeze")]
    series: String,
}

pub fn run(options: &Options, context: &Context) -> Result<u8> {
    match &options.command {
        Command::Check(options) => check::run(options, context),
        Command::Refresh(which) => refresh(which, context),
    }
}

fn refresh(which: &Which, context: &Context) -> Result<u8> {
    let Context { layout, stop } = context;
    let tree = work_tree(which, layout)?;
    let dir = layout.patches().join(&which.base).join(&which.series);
    let changed = refresh::refresh(&tree, &dir, stop)?;
    if changed.is_empty() {
        text(&format!("{dir} is up to date with {tree}"));
    }
    for path in changed {
        text(path.as_str());
    }
    Ok(PASSED)
}

fn work_tree(which: &Which, layout: &Layout) -> Result<camino::Utf8PathBuf> {
    let base = kernel::find(layout, &which.base)?;
    let tree = layout
        .trees()
        .join(tree::name(&base.name, std::slice::from_ref(&which.series)));
    if tree.is_dir() {
        return Ok(tree);
    }
    Err(Kind::Usage.error(format!(
        "there is no work tree {tree} yet; run: cargo xtask test-kernel --base {} --series {}",
        which.base, which.series
    )))
}
