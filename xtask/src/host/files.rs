//! Files that are either whole or not there.

use std::fs::{File, Metadata, TryLockError};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use walkdir::WalkDir;

use super::locked::Locked;
use super::phase::{Pace, phase};
use super::proc::Stop;
use super::session::Session;
use crate::failure::{self, Kind, OrFail};
use crate::words::count;

/// What an interrupted run may leave; the next one removes it.
const TEMPORARY: &str = ".tmp-";

/// A folder that lives under a temporary name in `parent` until it is renamed or dropped.
pub fn temporary(parent: &Utf8Path) -> Result<(TempDir, Utf8PathBuf)> {
    fs_err::create_dir_all(parent)?;
    let dir = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempdir_in(parent)
        .with_context(|| format!("cannot create a temporary folder in {parent}"))?;
    let path = Utf8PathBuf::try_from(dir.path().to_owned())?;
    Ok((dir, path))
}

/// Removes what interrupted runs left in `parent`; nobody else may be at work there.
pub fn sweep(parent: &Utf8Path, session: &Session) -> failure::Result<()> {
    let entries = parent.read_dir_utf8().into_iter().flatten().flatten();
    let left: Vec<_> = entries
        .filter(|entry| entry.file_name().starts_with(TEMPORARY))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    phase(
        &session.events,
        format!("removing what an interrupted run left in {parent}"),
        || {
            let (mut files, mut pace) = (0, Pace::new(&session.events).of("files"));
            for entry in &left {
                clear(entry.path(), &session.stop, &mut || {
                    files += 1;
                    pace.tell(files, None, String::new);
                })?;
            }
            Ok(((), count(files, "file")))
        },
    )
}

/// Removes a folder of so many files that it can take minutes, which a stop ends.
///
/// It gets a temporary name first, so that half of it is never taken for a whole one.
pub fn discard(path: &Utf8Path, stop: &Stop) -> failure::Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default();
    let doomed = match name.starts_with(TEMPORARY) {
        true => path.to_owned(),
        false => path.with_file_name(format!("{TEMPORARY}{name}")),
    };
    if doomed != path {
        discard(&doomed, stop)?;
        fs_err::rename(path, &doomed)?;
    }
    clear(&doomed, stop, &mut || ())
}

/// Removes a folder, a file, or a link and not what it leads to; `on_each` hears of all that goes.
fn clear(path: &Utf8Path, stop: &Stop, on_each: &mut dyn FnMut()) -> failure::Result<()> {
    let entries = WalkDir::new(path).follow_root_links(false);
    for entry in entries.contents_first(true) {
        stop.check()?;
        let entry = entry.or_fail(Kind::Machinery)?;
        if entry.file_type().is_dir() {
            fs_err::remove_dir(entry.path())?;
        } else {
            fs_err::remove_file(entry.path())?;
        }
        on_each();
    }
    Ok(())
}

/// Removes a file or a whole folder, if it is there.
pub fn remove(path: &Utf8Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => Ok(fs_err::remove_dir_all(path)?),
        Ok(_) => Ok(fs_err::remove_file(path)?),
        Err(_) => Ok(()),
    }
}

/// Replaces a file at once; what is there after a crash is whole, too.
pub fn write(path: &Utf8Path, content: &[u8]) -> Result<()> {
    let parent = path
        .parent()
        .with_context(|| format!("{path} has no parent folder"))?;
    fs_err::create_dir_all(parent)?;
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(parent)
        .with_context(|| format!("cannot create a temporary file in {parent}"))?;
    file.write_all(content)
        .and_then(|()| file.as_file().sync_all())
        .with_context(|| format!("cannot write {path}"))?;
    file.persist(path)
        .with_context(|| format!("cannot write {path}"))?;
    Ok(())
}

/// Keeps a small value for the next run.
pub fn remember<T: Serialize>(path: &Utf8Path, value: &T) -> Result<()> {
    write(path, &serde_json::to_vec_pretty(value)?)
}

