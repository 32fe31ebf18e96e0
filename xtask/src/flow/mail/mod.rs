//! From patch files to files that are ready to be sent. Nothing is sent, and nothing signed off.

mod draft;
mod order;
mod post;
#[cfg(test)]
mod tests;

use super::prepare::provide_deps;
use crate::deps::{self, need::Need};
use crate::failure::{PASSED, Result};
use crate::host::session::Session;
use crate::host::{files, lock};
use crate::mail::identity;
use crate::report::{terminal, watched};
use draft::Draft;
use order::Maker;
pub use order::Order;
use post::{Post, Written};

/// Makes the mails; what is wrong with texts and results is told before anything is fetched.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    let identity = identity::of_user(session)?;
    let written = watched(session, None, |session| {
        Draft::read(order, &identity, session)?;
        provide_deps(order.install, &[Need::Mail], session)?;
        let b4 = deps::b4(session)?;
        make(order, &Maker { b4, identity }, session)
    })?;
    terminal::text(&written.to_string());
    Ok(PASSED)
}

fn make(order: &Order, maker: &Maker, session: &Session) -> Result<Written> {
    let layout = &session.layout;
    let _lock = lock::hold(&layout.work("lock"), session)?;
    for folder in ["mail", "mail/bases"].map(|name| layout.work(name)) {
        files::sweep(&folder, session)?;
    }
    if let Some(folder) = layout.mails(order.version).parent() {
        files::sweep(folder, session)?;
    }
    // Once more: another run may have prepared a version meanwhile.
    let draft = Draft::read(order, &maker.identity, session)?;
    let post = Post {
        order,
        draft: &draft,
        maker,
        session,
    };
    post.write()
}
