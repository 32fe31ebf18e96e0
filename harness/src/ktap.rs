//! Writes KTAP version 1 in two levels, filesystem and case, as DESIGN.md
//! shows it. Format: Documentation/dev-tools/ktap.rst.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::time::Duration;

use crate::case::Filesystem;

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed(Duration),
    Failed(Duration),
    /// With the reason.
    Skipped(String),
    /// With the place where it hung.
    TimedOut(String),
}

impl Verdict {
    pub fn is_ok(&self) -> bool {
        matches!(self, Verdict::Passed(_) | Verdict::Skipped(_))
    }
}

/// As the directive after `#`.
impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Passed(time) | Verdict::Failed(time) => {
                write!(f, "# time={}ms", time.as_millis())
            }
            Verdict::Skipped(reason) => write!(f, "# SKIP {}", escape(reason)),
            Verdict::TimedOut(place) => write!(f, "# TIMEOUT {}", escape(place)),
        }
    }
}

/// A KTAP stream. Every line is flushed: the guest may die at any moment.
#[derive(Debug)]
pub struct Ktap<W> {
    out: W,
}

impl<W: Write> Ktap<W> {
    pub fn new(out: W) -> Ktap<W> {
        Ktap { out }
    }

    /// The outer level, with one result for each filesystem.
    pub fn begin(&mut self, runs: usize) -> io::Result<()> {
        self.line("KTAP version 1")?;
        self.line(format_args!("1..{runs}"))
    }

    pub fn begin_run(&mut self, filesystem: Filesystem, cases: usize) -> io::Result<()> {
        self.inner("KTAP version 1")?;
        self.inner(format_args!("# Subtest: {filesystem}"))?;
        self.inner(format_args!("1..{cases}"))
    }

    /// Before the case begins, so that a dead guest can leave no pass.
    pub fn start(&mut self, case: &str) -> io::Result<()> {
        self.inner(format_args!("# start {case}"))
    }

    /// One diagnostic line for each line of `text`.
    pub fn diagnostic(&mut self, case: &str, text: &str) -> io::Result<()> {
        text.lines()
            .try_for_each(|line| self.inner(format_args!("# {case}: {line}")))
    }

    /// Numbers start at 1.
    pub fn result(&mut self, number: usize, case: &str, verdict: &Verdict) -> io::Result<()> {
        let ok = if verdict.is_ok() { "ok" } else { "not ok" };
        self.inner(format_args!("{ok} {number} {case} {verdict}"))
    }

    pub fn end_run(
        &mut self,
        number: usize,
        filesystem: Filesystem,
        passed: bool,
    ) -> io::Result<()> {
        let ok = if passed { "ok" } else { "not ok" };
        self.line(format_args!("{ok} {number} {filesystem}"))
    }

    fn inner(&mut self, text: impl Display) -> io::Result<()> {
        self.line(format_args!("    {text}"))
    }

    fn line(&mut self, text: impl Display) -> io::Result<()> {
        // In one write, so that no reader sees half a line.
        self.out.write_all(format!("{text}\n").as_bytes())?;
        self.out.flush()
    }
}

/// A text as it may stand in a result line: on one line, with no `#` that would begin a directive (TAP 14, "Escaping").
pub fn escape(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('\\', r"\\").replace('#', r"\#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_begins_no_directive() {
        let hung = Verdict::TimedOut("step \"write # 2\"\nC:\\".to_owned());
        assert_eq!(hung.to_string(), r##"# TIMEOUT step "write \# 2" C:\\"##);
    }

    #[test]
    fn a_whole_run() {
        let mut out = Vec::new();
        let mut ktap = Ktap::new(&mut out);
        let write = |ktap: &mut Ktap<_>| {
            ktap.begin(2)?;
            ktap.begin_run(Filesystem::Ext3, 4)?;
            ktap.start("writes_stop")?;
            ktap.diagnostic("writes_stop", "thaw took 12 ms\nand more")?;
            ktap.result(
                1,
                "writes_stop",
                &Verdict::Passed(Duration::from_millis(812)),
            )?;
            ktap.start("case_c")?;
            let place = "stuck in step \"second FITHAW\"".to_owned();
            ktap.result(2, "case_c", &Verdict::TimedOut(place))?;
            ktap.start("nesting")?;
            ktap.result(3, "nesting", &Verdict::Skipped("needs\npatch 1".to_owned()))?;
            ktap.start("errors")?;
            ktap.result(4, "errors", &Verdict::Failed(Duration::from_secs(1)))?;
            ktap.end_run(1, Filesystem::Ext3, false)?;
            ktap.begin_run(Filesystem::Xfs, 0)?;
            ktap.end_run(2, Filesystem::Xfs, true)
        };
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
";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
