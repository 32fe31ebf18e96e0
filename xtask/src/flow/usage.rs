//! Who works under `target/freeze`: any number of commands at once, or `clean` alone.

use std::fs::{File, TryLockError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::{Kind, Result};
use crate::host::layout::Layout;
use crate::host::locked::Locked;
use crate::host::session::Session;
use crate::report::terminal;

/// Names of lock files, which are never removed: who waits for one has it open.
pub const LOCKS: [&str; 2] = [USED, PREPARED];
const USED: &str = "used";
/// See [`crate::host::lock`]: what a killed run has started may still hold it.
const PREPARED: &str = "lock";
const POLL: Duration = Duration::from_millis(200);

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _files: Vec<Locked>,
}

/// Keeps `clean` away; waits for one that is at work.
///
/// There is none where nothing can be written, and nothing to remove either.
pub fn share(session: &Session) -> Result<Lock> {
    let mut files = Vec::new();
    if let Some(file) = open(&session.layout.work(USED)) {
        let mut told = false;
        while let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
            if !std::mem::replace(&mut told, true) {
                terminal::text("waiting for the end of cargo xtask clean");
            }
            session.stop.sleep(POLL)?;
        }
        files.push(Locked::of(file));
    }
    Ok(Lock { _files: files })
}

/// Keeps everybody else away.
///
/// # Errors
/// [`Kind::Machinery`] if somebody is at work.
pub fn alone(layout: &Layout) -> Result<Lock> {
    let mut files = Vec::new();
    for path in LOCKS.map(|name| layout.work(name)) {
        let Some(file) = open(&path) else { continue };
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Kind::Machinery.error(format!(
                "a run of this checkout is at work; end it, or wait for its end{}",
                who(&path)
            )));
        }
        files.push(Locked::of(file));
    }
    Ok(Lock { _files: files })
}

fn open(path: &Utf8PathBuf) -> Option<File> {
    fs_err::create_dir_all(path.parent()?).ok()?;
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    options.open(path).ok()
}

/// Processes that have the file open, as the system tells it; other users' are not told.
fn who(path: &Utf8Path) -> String {
    let open_by = |pid: &str| {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
        let mut descriptors = descriptors.into_iter().flatten().flatten();
        descriptors.any(|it| std::fs::read_link(it.path()).is_ok_and(|file| file == *path))
    };
    let own = std::process::id().to_string();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids: Vec<String> = all
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| *pid != own && open_by(pid))
        .collect();
    match pids.as_slice() {
        [] => String::new(),
        pids => format!(" (process {})", pids.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::proc::Stop;

    #[test]
    fn clean_is_alone() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(Utf8Path::from_path(dir.path()).unwrap());
        let session = Session::new(layout, Stop::default());
        let Session { layout, stop, .. } = &session;
        let [one, other] = [share(&session).unwrap(), share(&session).unwrap()];
        assert_eq!(alone(layout).unwrap_err().kind, Kind::Machinery);
        drop(one);
        assert!(alone(layout).is_err());
        drop(other);
        let clean = alone(layout).unwrap();
        stop.request();
        assert_eq!(share(&session).unwrap_err().kind, Kind::Interrupted);
        drop(clean);
        share(&session).unwrap();
    }

    #[test]
    fn what_a_killed_run_left_at_work_counts() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(Utf8Path::from_path(dir.path()).unwrap());
        let make = open(&layout.work(PREPARED)).unwrap();
        make.lock().unwrap();
        assert!(alone(&layout).is_err());
    }
}
