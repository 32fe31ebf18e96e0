//! Errors by the exit code they end in.

use std::fmt;

/// Why a command could not give a verdict about the cases.
///
/// `?` on an [`anyhow::Error`] means the machinery failed; the other kinds are said explicitly with [`Kind`].
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    pub error: anyhow::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line or a file named on it is wrong: exit code 2.
    Usage,
    /// A patch does not apply, an option got lost, the compiler failed: exit code 3.
    Build,
    /// No source, no tool, no boot, no space: exit code 4.
    Machinery,
    /// A kernel that was built does not get as far as a case: exit code 4, too.
    NoBoot,
    /// Nothing ran of what was asked for, which another kernel may have: exit code 4.
    Untested,
    /// A case failed, and none was to run after it: exit code 1.
    Failed,
    /// Ctrl-C: exit code 130, as a shell reports it.
    Interrupted,
}

/// Exit code 0: everything passed.
pub const PASSED: u8 = 0;
/// Exit code 1: at least one case, or one check, failed.
pub const FAILED: u8 = 1;

pub type Result<T> = std::result::Result<T, Failure>;

impl Kind {
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Usage => 2,
            Kind::Build => 3,
            Kind::Failed => FAILED,
            Kind::Machinery | Kind::NoBoot | Kind::Untested => 4,
            Kind::Interrupted => 130,
        }
    }

    /// An error of this kind: `return Err(Kind::Usage.error("no such base"))`.
    pub fn error(self, what: impl fmt::Display) -> Failure {
        Failure {
            kind: self,
            error: anyhow::anyhow!("{what}"),
        }
    }
}

impl Failure {
    /// Says what was being done, in front of what went wrong.
    pub fn context(self, what: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self {
            error: self.error.context(what),
            ..self
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            kind: Kind::Machinery,
            error,
        }
    }
}

/// For errors that name their file, as those of `fs_err` do.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self {
            kind: Kind::Machinery,
            error: error.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Says which exit code an error is worth: `parse(arg).or_fail(Kind::Usage)?`.
pub trait OrFail<T> {
    fn or_fail(self, kind: Kind) -> Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for std::result::Result<T, E> {
    fn or_fail(self, kind: Kind) -> Result<T> {
        self.map_err(|error| Failure {
            kind,
            error: error.into(),
        })
    }
}
