//! Measurements: what freezing costs, as numbers for the host to compare.
//!
//! A measurement runs like a case, in a process of its own. Its numbers go to
//! the host as diagnostics that begin with [`SAMPLES`](crate::wire::samples::SAMPLES).
//! What they show is the host's to say: nothing here judges.
//!
//! A measurement is a function and an entry in the table of its file.

mod calls;
mod deadline;
mod freeze;
mod many;
mod measurement;
mod probe;

use std::sync::LazyLock;

pub use measurement::{Goal, Measurement};
pub use probe::Probe;

/// The tables of all files, in the order in which their measurements run.
const TABLES: &[&[Measurement]] = &[
    calls::MEASUREMENTS,
    freeze::MEASUREMENTS,
    deadline::MEASUREMENTS,
    many::MEASUREMENTS,
];

static ALL: LazyLock<Vec<Measurement>> = LazyLock::new(|| TABLES.concat());

/// Every measurement, in the order in which they run on a filesystem; those of one guest come last of all.
pub fn all() -> &'static [Measurement] {
    &ALL
}

/// The measurement of this name.
pub fn find(name: &str) -> Option<&'static Measurement> {
    all().iter().find(|measurement| measurement.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = all().iter().map(|it| it.name).collect();
        assert_eq!(names.len(), all().len());
    }
}
