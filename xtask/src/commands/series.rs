//! `series`: patch files and the work tree that they are edited in.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::check;
use crate::failure::Result;
use crate::flow::{diff, refresh, sent, trailers};
use crate::host::session::Session;
use crate::review::refresh::Consent;

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Apply, compile, check and boot the patches, and print a table: one row for each patch, one column for each check
    Check(Box<check::Options>),
    /// Write the commits of the series' work tree back as its patch files
    ///
    /// The work tree is the one that test-kernel made and named: edit and commit there. What is not committed
    /// is an error. Running it twice changes nothing.
    ///
    /// What stands below the `---` of a patch file is a git note of its commit (`git log --notes='*'`), which amend and rebase
    /// take along. Nothing is replaced unless the new files, applied to the base, make the same commits.
    Refresh(Refresh),
    /// Compare the patches of two bases: what differs, and nothing else
    ///
    /// Line numbers, hashes, dates and the context of hunks do not count; what a patch says, adds and removes does.
    /// Patches are paired by their subjects. As of git diff, the exit code is 0 whether or not they differ.
    Diff(Diff),
    /// Record what was really sent of a version, from the list's own mbox
    ///
    /// Message-ids, subjects, base-commit and change-id go to patches/BASE/SERIES/sent/vN.json, and the mails beside it. An mbox
    /// that lacks a patch, or has another one, is an error; answers in it are left out.
    Sent(Sent),
    /// Take Reviewed-by, Tested-by and the like from answers into the patch files
    ///
    /// The commits of the work tree are reworded, and written back as by refresh. What somebody says for somebody else is named,
    /// and not taken.
    Trailers(Trailers),
}

#[derive(Clone, Debug, Args)]
struct Sent {
    /// A name in configs/kernels.toml
    #[arg(long, default_value = "mainline")]
    base: String,

    /// The folder in patches/BASE
    #[arg(long, value_name = "NAME", default_value = "generic-freeze")]
    series: String,

    /// Which version was sent: 2 for [PATCH v2]
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    version: u32,

    /// The thread as the list has it, e.g. from `b4 mbox`
    #[arg(long, value_name = "FILE")]
    mbox: Utf8PathBuf,
}

#[derive(Clone, Debug, Args)]
struct Trailers {
    /// A name in configs/kernels.toml
    #[arg(long, default_value = "mainline")]
    base: String,

    /// The folder in patches/BASE; more than once for the tree of several, of which the last was sent
    #[arg(long, value_name = "NAME", default_value = "generic-freeze")]
    series: Vec<String>,

    /// The thread with the answers, e.g. from `b4 mbox`
    #[arg(long, value_name = "FILE")]
    mbox: Utf8PathBuf,

    /// Say what would be taken, and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, Args)]
struct Diff {
    /// A name in configs/kernels.toml: its lines are those with <
    #[arg(value_name = "BASE")]
    old: String,

    /// Another: its lines are those with >
    #[arg(value_name = "BASE")]
    new: String,

    /// The folder in patches/BASE; may be given more than once
    #[arg(long, value_name = "NAME", default_value = "generic-freeze")]
    series: Vec<String>,

    /// Only patches whose subject matches; may be given more than once, then any of them
    #[arg(long = "filter", value_name = "REGEX")]
    filters: Vec<String>,
}

#[derive(Clone, Debug, Args)]
struct Refresh {
    /// A name in configs/kernels.toml
    #[arg(long, default_value = "6.12")]
    base: String,

    /// The folder in patches/BASE; more than once, in the order of test-kernel, for the tree of several. A new commit
    /// belongs to the series of the commit before it
    #[arg(long, value_name = "NAME", default_value = "generic-freeze")]
    series: Vec<String>,

    /// Show as a diff what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Overwrite patch files that were edited since the tree was made or last written back
    #[arg(long)]
    force: bool,

    /// Write although a patch, notes below a `---`, or a feature that a patch provides get lost
    #[arg(long)]
    allow_loss: bool,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    match &options.command {
        Command::Check(options) => check::run(options, session),
        Command::Refresh(options) => refresh::run(&options.order(), session),
        Command::Diff(options) => diff::run(&options.order(), session),
        Command::Sent(options) => sent::run(&options.order(), session),
        Command::Trailers(options) => trailers::run(&options.order(), session),
    }
}

impl Sent {
    fn order(&self) -> sent::Order {
        sent::Order {
            base: self.base.clone(),
            series: self.series.clone(),
            version: self.version,
            mbox: self.mbox.clone(),
        }
    }
}

impl Trailers {
    fn order(&self) -> trailers::Order {
        trailers::Order {
            base: self.base.clone(),
            series: self.series.clone(),
            mbox: self.mbox.clone(),
            dry_run: self.dry_run,
        }
    }
}

impl Diff {
    fn order(&self) -> diff::Order {
        diff::Order {
            bases: [self.old.clone(), self.new.clone()],
            series: self.series.clone(),
            filters: self.filters.clone(),
        }
    }
}

impl Refresh {
    fn order(&self) -> refresh::Order {
        refresh::Order {
            base: self.base.clone(),
            series: self.series.clone(),
            dry_run: self.dry_run,
            consent: Consent {
                overwrite: self.force,
                lose: self.allow_loss,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Series {
        #[command(flatten)]
        options: Options,
    }

    fn refresh(words: &[&str]) -> refresh::Order {
        let words = ["series", "refresh"].iter().chain(words);
        match Series::try_parse_from(words).unwrap().options.command {
            Command::Refresh(options) => options.order(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_become_an_order() {
        let order = refresh(&[]);
        let flags = |order: &refresh::Order| {
            let refresh::Order {
                dry_run, consent, ..
            } = order;
            (*dry_run, consent.overwrite, consent.lose)
        };
        assert_eq!(
            (order.base.as_str(), &order.series[..]),
            ("6.12", &["generic-freeze".to_owned()][..])
        );
        assert_eq!(flags(&order), (false, false, false));
        assert_eq!(flags(&refresh(&["--dry-run"])), (true, false, false));
        assert_eq!(flags(&refresh(&["--force"])), (false, true, false));
        assert_eq!(flags(&refresh(&["--allow-loss"])), (false, false, true));
    }
}
