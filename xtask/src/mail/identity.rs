//! Who sends.

use std::fmt;

use xshell::{Cmd, cmd};

use crate::failure::{Kind, Result};
use crate::host::environment::PLAIN;
use crate::host::proc::{self, Stop};
use crate::host::session::Session;

/// Who sends the mails, and so who has made the commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub email: String,
}

impl fmt::Display for Identity {
    /// As mails have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <{}>", self.name, self.email)
    }
}

/// The identity in the user's git configuration.
pub fn of_user(session: &Session) -> Result<Identity> {
    let root = session.layout.root();
    identity_by(&session.stop, |key| {
        // What the user has set; no other program of ours may see it.
        let passed = ["XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL"];
        let passed = passed.map(|name| (name, std::env::var_os(name)));
        let passed = passed
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        cmd!(PLAIN, "git -C {root} config --get {key}").envs(passed)
    })
}

fn identity_by<'a>(stop: &Stop, line: impl Fn(&str) -> Cmd<'a>) -> Result<Identity> {
    let read = |key: &str, example: &str| {
        let output = proc::output(line(key), b"", stop)?;
        let value = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if value.is_empty() {
            return Err(Kind::Usage.error(format!(
                "nobody is there to send mails: git knows no {key}; run: git config --global {key} '{example}'"
            )));
        }
        Ok(value)
    };
    Ok(Identity {
        name: read("user.name", "Your Name")?,
        email: read("user.email", "you@example.org")?,
    })
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::host::layout::Layout;

    #[test]
    fn who_sends_stands_in_the_users_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let identity = || {
            let file = dir.join("config");
            identity_by(&Stop::default(), |key| {
                cmd!(PLAIN, "git config --file {file} --get {key}")
            })
        };
        let failure = identity().unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(
            failure
                .to_string()
                .contains("git config --global user.name"),
            "{failure}"
        );
        fs_err::write(dir.join("config"), "[user]\nname = A Person\n").unwrap();
        let failure = identity().unwrap_err();
        assert!(
            failure
                .to_string()
                .contains("git config --global user.email"),
            "{failure}"
        );
        fs_err::write(
            dir.join("config"),
            "[user]\nname = A Person\nemail = a@example.org\n",
        )
        .unwrap();
        let found = Identity {
            name: "A Person".into(),
            email: "a@example.org".into(),
        };
        assert_eq!(identity().unwrap(), found);
        // Of whoever runs the tests.
        if let Err(failure) = of_user(&Session::new(
            Layout::of_this_checkout().unwrap(),
            Stop::default(),
        )) {
            assert_eq!(failure.kind, Kind::Usage, "{failure}");
        }
    }
}
