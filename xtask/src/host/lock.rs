//! One run at a time changes what is under `target/freeze`.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::time::Duration;

use camino::Utf8Path;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::locked::Locked;
use super::session::Session;
use crate::failure::{Kind, Result};

/// How soon a waiting run notices that it is its turn.
const POLL: Duration = Duration::from_millis(200);

/// Held until dropped. If the process is killed, the system releases it when the last of its children is gone.
#[derive(Debug)]
pub struct Lock {
    _file: Locked,
}

/// Waits for the other runs of this checkout; the file names the one that holds the lock.
pub fn hold(path: &Utf8Path, session: &Session) -> Result<Lock> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let mut options = fs_err::OpenOptions::new();
    let (mut file, _) = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?
        .into_parts();
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(Kind::Machinery.error(format!("cannot lock {path}: {error}")));
            }
        }
        if !std::mem::replace(&mut told, true) {
            session.events.note(format!(
                "another run is preparing a kernel in this checkout: waiting for {}",
                holder(path)
            ));
        }
        session.stop.sleep(POLL)?;
    }
    file.set_len(0)?;
    write!(
        file,
        "pid {}: {}",
        std::process::id(),
        std::env::args().skip(1).collect::<Vec<_>>().join(" ")
    )?;
    // Children inherit it: a make that outlives this process still writes where the next run would.
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty()))
        .map_err(|error| Kind::Machinery.error(format!("cannot share {path}: {error}")))?;
    Ok(Lock {
        _file: Locked::of(file),
    })
}

fn holder(path: &Utf8Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    match read {
        Ok(_) if !text.is_empty() => text,
        _ => format!("whoever holds {path}"),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::host::layout::Layout;
    use crate::host::proc;
    use crate::host::proc::Stop;

    #[test]
    fn children_share_it_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let path = dir.join("lock");
        let session = Session::new(Layout::at(dir), Stop::default());
        let lock = hold(&path, &session).unwrap();
        let mut list = Command::new("sh");
        list.args(["-c", "ls -l /proc/$$/fd"]);
        let open = proc::read(&mut list, &session.stop).unwrap();
        assert!(open.contains(path.as_str()), "{open}");

        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        drop(lock);
        let free = File::open(&path).unwrap().try_lock().is_ok();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(free);
    }
}
