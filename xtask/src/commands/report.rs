//! `report`: what was written of runs.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use crate::failure::Result;
use crate::flow::reports;
use crate::host::session::Session;

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Make one run of several: of all shards of `test-kernel --shard`, or of runs of different cases
    ///
    /// All must have run on one kernel, and no case may have two results; a run that is named twice, or by `latest`
    /// as well, counts once. Cases of shards that are not given did not run. Writes ktap, junit.xml and results.json;
    /// consoles are not merged. The exit code is that of one run: 4 if it is not complete.
    Merge(Merge),

    /// Print runs side by side as a Markdown table: one row for each case, one column for each run
    ///
    /// A cell is one word if the case ended alike on all filesystems. Runs may be of any kernels; their order is that
    /// of the columns. A run that is named twice, or by `latest` as well, has one column. Runs of one kernel are told
    /// apart by the first that differs: configuration, source, accelerator, shard, build, time, folder. A run that
    /// ended early is called incomplete.
    Table(Table),
}

#[derive(Clone, Debug, Args)]
struct Merge {
    /// The results.json of each run, its folder, or a folder of such folders, which is all runs in it
    #[arg(required = true, value_name = "RESULTS.json")]
    results: Vec<Utf8PathBuf>,

    /// Write into this folder [default: a new one beside those of runs]
    #[arg(long, value_name = "DIR")]
    output: Option<Utf8PathBuf>,
}

#[derive(Clone, Debug, Args)]
struct Table {
    /// The results.json of each run, its folder, or a folder of such folders, which is all runs in it
    #[arg(required = true, value_name = "RESULTS.json")]
    results: Vec<Utf8PathBuf>,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    match &options.command {
        Command::Merge(options) => {
            reports::merge(&options.results, options.output.as_deref(), session)
        }
        Command::Table(options) => reports::table(&options.results),
    }
}
