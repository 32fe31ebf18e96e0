//! Measurements: what freezing costs, as numbers for the host to compare.
//!
//! A measurement runs like a case, in a process of its own. Its numbers go to
//! the host as diagnostics that begin with [`SAMPLES`]. What they show is the
//! host's to say: nothing here judges.

mod calls;
mod deadline;
mod freeze;
mod many;
mod probe;

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::case::{Feature, Filesystem};

pub use probe::Probe;

/// Starts a line with [`Samples`] in JSON.
pub const SAMPLES: &str = "samples: ";

/// Starts a line that says why a measurement went no further.
pub const NOTE: &str = "note: ";

/// How many samples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// Few: shows that everything works.
    Quick,
    Full,
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Effort::Quick => "quick",
            Effort::Full => "full",
        })
    }
}

impl FromStr for Effort {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "quick" => Ok(Effort::Quick),
            "full" => Ok(Effort::Full),
            _ => bail!("unknown effort {name:?}; known: quick, full"),
        }
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Of time; less is better.
    Nanoseconds,
    /// Of throughput; more is better.
    BytesPerSecond,
}

/// Numbers of one kind, in the order in which they were taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// Which number of its measurement it is, e.g. `thaw`; empty if there is one only.
    pub part: String,
    pub unit: Unit,
    pub values: Vec<f64>,
}

/// What the numbers of a measurement should show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Nothing in particular: they are of interest by themselves.
    Report,
    /// The patched kernel takes no longer than the stock one.
    LikeStock,
    /// So little that a clock tick is the scale.
    Punctual,
    /// The part [`PENDING`] takes no longer than [`IDLE`].
    Free,
}

/// The parts of a measurement of [`Goal::Free`], taken in turns.
pub const IDLE: &str = "none pending";
pub const PENDING: &str = "one pending";

/// Something to measure, in a process of its own in the guest.
#[derive(Debug)]
pub struct Measurement {
    /// Unique, snake_case; what `--filter` matches.
    pub name: &'static str,
    /// One sentence for `--list`.
    pub about: &'static str,
    pub filesystems: &'static [Filesystem],
    /// What the kernel must provide; elsewhere there is nothing to measure.
    pub needs: Option<Feature>,
    pub goal: Goal,
    /// One guest is enough, at its end: the numbers are not compared with another kernel's.
    pub once: bool,
    pub run: fn(&Probe<'_>) -> Result<()>,
}

/// Every measurement, in the order in which they run on a filesystem; those of one guest come last of all.
pub fn all() -> &'static [Measurement] {
    MEASUREMENTS
}

/// The measurement of this name.
pub fn find(name: &str) -> Option<&'static Measurement> {
    all().iter().find(|measurement| measurement.name == name)
}

const fn measurement(
    name: &'static str,
    about: &'static str,
    goal: Goal,
    run: fn(&Probe<'_>) -> Result<()>,
) -> Measurement {
    Measurement {
        name,
        about,
        filesystems: Filesystem::ALL,
        needs: None,
        goal,
        once: false,
        run,
    }
}

const MEASUREMENTS: &[Measurement] = &[
    measurement(
        "getppid",
        "getppid(2), which no patch touches: shows how equal the guests are",
        Goal::Report,
        calls::getppid,
    ),
    measurement(
        "write_cached",
        "write(2) of 4 KiB to a page that is in memory",
        Goal::LikeStock,
        calls::write_cached,
    ),
    measurement(
        "create_unlink",
        "open(2) that creates a file, close(2), unlink(2)",
        Goal::LikeStock,
        calls::create_unlink,
    ),
    measurement(
        "write_stream",
        "32 MiB written and made durable",
        Goal::LikeStock,
        calls::write_stream,
    ),
    measurement(
        "freeze_idle",
        "FIFREEZE and FITHAW of a filesystem that nobody uses",
        Goal::Report,
        freeze::idle,
    ),
    measurement(
        "freeze_loaded",
        "FIFREEZE and FITHAW while two processes write",
        Goal::Report,
        freeze::loaded,
    ),
    measurement(
        "freeze_dirty",
        "FIFREEZE and FITHAW with 10,000 inodes to write back",
        Goal::Report,
        freeze::dirty,
    ),
    measurement(
        "freeze_nested",
        "FIFREEZE and FITHAW of a filesystem that is frozen already",
        Goal::Report,
        freeze::nested,
    ),
    Measurement {
        needs: Some(Feature::Timeout),
        ..measurement(
            "deadline_late",
            "from the deadline to the end of a write that waited for it",
            Goal::Punctual,
            deadline::late,
        )
    },
    Measurement {
        needs: Some(Feature::Timeout),
        ..measurement(
            "deadline_elsewhere",
            "write(2) of 4 KiB while another filesystem is frozen, with a deadline and without",
            Goal::Free,
            deadline::elsewhere,
        )
    },
    Measurement {
        needs: Some(Feature::Timeout),
        // It brings filesystems of its own: once is enough.
        filesystems: &[Filesystem::Ext3],
        once: true,
        ..measurement(
            "deadlines_many",
            "deadlines of 1, 10, ... 10,000 small filesystems, as far as time and memory go: to set them, to meet them all",
            Goal::Report,
            many::deadlines,
        )
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = all().iter().map(|it| it.name).collect();
        assert_eq!(names.len(), all().len());
    }

    #[test]
    fn an_effort_has_one_name() {
        for effort in [Effort::Quick, Effort::Full] {
            assert_eq!(effort.to_string().parse::<Effort>().unwrap(), effort);
        }
        assert!("Quick".parse::<Effort>().is_err());
    }
}
