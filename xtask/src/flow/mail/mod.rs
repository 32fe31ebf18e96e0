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
        let draft = Draft::read(order, &identity, session)?;
        provide_deps(order.install, &[Need::Mail], session)?;
        let b4 = deps::b4(session)?;
        let maker = Maker { b4, identity };
        make(order, &draft, &maker, session)
    })?;
    terminal::text(&written.to_string());
    Ok(PASSED)
}

fn make(order: &Order, draft: &Draft, maker: &Maker, session: &Session) -> Result<Written> {
    let work = session.layout.work("mail");
    let _lock = lock::hold(&session.layout.work("lock"), session)?;
    files::sweep(&work, session)?;
    files::sweep(&work.join("bases"), session)?;
    let post = Post {
        order,
        draft,
        maker,
        session,
    };
    post.write()
}
