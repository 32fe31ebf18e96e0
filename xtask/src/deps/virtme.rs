//! virtme-ng in a Python environment of its own, with every version pinned.

use std::process::Command;

use camino::Utf8PathBuf;

use crate::event::Event;
use crate::failure::{Kind, Result};
use crate::host::phase::phase;
use crate::host::proc::{self, Stream};
use crate::host::session::Session;
use crate::host::{environment, files};
use crate::words::count;

/// Programs of an environment that is complete.
#[derive(Clone, Debug)]
pub struct Virtme {
    pub virtme_run: Utf8PathBuf,
}

/// Sets the environment up unless it holds what `configs/virtme-requirements.txt` asks for.
///
/// Such an environment cannot be renamed (its scripts name their interpreter), so a
/// stamp written last tells a whole one from the rest of an interrupted run.
pub fn virtme(session: &Session) -> Result<Virtme> {
    let requirements = session.layout.configs().join("virtme-requirements.txt");
    let venv = session.layout.venv();
    // An environment is tied to its interpreter, which an upgrade of the distribution replaces.
    let mut python = environment::command("python3");
    python.args([
        "-c",
        "import os, sys; print(os.path.realpath(sys.executable), sys.version)",
    ]);
    let python = proc::read(&mut python, &session.stop)?;
    let asked = fs_err::read_to_string(&requirements)?;
    let wanted = files::digest([asked.as_str(), venv.as_str(), &python]);
    let virtme = Virtme {
        virtme_run: venv.join("bin/virtme-run"),
    };
    let stamp = venv.join("complete");
    let whole = || {
        files::recall::<String>(&stamp).is_some_and(|made| made == wanted)
            && virtme.virtme_run.exists()
            && venv.join("bin/python3").exists()
    };
    if whole() {
        return Ok(virtme);
    }
    let _lock = crate::host::lock::hold(&session.layout.work("lock"), session)?;
    if whole() {
        return Ok(virtme);
    }
    phase(&session.events, "installing virtme-ng from PyPI", || {
        files::discard(&venv, &session.stop)?;
        let log = session.layout.work("venv.log");
        files::remove(&log)?;
        let mut packages = 0;
        let mut run = |command: &mut Command| {
            proc::stream(command, &log, &session.stop, &mut |stream, line| {
                if stream == Stream::Out && line.starts_with("Collecting ") {
                    packages += 1;
                    session.events.send(Event::Progress {
                        done: packages,
                        total: None,
                        unit: "",
                        item: line.to_owned(),
                    });
                }
            })
        };
        run(environment::command("python3").args(["-m", "venv", venv.as_str()]))?;
        let mut pip = environment::networked(venv.join("bin/python3"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
        ]);
        run(pip.args(["--requirement", requirements.as_str()])).map_err(|error| {
            error
                .or(Kind::Machinery)
                .context("cannot install virtme-ng; is the Python package index reachable?")
        })?;
        files::remember(&stamp, &wanted)?;
        Ok((virtme, count(packages, "package")))
    })
}
