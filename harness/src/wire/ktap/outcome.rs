//! What came of a case, and how a line says it.

use std::fmt::{self, Display};
use std::time::Duration;

use super::text::{escape, failure};

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// With the reason, if it is known: a case says it in its diagnostics.
    Failed(String),
    /// With the reason.
    Skipped(String),
    /// With the place where it hung.
    TimedOut(String),
}

impl Verdict {
    pub fn is_ok(&self) -> bool {
        matches!(self, Verdict::Passed | Verdict::Skipped(_))
    }
}

/// As the directive after the name, with the blank before it.
impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Passed => Ok(()),
            Verdict::Failed(reason) if reason.is_empty() => Ok(()),
            Verdict::Failed(reason) => write!(f, " # {}", failure(reason)),
            Verdict::Skipped(reason) => write!(f, " # SKIP {}", escape(reason)),
            Verdict::TimedOut(place) => write!(f, " # TIMEOUT {}", escape(place)),
        }
    }
}

/// What came of a case, or of all cases of a filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub name: String,
    pub verdict: Verdict,
    /// Where it was measured.
    pub took: Option<Duration>,
}

impl Outcome {
    /// One that took nobody knows how long.
    pub fn new(name: &str, verdict: Verdict) -> Outcome {
        Outcome {
            name: name.to_owned(),
            verdict,
            took: None,
        }
    }

    /// The result line, without what indents it. Numbers start at 1.
    pub fn line(&self, number: usize) -> String {
        let Outcome {
            name,
            verdict,
            took,
        } = self;
        let ok = if verdict.is_ok() { "ok" } else { "not ok" };
        let time = took.map_or_else(String::new, |took| {
            format!(" # time={}ms", took.as_millis())
        });
        format!("{ok} {number} {name}{verdict}{time}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_begins_no_directive() {
        let hung = Verdict::TimedOut("step \"write # 2\"\nC:\\".to_owned());
        assert_eq!(hung.to_string(), r##" # TIMEOUT step "write \# 2" C:\\"##);
    }
}
