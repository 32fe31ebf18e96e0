//! The commits of a work tree, carried to another base.

use camino::Utf8PathBuf;

use super::refresh::worked;
use crate::failure::{Kind, PASSED, Result};
use crate::host::lock;
use crate::host::session::Session;
use crate::kernel::bases::{self, Base};
use crate::kernel::moving::Ground;
use crate::kernel::tree::flags;
use crate::kernel::worked::Worked;
use crate::kernel::{self, source};
use crate::report::terminal::text;
use crate::report::watched;
use crate::review::rebase::{self, Done, Outcome};
use crate::series::{self, Series};
use crate::words::count;

/// Whose tree, and what is to be done with it.
#[derive(Debug)]
pub struct Order {
    pub base: String,
    pub series: Vec<String>,
    pub step: Step,
}

#[derive(Debug)]
pub enum Step {
    Onto {
        /// A version of the base's package, or a revision of `tree`.
        what: String,
        /// A kernel tree of the user's.
        tree: Option<Utf8PathBuf>,
    },
    Continue,
    Abort,
}

/// Carries them there, goes on with it, or takes it back.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    kernel::are_names("--series", &order.series)?;
    let base = bases::find(&session.layout, &order.base)?;
    let lock = session.layout.work("lock");
    let _lock = watched(session, None, |session| lock::hold(&lock, session))?;
    let mut tree = worked(&order.base, &order.series, session)?;
    let outcome = match &order.step {
        Step::Onto { what, tree: lender } => {
            let (series, flags) = (load(order, session)?, flags(&order.base, &order.series));
            rebase::require_ready(&tree, &series, &flags)?;
            let onto = watched(session, None, |session| match lender {
                Some(path) => lent(&tree, path, what),
                None => version(&base, what, session),
            })?;
            rebase::begin(&mut tree, &series, onto, &flags)?
        }
        Step::Continue => rebase::go_on(&mut tree)?,
        Step::Abort => {
            text(&rebase::take_back(&mut tree)?);
            return Ok(PASSED);
        }
    };
    Ok(tell(&outcome, &tree, order))
}

fn load(order: &Order, session: &Session) -> Result<Vec<Series>> {
    let load = |name: &String| series::load(&session.layout, &order.base, name);
    order.series.iter().map(load).collect()
}

fn version(base: &Base, version: &str, session: &Session) -> Result<Ground> {
    let found = source::version(base, version, session)?;
    Ok(Ground {
        commit: found.commit,
        label: found.label,
    })
}

fn lent(tree: &Worked, path: &Utf8PathBuf, revision: &str) -> Result<Ground> {
    let (commit, label) = source::lend(&tree.repository(), path, revision)?;
    Ok(Ground { commit, label })
}

/// Says what came of it, and what comes next.
fn tell(outcome: &Outcome, tree: &Worked, order: &Order) -> u8 {
    let path = tree.git.dir();
    match outcome {
        Outcome::Nothing => text(&format!("{path} stands on that already: nothing to do")),
        Outcome::Stopped(said) => {
            text(said);
            return Kind::Build.exit_code();
        }
        Outcome::Done(Done {
            commits,
            onto,
            dropped,
            before,
        }) => {
            text(&format!("{path}: {} on {onto}", count(*commits, "commit")));
            for patch in dropped {
                text(&format!(
                    "left out, as it is there already or was skipped: {patch}"
                ));
            }
            let flags = flags(&order.base, &order.series);
            let consent = match dropped.is_empty() {
                true => "",
                false => " --allow-loss",
            };
            text(&format!(
                "  to write the patch files: cargo xtask series refresh{flags}{consent}\n  to go back, until then: cargo xtask \
                 series rebase --abort{flags}\n  the commits as they were: git -C {path} log {before}"
            ));
        }
    }
    PASSED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::proc::Stop;
    use crate::kernel::shop::{BASE, Shop};

    #[test]
    fn a_conflict_is_exit_code_3_until_it_is_mended_or_taken_back() {
        let shop = Shop::open();
        shop.base();
        shop.release("2-1", &[("a.c", 12, "theirs")]);
        shop.patch("s", 1, "one", 12, "");
        let run = |step: Step| {
            let order = Order {
                base: BASE.into(),
                series: vec!["s".into()],
                step,
            };
            run(&order, &Session::new(shop.layout.clone(), Stop::default()))
        };
        let onto = |what: &str| Step::Onto {
            what: what.into(),
            tree: None,
        };
        let no_tree = run(onto("2-1")).unwrap_err();
        assert!(
            no_tree
                .to_string()
                .contains("series edit --base x --series s"),
            "{no_tree}"
        );
        shop.provide(&["s"]).unwrap();
        assert_eq!(run(onto("2-1")).unwrap(), 3);
        assert_eq!(run(Step::Continue).unwrap(), 3);
        assert_eq!(run(Step::Abort).unwrap(), PASSED);
        assert_eq!(run(Step::Abort).unwrap_err().kind, Kind::Usage);
        assert_eq!(run(onto("2-1")).unwrap(), 3);
        shop.work(&["s"], "git checkout -q --theirs a.c; git add a.c");
        assert_eq!(run(Step::Continue).unwrap(), PASSED);
        assert_eq!(run(onto("2")).unwrap(), PASSED);
    }
}
