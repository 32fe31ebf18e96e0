//! Boots of a kernel that has nothing but a console: the least that a guest can take.

use std::time::{Duration, Instant};

use camino::Utf8Path;

use super::command::{self, Kernel};
use super::guest::{Guest, Next};
use super::lines::Line;
use super::tsc;
use crate::failure::Result;
use crate::host::patience::Patience;
use crate::host::proc::Stop;

const TICK: Duration = Duration::from_millis(100);

/// When what happened, from QEMU's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The console had a line with the mark.
    pub marked: Duration,
    /// QEMU was gone.
    pub ended: Duration,
}

/// What came of a boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Booted(Times),
    /// Why it counts as failed, with the last line of the console.
    Failed(String),
}

/// Boots until QEMU ends, with an archive as the root or with none, when the kernel panics.
///
/// That fails if it takes longer than `limit`, or if no line of the console has the mark. It begins anew if this
/// process is stopped meanwhile, as the times would be too long.
pub fn boot(
    kernel: Kernel<'_>,
    root: Option<&Utf8Path>,
    mark: &str,
    limit: Duration,
    stop: &Stop,
) -> Result<Outcome> {
    loop {
        if let Some(outcome) = boot_once(kernel, root, mark, limit, stop)? {
            return Ok(outcome);
        }
    }
}

/// None if this process was stopped.
fn boot_once(
    kernel: Kernel<'_>,
    root: Option<&Utf8Path>,
    mark: &str,
    limit: Duration,
    stop: &Stop,
) -> Result<Option<Outcome>> {
    let tsc = tsc::argument(kernel.accel);
    let argv = command::bare(kernel, &["console=ttyS0", "panic=-1"], tsc.as_deref(), root);
    let begun = Instant::now();
    let mut patience = Patience::new(begun);
    let mut guest = Guest::start(&argv)?;
    let (mut marked, mut last) = (None, String::new());
    while patience.spent() < limit {
        stop.check()?;
        let next = guest.next(TICK);
        if patience.look(Instant::now()).is_some() {
            return Ok(None);
        }
        match next {
            Next::Line(Line::Console(line)) => {
                if line.contains(mark) {
                    marked.get_or_insert_with(|| begun.elapsed());
                }
                last = line;
            }
            Next::Over => {
                let ended = begun.elapsed();
                return Ok(Some(match marked {
                    Some(marked) => Outcome::Booted(Times { marked, ended }),
                    None => Outcome::Failed(format!("QEMU ended too early; last line: {last:?}")),
                }));
            }
            Next::Line(_) | Next::Quiet => {}
        }
    }
    let limit = limit.as_secs();
    Ok(Some(Outcome::Failed(format!(
        "not done in {limit} s; last line: {last:?}"
    ))))
}
