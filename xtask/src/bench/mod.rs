//! Benchmarks: numbers first, then what they show, then tables and plots of it.
//!
//! `bench kernel` compares two kernels in guests that take turns, `bench tool` compares this program with plain
//! virtme-ng. All that was measured is kept in `bench.json`.

pub mod findings;
pub mod format;
pub mod kernel;
pub mod model;
pub mod plot;
pub mod stats;
pub mod store;
pub mod table;
pub mod testbed;
pub mod tool;
