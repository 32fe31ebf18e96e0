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
        "each patch is a commit in this work tree. There:\n  \
         git log {BASE_REF}..                          shows them\n  \
         git commit --all --fixup COMMIT                         changes one of them; or add a commit of its own\n  \
         git rebase -i --autosquash {BASE_REF}         puts changes into their patches\n\
         and then:\n  \
         cargo xtask test-kernel{flags}    builds and tests what is there, committed or not\n  \
         cargo xtask series refresh{flags}    writes the commits back as patch files"
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
            "git rebase -i --autosquash refs/worktree/base ",
            "cargo xtask series refresh --base 6.12 --series a --series b ",
        ] {
            assert!(lesson.contains(line), "{lesson}");
        }
    }
}
