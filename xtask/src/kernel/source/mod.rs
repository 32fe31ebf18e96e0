//! Where a kernel's source comes from. Whatever it is, it ends as a commit in a bare repository of ours.

mod clone;
mod given;
mod package;
mod repository;
mod stream;
mod unpack;

use std::time::Duration;

use camino::Utf8PathBuf;

use super::bases::Base;
use super::files;
use super::git::Git;
use crate::event::Events;
use crate::failure::Result;
use crate::layout::Layout;
use crate::proc::Stop;

pub use given::{Given, name_some};

/// How long an answer of apt about the newest version is good for.
pub const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// How git names a pack, of a gigabyte perhaps, until it is whole.
const PACK_IN_MAKING: &str = "tmp_pack_";

/// A source that is wholly in git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Tells the trees and builds of different sources apart, in names of folders.
    pub name: String,
    /// For people: package and version, or path and commit.
    pub label: String,
    pub repository: Utf8PathBuf,
    pub commit: String,
}

/// Gets the source; apt is asked for a newer one if its last answer is older than `fresh`.
pub fn obtain(
    base: &Base,
    given: Option<&Given>,
    fresh: Duration,
    layout: &Layout,
    events: &Events,
    stop: &Stop,
) -> Result<Source> {
    match given {
        Some(given) => given.obtain(layout, events, stop),
        None => package::Package {
            base,
            layout,
            events,
            stop,
        }
        .obtain(fresh),
    }
}

/// Whether some source of that name was got before, and wholly: its tag is set last.
pub fn is_known(name: &str, layout: &Layout, stop: &Stop) -> Result<bool> {
    let path = repository::path(name, layout);
    if !path.join("HEAD").exists() {
        return Ok(false);
    }
    let tags = Git::at(path, stop).read(["for-each-ref", "--count=1", "refs/tags"])?;
    Ok(!tags.is_empty())
}

/// Removes what interrupted runs left beside and in the repositories; the run's lock must be held.
pub fn sweep(layout: &Layout, events: &Events, stop: &Stop) -> Result<()> {
    let sources = layout.sources();
    files::sweep(&sources, events, stop)?;
    let repositories = sources.read_dir_utf8().into_iter().flatten().flatten();
    for repository in repositories.filter(|entry| entry.path().extension() == Some("git")) {
        files::sweep(repository.path(), events, stop)?;
        let packs = repository.path().join("objects/pack");
        let packs = packs.read_dir_utf8().into_iter().flatten().flatten();
        packs
            .filter(|pack| pack.file_name().starts_with(PACK_IN_MAKING))
            .try_for_each(|pack| files::remove(pack.path()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_import_leaves_nothing_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(camino::Utf8Path::from_path(dir.path()).unwrap());
        let stop = Stop::default();
        let repository = repository::open("x", None, &layout, &stop).unwrap();
        let packs = repository.dir().join("objects/pack");
        for name in ["tmp_pack_Ab1", "pack-1.pack"] {
            files::write(&packs.join(name), b"").unwrap();
        }
        sweep(&layout, &Events::channel().0, &stop).unwrap();
        assert!(!packs.join("tmp_pack_Ab1").exists() && packs.join("pack-1.pack").exists());
        assert!(!is_known("x", &layout, &stop).unwrap());
    }
}
