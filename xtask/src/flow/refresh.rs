//! From the commits of a work tree back to patch files.

use camino::Utf8Path;

use crate::failure::{Failure, Kind, PASSED, Result};
use crate::host::session::Session;
use crate::host::{files, lock};
use crate::kernel::worked::Worked;
use crate::kernel::{self, bases, tree};
use crate::report::terminal::text;
use crate::report::{differences, watched};
use crate::review::refresh::{Consent, Plan, Stack, plan};
use crate::series::replace::Replacement;

/// Which patch files are written back, and what may be lost by it.
#[derive(Debug)]
pub struct Order {
    pub base: String,
    pub series: Vec<String>,
    /// Show as a diff what would be written, and write nothing.
    pub dry_run: bool,
    pub consent: Consent,
}

/// Writes them back, or shows what would be written.
///
/// # Errors
/// [`Kind::Usage`] if the tree is in no state for it, or something would be lost without consent.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    kernel::are_names("--series", &order.series)?;
    bases::find(&session.layout, &order.base)?;
    let folder = session.layout.patches().join(&order.base);
    let _lock = watched(session, None, |session| {
        let lock = lock::hold(&session.layout.work("lock"), session)?;
        if !order.dry_run {
            files::sweep(&folder, session)?;
        }
        Ok::<_, Failure>(lock)
    })?;
    repair(&folder, order.dry_run)?;
    let tree = worked(&order.base, &order.series, session)?;
    let stack = Stack {
        names: &order.series,
        folder: &folder,
    };
    let plan = plan(&tree, stack, &session.stop)?;
    let allowed = plan.allow(order.consent, &tree, stack);
    if order.dry_run {
        show(&plan, allowed);
        return Ok(PASSED);
    }
    allowed?;
    plan.write(&tree, stack)?;
    if plan.changes.is_empty() {
        text(&format!("{folder} is up to date with {}", tree.git.dir()));
    }
    for change in &plan.changes {
        text(folder.join(&change.path).as_str());
    }
    Ok(PASSED)
}

/// The work tree of the series.
///
/// # Errors
/// [`Kind::Usage`] if there is none, with the command that makes it.
pub(super) fn worked(base: &str, series: &[String], session: &Session) -> Result<Worked> {
    let name = tree::name(base, series);
    let path = session.layout.trees().join(&name);
    if path.is_dir() {
        return Worked::open(&name, session);
    }
    Err(Kind::Usage.error(format!(
        "there is no work tree {path} yet; run: cargo xtask series edit{}",
        tree::flags(base, series)
    )))
}

/// The work tree, if its commits are the patch files as they are, and how they would be written back.
///
/// # Errors
/// [`Kind::Usage`] that says how to make them the same.
pub(super) fn followed(base: &str, series: &[String], session: &Session) -> Result<(Worked, Plan)> {
    let tree = worked(base, series, session)?;
    let folder = session.layout.patches().join(base);
    let stack = Stack {
        names: series,
        folder: &folder,
    };
    let plan = plan(&tree, stack, &session.stop)?;
    plan.allow(Consent::default(), &tree, stack)?;
    match plan.changes.is_empty() {
        true => Ok((tree, plan)),
        false => Err(Kind::Usage.error(format!(
            "{} and the patch files in {folder} differ; make them the same first: cargo xtask series refresh{}",
            tree.git.dir(),
            tree::flags(base, series)
        ))),
    }
}

fn show(plan: &Plan, allowed: Result<()>) {
    match plan.changes.is_empty() {
        true => text("nothing would change"),
        false => text(&differences::coloured(&plan.diff())),
    }
    if let Err(failure) = allowed {
        text(&format!("without --dry-run: {failure}"));
    }
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
    use super::*;
    use crate::host::proc::Stop;
    use crate::kernel::shop::{BASE, Shop};

    fn refresh(shop: &Shop, dry_run: bool, lose: bool) -> Result<u8> {
        let order = Order {
            base: BASE.into(),
            series: vec!["s".into()],
            dry_run,
            consent: Consent {
                overwrite: false,
                lose,
            },
        };
        let session = Session::new(shop.layout.clone(), Stop::default());
        run(&order, &session)
    }

    #[test]
    fn a_dry_run_writes_nothing() {
        let shop = Shop::open();
        shop.base();
        shop.patch("s", 1, "one", 4, "a note");
        let no_tree = refresh(&shop, false, false).unwrap_err();
        assert!(
            no_tree
                .to_string()
                .contains("series edit --base x --series s"),
            "{no_tree}"
        );
        shop.provide(&["s"]).unwrap();
        assert_eq!(refresh(&shop, false, false).unwrap(), PASSED);
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
            assert_eq!(refresh(&shop, true, false).unwrap(), PASSED);
            assert_eq!(fs_err::read_to_string(&file).unwrap(), before);
            if let Some(words) = words {
                let failure = refresh(&shop, false, false).unwrap_err();
                assert_eq!(failure.kind, Kind::Usage);
                assert!(failure.to_string().contains(words), "{failure}");
            }
        }
        assert_eq!(refresh(&shop, false, true).unwrap(), PASSED);
        let after = fs_err::read_to_string(&file).unwrap();
        assert!(
            after.contains("mine") && !after.contains("a note"),
            "{after}"
        );
    }
}
