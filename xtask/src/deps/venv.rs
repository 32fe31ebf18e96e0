//! Programs from PyPI, each in a Python environment of its own, with every version pinned.

use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Cmd, cmd};

use crate::event::Event;
use crate::failure::{Kind, Result};
use crate::host::environment::{NETWORKED, PLAIN};
use crate::host::phase::phase;
use crate::host::proc::{self, Stream};
use crate::host::session::Session;
use crate::host::{files, lock};
use crate::words::count;

/// A program, and where it comes from.
#[derive(Clone, Debug)]
pub struct Package {
    /// On PyPI.
    pub name: &'static str,
    /// In `configs/`: all versions, of what it needs as well.
    pub requirements: &'static str,
    pub folder: Utf8PathBuf,
    /// The program's name.
    pub program: &'static str,
}

/// Sets the environment up unless it holds what the requirements ask for, and returns the program's path.
///
/// Such an environment cannot be renamed (its scripts name their interpreter), so a
/// stamp written last tells a whole one from the rest of an interrupted run.
pub fn provide(package: &Package, session: &Session) -> Result<Utf8PathBuf> {
    let folder = &package.folder;
    let requirements = session.layout.configs().join(package.requirements);
    // An environment is tied to its interpreter, which an upgrade of the distribution replaces.
    let python = cmd!(
        PLAIN,
        "python3 -c 'import os, sys; print(os.path.realpath(sys.executable), sys.version)'"
    );
    let python = proc::read(python, &session.stop)?;
    let asked = fs_err::read_to_string(&requirements)?;
    let wanted = files::digest([asked.as_str(), folder.as_str(), &python]);
    let program = folder.join("bin").join(package.program);
    let stamp = folder.join("complete");
    let whole = || {
        files::recall::<String>(&stamp).is_some_and(|made| made == wanted)
            && program.exists()
            && folder.join("bin/python3").exists()
    };
    if whole() {
        return Ok(program);
    }
    let _lock = lock::hold(&session.layout.work("lock"), session)?;
    if !whole() {
        let what = format!("installing {} from PyPI", package.name);
        phase(&session.events, what, || {
            let packages = install(package, &requirements, session)?;
            files::remember(&stamp, &wanted)?;
            Ok(((), count(packages, "package")))
        })?;
    }
    Ok(program)
}

/// Makes the environment anew. Returns the number of packages in it.
fn install(package: &Package, requirements: &Utf8Path, session: &Session) -> Result<usize> {
    let Package { name, folder, .. } = package;
    files::discard(folder, &session.stop)?;
    let log = session.layout.work("venv.log");
    files::remove(&log)?;
    let mut packages = 0;
    let mut run = |line: Cmd<'_>| {
        proc::stream(line, &log, &session.stop, &mut |stream, line| {
            if stream == Stream::Out && line.starts_with("Collecting ") {
                packages += 1;
                session.events.send(Event::Progress {
                    done: packages as u64,
                    total: None,
                    unit: "",
                    item: line.to_owned(),
                });
            }
        })
    };
    run(cmd!(PLAIN, "python3 -m venv {folder}"))?;
    run(cmd!(
        NETWORKED,
        "{folder}/bin/python3 -m pip install --disable-pip-version-check --no-input --no-deps
         --requirement {requirements}"
    ))
    .map_err(|error| {
        error.or(Kind::Machinery).context(format!(
            "cannot install {name}; is the Python package index reachable?"
        ))
    })?;
    Ok(packages)
}
