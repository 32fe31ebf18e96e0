//! Medians, and what can be said about their ratio.
//!
//! Numbers come in groups, one a guest: those of one guest are more like each other than like those of the next.
//! So a guest counts once, by its median, and guests are what is drawn again in the bootstrap.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// Draws of a bootstrap.
const DRAWS: usize = 1000;
/// Splits in halves that are looked at if there are more.
const SPLITS: usize = 200;
/// What is left out on either side of an interval: 95 % remain.
const TAIL: f64 = 0.025;

/// Where numbers lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// Whether the nth groups of two sides belong together, as two series from one guest do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    Paired,
    Apart,
}

impl Spread {
    /// None of no numbers.
    pub fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        (!sorted.is_empty()).then(|| Self {
            count: sorted.len(),
            median: quantile(&sorted, 0.5),
            low: quantile(&sorted, 0.25),
            high: quantile(&sorted, 0.75),
            most: quantile(&sorted, 0.95),
            max: quantile(&sorted, 1.0),
        })
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Of sorted numbers, interpolated between the two next to it; 0 of none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let place = share * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to last"
    )]
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

pub fn median(values: &[f64]) -> f64 {
    quantile(&sorted(values), 0.5)
}

/// The median of the groups' medians.
fn centre<'a>(groups: impl IntoIterator<Item = &'a Vec<f64>>) -> f64 {
    let medians: Vec<_> = groups.into_iter().map(|group| median(group)).collect();
    median(&medians)
}

/// How many times `base` is `other`; paired groups are compared each with its own.
pub fn ratio(base: &[Vec<f64>], other: &[Vec<f64>], groups: Groups) -> f64 {
    match groups {
        Groups::Apart => centre(other) / centre(base),
        Groups::Paired => {
            let pairs = base.iter().zip(other);
            let ratios: Vec<_> = pairs
                .map(|(base, other)| median(other) / median(base))
                .collect();
            median(&ratios)
        }
    }
}

/// Where 95 % of the ratios lie if guests, and numbers within guests, are drawn again with replacement.
pub fn interval(base: &[Vec<f64>], other: &[Vec<f64>], groups: Groups, rng: &mut Rng) -> Interval {
    let mut ratios = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let from_base = draw(base.len(), rng);
        let from_other = match groups {
            Groups::Paired => from_base.clone(),
            Groups::Apart => draw(other.len(), rng),
        };
        let (base, other) = (pick(base, &from_base, rng), pick(other, &from_other, rng));
        ratios.push(ratio(&base, &other, groups));
    }
    ratios.sort_by(f64::total_cmp);
    Interval {
        low: quantile(&ratios, TAIL),
        high: quantile(&ratios, 1.0 - TAIL),
    }
}

fn draw(count: usize, rng: &mut Rng) -> Vec<usize> {
    (0..count).map(|_| rng.usize(..count)).collect()
}

fn pick(groups: &[Vec<f64>], which: &[usize], rng: &mut Rng) -> Vec<Vec<f64>> {
    let again = |group: &Vec<f64>, rng: &mut Rng| {
        draw(group.len(), rng).iter().map(|at| group[*at]).collect()
    };
    which.iter().map(|at| again(&groups[*at], rng)).collect()
}

/// How far two halves of the same guests differ: the logarithm of a ratio that 95 % of the splits do not exceed.
///
/// Halves have fewer guests than the sides of a comparison, so this is rather too much. None of fewer than two guests.
pub fn noise_of_halves(groups: &[Vec<f64>], rng: &mut Rng) -> Option<f64> {
    let medians: Vec<_> = groups.iter().map(|group| median(group)).collect();
    let splits = splits(medians.len(), rng);
    let differences: Vec<_> = splits
        .iter()
        .map(|first| {
            let half = |wanted: bool| {
                let chosen = medians
                    .iter()
                    .zip(first)
                    .filter(|(_, is_first)| **is_first == wanted);
                median(&chosen.map(|(median, _)| *median).collect::<Vec<_>>())
            };
            (half(true) / half(false)).ln().abs()
        })
        .collect();
    (!differences.is_empty()).then(|| quantile(&sorted(&differences), 0.95))
}

