//! Time that counts towards a limit: that in which somebody could have looked.

use std::time::{Duration, Instant};

/// The most that counts from one look to the next. Looks come several times a second, unless this process is
/// stopped (Ctrl-Z) or gets no processor; what it waits for goes on meanwhile, and its answer waits to be read.
const STEP: Duration = Duration::from_secs(1);
/// So long without a look was no busy machine.
const STOPPED: Duration = Duration::from_secs(5);

/// How long something has been waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    looked: Instant,
    spent: Duration,
}

impl Patience {
    pub fn new(now: Instant) -> Self {
        Self {
            looked: now,
            spent: Duration::ZERO,
        }
    }

    /// To be called often. Returns for how long this process was stopped before, if it was.
    pub fn look(&mut self, now: Instant) -> Option<Duration> {
        let step = now - self.looked;
        self.looked = now;
        self.spent += step.min(STEP);
        (step >= STOPPED).then_some(step)
    }

    /// What counts of the time so far.
    pub fn spent(&self) -> Duration {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_does_not_count() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut patience = Patience::new(begun);
        for (ms, spent, stopped) in [
            (200, 200, None),
            (400, 400, None),
            (3400, 1400, None),
            (63_400, 2400, Some(60)),
            (63_500, 2500, None),
        ] {
            assert_eq!(
                patience.look(at(ms)),
                stopped.map(Duration::from_secs),
                "{ms}"
            );
            assert_eq!(patience.spent(), Duration::from_millis(spent), "{ms}");
        }
    }
}