/// What an earlier run kept; a file that is absent or of another version tells nothing.
pub fn recall<T: DeserializeOwned>(path: &Utf8Path) -> Option<T> {
    serde_json::from_slice(&fs_err::read(path).ok()?).ok()
}

/// How long ago a file was written; a clock that went back makes it old.
pub fn age(path: &Utf8Path) -> Option<Duration> {
    let written = fs_err::metadata(path).ok()?.modified().ok()?;
    Some(
        SystemTime::now()
            .duration_since(written)
            .unwrap_or(Duration::MAX),
    )
}

/// Removes all but the newest files of a folder, and those that some run has a [`Lease`] on. What has a temporary name
/// is another run's, which still writes it.
pub fn keep_newest(folder: &Utf8Path, count: usize) -> Result<()> {
    let entries = folder.read_dir_utf8()?.flatten();
    let mut files: Vec<_> = entries
        .filter(|entry| !entry.file_name().starts_with(TEMPORARY))
        .map(camino::Utf8DirEntry::into_path)
        .collect();
    files.sort_by_key(|file| age(file));
    files.iter().skip(count).try_for_each(|file| retire(file))
}

/// Removes a file unless it is in use.
fn retire(path: &Utf8Path) -> Result<()> {
    let Ok(file) = File::open(path) else {
        return Ok(()); // another run was faster
    };
    match file.try_lock() {
        Ok(()) => remove(path),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {path}"))
        }
    }
}

/// A file that [`keep_newest`] leaves alone, in this process and in others, until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Lease {
    path: Utf8PathBuf,
    _shared: Arc<Locked>,
}

impl Lease {
    /// None if the file is not there, or is being removed.
    pub fn of(path: &Utf8Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        file.try_lock_shared().ok()?;
        // What was removed in between can be locked as well.
        let (held, there) = (file.metadata().ok()?, path.metadata().ok()?);
        let same = (held.dev(), held.ino()) == (there.dev(), there.ino());
        same.then(|| Self {
            path: path.to_owned(),
            _shared: Arc::new(Locked::of(file)),
        })
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

/// Tells whether a file is still the same without reading it, as git and make do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change.
    changed: (i64, i64),
}

impl Stamp {
    pub fn of(found: &Metadata) -> Self {
        Self {
            inode: found.ino(),
            size: found.len(),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// What a file was when it was made: kept apart from it, this tells later whether it has been cut or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    stamp: Stamp,
    digest: String,
}

impl Seal {
    pub fn of(path: &Utf8Path) -> Result<Self> {
        Ok(Self {
            stamp: Stamp::of(&fs_err::metadata(path)?),
            digest: digest([fs_err::read(path)?]),
        })
    }

    /// Whether the file is there, and has the same content. It is read only where it was touched since.
    pub fn holds(&self, path: &Utf8Path) -> bool {
        let Ok(found) = fs_err::metadata(path) else {
            return false;
        };
        let now = Stamp::of(&found);
        let read = || Self::of(path).is_ok_and(|it| it.digest == self.digest);
        now == self.stamp || (now.size == self.stamp.size && read())
    }
}

/// A name for content: the parts are told apart, whatever bytes they hold.
pub fn digest<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::event::Events;
    use crate::host::layout::Layout;

    #[test]
    fn digest_tells_parts_apart() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_ne!(digest(["ab"]), digest(["ab", ""]));
        assert_eq!(digest(["ab", "c"]), digest(["ab", "c"]));
    }

