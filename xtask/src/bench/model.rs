//! A benchmark of two kernels as data: on what, and every number that was measured.

use std::fmt;
use std::time::Duration;

use harness::wire::Filesystem;
use harness::wire::samples::{Effort, Samples, Unit};
use serde::Serialize;

use super::testbed::Testbed;
use crate::report::model::KernelFacts;

/// Which of the two kernels. What is compared is always `Other` to `Base`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Base,
    Other,
}

#[derive(Clone, Debug, Serialize)]
pub struct Benchmark {
    pub machine: Testbed,
    pub base: Kernel,
    pub other: Kernel,
    /// Local time with offset.
    pub started: String,
    pub took: Duration,
    pub effort: Effort,
    /// In the order in which they ran.
    pub guests: Vec<Guest>,
    /// How many measurements failed, hung, or killed their guest.
    pub failed: usize,
    /// What was not measured, and why, in one line each.
    pub problems: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Kernel {
    pub facts: KernelFacts,
    /// `CONFIG_HZ`: clock ticks in a second.
    pub hz: u32,
}

/// One guest, from its boot to its end.
#[derive(Clone, Debug, Serialize)]
pub struct Guest {
    /// Starts at 1. Each round has one guest of each kernel.
    pub round: u32,
    pub side: Side,
    pub took: Duration,
    pub measured: Vec<Measured>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub filesystem: Filesystem,
    /// The name of a [`harness::measure::Measurement`].
    pub measurement: String,
    #[serde(flatten)]
    pub samples: Samples,
}

/// One of the numbers that each guest gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Series {
    pub measurement: String,
    pub part: String,
    pub filesystem: Filesystem,
}

impl Benchmark {
    /// How a side is called in tables; a kernel that is compared with itself has one name only.
    pub fn side_name(&self, side: Side) -> String {
        let name = |kernel: &Kernel| match kernel.facts.series.as_slice() {
            [] => "stock".to_owned(),
            series => series.join(" + "),
        };
        let (base, other) = (name(&self.base), name(&self.other));
        match side {
            Side::Base => base,
            Side::Other if base == other => format!("{other}, again"),
            Side::Other => other,
        }
    }

    /// The number of the last round, which may be without its second guest.
    pub fn last_round(&self) -> u32 {
        self.guests.last().map_or(0, |guest| guest.round)
    }

    /// Whether there is not a single number.
    pub fn is_empty(&self) -> bool {
        self.guests.iter().all(|guest| guest.measured.is_empty())
    }

    /// Every series, each once, in the order in which they were first measured.
    pub fn series(&self) -> Vec<Series> {
        let mut all = Vec::new();
        for measured in self.guests.iter().flat_map(|guest| &guest.measured) {
            let series = measured.series();
            if !all.contains(&series) {
                all.push(series);
            }
        }
        all
    }

    /// The numbers of a series from one guest.
    pub fn numbers(&self, round: u32, side: Side, series: &Series) -> Option<&[f64]> {
        let mut guests = self.guests.iter();
        let guest = guests.find(|guest| (guest.round, guest.side) == (round, side))?;
        let mut measured = guest.measured.iter();
        let found = measured.find(|measured| measured.series() == *series)?;
        Some(&found.samples.values)
    }

    /// The numbers of a series from all guests of a side.
    pub fn all_numbers(&self, side: Side, series: &Series) -> Vec<f64> {
        let rounds = 1..=self.last_round();
        let numbers = rounds.filter_map(|round| self.numbers(round, side, series));
        numbers.flatten().copied().collect()
    }

    /// The unit of a series' numbers.
    pub fn unit(&self, series: &Series) -> Option<Unit> {
        let mut all = self.guests.iter().flat_map(|guest| &guest.measured);
        let measured = all.find(|measured| measured.series() == *series)?;
        Some(measured.samples.unit)
    }
}

impl Measured {
    pub fn series(&self) -> Series {
        Series {
            measurement: self.measurement.clone(),
            part: self.samples.part.clone(),
            filesystem: self.filesystem,
        }
    }
}

/// `freeze_idle: thaw`
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part.as_str() {
            "" => f.write_str(&self.measurement),
            part => write!(f, "{}: {part}", self.measurement),
        }
    }
}

#[cfg(test)]
pub mod samples {
    use harness::wire::Filesystem::{Ext3, Xfs};
    use harness::wire::samples::{IDLE, PENDING};

