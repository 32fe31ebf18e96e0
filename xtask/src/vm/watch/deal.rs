//! Which cases the next guest gets.

use std::cmp::Reverse;
use std::time::Duration;

/// Takes one of `hands` equally long hands out of `cases`, which keep their order, as the hand does.
///
/// The longest case first, each into the hand that is shortest so far: Graham, "Bounds on
/// Multiprocessing Timing Anomalies" (1969) shows that no hand gets longer than 4/3 of the best.
pub fn take<T>(cases: &mut Vec<T>, hands: usize, expected: impl Fn(&T) -> Duration) -> Vec<T> {
    let mut by_length: Vec<_> = cases.iter().map(&expected).enumerate().collect();
    by_length.sort_by_key(|(_, time)| Reverse(*time));
    let mut loads = vec![Duration::ZERO; hands.max(1)];
    let mut taken = vec![false; cases.len()];
    for (case, time) in by_length {
        let hand = shortest(&loads);
        loads[hand] += time;
        taken[case] = hand == 0;
    }
    let mut taken = taken.into_iter();
    let is_taken = |_: &mut T| taken.next().unwrap_or(false);
    cases.extract_if(.., is_taken).collect()
}

/// The first of those with the least.
fn shortest(loads: &[Duration]) -> usize {
    let loads = loads.iter().enumerate();
    loads.min_by_key(|(_, load)| **load).map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::Ext3;

    use super::*;
    use crate::event::CaseId;

    /// Named by how many seconds they take, and a letter.
    fn cases(names: &str) -> Vec<CaseId> {
        let id = |name: &str| CaseId {
            filesystem: Ext3,
            case: name.into(),
            repeat: 0,
        };
        names.split_whitespace().map(id).collect()
    }

    fn seconds(id: &CaseId) -> Duration {
        let digits = id.case.trim_end_matches(char::is_alphabetic);
        Duration::from_secs(digits.parse().unwrap())
    }

    #[test]
    fn hands() {
        let table: &[(&str, usize, &[&str])] = &[
            ("1a 2b 3c", 1, &["1a 2b 3c"]),
            ("1a 1b 1c 1d 1e", 2, &["1a 1c 1e", "1b 1d"]),
            ("1a 1b 9c 1d 1e", 2, &["9c", "1a 1b 1d 1e"]),
            ("2a 3b 4c 5d 6e", 2, &["2a 3b 6e", "4c 5d"]),
            ("1a", 3, &["1a", "", ""]),
            ("3a 2b 1c", 3, &["3a", "2b", "1c"]),
            ("", 2, &["", ""]),
        ];
        for (names, hands, wanted) in table {
            let mut left = cases(names);
            for (free, wanted) in (1..=*hands).rev().zip(*wanted) {
                let hand = take(&mut left, free, seconds);
                assert_eq!(hand, cases(wanted), "{names:?}");
            }
            assert_eq!(left, [], "{names:?}");
        }
    }
}
