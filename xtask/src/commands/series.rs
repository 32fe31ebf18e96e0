//! `series`: patch files and the work tree that they are edited in.

use camino::Utf8PathBuf;
use clap::{ArgGroup, Args, Subcommand};

use super::check;
use super::options::DepsOptions;
use crate::failure::Result;
use crate::flow::{diff, edit, mail, rebase, refresh, sent, trailers};
use crate::host::session::Session;
use crate::mail::base::Upstream;
use crate::review::refresh::Consent;

const AFTER_EDIT_HELP: &str = "\
Standard output is the path and nothing else; all other words are on standard error. In that tree:
  git commit --all --fixup COMMIT                   a change to a patch
  git rebase -i --autosquash refs/worktree/base     puts changes into their patches
and then cargo xtask series refresh writes the commits back as patch files.

Examples:
  cargo xtask series edit --base mainline
  cd \"$(cargo xtask series edit)\"

Exit codes:
  0 it is there, with your edits if there were some
  2 the command line is wrong, or to follow changed source or patch files would lose edits
  3 a patch does not apply   4 no source, no tool, no space   130 interrupted";

const AFTER_REBASE_HELP: &str = "\
A conflict is left in the work tree: mend the files, git add them, and --continue, or --abort. \
Git's own rebase --continue, --skip and --abort may be used there as well (its --continue drops \
lines of a message that begin with #); --continue afterwards makes a note of it. A patch that the new base has already is left out, and named. Patch files stay \
as they are until series refresh. The commits as they were are kept by a ref below \
refs/worktree/before-rebase, which is named, too.

Examples:
  cargo xtask series rebase --onto 6.12.118                   another version of the package
  cargo xtask series rebase --onto v6.12.118 --tree ~/linux   a revision of your own tree
  cargo xtask series rebase --continue
  cargo xtask series rebase --abort

Exit codes:
  0 done   2 the command line is wrong, or the work tree is in no state for it
  3 a patch does not apply there: the conflict is in the work tree
  4 no source, no tool, no space   130 interrupted";

const AFTER_MAIL_HELP: &str = "\
What you write, beside the patches of the series:
  cover        the subject of the cover letter, an empty line, and why the series is wanted
  changelog    for version 2 and up: a line `v2:`, below it what has changed; then `v3:` and so on
What is added: the table of the newest runs with and without exactly these patches, links to the \
versions that were sent, and the range-diff against the last of them: series sent tells which. b4 \
writes the mails.

What is written: target/mail/vN, with the repository that b4 made the mails in; and the record of \
them, patches/BASE/SERIES/sent/vN.json and vN.mbx, which is to be committed.

Nothing is sent, and nothing is signed off. What is left to you is in CHECKLIST, with one line each \
to send by b4 and by git send-email.

Examples:
  cargo xtask test-kernel --base mainline --compare stock    the results
  cargo xtask series mail -v 1 --upstream ~/linux
  cargo xtask series mail -v 2 --upstream ~/linux --to-list
  cargo xtask series mail -v 1 --onto v7.3-rc6 --rfc

Exit codes:
  0 written to target/mail/vN
  2 the command line, a patch, a letter or the results are in no state for it
  4 no tool, no public base   130 interrupted";

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Apply, compile, check and boot the patches, and print a table: one row for each patch, one column for each check
    Check(Box<check::Options>),
    /// Make the work tree of the series, or find it, and print its path; nothing is built
    #[command(after_help = AFTER_EDIT_HELP)]
    Edit(Stack),
    /// Carry the commits of the series' work tree to another version of the base, or to a revision of your own tree
    #[command(after_help = AFTER_REBASE_HELP)]
    Rebase(Rebase),
    /// Write the commits of the series' work tree back as its patch files
    ///
    /// The work tree is the one that series edit and test-kernel make and name: edit and commit there. What is not committed
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
    /// Make the mails of a series for the mailing lists: letter, patches, recipients, and a list of what is left to you
    ///
    /// The patches are put on a commit that others have, whose files that they touch are the same as those that were tested.
    /// What git am, b4 am and git send-email make of the mails is tried before they get their place.
    #[command(after_help = AFTER_MAIL_HELP)]
    Mail(Mail),
    /// Record what was really sent of a version, from the list's own mbox
    ///
    /// Message-ids, subjects, base-commit and change-id go to patches/BASE/SERIES/sent/vN.json, and the mails beside it. The
    /// patches have to be those that series mail prepared as this version; without such a record, those of the patch files.
    /// An mbox that lacks one is an error; answers and other patches in it are left out, and the patches named.
    Sent(Sent),
    /// Take Reviewed-by, Tested-by and the like from answers into the patch files
    ///
    /// The commits of the work tree are reworded, and written back as by refresh. What somebody says for somebody else, or of a
    /// patch that has changed since, is named, and not taken.
    Trailers(Trailers),
}

#[derive(Clone, Debug, Args)]
struct Mail {
    /// Which version: 2 for [PATCH v2]
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    version: u32,

    /// A name in configs/kernels.toml
    #[arg(long, default_value = "mainline")]
    base: String,

    /// The folder in patches/BASE; more than once for the tree of several, of which the last is mailed
    #[arg(long, value_name = "NAME", default_value = "generic-freeze")]
    series: Vec<String>,

    /// A clone of the kernel that has the public commit: any kind, and never written to
    #[arg(long, value_name = "PATH", conflicts_with = "upstream_url")]
    upstream: Option<Utf8PathBuf>,

    /// A server that has it; without either, kernel.org. About 3 MB are fetched
    #[arg(long, value_name = "URL")]
    upstream_url: Option<String>,

    /// The public commit, or a tag or branch of it; the tag of the version that was tested, if you name none
    #[arg(long, value_name = "REV")]
    onto: Option<String>,