    use super::*;
    use crate::report;

    pub fn measured(measurement: &str, part: &str, unit: Unit, values: &[f64]) -> Measured {
        Measured {
            filesystem: Ext3,
            measurement: measurement.into(),
            samples: Samples {
                part: part.into(),
                unit,
                values: values.to_vec(),
            },
        }
    }

    /// How many numbers of most series one guest gives.
    pub const LENGTH: usize = 10;

    /// Numbers around `level`, a little different in each round.
    fn around(level: f64, round: u32) -> Vec<f64> {
        let own = level * (1.0 + 0.001 * f64::from(round));
        let steps = (0_u32..).map(|step| own * (1.0 + 0.001 * f64::from(step)));
        steps.take(LENGTH).collect()
    }

    fn guest(round: u32, side: Side, factor: f64) -> Guest {
        use Unit::Nanoseconds as Ns;
        let level = |level: f64| around(level, round);
        let mut measured = vec![
            measured("getppid", "", Ns, &level(800.0)),
            measured("write_cached", "", Ns, &level(9e3 * factor)),
            measured(
                "write_stream",
                "",
                Unit::BytesPerSecond,
                &level(3e8 / factor),
            ),
            measured("freeze_idle", "freeze", Ns, &level(2e6)),
            measured("freeze_idle", "thaw", Ns, &level(1e6)),
        ];
        if side == Side::Other {
            let own = |name: &str, part: &str, values: &[f64]| {
                super::samples::measured(name, part, Ns, values)
            };
            measured.extend([
                own("deadline_late", "", &level(3e6)),
                own("deadline_elsewhere", IDLE, &level(9e3)),
                own("deadline_elsewhere", PENDING, &level(9e3)),
                own("deadlines_many", "set 1", &[5e4]),
                own("deadlines_many", "set 100", &[4e6]),
                own("deadlines_many", "meet 1", &[2e6]),
                own("deadlines_many", "meet 100", &[9e7]),
            ]);
        }
        let xfs = measured.iter().cloned().map(|measured| Measured {
            filesystem: Xfs,
            ..measured
        });
        Guest {
            round,
            side,
            took: Duration::from_secs(60),
            measured: measured.iter().cloned().chain(xfs).collect(),
        }
    }

    /// Six rounds, in which the patched kernel takes `factor` times as long where it must not.
    pub fn run(factor: f64) -> Benchmark {
        let kernel = |series: &[&str]| Kernel {
            facts: report::model::samples::run(series, vec![]).kernel,
            hz: 250,
        };
        let rounds = 1..=6;
        let guests = rounds.flat_map(|round| {
            [
                guest(round, Side::Base, 1.0),
                guest(round, Side::Other, factor),
            ]
        });
        Benchmark {
            machine: super::super::testbed::samples::machine(),
            base: kernel(&[]),
            other: kernel(&["generic-freeze"]),
            started: "2026-11-21T01:00:00+00:00".into(),
            took: Duration::from_secs(480),
            effort: Effort::Full,
            guests: guests.collect(),
            failed: 0,
            problems: vec!["ext3 freeze_nested on stock: skipped, no <holds> & no count".into()],
        }
    }
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::Ext3;

    use super::*;

    #[test]
    fn numbers_are_found_by_round() {
        let run = samples::run(1.0);
        let series = Series {
            measurement: "freeze_idle".into(),
            part: "thaw".into(),
            filesystem: Ext3,
        };
        assert_eq!(series.to_string(), "freeze_idle: thaw");
        assert_eq!(run.last_round(), 6);
        assert_eq!(
            run.numbers(6, Side::Base, &series).unwrap().len(),
            samples::LENGTH
        );
        assert_eq!(run.numbers(7, Side::Base, &series), None);
        assert_eq!(
            run.all_numbers(Side::Other, &series).len(),
            6 * samples::LENGTH
        );
        assert_eq!(run.series().iter().filter(|it| **it == series).count(), 1);
    }

    #[test]
    fn a_kernel_against_itself_has_two_names() {
        let mut run = samples::run(1.0);
        assert_eq!(run.side_name(Side::Other), "generic-freeze");
        run.base = run.other.clone();
        assert_eq!(run.side_name(Side::Base), "generic-freeze");
        assert_eq!(run.side_name(Side::Other), "generic-freeze, again");
    }
}
