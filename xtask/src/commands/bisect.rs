//! `bisect`: which commit of a tree, or which patch of a series, broke a case.

use std::str::FromStr;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::Args;
use harness::wire::Asked;

use super::options::{DepsOptions, GuestOptions, filesystems};
use crate::bisect::{MOST_RUNS, Manner, Scope, Terms};
use crate::failure::Result;
use crate::flow::bisection::{self, Order, Range, Trial};
use crate::host::session::Session;
use crate::kernel::config;

const AFTER_HELP: &str = "\
How it searches: both ends are tested first, and what the case fails with at the bad one is the failure. \
A commit that fails in another way, does not build or boot, or on which the control case fails is \
skipped, with its log. What fails only sometimes is run so often at each step that a good verdict is \
wrong less than once in a hundred (--confidence); what the kernel complains of once a boot has a boot for \
each run. Only commits that touch files of this kernel are built. \
In the end the culprit and its parents are tested again, and the bad end with the culprit reverted.

Nothing is written into the tree: no ref, no BISECT_LOG, no file. What is found is in \
target/freeze/bisections (--report): report.md; report.eml, a draft that nobody sends; bisect.json; \
bisect.log, for git bisect replay; commits/, with the console and the results of each.

Ctrl-C, a full disk, kill -9: the same line with --resume goes on where it was.

Examples:
  cargo xtask bisect --tree ~/linux --good v6.11 --bad v6.12 --filter '^dm_case_a$' --fs xfs
  cargo xtask bisect --tree ~/linux --old v6.1 --new v6.12 --filter '^dm_case_b$'
                                            which commit made it work
  cargo xtask bisect --tree ~/linux --good v6.11 --bad HEAD --filter '^concurrent_freezes$' \\
      --with-series generic-freeze          with patches on top of each commit
  cargo xtask bisect --tree ~/linux --good HEAD~40 --bad HEAD --filter '^timeout_races$' --runs 30
  cargo xtask bisect --filter '^timeout_races$'
                                            which patch of generic-freeze on 6.12 breaks it

Exit codes:
  0 found and verified   1 found, not verified, or too flaky to be sure   2 the command line is wrong
  4 no verdict: an end is not what it was said to be, only skipped commits are left, no space, no tool
  130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// Bisect the commits of this kernel tree, which is only read [default: the patches of --series on --base]
    #[arg(long, value_name = "PATH", requires = "ends")]
    tree: Option<Utf8PathBuf>,

    /// Go on with the search of this command line that was interrupted
    #[arg(long)]
    resume: bool,

    /// Where to write [default: target/freeze/bisections/NAME]
    #[arg(long, value_name = "DIR")]
    report: Option<Utf8PathBuf>,

    #[command(flatten)]
    ends: Ends,
    #[command(flatten)]
    failure: FailureOptions,
    #[command(flatten)]
    commits: CommitOptions,
    #[command(flatten)]
    kernel: KernelOptions,
    #[command(flatten)]
    guest: GuestOptions,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Range")]
#[group(id = "ends", multiple = true, requires = "tree")]
struct Ends {
    /// A revision on which the case passes
    #[arg(long, value_name = "REV", requires = "bad", conflicts_with_all = ["old", "new"])]
    good: Option<String>,

    /// A revision on which it fails
    #[arg(long, value_name = "REV", requires = "good")]
    bad: Option<String>,

    /// In the place of --good: a revision before the change, whatever the change is
    #[arg(long, value_name = "REV", requires = "new")]
    old: Option<String>,

    /// In the place of --bad: a revision after it
    #[arg(long, value_name = "REV", requires = "old")]
    new: Option<String>,
}

/// What is run on each commit.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Failure")]
struct FailureOptions {
    /// The cases that tell good from bad; may be given more than once, then any of them
    #[arg(long = "filter", value_name = "REGEX", required = true)]
    filters: Vec<String>,

    #[arg(long, value_delimiter = ',', value_name = "NAMES", help = filesystems())]
    fs: Vec<Asked>,

    /// How often each step runs the case; auto measures first how often it fails at the bad end
    #[arg(long, value_name = "auto|N", default_value = "auto")]
    runs: Runs,

    /// How sure a verdict is to be: auto runs the case so often, and what is less sure in the end has exit code 1
    #[arg(long, value_name = "P", default_value_t = 0.99, value_parser = confidence)]
    confidence: f64,

    /// Take any failure of the case for the failure
    #[arg(long)]
    any_failure: bool,

