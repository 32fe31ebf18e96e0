//! When and what, at random.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// Where it is aimed at first, and again after each [`Aim::correct`].
const EARLIEST: Duration = Duration::from_millis(8);
/// The calls of a round come within this time of each other, but for their deadlines.
const SPREAD: Duration = Duration::from_millis(2);
/// How much later, or sooner, the next round aims.
const STEP: Duration = Duration::from_micros(500);

/// Aims around the time when half of the deadlines pass and half are moved or
/// removed before, however fast the machine is.
#[derive(Debug)]
pub struct Aim {
    random: RandomState,
    drawn: u64,
    /// Counted from [`EARLIEST`] before the deadline.
    delay: Duration,
}

impl Aim {
    /// At the deadline itself.
    pub fn new() -> Aim {
        Aim {
            random: RandomState::new(),
            drawn: 0,
            delay: EARLIEST - SPREAD / 2,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.drawn += 1;
        self.random.hash_one(self.drawn) as usize % bound
    }

    pub fn pause(&mut self) -> Duration {
        SPREAD.mul_f64(self.below(1000) as f64 / 1000.0)
    }

    pub fn near(&mut self, deadline: Instant) -> Instant {
        deadline - EARLIEST + self.delay + self.pause()
    }

    pub fn one_of<T: Copy, const N: usize>(&mut self, choice: [T; N]) -> T {
        choice[self.below(N)]
    }

    /// `expired` of so many deadlines passed though it was aimed at them.
    pub fn correct(&mut self, expired: usize, of: usize) {
        if expired * 4 < of {
            self.delay += STEP;
        } else if expired * 4 > of * 3 {
            self.delay = self.delay.saturating_sub(STEP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_corrected_towards_half() {
        let mut aim = Aim::new();
        let start = aim.delay;
        for (expired, want) in [
            (0, start + STEP),
            (8, start + STEP),
            (24, start + STEP),
            (25, start),
        ] {
            aim.correct(expired, 32);
            assert_eq!(aim.delay, want, "{expired} of 32");
        }
    }
}
