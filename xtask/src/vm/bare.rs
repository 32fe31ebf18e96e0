//! Boots of a kernel that has nothing but a console: the least that a guest can take.

use std::time::{Duration, Instant};

use camino::Utf8Path;

use super::command::{self, Kernel};
use super::guest::{Guest, Line, Next};
use crate::failure::Result;
use crate::proc::Stop;

const TICK: Duration = Duration::from_millis(100);

/// When what happened, from QEMU's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The console had a line with the mark.
    pub marked: Duration,
    /// QEMU was gone.
    pub ended: Duration,
}

/// Boots until QEMU ends, with an archive as the root or with none, when the kernel panics.
///
/// None if that takes longer than `limit`, or if no line of the console had the mark.
pub fn boot(
    kernel: Kernel<'_>,
    root: Option<&Utf8Path>,
    mark: &str,
    limit: Duration,
    stop: &Stop,
) -> Result<Option<Times>> {
    let begun = Instant::now();
    let mut argv = command::bare(kernel, &["console=ttyS0", "panic=-1"]);
    argv.extend(
        root.into_iter()
            .flat_map(|it| ["-initrd".into(), it.to_string()]),
    );
    let mut guest = Guest::start(&argv)?;
    let mut marked = None;
    while begun.elapsed() < limit {
        stop.check()?;
        match guest.next(TICK) {
            Next::Line(Line::Console(line)) if line.contains(mark) => {
                marked.get_or_insert_with(|| begun.elapsed());
            }
            Next::Over => {
                let ended = begun.elapsed();
                return Ok(marked.map(|marked| Times { marked, ended }));
            }
            Next::Line(_) | Next::Quiet => {}
        }
    }
    Ok(None)
}
