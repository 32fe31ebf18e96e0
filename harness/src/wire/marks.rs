//! How the lines begin that host, init and case know each other's words by, and the exit codes of a case.

use std::fmt::{self, Display};

/// Starts a line in which a case says what it does next.
pub const STEP: &str = "step: ";
/// Starts it once the case is over, whatever came of it.
pub const CLEANUP: &str = "step: cleanup: ";
/// Starts the line in which a case says why it cannot run.
pub const SKIP: &str = "skip: ";
/// Starts the line of the kernel log that is written before each case, `FS CASE SECRET`.
pub const MARK: &str = "harness: start ";
/// Starts a line in which init says, among what a case says, what the kernel complained of.
pub const COMPLAINT: &str = "the kernel complained: ";

/// Exit codes of `harness case`, as kselftest has them.
pub const PASSED: u8 = 0;
pub const FAILED: u8 = 1;
pub const SKIPPED: u8 = 4;
/// Failed, and left something that cannot be taken down.
pub const DIRTY: u8 = 5;

/// How a plan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Complete,
    /// A case hangs, could not clean up, or cannot be started: the guest cannot be trusted any more.
    Spoilt,
}

impl Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::Complete => "complete",
            Ending::Spoilt => "spoilt",
        })
    }
}
