//! Git as this program uses it: the same on every machine, whatever its configuration says.

use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Cmd, cmd};

use super::environment::{Environment, NETWORKED, PLAIN};
use super::proc::{self, Output, Stop};

/// Whose commits those are that only carry a source or a patch file into git.
const NAME: &str = "freeze series";
const EMAIL: &str = "freeze@localhost";
/// A fixed date makes the ids of such commits depend on nothing but content.
pub const DATE: &str = "2000-01-01T00:00:00Z";
/// All three, as commits have them.
pub const SIGNATURE: &str = "freeze series <freeze@localhost> 946684800 +0000";

/// A repository or work tree, and the run that works on it.
#[derive(Clone, Debug)]
pub struct Git {
    dir: Utf8PathBuf,
    environment: Environment,
    /// Whether a partial clone gets what it lacks as soon as that is looked at.
    completes: bool,
    stop: Stop,
}

impl Git {
    pub fn at(dir: impl Into<Utf8PathBuf>, stop: &Stop) -> Self {
        Self {
            dir: dir.into(),
            environment: PLAIN,
            completes: true,
            stop: stop.clone(),
        }
    }

    /// The same, and it finds the way out.
    pub fn networked(self) -> Self {
        Self {
            environment: NETWORKED,
            ..self
        }
    }

    /// The same, and what a partial clone lacks is not there: nothing is fetched into it.
    pub fn untouched(self) -> Self {
        Self {
            completes: false,
            ..self
        }
    }

    /// The same for another repository.
    pub fn elsewhere(&self, dir: impl Into<Utf8PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            ..self.clone()
        }
    }

    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// For `cmd!`: in a line that begins with `git` it works here.
    pub fn cmd(&self, git: impl AsRef<Path>) -> Cmd<'static> {
        // Without GIT_DIR and the like: those of a hook or a bisection that called us would lead to another repository.
        let mut git = self.environment.cmd(git);
        if !self.completes {
            // The second is for versions before 2.44, which fail where newer ones say that something is missing.
            git = git
                .env("GIT_NO_LAZY_FETCH", "1")
                .env("GIT_ALLOW_PROTOCOL", "none");
        }
        git.args(["-C", self.dir.as_str(), "-c", "safe.directory=*"])
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            // Their default is in the user's home, whatever the configuration.
            .envs([
                ("GIT_CONFIG_COUNT", "2"),
                ("GIT_CONFIG_KEY_0", "core.excludesFile"),
                ("GIT_CONFIG_VALUE_0", "/dev/null"),
                ("GIT_CONFIG_KEY_1", "core.attributesFile"),
                ("GIT_CONFIG_VALUE_1", "/dev/null"),
            ])
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", NAME)
            .env("GIT_AUTHOR_EMAIL", EMAIL)
            .env("GIT_AUTHOR_DATE", DATE)
            .env("GIT_COMMITTER_NAME", NAME)
            .env("GIT_COMMITTER_EMAIL", EMAIL)
            .env("GIT_COMMITTER_DATE", DATE)
    }

    /// Standard output without the last newline.
    pub fn read(&self, line: Cmd<'_>) -> proc::Result<String> {
        proc::read(line, &self.stop)
    }

    /// The same for a command that reads its standard input.
    pub fn pipe(&self, line: Cmd<'_>, input: &[u8]) -> proc::Result<String> {
        proc::pipe(line, input, &self.stop)
    }

    /// For commands whose exit status is an answer.
    pub fn output(&self, line: Cmd<'_>, input: &[u8]) -> proc::Result<Output> {
        proc::output(line, input, &self.stop)
    }

    /// The object that a revision names, if it exists.
    pub fn resolve(&self, revision: &str) -> proc::Result<Option<String>> {
        let parse = cmd!(self, "git rev-parse --quiet --verify {revision}");
        let output = self.output(parse, b"")?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((output.status.success() && !id.is_empty()).then_some(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_in_the_users_home_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let settings = dir.join(".config/git");
        fs_err::create_dir_all(&settings).unwrap();
        fs_err::write(settings.join("ignore"), "*.c\n").unwrap();
        fs_err::write(settings.join("attributes"), "*.c text eol=crlf\n").unwrap();
        fs_err::write(dir.join("a.c"), "a\r\n").unwrap();
        let git = Git::at(dir, &Stop::default());
        let read = |line: Cmd<'_>| git.read(line.env("HOME", dir)).unwrap();
        read(cmd!(git, "git init --quiet"));
        read(cmd!(git, "git add --all"));
        assert_eq!(read(cmd!(git, "git ls-files -- *.c")), "a.c");
        assert_eq!(read(cmd!(git, "git cat-file -s :a.c")), "3");
    }
}
