//! The work tree of a series, made for somebody who edits it.

use crate::failure::{PASSED, Result};
use crate::host::session::Session;
use crate::kernel;
use crate::kernel::refs::BASE_REF;
use crate::kernel::request::{Part, Request};
use crate::kernel::tree::flags;
use crate::report::terminal::{aside, text};
use crate::report::watched_aside;

/// Whose tree.
#[derive(Debug)]
pub struct Order {
    pub base: String,
    pub series: Vec<String>,
}

/// Makes it, or leaves it as it is. Standard output is its path and nothing else, for `cd "$(…)"`.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    let request = Request {
        base: order.base.clone(),
        tree: None,
        series: order.series.clone(),
        configs: vec![],
        part: Part::Whole,
        jobs: None,
    };
    let request = kernel::checked(request, session)?;
    let tree = watched_aside(session, |session| kernel::provide_tree(&request, session))?;
    aside(&lesson(order));
    text(tree.path.as_str());
    Ok(PASSED)
}

fn lesson(order: &Order) -> String {
    let flags = flags(&order.base, &order.series);
    format!(
        "each patch is a commit in this work tree. To\n  \
         see them:            git log {BASE_REF}..\n  \
         change one:          git commit --all --fixup COMMIT; or add a commit of its own\n  \
         put it in its place: git rebase -i --autosquash {BASE_REF}\n  \
         build and test:      cargo xtask test-kernel{flags}\n  \
         write patch files:   cargo xtask series refresh{flags}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lesson_names_what_is_to_be_typed() {
        let order = Order {
            base: "6.12".into(),
            series: vec!["a".into(), "b".into()],
        };
        let lesson = lesson(&order);
        for line in [
            "git rebase -i --autosquash refs/worktree/base\n",
            "cargo xtask series refresh --base 6.12 --series a --series b",
        ] {
            assert!(lesson.contains(line), "{lesson}");
        }
    }
}
