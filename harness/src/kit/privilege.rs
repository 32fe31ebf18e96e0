//! Requests without the privilege for them.

use anyhow::Result;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use super::state::fails_with;
use crate::fixture::Fixture;

/// The user and group of nobody.
const NOBODY: u32 = 65534;

/// Who lacks `CAP_SYS_ADMIN` in the superblock's user namespace, and how a child becomes that.
const UNPRIVILEGED: [(&str, fn()); 2] = [
    ("as nobody", become_nobody),
    ("as root of a new user namespace", enter_user_namespace),
];

/// Fails unless the call is refused to children that have made themselves unprivileged.
pub fn is_privileged(
    fixture: &Fixture,
    what: &str,
    call: impl Fn() -> Result<(), Errno>,
) -> Result<()> {
    for (who, drop_privilege) in UNPRIVILEGED {
        let what = format!("{what} {who}");
        let outcome = fixture.returns(&what, || {
            drop_privilege();
            call()
        })?;
        fails_with(&what, outcome, Errno::EPERM)?;
    }
    Ok(())
}

/// In a child, where a panic is reported as its death.
pub fn become_nobody() {
    setgroups(&[]).expect("root may drop its groups");
    setgid(Gid::from_raw(NOBODY)).expect("root may change its group");
    setuid(Uid::from_raw(NOBODY)).expect("root may change its user");
}

/// Leaves all capabilities, but in a namespace that does not own the superblock.
fn enter_user_namespace() {
    unshare(CloneFlags::CLONE_NEWUSER).expect("the kernel has user namespaces");
}
