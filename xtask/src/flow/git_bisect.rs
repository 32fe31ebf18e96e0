//! `test-kernel --bisect`: exit codes as `git bisect run` reads them.
//!
//! It takes 0 for good, 125 for "cannot be tested", any other up to 127 for bad, and stops at what is above
//! (git-bisect(1)). So nothing but a case that failed may be 1, and what says nothing about the commit must not go on.

use std::ffi::OsString;

use crate::failure::{FAILED, Kind, PASSED, Result};

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
        Err(failure) if [Kind::NoBoot, Kind::Untested].contains(&failure.kind) => return SKIP,
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
    use camino::Utf8Path;
    use xshell::cmd;

    use super::*;
    use crate::host::git::Git;
    use crate::host::proc::Stop;

    #[test]
    fn exit_codes() {
        let failed = |kind: Kind| Err(kind.error("x"));
        for (end, wanted) in [
            (Ok(PASSED), 0),
            (Ok(FAILED), 1),
            (failed(Kind::Usage), 128),
            (failed(Kind::Build), 125),
            (failed(Kind::NoBoot), 125),
            (failed(Kind::Untested), 125),
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

    /// What `git bisect run` makes of commits that end so, the first good and the last bad: its exit code, and the
    /// number of the commit that it calls the first bad one.
    fn bisected(ends: &[Result<u8>]) -> (bool, Option<usize>) {
        let dir = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(dir.path()).unwrap();
        let stop = Stop::default();
        let git = |words: &[&str]| {
            let git = Git::at(place, &stop);
            git.output(cmd!(git, "git {words...}"), b"").unwrap()
        };
        git(&["init", "--quiet"]);
        for (end, number) in ends.iter().zip(0..) {
            let file = format!("exit {} # {number}", exit_code(end));
            fs_err::write(place.join("end"), file).unwrap();
            git(&["add", "end"]);
            git(&[
                "commit",
                "--quiet",
                "--message",
                &format!("number {number}"),
            ]);
        }
        let first = format!("HEAD~{}", ends.len() - 1);
        git(&["bisect", "start", "HEAD", &first]);
        let run = git(&["bisect", "run", "sh", "end"]);
        let bad = git(&["log", "-1", "--format=%s", "refs/bisect/bad"]);
        let said = String::from_utf8(run.stdout).unwrap();
        let bad = String::from_utf8(bad.stdout).unwrap();
        let number = bad.trim().strip_prefix("number ").unwrap().parse().ok();
        let found = number.filter(|_| said.contains("is the first bad commit"));
        (run.status.success(), found)
    }

    #[test]
    fn git_finds_the_commit_and_stops_where_nothing_can_be_learned() {
        let good = || Ok(PASSED);
        let bad = || Ok(FAILED);
        let no = |kind: Kind| Err(kind.error("x"));
        let skipping = |end| {
            let before = [good(), good(), good(), good()];
            let after = [good(), bad(), bad(), bad()];
            before.into_iter().chain([end]).chain(after).collect()
        };
        for (ends, wanted) in [
            (
                vec![good(), good(), good(), bad(), bad(), bad()],
                (true, Some(3)),
            ),
            // The middle, where git looks first.
            (skipping(no(Kind::Build)), (true, Some(6))),
            (skipping(no(Kind::NoBoot)), (true, Some(6))),
            (skipping(no(Kind::Untested)), (true, Some(6))),
            (
                vec![good(), good(), no(Kind::Machinery), bad(), bad()],
                (false, None),
            ),
            (
                vec![good(), good(), no(Kind::Usage), bad(), bad()],
                (false, None),
            ),
            (
                vec![good(), good(), no(Kind::Interrupted), bad(), bad()],
                (false, None),
            ),
        ] {
            assert_eq!(bisected(&ends), wanted, "{ends:?}");
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
