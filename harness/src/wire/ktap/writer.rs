//! Writes what happens in the guest.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::outcome::{Outcome, Verdict};
use super::text::one_line;
use crate::wire::filesystem::Filesystem;
use crate::wire::marks::Ending;

/// Begins the line that says why a case could not be started, `NAME: REASON`.
pub const CANNOT_START: &str = "cannot start ";
/// Begins the last line of all: init is about to end the machine, as the [`Ending`] says.
pub const END: &str = "end ";

/// A KTAP stream. Every line is flushed: the guest may die at any moment.
///
/// Each line has a prefix, which [`unseal`] takes off: a word that proves where it comes from, and the guest's time.
#[derive(Debug)]
pub struct Ktap<W> {
    out: W,
    secret: String,
}

/// The guest's time, and the line of KTAP; `None` if the line does not begin with the secret.
pub fn unseal<'a>(line: &'a str, secret: &str) -> Option<(Duration, &'a str)> {
    let (time, line) = line
        .strip_prefix(secret)?
        .strip_prefix(' ')?
        .split_once(' ')?;
    Some((Duration::from_millis(time.parse().ok()?), line))
}

/// The time that deadlines are measured by, since some moment before init.
fn now() -> Duration {
    // It cannot fail for this clock (clock_gettime(2)).
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

impl<W: Write> Ktap<W> {
    pub fn new(out: W, secret: &str) -> Ktap<W> {
        Ktap {
            out,
            secret: secret.to_owned(),
        }
    }

    /// The outer level, with one result for each filesystem.
    pub fn begin(&mut self, subtests: usize) -> io::Result<()> {
        self.line("KTAP version 1")?;
        self.line(format_args!("1..{subtests}"))
    }

    pub fn begin_subtest(&mut self, filesystem: Filesystem, cases: usize) -> io::Result<()> {
        self.inner("KTAP version 1")?;
        self.inner(format_args!("# Subtest: {filesystem}"))?;
        self.inner(format_args!("1..{cases}"))
    }

    /// Before the case begins, so that a dead guest can leave no pass.
    pub fn start(&mut self, case: &str) -> io::Result<()> {
        self.inner(format_args!("# start {case}"))
    }

    /// It has not begun, whatever [`Ktap::start`] said.
    pub fn cannot_start(&mut self, case: &str, reason: &str) -> io::Result<()> {
        let reason = one_line(reason);
        self.inner(format_args!("# {CANNOT_START}{case}: {reason}"))
    }

    /// One diagnostic line for each line of `text`.
    pub fn diagnostic(&mut self, case: &str, text: &str) -> io::Result<()> {
        text.lines()
            .try_for_each(|line| self.inner(format_args!("# {case}: {line}")))
    }

    /// Numbers start at 1.
    pub fn result(&mut self, number: usize, outcome: &Outcome) -> io::Result<()> {
        self.inner(outcome.line(number))
    }

    pub fn end_subtest(
        &mut self,
        number: usize,
        filesystem: Filesystem,
        passed: bool,
    ) -> io::Result<()> {
        let verdict = match passed {
            true => Verdict::Passed,
            false => Verdict::Failed(String::new()),
        };
        let outcome = Outcome::new(filesystem.name(), verdict);
        self.line(outcome.line(number))
    }

    /// The last line: what follows is the end of the machine.
    pub fn end(&mut self, ending: Ending) -> io::Result<()> {
        self.line(format_args!("# {END}{ending}"))
    }

    fn inner(&mut self, text: impl Display) -> io::Result<()> {
        self.line(format_args!("    {text}"))
    }

    fn line(&mut self, text: impl Display) -> io::Result<()> {
        // In one write, so that no reader sees half a line.
        let line = format!("{} {} {text}\n", self.secret, now().as_millis());
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, verdict: Verdict, took: Option<Duration>) -> Outcome {
        let outcome = Outcome::new(name, verdict);
        Outcome { took, ..outcome }
    }

    #[test]
    fn a_whole_run() {
        let mut out = Vec::new();
        let mut ktap = Ktap::new(&mut out, "5eaf");
        let write = |ktap: &mut Ktap<_>| {
            ktap.begin(2)?;
            ktap.begin_subtest(Filesystem::Ext3, 4)?;
            ktap.start("writes_stop")?;
            ktap.diagnostic("writes_stop", "thaw took 12 ms\nand more")?;
            let took = Some(Duration::from_millis(812));
            ktap.result(1, &outcome("writes_stop", Verdict::Passed, took))?;
            ktap.start("case_c")?;
            let place = "stuck in step \"second FITHAW\"".to_owned();
            ktap.result(2, &Outcome::new("case_c", Verdict::TimedOut(place)))?;
            ktap.start("nesting")?;
            let skipped = Verdict::Skipped("needs\npatch 1".to_owned());
            ktap.result(3, &Outcome::new("nesting", skipped))?;
            ktap.start("errors")?;
            let failed = Verdict::Failed(String::new());
            ktap.result(4, &outcome("errors", failed, Some(Duration::from_secs(1))))?;
            ktap.end_subtest(1, Filesystem::Ext3, false)?;
            ktap.begin_subtest(Filesystem::Xfs, 0)?;
            ktap.end_subtest(2, Filesystem::Xfs, true)?;
            ktap.cannot_start("more", "no\nmemory")?;
            ktap.end(Ending::Spoilt)
        };
        let before = now();
        write(&mut ktap).unwrap();
        let want = "\
KTAP version 1
1..2
    KTAP version 1
    # Subtest: ext3
    1..4
    # start writes_stop
    # writes_stop: thaw took 12 ms
    # writes_stop: and more
    ok 1 writes_stop # time=812ms
    # start case_c
    not ok 2 case_c # TIMEOUT stuck in step \"second FITHAW\"
    # start nesting
    ok 3 nesting # SKIP needs patch 1
    # start errors
    not ok 4 errors # time=1000ms
not ok 1 ext3
    KTAP version 1
    # Subtest: xfs
    1..0
ok 2 xfs
    # cannot start more: no memory
# end spoilt
";
        let out = String::from_utf8(out).unwrap();
        let mut lines = String::new();
        for line in out.lines() {
            let (time, line) = unseal(line, "5eaf").unwrap();
            assert!((before - Duration::from_millis(1)..=now()).contains(&time));
            lines += line;
            lines += "\n";
        }
        assert_eq!(lines, want);
    }

    #[test]
    fn what_has_no_seal_is_told() {
        for line in [
            "    ok 1 a",
            "5eae 12     ok 1 a",
            " 5eaf 12     ok 1 a",
            "5eaf x     ok 1 a",
            "5eaf12     ok 1 a",
            "5eaf 12",
            "",
        ] {
            assert_eq!(unseal(line, "5eaf"), None, "{line}");
        }
    }
}
