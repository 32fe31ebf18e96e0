//! `test-kernel --bisect`: exit codes as `git bisect run` reads them.
//!
//! It takes 0 for good, 125 for "cannot be tested", any other up to 127 for bad, and stops at what is above
//! (git-bisect(1)). So nothing but a case that failed may be 1, and what says nothing about the commit must not go on.

use std::ffi::OsString;

use super::{FAILED, PASSED};
use crate::failure::{Kind, Result};

/// Another commit may do better.
const SKIP: u8 = 125;
/// No other commit will.
const ABORT: u8 = 128;

/// Whether the flag is among these arguments, which may be wrong otherwise.
pub fn is_asked(arguments: impl Iterator<Item = OsString>) -> bool {
    // What follows is a guest's command.
    let mut ours = arguments.take_while(|argument| argument != "--");
    ours.any(|argument| argument == "--bisect")
}

pub fn exit_code(end: &Result<u8>) -> u8 {
    let code = match end {
        Err(failure) if failure.kind == Kind::NoBoot => return SKIP,
        Err(failure) => failure.kind.exit_code(),
        Ok(code) => *code,
    };
    if [PASSED, FAILED, Kind::Interrupted.exit_code()].contains(&code) {
        code
    } else if code == Kind::Build.exit_code() {
        SKIP
    } else {
        ABORT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        let failed = |kind: Kind| Err(kind.error("x"));
        for (end, wanted) in [
            (Ok(PASSED), 0),
            (Ok(FAILED), 1),
            (failed(Kind::Usage), 128),
            (failed(Kind::Build), 125),
            (failed(Kind::NoBoot), 125),
            (failed(Kind::Machinery), 128),
            (failed(Kind::Interrupted), 130),
            // Of several bases, the worst.
            (Ok(3), 125),
            (Ok(4), 128),
            (Ok(101), 128),
        ] {
            assert_eq!(exit_code(&end), wanted, "{end:?}");
        }
    }

    #[test]
    fn it_is_asked_for_by_its_flag_only() {
        let asked = |line: &str| is_asked(line.split(' ').map(OsString::from));
        assert!(asked("test-kernel --nonesuch --bisect"));
        assert!(!asked("test-kernel --filter bisect"));
        assert!(!asked("shell -- git bisect --bisect"));
    }
}
