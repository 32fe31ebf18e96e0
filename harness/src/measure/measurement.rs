//! What a measurement is.

use anyhow::Result;

use super::probe::Probe;
use crate::wire::{Feature, Filesystem};

/// What the numbers of a measurement should show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Nothing in particular: they are of interest by themselves.
    Report,
    /// The patched kernel takes no longer than the stock one.
    LikeStock,
    /// So little that a clock tick is the scale.
    Punctual,
    /// The part [`PENDING`](crate::wire::samples::PENDING) takes no longer than [`IDLE`](crate::wire::samples::IDLE).
    Free,
}

/// Something to measure, in a process of its own in the guest.
#[derive(Clone, Copy, Debug)]
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

impl Measurement {
    /// One that is taken on every filesystem, on any kernel.
    pub const fn new(
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

    /// On kernels that provide this.
    pub const fn needing(self, feature: Feature) -> Measurement {
        Measurement {
            needs: Some(feature),
            ..self
        }
    }

    /// Once in a run, in one guest: it brings filesystems of its own, whichever it is called for.
    pub const fn once(self) -> Measurement {
        Measurement {
            filesystems: &[Filesystem::Ext3],
            once: true,
            ..self
        }
    }
}
