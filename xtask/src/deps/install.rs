//! Installs packages without ever removing one.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use camino::Utf8PathBuf;
use nix::unistd::geteuid;
use xshell::{Cmd, cmd};

use super::advice::by_hand;
use super::apt::{Root, codename};
use super::need::{Missing, program};
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::host::environment::{NETWORKED, PLAIN};
use crate::host::phase::phase;
use crate::host::proc::{self, Stop, Stream};
use crate::host::session::Session;
use crate::words::count;

/// Suites that may hold what fits a machine with newer packages than its own release has.
const BACKPORTS_FRESH: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon a Ctrl-C during an installation is answered.
const POLL: Duration = Duration::from_millis(50);

/// Installs what is missing, as root or by sudo if that asks for no password; else the error is the line to run.
pub fn install(missing: &[Missing], session: &Session) -> Result<()> {
    let packages: Vec<&str> = missing
        .iter()
        .map(|missing| missing.package.as_str())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
    if program("apt-get").is_none() {
        let what: Vec<&str> = missing
            .iter()
            .map(|missing| missing.what.as_str())
            .collect();
        return Err(Kind::Machinery.error(format!(
            "there is no apt-get here; please install {}",
            what.join(", ")
        )));
    }
    let Some(by_sudo) = by_sudo(&session.stop)? else {
        return Err(Kind::Machinery.error(format!(
            "root is needed to install packages; run: {}",
            by_hand(&packages)
        )));
    };
    phase(
        &session.events,
        format!("installing {}", packages.join(" ")),
        || {
            let apt = Apt { by_sudo, session };
            apt.install_all(&packages)?;
            Ok(((), count(packages.len(), "package")))
        },
    )
}

/// Whether it takes sudo to run a command as root; `None` if there is no way without a password.
fn by_sudo(stop: &Stop) -> Result<Option<bool>> {
    if geteuid().is_root() {
        return Ok(Some(false));
    }
    if program("sudo").is_none() {
        return Ok(None);
    }
    let allowed = proc::output(cmd!(PLAIN, "sudo -n true"), b"", stop)?;
    Ok(allowed.status.success().then_some(true))
}

struct Apt<'a> {
    by_sudo: bool,
    session: &'a Session,
}

impl Apt<'_> {
    /// All at once; if that fails, with fresh indexes; if that fails, one by one, from backports where it must be:
    /// a machine with a newer library or tool than its release has cannot take the release's other packages.
    fn install_all(&self, packages: &[&str]) -> Result<()> {
        let plain = |packages: &[&str]| self.try_install(cmd!(NETWORKED, "apt-get"), packages);
        if plain(packages)?.is_none() {
            return Ok(());
        }
        // Third-party sources may fail here; whether it matters is seen below.
        let _ = self.run(cmd!(NETWORKED, "apt-get update -q"), &self.session.stop)?;
        if plain(packages)?.is_none() {
            return Ok(());
        }
        for package in packages {
            let Some(refusal) = plain(&[package])? else {
                continue;
            };
            let suite = format!("{}-backports", codename()?);
            let root = Root::at(
                self.session.layout.work("apt").join(&suite),
                std::slice::from_ref(&suite),
                &self.session.stop,
            )?;
            root.update(BACKPORTS_FRESH, self.session)
                .map_err(|error| error.context(refusal.clone()))?;
            match self.try_install(cmd!(root, "apt-get -t {suite}"), &[package])? {
                None => self.session.events.note(format!(
                    "{package} was installed from {suite}, since apt refused that of {}: {}",
                    codename()?,
                    plainly(&refusal)
                )),
                Some(second) => return Err(self.give_up(package, &refusal, &second)),
            }
        }
        Ok(())
    }

    fn give_up(&self, package: &str, plain: &str, backports: &str) -> Failure {
        let (line, log) = (by_hand(&[package]), self.log());
        let (plain, backports) = (plainly(plain), plainly(backports));
        Kind::Machinery.error(format!(
            "apt does not install {package} without removing other packages; look what it wants: {line}\n\
             from this release: {plain}\nfrom backports: {backports}\nfull log: {log}"
        ))
    }

    fn log(&self) -> Utf8PathBuf {
        self.session.layout.work("apt.log")
    }

    /// `None` if it worked, else what apt says.
    fn try_install(&self, apt: Cmd<'_>, packages: &[&str]) -> Result<Option<String>> {
        let how = "-y -q --no-install-recommends --no-remove -o DPkg::Lock::Timeout=120";
        let install = apt.arg("install").args(how.split(' ')).args(packages);
        self.to_the_end(|never| self.run(install, never))
    }

    /// Shields a step from Ctrl-C, which takes effect after it: a dpkg that is killed leaves packages half-installed.
    fn to_the_end<T>(&self, step: impl FnOnce(&Stop) -> Result<T>) -> Result<T> {
        self.session.stop.check()?;
        let done = AtomicBool::new(false);
        let result = std::thread::scope(|scope| {
            scope.spawn(|| self.answer_a_stop(&done));
            let result = step(&Stop::default());
            done.store(true, Ordering::Relaxed);
            result
        });
        self.session.stop.check()?;
        result
    }

    fn answer_a_stop(&self, done: &AtomicBool) {
        while !done.load(Ordering::Relaxed) {
            if self.session.stop.requested() {
                self.session
                    .events
                    .note("interrupted: waiting for apt to finish");
                return;
            }
            std::thread::sleep(POLL);
        }
    }

    fn run(&self, line: Cmd<'_>, stop: &Stop) -> Result<Option<String>> {
        let mut command = Command::from(line.env("DEBIAN_FRONTEND", "noninteractive"));
        if self.by_sudo {
            let (apt, args) = (command.get_program(), command.get_args());
            // sudo drops the environment.
            command = cmd!(
                PLAIN,
                "sudo -n env DEBIAN_FRONTEND=noninteractive LC_ALL=C {apt} {args...}"
            )
            .into();
        }
        let log = self.log();
        fs_err::create_dir_all(self.session.layout.work(""))?;
        let mut done = 0;
        let result = proc::stream(&mut command, &log, stop, &mut |stream, line| {
            if stream == Stream::Out && !line.is_empty() {
                done += 1;
                self.session.events.send(Event::Progress {
                    done,
                    total: None,
                    unit: "",
                    item: line.to_owned(),
                });
            }
        });
        match result {
            Ok(()) => Ok(None),
            Err(proc::Error::Failed(error)) => Ok(Some(reasons(&format!("{error:#}")))),
            Err(interrupted) => Err(interrupted.into()),
        }
    }
}

/// What apt says of `--no-remove` is an answer to a question that the user did not ask.
fn plainly(reasons: &str) -> String {
    reasons.replace(
        "Packages need to be removed but remove is disabled.",
        "it would have removed packages that are installed here",
    )
}

/// The lines of apt's answer that say why.
fn reasons(said: &str) -> String {
    let errors: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("E: "))
        .collect();
    if errors.is_empty() {
        said.to_owned()
    } else {
        errors.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_our_words() {
        let said = "`apt-get install -y qemu` failed (exit status: 100):\n\
            E: Packages need to be removed but remove is disabled.\nE: Broken";
        let told = plainly(&reasons(said));
        assert_eq!(
            told,
            "it would have removed packages that are installed here Broken"
        );
        assert_eq!(plainly(&reasons("killed")), "killed");
    }
}
