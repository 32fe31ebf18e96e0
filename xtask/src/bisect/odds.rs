//! How sure a verdict is that rests on runs which passed.
//!
//! A failure that is there shows in a run with some rate, which is known from runs at the end that fails. The rate is
//! taken as low as those runs allow (the one-sided interval of Clopper and Pearson, Biometrika 26, 1934), so what is said
//! here of a chance is an upper bound.

/// The least rate at which so many failures, or more, of so many runs have at least the chance `risk`.
pub fn least_rate(failed: u32, runs: u32, risk: f64) -> f64 {
    if failed == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        match at_least(failed, runs, middle) < risk {
            true => low = middle,
            false => high = middle,
        }
    }
    low
}

/// The chance of so many failures or more.
fn at_least(failed: u32, runs: u32, rate: f64) -> f64 {
    let (yes, no) = (rate.ln(), (-rate).ln_1p());
    let mut choose = 0.0; // the logarithm of "runs choose count"
    let mut fewer = 0.0;
    for count in 0..failed {
        let (count, runs) = (f64::from(count), f64::from(runs));
        fewer += (choose + count * yes + (runs - count) * no).exp();
        choose += ((runs - count) / (count + 1.0)).ln();
    }
    1.0 - fewer
}

/// The chance that all of so many runs pass although the failure is there.
pub fn missed(rate: f64, passed: u32) -> f64 {
    (1.0 - rate).powf(f64::from(passed))
}

/// The fewest runs that miss the failure with at most the chance `risk`; `None` if no number does.
pub fn runs_for(rate: f64, risk: f64) -> Option<u32> {
    if rate <= 0.0 {
        return None;
    }
    let runs = (risk.ln() / (-rate).ln_1p()).ceil().max(1.0);
    // More than anybody runs is no number.
    (runs < f64::from(u32::MAX)).then_some(runs as u32)
}

/// Half of the risk of a step is that the rate is lower than it was taken for, half that the runs miss the failure.
pub fn share(confidence: f64) -> f64 {
    (1.0 - confidence) / 2.0
}

/// That the rate is not lower than it was taken for, and none of these verdicts, which rest on so many runs that passed
/// each, misses the failure.
pub fn all_right(rate: f64, confidence: f64, passed: impl IntoIterator<Item = u32>) -> f64 {
    let missed: f64 = passed.into_iter().map(|runs| missed(rate, runs)).sum();
    (1.0 - share(confidence) - missed).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bounds that are in tables: `1 - (1 - x)^(1/n)` where one run failed, `x^(1/n)` where all did, and two of the
    /// ends of 99 % intervals.
    #[test]
    fn rates() {
        for (failed, runs, risk, wanted) in [
            (0, 20, 0.005, 0.0),
            (1, 1, 0.05, 0.05),
            (5, 5, 0.005, 0.346_572),
            (25, 25, 0.005, 0.809_031),
            (1, 25, 0.005, 0.000_200_5),
            (5, 10, 0.005, 0.128_32),
            (6, 20, 0.025, 0.118_93),
        ] {
            let rate = least_rate(failed, runs, risk);
            assert!((rate - wanted).abs() < 1e-4, "{failed}/{runs}: {rate}");
        }
    }

    #[test]
    fn so_many_runs_miss_it_rarely_and_one_less_does_not() {
        for (failed, runs) in [(5, 5), (25, 25), (7, 25), (22, 75), (20, 200)] {
            let rate = least_rate(failed, runs, 0.005);
            let enough = runs_for(rate, 0.005).unwrap();
            assert!(missed(rate, enough) <= 0.005, "{failed}/{runs}");
            assert!(missed(rate, enough - 1) > 0.005, "{failed}/{runs}");
        }
        assert_eq!(runs_for(0.0, 0.005), None);
        assert_eq!(runs_for(1.0, 0.005), Some(1));
        assert_eq!(
            runs_for(least_rate(25, 25, 0.005), 0.005),
            Some(4),
            "a failure that always shows"
        );
    }

    #[test]
    fn all_verdicts_together() {
        assert!((all_right(0.5, 0.99, []) - 0.995).abs() < 1e-9);
        assert!((all_right(0.5, 0.99, [10, 10]) - (0.995 - 2.0 / 1024.0)).abs() < 1e-9);
        assert!(all_right(0.0, 0.99, [1000]) <= 0.0, "nothing is known");
    }

    /// What is promised, tried: of many ends that are measured and good commits that are searched for, no more than one
    /// in a hundred is called good though the failure is there.
    #[test]
    fn a_false_good_is_rarer_than_promised() {
        let mut random = fastrand::Rng::with_seed(12);
        for rate in [0.1, 0.3, 0.9] {
            let (mut wrong, rounds) = (0, 4000);
            for _ in 0..rounds {
                let failed = (0..75).filter(|_| random.f64() < rate).count() as u32;
                let least = least_rate(failed, 75, share(0.99));
                let Some(runs) = runs_for(least, share(0.99)) else {
                    continue;
                };
                wrong += u32::from((0..runs).all(|_| random.f64() >= rate));
            }
            assert!(
                f64::from(wrong) / f64::from(rounds) < 0.01,
                "{rate}: {wrong}"
            );
        }
    }
}
