//! Whether a guest's clock can be trusted: deadlines in a guest are kept by it.
//!
//! Each line of the guest has the guest's time, and the host sees when it comes. On a busy host, kernels measured the
//! frequency of the time stamp counter wrongly: one boot in eight, up to 78 times too low, so that two minutes passed
//! in less than two seconds. [`crate::vm::qemu::tsc`] tells it to them.

use std::time::{Duration, Instant};

/// How much a clock may be wrong: a part of the time, and what a line may be late on a busy host.
const PART: u32 = 10;
const LATE: Duration = Duration::from_secs(2);

/// A guest's clock beside the host's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    first: Option<(Duration, Instant)>,
    /// What has passed since, by the guest and by the host.
    passed: (Duration, Duration),
}

impl Clock {
    /// A line with this time came now.
    pub fn sample(&mut self, guest: Duration, now: Instant) {
        let (began, since) = *self.first.get_or_insert((guest, now));
        self.passed = (guest.saturating_sub(began), now - since);
    }

    /// What is wrong with it, by the last sample: one that came late is forgotten with the next.
    pub fn fault(&self) -> Option<String> {
        let (guest, host) = self.passed;
        let tolerance = host / PART + LATE;
        (guest.abs_diff(host) > tolerance)
            .then(|| format!("the guest's clock says {guest:.1?} where {host:.1?} have passed"))
    }
}

/// Whether a deadline that the guest says has passed cannot have passed after so much of the host's time.
pub fn is_early(deadline: Duration, host: Duration) -> bool {
    host + deadline / PART + Duration::from_millis(500) < deadline
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_wrong_when_nothing_else_explains_it() {
        let begun = Instant::now();
        for (guest, host, wrong) in [
            (0.0, 0.0, false),
            (1.0, 1.0, false),
            (100.0, 100.0, false),
            (100.0, 108.0, false),
            (1.0, 2.9, false),
            (7.8, 0.1, true),
            (2.5, 2.0, false),
            (240.0, 120.0, true),
            (60.0, 120.0, true),
            (0.0, 10.0, true),
        ] {
            let mut clock = Clock::default();
            clock.sample(Duration::from_secs(7), begun);
            let guest = Duration::from_secs_f64(7.0 + guest);
            clock.sample(guest, begun + Duration::from_secs_f64(host));
            let fault = clock.fault();
            assert_eq!(fault.is_some(), wrong, "{guest:?} {host}: {fault:?}");
        }
    }

    #[test]
    fn one_late_line_is_forgotten() {
        let (mut clock, begun) = (Clock::default(), Instant::now());
        for (guest, host, wrong) in [(1, 1, false), (2, 9, true), (11, 11, false)] {
            clock.sample(
                Duration::from_secs(guest),
                begun + Duration::from_secs(host),
            );
            assert_eq!(clock.fault().is_some(), wrong, "{guest}");
        }
    }

    #[test]
    fn deadlines_do_not_pass_before_their_time() {
        let seconds = Duration::from_secs_f64;
        assert!(is_early(seconds(120.0), seconds(3.0)));
        assert!(is_early(seconds(120.0), seconds(100.0)));
        assert!(!is_early(seconds(120.0), seconds(110.0)));
        assert!(!is_early(seconds(120.0), seconds(130.0)));
        assert!(!is_early(seconds(0.5), seconds(0.0)));
        assert!(is_early(seconds(3.0), seconds(0.1)));
    }
}