/// All ways to tell a first half from a second, or many of them.
fn splits(count: usize, rng: &mut Rng) -> Vec<Vec<bool>> {
    if count < 2 {
        return Vec::new();
    }
    let half = count / 2;
    if count <= 10 {
        let members = |mask: u32| (0..count).map(|bit| mask & (1 << bit) != 0).collect();
        let masks = (0..1u32 << count).filter(|mask| mask.count_ones() as usize == half);
        return masks.map(members).collect();
    }
    let mut split: Vec<_> = (0..count).map(|at| at < half).collect();
    let random = |_| {
        rng.shuffle(&mut split);
        split.clone()
    };
    (0..SPLITS).map(random).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rng() -> Rng {
        Rng::with_seed(7)
    }

    /// Guests whose numbers lie around `level`, and guests around each other.
    fn guests(level: f64, count: usize, rng: &mut Rng) -> Vec<Vec<f64>> {
        let guest = |rng: &mut Rng| {
            let own = level * (1.0 + 0.02 * (rng.f64() - 0.5));
            (0..30).map(|_| own * (1.0 + 0.1 * rng.f64())).collect()
        };
        (0..count).map(|_| guest(rng)).collect()
    }

    #[test]
    fn medians_and_quartiles() {
        let table: &[(&[f64], f64, f64, f64)] = &[
            (&[5.0], 5.0, 5.0, 5.0),
            (&[3.0, 1.0, 2.0], 2.0, 1.5, 2.5),
            (&[4.0, 1.0, 3.0, 2.0], 2.5, 1.75, 3.25),
        ];
        for (values, median, low, high) in table {
            let spread = Spread::of(values).unwrap();
            assert_eq!(
                (spread.median, spread.low, spread.high),
                (*median, *low, *high),
                "{values:?}"
            );
        }
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_guest_counts_once() {
        let base = [vec![1.0; 1000], vec![3.0], vec![3.0]];
        assert_eq!(ratio(&base, &[vec![6.0]], Groups::Apart), 2.0);
    }

    #[test]
    fn pairs_take_the_guest_out() {
        let (slow, fast) = (vec![100.0, 101.0, 102.0], vec![1.0, 1.01, 1.02]);
        let base = [slow.clone(), fast.clone()];
        let other =
            [&slow, &fast].map(|guest| guest.iter().map(|value| value * 1.1).collect::<Vec<_>>());
        let found = interval(&base, &other, Groups::Paired, &mut rng());
        assert!(1.05 < found.low && found.high < 1.15, "{found:?}");
        let found = interval(&base, &other, Groups::Apart, &mut rng());
        assert!(found.high > 2.0, "{found:?}");
    }

    #[test]
    fn an_interval_covers_the_truth_most_of_the_time() {
        let mut rng = rng();
        let covered = (0..20).filter(|_| {
            let (base, other) = (guests(100.0, 8, &mut rng), guests(103.0, 8, &mut rng));
            let found = interval(&base, &other, Groups::Apart, &mut rng);
            found.low <= 1.03 && 1.03 <= found.high
        });
        let covered = covered.count();
        assert!(covered >= 16, "{covered} of 20");
    }

    #[test]
    fn noise_of_equal_guests_is_none_and_of_unequal_much() {
        let equal = vec![vec![2.0, 2.0]; 4];
        assert_eq!(noise_of_halves(&equal, &mut rng()), Some(0.0));
        let unequal = [vec![1.0], vec![2.0]];
        let found = noise_of_halves(&unequal, &mut rng()).unwrap();
        assert!((found - 2.0_f64.ln()).abs() < 1e-9, "{found}");
        assert_eq!(noise_of_halves(&equal[..1], &mut rng()), None);
        assert!(noise_of_halves(&guests(1.0, 14, &mut rng()), &mut rng()).unwrap() < 0.02);
    }

    #[test]
    fn halves_are_halves() {
        assert_eq!(splits(4, &mut rng()).len(), 6);
        for count in [2, 3, 5, 11] {
            for split in splits(count, &mut rng()) {
                let first = split.iter().filter(|is_first| **is_first).count();
                assert_eq!((split.len(), first), (count, count / 2));
            }
        }
        assert!(splits(1, &mut rng()).is_empty());
    }
}
