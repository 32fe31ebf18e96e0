//! Replaces files of several folders, all or none: what was begun is finished by the next run.

use camino::{Utf8Path, Utf8PathBuf};

use crate::diff::{excerpt, unified};
use crate::failure::{Kind, Result};
use crate::host::files;

/// In the folder that all the files are below. While it is there, some of them may be old and others new.
const JOURNAL: &str = ".refresh";
const OLD: &str = "old";
const NEW: &str = "new";

/// A file before and after; `None` where it does not exist.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// Below the folder.
    pub path: Utf8PathBuf,
    pub old: Option<Vec<u8>>,
    pub new: Option<Vec<u8>>,
}

/// A replacement of which all is on the disk, under other names.
#[derive(Debug)]
pub struct Replacement {
    folder: Utf8PathBuf,
}

impl Replacement {
    /// Changes nothing yet.
    pub fn begin(folder: &Utf8Path, changes: &[Change]) -> Result<Self> {
        let (guard, scratch) = files::temporary(folder)?;
        for change in changes {
            for (side, content) in [(OLD, &change.old), (NEW, &change.new)] {
                if let Some(content) = content {
                    files::write(&scratch.join(side).join(&change.path), content)?;
                }
            }
        }
        fs_err::rename(&scratch, folder.join(JOURNAL))?;
        // It is there under its other name, and stays.
        let _ = guard.keep();
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// What an earlier run began, if it was interrupted.
    pub fn left(folder: &Utf8Path) -> Option<Self> {
        folder.join(JOURNAL).exists().then(|| Self {
            folder: folder.to_owned(),
        })
    }

    /// Makes all files new. A file that is neither old nor new was edited meanwhile, which is a usage error.
    pub fn finish(self) -> Result<()> {
        let journal = self.folder.join(JOURNAL);
        let (old, new) = (below(&journal.join(OLD))?, below(&journal.join(NEW))?);
        for path in old.iter().chain(&new) {
            let read = |side: &str| fs_err::read(journal.join(side).join(path)).ok();
            let target = self.folder.join(path);
            let (now, old, new) = (fs_err::read(&target).ok(), read(OLD), read(NEW));
            if now == new {
                continue;
            }
            if now != old {
                let sides = [old.as_deref(), now.as_deref()];
                let diff = unified(target.as_str(), sides, [" as it was", " as it is now"]);
                return Err(Kind::Usage.error(format!(
                    "{target} was edited while patch files were being replaced; what it is to become is in \
                     {journal}/{NEW}: put that there and run this again, or remove {journal} to leave all as it is{}",
                    excerpt(&diff)
                )));
            }
            match new {
                Some(new) => files::write(&target, &new)?,
                None => files::remove(&target)?,
            }
        }
        // Under a name that nobody takes for a replacement, should this be interrupted.
        let (guard, doomed) = files::temporary(&self.folder)?;
        fs_err::rename(&journal, doomed.join(JOURNAL))?;
        Ok(guard.close()?)
    }
}

/// The files below a folder, by their paths in it.
fn below(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = match entry {
            Err(_) if !folder.exists() => return Ok(found),
            entry => entry.map_err(|error| Kind::Machinery.error(error))?,
        };
        let path = Utf8Path::from_path(entry.path());
        let path = path.and_then(|path| path.strip_prefix(folder).ok());
        if let (true, Some(path)) = (entry.file_type().is_file(), path) {
            found.push(path.to_owned());
        }
    }
    Ok(found)
}
