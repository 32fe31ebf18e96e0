//! The cases. A case asserts every return code, and shows that writers are
//! blocked by the state of their tasks, never by time.
//!
//! A case is a function and an entry in the table of its file.

mod agent;
mod argument;
mod compat;
mod descriptor;
mod dm;
mod emergency;
mod errors;
mod ext3;
mod nesting;
mod pressure;
mod programs;
mod races;
mod snapshots;
mod timeout;
mod writes;

use std::sync::LazyLock;

use crate::case::Case;

/// The tables of all files, in the order in which their cases run.
const TABLES: &[&[Case]] = &[
    writes::CASES,
    nesting::CASES,
    descriptor::CASES,
    dm::CASES,
    emergency::CASES,
    snapshots::CASES,
    errors::CASES,
    programs::CASES,
    agent::CASES,
    timeout::CASES,
    pressure::CASES,
    races::requests::CASES,
    races::unmount::CASES,
    races::device::CASES,
    argument::CASES,
    compat::CASES,
    ext3::CASES,
];

static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| TABLES.concat());

/// Every case, in the order in which they run.
pub fn all() -> &'static [Case] {
    &ALL
}

/// The case of this name.
pub fn find(name: &str) -> Option<&'static Case> {
    all().iter().find(|case| case.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_snake_case() {
        let mut seen = HashSet::new();
        for case in all() {
            assert!(seen.insert(case.name), "{} is there twice", case.name);
            let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(case.name.chars().all(snake), "{}", case.name);
        }
    }

    #[test]
    fn every_case_says_what_it_is_and_runs_somewhere() {
        for case in all() {
            assert!(
                !case.about.is_empty() && !case.filesystems.is_empty(),
                "{}",
                case.name
            );
        }
    }
}