    /// [PATCH RFC]: you ask for comments
    #[arg(long)]
    rfc: bool,

    /// The mails are for the lists: refuse a missing sign-off, an author or sender without an address, and an Assisted-by
    /// that names no tool and model, which else are only listed
    #[arg(long)]
    to_list: bool,

    #[command(flatten)]
    deps: DepsOptions,
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

    /// Record it anew, although other mails are recorded as sent
    #[arg(long)]
    again: bool,
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

    /// Take also what was said of a patch that has changed since: you know that it is still true
    #[arg(long)]
    changed: bool,
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

/// Which work tree.
#[derive(Clone, Debug, Args)]
struct Stack {
    /// A name in configs/kernels.toml
    #[arg(long, default_value = "6.12")]
    base: String,

    /// The folder in patches/BASE; more than once, in the order of test-kernel, for the tree of several
    #[arg(long, value_name = "NAME", default_value = "generic-freeze")]
    series: Vec<String>,
}

#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("step").required(true).args(["onto", "continue", "abort"])))]
struct Rebase {
    #[command(flatten)]
    stack: Stack,

    /// Where to: a version of the base's package, e.g. 6.12.118, that is here or that apt has; with --tree a commit, tag
    /// or branch of that tree
    #[arg(long, value_name = "VERSION|REV")]
    onto: Option<String>,

    /// A kernel tree of your own (git), which is never written to; its objects are needed as long as the work tree
    #[arg(long, value_name = "PATH", requires = "onto")]
    tree: Option<Utf8PathBuf>,

    /// Go on after a conflict, or after a run that was killed
    #[arg(long = "continue", id = "continue", conflicts_with = "tree")]
    go_on: bool,

    /// Go back to the base and the commits that there were before, also after the end until series refresh; what was
    /// mended and not committed is dropped
    #[arg(long, conflicts_with = "tree")]
    abort: bool,
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
        Command::Edit(options) => edit::run(&options.edit(), session),
        Command::Rebase(options) => rebase::run(&options.order(), session),
        Command::Refresh(options) => refresh::run(&options.order(), session),
        Command::Diff(options) => diff::run(&options.order(), session),
        Command::Mail(options) => mail::run(&options.order(), session),
        Command::Sent(options) => sent::run(&options.order(), session),
        Command::Trailers(options) => trailers::run(&options.order(), session),
    }
}

impl Mail {
    fn order(&self) -> mail::Order {
        let path = self.upstream.clone().map(Upstream::Path);
        let url = self.upstream_url.clone().map(Upstream::Url);
        mail::Order {
            base: self.base.clone(),
            series: self.series.clone(),
            version: self.version,
            upstream: path.or(url),
            onto: self.onto.clone(),
            rfc: self.rfc,
            to_list: self.to_list,
            install: self.deps.install_deps,
        }
    }
}

impl Sent {
    fn order(&self) -> sent::Order {
        sent::Order {
            base: self.base.clone(),
            series: self.series.clone(),
            version: self.version,
            mbox: self.mbox.clone(),
            again: self.again,
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
            changed: self.changed,
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

impl Stack {
    fn edit(&self) -> edit::Order {
        edit::Order {
            base: self.base.clone(),
            series: self.series.clone(),
        }
    }
}

impl Rebase {
    fn order(&self) -> rebase::Order {
        let step = match &self.onto {
            Some(what) => rebase::Step::Onto {
                what: what.clone(),
                tree: self.tree.clone(),
            },
            None if self.abort => rebase::Step::Abort,
            None => rebase::Step::Continue,
        };
        rebase::Order {
            base: self.stack.base.clone(),
            series: self.stack.series.clone(),
            step,
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

    #[test]
    fn words_that_agree_to_something() {
        let parsed = |words: &[&str]| Series::try_parse_from(words).unwrap().options.command;
        for (more, wanted) in [(&[][..], false), (&["--again"], true)] {
            let words = [&["series", "sent", "-v", "1", "--mbox", "m"], more].concat();
            let command = parsed(&words);
            assert!(
                matches!(&command, Command::Sent(it) if it.again == wanted),
                "{command:?}"
            );
        }
        for (more, wanted) in [(&[][..], false), (&["--changed"], true)] {
            let words = [&["series", "trailers", "--mbox", "m"], more].concat();
            let command = parsed(&words);
            assert!(
                matches!(&command, Command::Trailers(it) if it.order().changed == wanted),
                "{command:?}"
            );
        }
    }

    #[test]
    fn words_of_a_rebase() {
        let parsed = |words: &[&str]| {
            let words = ["series", "rebase"].iter().chain(words);
            let options = Series::try_parse_from(words).ok()?.options;
            match options.command {
                Command::Rebase(options) => Some(options.order().step),
                other => panic!("{other:?}"),
            }
        };
        let onto = parsed(&["--onto", "v1", "--tree", "/l"]);
        assert!(
            matches!(&onto, Some(rebase::Step::Onto { what, tree: Some(tree) }) if what == "v1" && tree == "/l"),
            "{onto:?}"
        );
        assert!(matches!(
            parsed(&["--onto", "6.12.118"]),
            Some(rebase::Step::Onto { tree: None, .. })
        ));
        assert!(matches!(
            parsed(&["--continue"]),
            Some(rebase::Step::Continue)
        ));
        assert!(matches!(parsed(&["--abort"]), Some(rebase::Step::Abort)));
        for wrong in [
            &[][..],
            &["--abort", "--continue"],
            &["--onto", "1", "--abort"],
            &["--continue", "--tree", "/l"],
            &["--tree", "/l"],
        ] {
            assert!(parsed(wrong).is_none(), "{wrong:?}");
        }
    }
}
