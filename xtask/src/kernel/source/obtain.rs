//! A source, however it is given: got, known, swept.

use std::time::Duration;

use xshell::cmd;

use super::given::Given;
use super::package;
use super::repository::{self, Source};
use crate::failure::Result;
use crate::host::files;
use crate::host::git::Git;
use crate::host::session::Session;
use crate::kernel::bases::Base;

/// How long an answer of apt about the newest version is good for.
pub const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// How git names a pack, of a gigabyte perhaps, until it is whole.
const PACK_IN_MAKING: &str = "tmp_pack_";

/// Gets the source; apt is asked for a newer one if its last answer is older than `fresh`.
pub fn obtain(
    base: &Base,
    given: Option<&Given>,
    fresh: Duration,
    session: &Session,
) -> Result<Source> {
    match given {
        Some(given) => given.obtain(session),
        None => package::Package { base, session }.obtain(fresh),
    }
}

/// A certain version of a base's package; apt is asked for what is not here.
pub fn version(base: &Base, wanted: &str, session: &Session) -> Result<Source> {
    package::Package { base, session }.version(wanted)
}

/// Whether some source of that name was got before, and wholly: its tag is set last.
pub fn is_known(name: &str, session: &Session) -> Result<bool> {
    let path = repository::path(name, &session.layout);
    if !path.join("HEAD").exists() {
        return Ok(false);
    }
    let git = Git::at(path, &session.stop);
    let tags = git.read(cmd!(git, "git for-each-ref --count=1 refs/tags"))?;
    Ok(!tags.is_empty())
}

/// Removes what interrupted runs left beside and in the repositories; the run's lock must be held.
pub fn sweep(session: &Session) -> Result<()> {
    let sources = session.layout.sources();
    files::sweep(&sources, session)?;
    let repositories = sources.read_dir_utf8().into_iter().flatten().flatten();
    for repository in repositories.filter(|entry| entry.path().extension() == Some("git")) {
        files::sweep(repository.path(), session)?;
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
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;

    #[test]
    fn an_interrupted_import_leaves_nothing_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(camino::Utf8Path::from_path(dir.path()).unwrap());
        let session = Session::new(layout, Stop::default());
        let repository = repository::open("x", None, &session).unwrap();
        let packs = repository.dir().join("objects/pack");
        for name in ["tmp_pack_Ab1", "pack-1.pack"] {
            files::write(&packs.join(name), b"").unwrap();
        }
        sweep(&session).unwrap();
        assert!(!packs.join("tmp_pack_Ab1").exists() && packs.join("pack-1.pack").exists());
        assert!(!is_known("x", &session).unwrap());
    }
}
