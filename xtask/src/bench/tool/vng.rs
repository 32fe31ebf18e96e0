//! virtme-ng's own command, as someone has it who has set nothing.

use camino::{Utf8Path, Utf8PathBuf};
use xshell::Cmd;

use crate::failure::Result;
use crate::host::claim::Scratch;
use crate::host::environment::PLAIN;

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

    /// For `cmd!`.
    pub fn cmd(&self, program: &str) -> Cmd<'static> {
        let path = std::env::var("PATH").unwrap_or_default();
        PLAIN
            .cmd(self.programs.join(program))
            .env("PATH", format!("{}:{path}", self.programs))
            .env("HOME", self.home.path())
    }
}

#[cfg(test)]
mod tests {
    use xshell::cmd;

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
        let said = read(cmd!(vng, "vng"), &Stop::default()).unwrap();
        let wanted = format!("{} {dir}:", vng.home.path());
        assert!(said.starts_with(&wanted), "{said}");
    }
}
