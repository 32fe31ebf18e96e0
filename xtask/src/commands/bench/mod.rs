//! `bench`: numbers, and whether they are as they should be.

mod kernel;
mod tool;

use camino::Utf8Path;
use clap::{Args, Subcommand};
use harness::measure::Effort;
use harness::plan::Work;

use super::prepare::Prepared;
use super::{Context, FAILED, PASSED};
use crate::bench::findings::{GoalLine, Outcome};
use crate::bench::plot::Plot;
use crate::failure::Result;
use crate::vm::boot::Way;
use crate::vm::{self, Machine};

#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// What freezing costs, and what it costs not to freeze: the kernel with the series against the one without
    ///
    /// Guests of both kernels take turns, each round in a random order. The report says how large a difference this
    /// run can show at all: it compares stock guests with each other.
    Kernel(kernel::Options),
    /// This program against plain virtme-ng: to build a kernel, to build it again, to start a guest
    ///
    /// Cold builds take most of the time; --quick does everything once, --filter leaves them out.
    Tool(tool::Options),
}

/// How much is measured, and what comes of it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Benchmark")]
pub struct Pace {
    /// How often everything is done [default: 6 (tool: 3), with --quick 2 (tool: 1)]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// Few samples: shows that it works, not how fast
    #[arg(long)]
    quick: bool,

    /// Of the random order [default: another each time]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Exit with 1 unless every goal is met
    #[arg(long)]
    check: bool,
}

impl Pace {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 6 })
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| fastrand::u64(..))
    }

    fn effort(&self) -> Effort {
        if self.quick {
            Effort::Quick
        } else {
            Effort::Full
        }
    }

    fn exit_code(&self, goals: &[GoalLine]) -> u8 {
        match self.check && !goals.iter().all(|goal| goal.outcome == Outcome::Met) {
            true => FAILED,
            false => PASSED,
        }
    }
}

pub fn run(options: &Options, context: &Context) -> Result<u8> {
    match &options.what {
        What::Kernel(options) => kernel::run(options, context),
        What::Tool(options) => tool::run(options, context),
    }
}

fn machine<'a>(prepared: &'a Prepared, way: Way, init: &'a Utf8Path, work: Work) -> Machine<'a> {
    Machine {
        kernel: vm::Kernel {
            image: &prepared.kernel.image,
            accel: prepared.accel,
            single_thread: prepared.single_thread,
        },
        way,
        init,
        provides: &prepared.kernel.provides,
        work,
    }
}

fn names(plots: &[Plot]) -> Vec<String> {
    plots.iter().map(|plot| plot.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_goal_counts_only_if_asked_for() {
        let goal = |outcome| GoalLine {
            goal: String::new(),
            outcome,
            because: String::new(),
        };
        let pace = |check| Pace {
            rounds: None,
            quick: true,
            seed: None,
            check,
        };
        assert_eq!(pace(false).exit_code(&[goal(Outcome::Missed)]), PASSED);
        assert_eq!(
            pace(true).exit_code(&[goal(Outcome::Met), goal(Outcome::Open)]),
            FAILED
        );
        assert_eq!(pace(true).exit_code(&[goal(Outcome::Met)]), PASSED);
    }
}
