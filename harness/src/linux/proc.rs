//! What /proc tells of tasks.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

/// One line of /proc/PID/stat, as far as it is of use (proc_pid_stat(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    pub comm: String,
    /// `R`, `S`, `D` (uninterruptible), `Z`, ...
    pub state: char,
    pub parent: i32,
    /// The process group.
    pub group: i32,
}

impl Stat {
    /// `None` if the line is malformed.
    pub fn parse(line: &str) -> Option<Stat> {
        // comm may hold spaces and parentheses: it ends at the last one.
        let (head, tail) = line.rsplit_once(')')?;
        let (pid, comm) = head.split_once('(')?;
        let mut fields = tail.split_ascii_whitespace();
        Some(Stat {
            pid: pid.trim_end().parse().ok()?,
            comm: comm.to_owned(),
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }

    pub fn of(pid: Pid) -> Result<Stat> {
        let path = format!("/proc/{pid}/stat");
        let line = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        Stat::parse(&line).with_context(|| format!("{path}: {line:?}"))
    }
}

/// Every task group, as /proc lists them; those that end meanwhile are left out.
pub fn all() -> Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("failed to read /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        found.extend(Stat::of(Pid::from_raw(pid)));
    }
    Ok(found)
}

/// Command, state, wait channel and kernel stack, in lines for a diagnosis.
pub fn describe(pid: Pid) -> String {
    let stat = match Stat::of(pid) {
        Ok(stat) => stat,
        Err(error) => return format!("{error:#}"),
    };
    let channel = proc_text(pid, "wchan");
    let stack = proc_text(pid, "stack");
    let head = format!(
        "{} ({pid}) state {} waits in {channel}",
        stat.comm, stat.state
    );
    stack
        .lines()
        .fold(head, |text, frame| format!("{text}\n  {frame}"))
}

/// Whether the task sleeps uninterruptibly in a wait of the freeze code.
///
/// Writers wait in `percpu_rwsem_wait` (sb_start_write, include/linux/fs.h).
/// Any other sleep, such as reading a block, is in D state too, so the stack
/// decides wherever the kernel shows it. Kernels that guess at stacks
/// (`UNWINDER_GUESS`) list frames of the past as well: an operation that is
/// shown blocked more than once must not have another place to sleep in.
pub fn waits_for_thaw(pid: Pid) -> Result<bool> {
    if Stat::of(pid)?.state != 'D' {
        return Ok(false);
    }
    let places = proc_text(pid, "stack") + &proc_text(pid, "wchan");
    let unknown = places.trim_matches('0').is_empty();
    Ok(is_freeze_wait(&places) || (unknown && !kernel_shows_stacks()))
}

/// An empty stack on a kernel that shows them is one of a task that has moved on.
fn kernel_shows_stacks() -> bool {
    Path::new("/proc/self/stack").exists()
}

fn is_freeze_wait(places: &str) -> bool {
    ["percpu_rwsem_wait", "percpu_down_read", "sb_start_"]
        .iter()
        .any(|function| places.contains(function))
}

/// A file of /proc/PID; empty where the kernel lacks it.
fn proc_text(pid: Pid, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines() {
        let stat = |pid, comm: &str, state, parent, group| {
            Some(Stat {
                pid,
                comm: comm.to_owned(),
                state,
                parent,
                group,
            })
        };
        for (line, want) in [
            (
                "1 (harness) S 0 1 1 0 -1 4194560",
                stat(1, "harness", 'S', 0, 1),
            ),
            ("71 (a b) D 1 70 1 0", stat(71, "a b", 'D', 1, 70)),
            ("72 (x) R (y)) D 1 70 1 0", stat(72, "x) R (y)", 'D', 1, 70)),
            ("2 (kthreadd) S 0 0 0 0 -1", stat(2, "kthreadd", 'S', 0, 0)),
            ("3 () Z 1 3 3", stat(3, "", 'Z', 1, 3)),
            ("", None),
            ("4 (cut) S", None),
            ("x (y) S 1 1", None),
        ] {
            assert_eq!(Stat::parse(line), want, "{line}");
        }
    }

    #[test]
    fn freeze_waits() {
        assert!(is_freeze_wait(
            "[<0>] percpu_rwsem_wait+0xf6/0x120\n[<0>] vfs_write+0x1/0x2\n"
        ));
        assert!(!is_freeze_wait(
            "[<0>] io_schedule+0x46/0x80\n[<0>] folio_wait_bit+0x1/0x2\n"
        ));
    }
}
