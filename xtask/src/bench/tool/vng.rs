//! virtme-ng's own command, as someone has it who has set nothing.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::Result;
use crate::host::claim::Scratch;
use crate::host::environment;

#[derive(Debug)]
pub struct Vng {
    /// Where its programs are; it calls them by name.
    programs: Utf8PathBuf,
    /// An empty folder: the user's settings are in `~/.config/virtme-ng`.
    home: Scratch,
}

impl Vng {
    /// The one that `virtme_run` belongs to; its home is made in `parent`.
    pub fn new(virtme_run: &Utf8Path, parent: &Utf8Path) -> Result<Self> {
        Ok(Self {
            programs: virtme_run.parent().unwrap_or(virtme_run).to_owned(),
            home: Scratch::new(parent, "home-")?,
        })
    }

    pub fn command(&self) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = environment::compiling(self.programs.join("vng"));
        command
            .env("PATH", format!("{}:{path}", self.programs))
            .env("HOME", self.home.path());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::proc::{Stop, read};
    use crate::host::scripts;

    #[test]
    fn it_finds_its_programs_and_a_home_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let script = dir.join("vng");
        scripts::make(&script, "#!/bin/sh\necho $HOME $PATH\n");
        let vng = Vng::new(&dir.join("virtme-run"), dir).unwrap();
        let said = read(&mut vng.command(), &Stop::default()).unwrap();
        let wanted = format!("{} {dir}:", vng.home.path());
        assert!(said.starts_with(&wanted), "{said}");
    }
}