    /// The case that shows whether a kernel works at all; where it fails, the commit is skipped
    #[arg(long, value_name = "CASE", default_value = "error_not_frozen")]
    control: String,

    /// How long one case may take [default: 120 under emulation, 60 under KVM]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: Option<u64>,
}

/// Which commits are tested, and what is done to them first.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Commits")]
struct CommitOptions {
    /// Only commits that touch this path [default: files that the kernels of both ends are made of]
    #[arg(
        long = "path",
        value_name = "P",
        requires = "tree",
        conflicts_with = "all_commits"
    )]
    paths: Vec<String>,

    /// All commits of the range
    #[arg(long)]
    all_commits: bool,

    /// Only merges and commits of the main line, as of git bisect
    #[arg(long, requires = "tree")]
    first_parent: bool,

    /// Pick this commit where it applies: old commits may need it to compile; may be given more than once
    #[arg(long = "pick", value_name = "FIX", requires = "tree")]
    picks: Vec<String>,

    /// Apply the patches of this series that a commit lacks; may be given more than once
    #[arg(long, value_name = "NAME", requires = "tree")]
    with_series: Vec<String>,

    /// Do not test the bad end with the culprit reverted
    #[arg(long)]
    no_revert: bool,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kernel")]
struct KernelOptions {
    /// A name in configs/kernels.toml, which chooses patches and options [default: with --tree the one nearest to the
    /// version of each commit, else 6.12]
    #[arg(long)]
    base: Option<String>,

    /// Without --tree: bisect the patches of this series; may be given more than once [default: generic-freeze]
    #[arg(long, value_name = "NAME", conflicts_with = "tree")]
    series: Vec<String>,

    /// Add the options of configs/NAME.config, e.g. debug; may be given more than once
    #[arg(long = "config", value_name = "NAME")]
    configs: Vec<String>,

    /// How many compilers run at once [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,

    #[command(flatten)]
    deps: DepsOptions,
}

/// `auto` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Runs(Option<u32>);

impl FromStr for Runs {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self(None)),
            (_, Ok(runs @ 1..=MOST_RUNS)) => Ok(Self(Some(runs))),
            _ => Err(format!("not auto, and not in 1..={MOST_RUNS}")),
        }
    }
}

fn confidence(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(confidence) if (0.5..1.0).contains(&confidence) => Ok(confidence),
        _ => Err("not from 0.5 to less than 1".into()),
    }
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    bisection::run(&options.order(again())?, session)
}

impl Options {
    fn order(&self, command: String) -> Result<Order> {
        let Self {
            failure,
            commits,
            kernel,
            ..
        } = self;
        let filesystems = Asked::of(&failure.fs);
        let trial = Trial::of(
            (&failure.filters, &filesystems),
            &failure.control,
            self.guest.guests(),
            failure.timeout.map(Duration::from_secs),
        )?;
        Ok(Order {
            range: self.range(),
            base: kernel.base.clone(),
            configs: config::with(&kernel.configs, &filesystems),
            jobs: kernel.jobs.map(usize::from),
            install: kernel.deps.install_deps,
            trial,
            manner: Manner {
                scope: match (commits.paths.as_slice(), commits.all_commits) {
                    (_, true) => Scope::All,
                    ([], false) => Scope::Read,
                    (paths, false) => Scope::Paths(paths.to_vec()),
                },
                first_parent: commits.first_parent,
                runs: failure.runs.0,
                confidence: failure.confidence,
                any_failure: failure.any_failure,
                revert: !commits.no_revert,
                picks: commits.picks.clone(),
            },
            resume: self.resume,
            report: self.report.clone(),
            command,
        })
    }

    fn range(&self) -> Range {
        let Ends {
            good,
            bad,
            old,
            new,
        } = &self.ends;
        let ends = match (good, bad, old, new) {
            (Some(good), Some(bad), ..) => Some((Terms::GoodBad, good, bad)),
            (_, _, Some(old), Some(new)) => Some((Terms::OldNew, old, new)),
            _ => None,
        };
        match (&self.tree, ends) {
            (Some(tree), Some((terms, old, new))) => Range::Tree {
                tree: tree.clone(),
                terms,
                old: old.clone(),
                new: new.clone(),
                series: self.commits.with_series.clone(),
            },
            _ => Range::Series(match self.kernel.series.as_slice() {
                [] => vec!["generic-freeze".into()],
                series => series.to_vec(),
            }),
        }
    }
}

