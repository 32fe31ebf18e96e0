//! What was taken, in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use strum::Display;

use crate::bench::testbed::Testbed;
use crate::report::model::KernelFacts;

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Kernels are built: from nothing, after an edit of fs/super.c, after nothing
    Build,
    /// Guests are started
    Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Display)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// From the patched tree to an image, with no object and an empty compiler cache.
    #[strum(to_string = "cold build")]
    ColdBuild,
    /// The same after an edit of fs/super.c.
    #[strum(to_string = "warm build")]
    WarmBuild,
    /// The same after nothing.
    #[strum(to_string = "no change")]
    NoChange,
    /// From the command to the beginning of the first case, where nothing is to be built: this program finds that out
    /// each time. Not timed: its own start, what it reads of its command line and of earlier runs, the report. The bare
    /// boot's case is its init. What goes on in virtme-ng's guest is not seen from outside.
    #[strum(to_string = "first case")]
    FirstCase,
    /// The same, to the end of a guest that has nothing to do.
    #[strum(to_string = "whole guest")]
    WholeGuest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Display)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// This program.
    #[strum(to_string = "xtask")]
    Xtask,
    /// virtme-ng with its defaults, but for `--jobs`.
    #[strum(to_string = "virtme-ng")]
    Vng,
    /// QEMU, the kernel, and a static init that ends the machine: the least that a guest can take.
    #[strum(to_string = "bare boot")]
    Bare,
}

#[derive(Clone, Debug, Serialize)]
pub struct Taken {
    pub round: u32,
    pub quantity: Quantity,
    pub side: Side,
    pub seconds: f64,
}

/// What `bench.json` of `bench tool` holds.
#[derive(Clone, Debug, Serialize)]
pub struct Benchmark {
    pub machine: Testbed,
    pub kernel: KernelFacts,
    /// Local time with offset.
    pub started: String,
    pub took: Duration,
    /// In the order in which they were taken.
    pub taken: Vec<Taken>,
    /// The C and assembler files that the builds of a side made objects of. Host tools of a single file are not among them.
    pub compiled: BTreeMap<Side, usize>,
    /// What did not work at once, in one line each.
    pub problems: Vec<String>,
}
