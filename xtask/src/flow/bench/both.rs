//! What the benchmarks share.

use camino::Utf8Path;
use harness::wire::plan::Work;

use crate::bench::plot::Plot;
use crate::flow::prepare::Prepared;
use crate::vm::boot::{Machine, Way};
use crate::vm::qemu::command;

pub fn machine<'a>(
    prepared: &'a Prepared,
    way: Way,
    init: &'a Utf8Path,
    work: Work,
) -> Machine<'a> {
    Machine {
        kernel: command::Kernel {
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

pub fn names(plots: &[Plot]) -> Vec<String> {
    plots.iter().map(|plot| plot.name.clone()).collect()
}
