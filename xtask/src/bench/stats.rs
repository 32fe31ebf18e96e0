//! Medians, and what can be said about a ratio that was measured round by round.
//!
//! In each round both sides take their turn, so a round counts once, by the ratio of its two medians: what changes
//! from round to round changes both. The interval is the sign test's, which holds whatever the distribution is.

use serde::Serialize;

/// What is left out on either side of an interval: 95 % remain.
const TAIL: f64 = 0.025;

/// Where numbers lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub count: usize,
    pub median: f64,
    /// The quartiles below and above.
    pub low: f64,
    pub high: f64,
    /// 95 % are at most this.
    pub most: f64,
    pub max: f64,
}

/// What one side takes where the other is 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    pub median: f64,
    /// The interval that has the true median 95 times of 100; if that is not `known`, the range.
    pub low: f64,
    pub high: f64,
    /// False of fewer rounds than can tell: six.
    pub known: bool,
}

impl Spread {
    /// None of no numbers.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        let at = |share| quantile(&sorted, share);
        Some(Self {
            count: sorted.len(),
            median: at(0.5)?,
            low: at(0.25)?,
            high: at(0.75)?,
            most: at(0.95)?,
            max: at(1.0)?,
        })
    }
}

impl Ratio {
    /// Of one ratio a round. None of no rounds.
    pub fn of(rounds: &[f64]) -> Option<Self> {
        let sorted = sorted(rounds);
        let outside = outside(sorted.len());
        let at = outside.unwrap_or(0);
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            low: sorted[at],
            high: sorted[sorted.len() - 1 - at],
            known: outside.is_some(),
        })
    }
}

/// How many of so many numbers are outside of the interval at either end. None if even all of them are too few.
///
/// Each number is below the true median as a coin falls. The odds of one outcome are kept as their logarithm: of more
/// than a thousand coins, those of all falling alike are too small for an f64.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn outside(count: usize) -> Option<usize> {
    let mut exactly = count as f64 * 0.5_f64.ln();
    let (mut at_most, mut found) = (exactly.exp(), None);
    for below in 0..count {
        if at_most > TAIL {
            break;
        }
        found = Some(below);
        exactly += ((count - below) as f64 / (below + 1) as f64).ln();
        at_most += exactly.exp();
    }
    found
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Of sorted numbers, interpolated between the two next to it; none of none.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let place = share * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to last"
    )]
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * place.fract())
}

/// None of no numbers.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(&sorted(values), 0.5)
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    #[test]
    fn medians_and_quartiles() {
        let table: &[(&[f64], f64, f64, f64)] = &[
            (&[5.0], 5.0, 5.0, 5.0),
            (&[3.0, 1.0, 2.0], 2.0, 1.5, 2.5),
            (&[4.0, 1.0, 3.0, 2.0], 2.5, 1.75, 3.25),
        ];
        for (values, median, low, high) in table {
            let spread = Spread::of(values).unwrap();
            let found = (spread.median, spread.low, spread.high);
            assert_eq!(found, (*median, *low, *high), "{values:?}");
        }
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Ratio::of(&[]), None);
    }

    #[test]
    fn intervals_are_those_of_the_tables() {
        let table = [
            (1, None),
            (5, None),
            (6, Some(0)),
            (8, Some(0)),
            (9, Some(1)),
            (12, Some(2)),
            (15, Some(3)),
            (20, Some(5)),
            (100, Some(39)),
            // By whole numbers of any length.
            (1000, Some(468)),
            (1074, Some(504)),
            (1075, Some(504)),
            (1076, Some(505)),
            (2000, Some(955)),
            (10_000, Some(4901)),
            (100_000, Some(49_689)),
        ];
        for (count, wanted) in table {
            assert_eq!(outside(count), wanted, "{count}");
        }
    }

    #[test]
    fn few_rounds_have_a_range_and_many_an_interval() {
        let few = Ratio::of(&[1.1, 0.9, 1.0]).unwrap();
        assert_eq!((few.low, few.median, few.high), (0.9, 1.0, 1.1));
        assert!(!few.known);
        let many = Ratio::of(&[1.0, 9.0, 1.1, 1.2, 1.3, 0.1, 1.4, 1.5, 1.6]).unwrap();
        assert_eq!((many.low, many.high, many.known), (1.0, 1.6, true));
    }

    #[test]
    fn an_interval_covers_the_truth_most_of_the_time() {
        let mut rng = Rng::with_seed(7);
        let covered = (0..1000).filter(|_| {
            let rounds: Vec<_> = (0..9).map(|_| 0.5 + rng.f64()).collect();
            let found = Ratio::of(&rounds).unwrap();
            found.low <= 1.0 && 1.0 <= found.high
        });
        let covered = covered.count();
        assert!(covered >= 940, "{covered} of 1000");
    }
}
