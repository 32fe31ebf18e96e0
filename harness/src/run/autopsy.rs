//! What a hang looks like.

use nix::unistd::Pid;

use crate::linux::proc;
use crate::linux::sysrq::{self, Key};

/// Tasks whose stacks are told of a hang.
const STACKS: usize = 100;

/// What is stuck, and where: every task in D state and the case's own. The
/// kernel's own view (SysRq w) goes to the console.
pub fn autopsy(group: Pid) -> String {
    // Without SysRq the stacks below remain.
    let _ = sysrq::press(Key::Blocked);
    match proc::all() {
        Ok(tasks) => tasks
            .iter()
            .filter(|task| task.state == 'D' || task.group == group.as_raw())
            .take(STACKS)
            .map(|task| proc::describe(Pid::from_raw(task.pid)))
            .collect::<Vec<_>>()
            .join("\n"),
        Err(error) => format!("{error:#}"),
    }
}
