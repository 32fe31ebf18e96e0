//! `series`: patch files and the work tree that they are edited in.

use camino::Utf8Path;
use clap::{Args, Subcommand};

use super::check;
use crate::failure::{Failure, Kind, PASSED, Result};
use crate::host::replace::Replacement;
use crate::host::session::Session;
use crate::host::{files, lock};
use crate::kernel::worked::Worked;
use crate::kernel::{bases, tree};
use crate::report::terminal::text;
use crate::report::{differences, watched};
use crate::review::diff::{Filter, compare};
use crate::review::refresh::{Consent, Stack, plan};
use crate::series::{self, Series};

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
    ///
    /// What stands below the `---` of a patch file is a git note of its commit (`git log --notes='*'`), which amend and rebase
    /// take along. Nothing is replaced unless the new files, applied to the base, make the same commits.
    Refresh(Refresh),
    /// Compare the patches of two bases: what differs, and nothing else
    ///
    /// Line numbers, hashes, dates and the context of hunks do not count; what a patch says, adds and removes does.
    /// Patches are paired by their subjects. As of git diff, the exit code is 0 whether or not they differ.
    Diff(Diff),
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
        Command::Refresh(options) => refresh(options, session),
        Command::Diff(options) => diff(options, session),
    }
}

fn diff(options: &Diff, session: &Session) -> Result<u8> {
    let Diff { old, new, .. } = options;
    let load = |base: &str| -> Result<Vec<Series>> {
        bases::find(&session.layout, base)?;
        let load = |name: &String| series::load(&session.layout, base, name);
        options.series.iter().map(load).collect()
    };
    let (olds, news) = (load(old)?, load(new)?);
    let filter = Filter::of(&options.filters, olds.iter().chain(&news))?;
    for (one, other) in olds.iter().zip(&news) {
        let entries = compare(one, other, &filter);
        text(&differences::text(&one.name, [old, new], &entries));
    }
    Ok(PASSED)
}

fn refresh(options: &Refresh, session: &Session) -> Result<u8> {
    let base = bases::find(&session.layout, &options.base)?;
    let folder = session.layout.patches().join(&options.base);
    let _lock = watched(session, None, |session| {
        let lock = lock::hold(&session.layout.work("lock"), session)?;
        if !options.dry_run {
            files::sweep(&folder, session)?;
        }
        Ok::<_, Failure>(lock)
    })?;
    repair(&folder, options.dry_run)?;
    let name = tree::name(&base.name, &options.series);
    if !session.layout.trees().join(&name).is_dir() {
        let series: String = options
            .series
            .iter()
            .map(|name| format!(" --series {name}"))
            .collect();
        return Err(Kind::Usage.error(format!(
            "there is no work tree {} yet; run: cargo xtask test-kernel --base {}{series}",
            session.layout.trees().join(name),
            options.base
        )));
    }
    let tree = Worked::open(&name, session)?;
    let stack = Stack {
        names: &options.series,
        folder: &folder,
    };
    let plan = plan(&tree, stack, &session.stop)?;
    let consent = Consent {
        overwrite: options.force,
        lose: options.allow_loss,
    };
    let allowed = plan.allow(consent, &tree, stack);
    if options.dry_run {
        match plan.changes.is_empty() {
            true => text("nothing would change"),
            false => text(&differences::coloured(&plan.diff())),
        }
        if let Err(failure) = allowed {
            text(&format!("without --dry-run: {failure}"));
        }
        return Ok(PASSED);
    }
    allowed?;
    plan.write(&tree, stack, &session.stop)?;
    if plan.changes.is_empty() {
        text(&format!("{folder} is up to date with {}", tree.git.dir()));
    }
    for change in &plan.changes {
        text(folder.join(&change.path).as_str());
    }
    Ok(PASSED)
}

/// Finishes what an interrupted run began.
fn repair(folder: &Utf8Path, dry: bool) -> Result<()> {
    match Replacement::left(folder) {
        None => Ok(()),
        Some(_) if dry => Err(Kind::Usage.error(format!(
            "a series refresh was interrupted while it replaced files in {folder}; run it without --dry-run"
        ))),
        Some(left) => {
            text(&format!("finishing what was interrupted in {folder}"));
            left.finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::host::proc::Stop;
    use crate::kernel::shop::{BASE, Shop};

    /// The command line of `series refresh`.
    #[derive(Debug, Parser)]
    struct SeriesRefresh {
        #[command(flatten)]
        options: Refresh,
    }

    fn refresh(shop: &Shop, words: &[&str]) -> Result<u8> {
        let words = ["refresh", "--base", BASE, "--series", "s"]
            .iter()
            .chain(words);
        let options = SeriesRefresh::try_parse_from(words).unwrap().options;
        let session = Session::new(shop.layout.clone(), Stop::default());
        super::refresh(&options, &session)
    }

    #[test]
    fn a_dry_run_writes_nothing() {
        let shop = Shop::open();
        let bases = shop.layout.configs().join("kernels.toml");
        fs_err::create_dir_all(shop.layout.configs()).unwrap();
        fs_err::write(
            bases,
            format!("[[base]]\nname = \"{BASE}\"\npackage = \"x\"\n"),
        )
        .unwrap();
        shop.patch("s", 1, "one", 4, "a note");
        let no_tree = refresh(&shop, &[]).unwrap_err();
        assert!(
            no_tree
                .to_string()
                .contains("test-kernel --base x --series s"),
            "{no_tree}"
        );
        shop.provide(&["s"]).unwrap();
        assert_eq!(refresh(&shop, &[]).unwrap(), PASSED);
        let file = shop.file("s/0001-one.patch");
        let before = fs_err::read_to_string(&file).unwrap();
        for (script, words) in [
            ("git commit -q --amend -m one -m mine", None),
            (
                "git notes --ref=series/x-s remove HEAD 2>&1",
                Some("--allow-loss"),
            ),
        ] {
            shop.work(&["s"], script);
            assert_eq!(refresh(&shop, &["--dry-run"]).unwrap(), PASSED);
            assert_eq!(fs_err::read_to_string(&file).unwrap(), before);
            if let Some(words) = words {
                let failure = refresh(&shop, &[]).unwrap_err();
                assert_eq!(failure.kind, Kind::Usage);
                assert!(failure.to_string().contains(words), "{failure}");
            }
        }
        assert_eq!(refresh(&shop, &["--allow-loss"]).unwrap(), PASSED);
        let after = fs_err::read_to_string(&file).unwrap();
        assert!(
            after.contains("mine") && !after.contains("a note"),
            "{after}"
        );
    }
}