    #[test]
    fn what_is_removed_is_counted_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let doomed = dir.join(".tmp-x");
        fs_err::create_dir_all(doomed.join("a/b")).unwrap();
        write(&doomed.join("a/b/file"), b"").unwrap();
        write(&dir.join("kept/file"), b"").unwrap();
        std::os::unix::fs::symlink(dir.join("kept"), doomed.join("link")).unwrap();
        let (events, seen) = Events::channel();
        let session = Session::new(Layout::at(dir), Stop::default()).told_to(events);
        sweep(dir, &session).unwrap();
        drop(session);
        let seen: Vec<Event> = seen.iter().collect();
        assert!(
            seen.iter()
                .any(|event| matches!(event, Event::Progress { done: 1, .. }))
        );
        let ended = |event: &Event| matches!(event, Event::PhaseEnded { outcome, .. } if outcome == "5 files");
        assert!(seen.iter().any(ended), "{seen:?}");
        assert_eq!(
            (names(dir), names(&dir.join("kept"))),
            (vec!["kept".to_owned()], vec!["file".to_owned()])
        );
    }

    #[test]
    fn a_stop_ends_a_removal_and_the_rest_keeps_its_temporary_name() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        write(&dir.join("tree/file"), b"").unwrap();
        let stop = Stop::default();
        stop.request();
        let failure = discard(&dir.join("tree"), &stop).unwrap_err();
        assert_eq!(failure.kind, Kind::Interrupted);
        assert_eq!(names(dir), [".tmp-tree"]);
    }

    #[test]
    fn sweep_takes_only_temporary_names() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir(dir.join(".tmp-x")).unwrap();
        fs_err::write(dir.join(".tmp-x/file"), "").unwrap();
        write(&dir.join("kept"), b"whole").unwrap();
        let session = Session::new(Layout::at(dir), Stop::default());
        sweep(dir, &session).unwrap();
        assert_eq!(names(dir), ["kept"]);
    }

    #[test]
    fn the_newest_are_kept_and_what_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let now = SystemTime::now();
        for (name, age) in [("old", 300), ("new", 100), (".tmp-x", 900), ("newer", 0)] {
            let file = fs_err::File::create(dir.join(name)).unwrap();
            let written = now - Duration::from_secs(age);
            file.file().set_modified(written).unwrap();
        }
        keep_newest(dir, 2).unwrap();
        assert_eq!(names(dir), [".tmp-x", "new", "newer"]);
    }

    #[test]
    fn what_is_in_use_is_kept_until_the_last_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for name in ["a", "b"] {
            write(&dir.join(name), b"x").unwrap();
        }
        let [first, second] = [Lease::of(&dir.join("a")), Lease::of(&dir.join("a"))];
        keep_newest(dir, 0).unwrap();
        assert_eq!(names(dir), ["a"]);
        drop(first);
        keep_newest(dir, 0).unwrap();
        assert_eq!(names(dir), ["a"]);
        assert_eq!(second.unwrap().path(), dir.join("a"));
        keep_newest(dir, 0).unwrap();
        assert_eq!(names(dir), [""; 0]);
        assert!(Lease::of(&dir.join("a")).is_none());
    }

    /// Whoever has a lease has a file, however many remove what nobody uses.
    #[test]
    fn a_lease_is_of_a_file_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let file = dir.join("a");
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..100).for_each(|_| keep_newest(dir, 0).unwrap()));
            }
            for _ in 0..100 {
                write(&file, b"x").unwrap();
                if let Some(lease) = Lease::of(&file) {
                    assert!(lease.path().exists());
                }
            }
        });
    }

    #[test]
    fn a_seal_is_broken_by_other_content_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("file");
        write(&file, b"12345").unwrap();
        let seal = Seal::of(&file).unwrap();
        assert!(seal.holds(&file));
        for (content, holds) in [
            ("1234", false),
            ("12346", false),
            ("12345", true),
            ("", false),
        ] {
            fs_err::write(&file, content).unwrap();
            assert_eq!(seal.holds(&file), holds, "{content:?}");
        }
        fs_err::remove_file(&file).unwrap();
        assert!(!seal.holds(&file));
    }

    /// What is in a folder, sorted.
    fn names(dir: &Utf8Path) -> Vec<String> {
        let entries = dir.read_dir_utf8().unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_owned())
            .collect();
        names.sort();
        names
    }
}