/// The line that repeats this search, as one would type it.
fn again() -> String {
    let words = std::env::args().skip(1).filter(|word| word != "--resume");
    let words: Vec<String> = words.collect();
    let words = words.iter().map(String::as_str);
    let line = shlex::try_join(words).unwrap_or_else(|_| "bisect …".into());
    format!("cargo xtask {line}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::host::layout::Layout;

    #[derive(Debug, Parser)]
    struct Bisect {
        #[command(flatten)]
        options: Options,
    }

    fn parsed(line: &str) -> std::result::Result<Options, clap::Error> {
        let words = ["bisect"].into_iter().chain(line.split_whitespace());
        Bisect::try_parse_from(words).map(|line| line.options)
    }

    #[test]
    fn lines_that_are_an_order() {
        let order = |line: &str| parsed(line).unwrap().order(String::new()).unwrap();
        let tree = order("--tree /l --good a --bad b --filter ^dm_case_a$ --fs xfs");
        let Range::Tree {
            terms, old, new, ..
        } = &tree.range
        else {
            panic!("{tree:?}")
        };
        assert_eq!(
            (*terms, old.as_str(), new.as_str()),
            (Terms::GoodBad, "a", "b")
        );
        assert_eq!(tree.trial.control.case, "error_not_frozen");
        assert_eq!(tree.manner.scope, Scope::Read);
        assert!(tree.manner.revert && tree.manner.runs.is_none());

        let rest = order(
            "--tree /l --old a --new b --filter dm_case_a --runs 7 --confidence 0.999 --any-failure \
             --control dm_case_b --with-series generic-freeze --path fs --path mm --first-parent \
             --pick x --pick y --no-revert --resume --report /r",
        );
        let paths = Scope::Paths(vec!["fs".into(), "mm".into()]);
        assert_eq!((rest.manner.scope, rest.manner.runs), (paths, Some(7)));
        assert_eq!(rest.manner.picks, ["x", "y"]);
        assert!(rest.resume && !rest.manner.revert && rest.manner.any_failure);

        let Range::Series(series) = order("--filter dm_case_a").range else {
            panic!("no series")
        };
        assert_eq!(series, ["generic-freeze"]);
    }

    /// Lines of examples: what follows two spaces is said of them.
    #[test]
    fn the_lines_of_the_readme_and_of_the_help_can_be_typed() {
        let layout = Layout::of_this_checkout().unwrap();
        let readme = fs_err::read_to_string(layout.root().join("README.md")).unwrap();
        let text = readme + AFTER_HELP;
        let text = text.replace("\\\n", " ");
        let begin = "cargo xtask bisect ";
        let lines = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(begin));
        let lines: Vec<String> = lines
            .map(|line| line.split("   ").next().unwrap().replace('\'', ""))
            .collect();
        assert!(lines.len() > 8, "{lines:?}");
        for line in &lines {
            let options = parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            options
                .order(String::new())
                .unwrap_or_else(|failure| panic!("{line}: {failure}"));
        }
    }

    /// A flake is rarer under one accelerator than under another: what was measured there says nothing here.
    #[test]
    fn what_verdicts_depend_on_is_known_of_a_line() {
        let judged_by = |more: &str| {
            let line = format!("--tree /l --good a --bad b --filter ^dm_case_a$ {more}");
            let order = parsed(&line).unwrap().order(String::new()).unwrap();
            bisection::judged_by(&order)
        };
        let plain = judged_by("");
        for more in [
            "--accel tcg",
            "--boot virtme",
            "--fs ext3",
            "--control dm_case_b",
            "--config debug",
            "--base 6.1",
            "--timeout 9",
            "--with-series s",
            "--filter timeout_thaws",
        ] {
            assert_ne!(judged_by(more), plain, "{more}");
        }
        for more in ["--jobs 1", "--resume", "--report /r", "--install-deps"] {
            assert_eq!(judged_by(more), plain, "{more}");
        }
    }

    #[test]
    fn lines_that_are_none() {
        for line in [
            "--filter x --good a --bad b",
            "--filter x --tree /l",
            "--filter x --tree /l --good a",
            "--filter x --tree /l --good a --new b",
            "--filter x --tree /l --good a --bad b --old c --new d",
            "--filter x --tree /l --good a --bad b --series s",
            "--filter x --tree /l --good a --bad b --path p --all-commits",
            "--filter x --with-series s",
            "--filter x --runs 0",
            "--filter x --confidence 1",
            "--tree /l --good a --bad b",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
