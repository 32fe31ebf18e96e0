//! What the numbers show, and whether the goals are met.

use harness::measure::{self, Goal};
use harness::wire::samples::{IDLE, PENDING, Unit};
use serde::Serialize;
use strum::Display;

use super::format;
use super::model::{Benchmark, Series, Side};
use super::stats::{Ratio, Spread, median};

/// How much slower than the stock kernel the patched one may be outside a freeze: 2 %.
pub const LIKE_STOCK: f64 = 1.02;
/// What counts as nothing: 1 %.
const NOTHING: f64 = 1.01;
/// Clock ticks that a deadline may be late.
const TICKS: f64 = 2.0;
/// The fewest samples that can tell 95 times of 100: were it fewer, so many would all be on time less than once in 20
/// runs (ln 0.05 / ln 0.95).
const ENOUGH: usize = 59;

#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// One kernel against the other.
    pub kernels: Vec<Comparison>,
    /// In one kernel: without a deadline pending elsewhere, and with.
    pub pending: Vec<Comparison>,
    /// What only [`Side::Other`] has.
    pub alone: Vec<Alone>,
    pub goals: Vec<GoalLine>,
}

/// Two sides of a series.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub series: Series,
    pub unit: Unit,
    pub base: Spread,
    pub other: Spread,
    /// What the other side costs, where 1 is the base: of times, or of the inverse of throughput.
    pub cost: Ratio,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, Serialize)]
pub struct Alone {
    pub series: Series,
    pub unit: Unit,
    pub spread: Spread,
}

/// What a comparison shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    Faster,
    /// By no more than what is tolerated.
    #[strum(to_string = "not slower")]
    NotSlower,
    Slower,
    /// The interval has both good and bad in it.
    Unclear,
    #[strum(to_string = "too few rounds")]
    TooFewRounds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum Outcome {
    Met,
    #[strum(to_string = "MISSED")]
    Missed,
    /// This run cannot tell.
    Open,
}

#[derive(Clone, Debug, Serialize)]
pub struct GoalLine {
    pub goal: String,
    pub outcome: Outcome,
    pub because: String,
}

impl Verdict {
    /// What can be said of a cost, and no more.
    fn of(cost: &Ratio, tolerated: f64) -> Self {
        match cost {
            Ratio { known: false, .. } => Verdict::TooFewRounds,
            cost if cost.low > tolerated => Verdict::Slower,
            cost if cost.high < 1.0 => Verdict::Faster,
            cost if cost.high <= tolerated => Verdict::NotSlower,
            _ => Verdict::Unclear,
        }
    }
}

impl Findings {
    pub fn of(run: &Benchmark) -> Self {
        let (mut kernels, mut pending, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for series in run.series() {
            match goal(&series) {
                Goal::Free if series.part == PENDING => pending.extend(pending_cost(run, &series)),
                Goal::Free => {}
                Goal::Report | Goal::LikeStock | Goal::Punctual => {
                    match kernel_cost(run, &series) {
                        Some(comparison) => kernels.push(comparison),
                        None => alone.extend(other_alone(run, series)),
                    }
                }
            }
        }
        let goals = [
            like_stock(&kernels),
            punctual(run, &kernels, &alone),
            free(&pending),
        ];
        Self {
            goals: goals.into_iter().flatten().collect(),
            kernels,
            pending,
            alone,
        }
    }
}

fn goal(series: &Series) -> Goal {
    measure::find(&series.measurement).map_or(Goal::Report, |measurement| measurement.goal)
}

/// None unless both kernels have numbers of one round.
fn kernel_cost(run: &Benchmark, series: &Series) -> Option<Comparison> {
    compare(run, (series, Side::Base), (series, Side::Other), LIKE_STOCK)
}

fn pending_cost(run: &Benchmark, pending: &Series) -> Option<Comparison> {
    let idle = Series {
        part: IDLE.into(),
        ..pending.clone()
    };
    compare(run, (&idle, Side::Other), (pending, Side::Other), NOTHING)
}

fn compare(
    run: &Benchmark,
    base: (&Series, Side),
    other: (&Series, Side),
    tolerated: f64,
) -> Option<Comparison> {
    let unit = run.unit(other.0)?;
    let cost = |round| {
        let base = median(run.numbers(round, base.1, base.0)?)?;
        let other = median(run.numbers(round, other.1, other.0)?)?;
        Some(match unit {
            Unit::Nanoseconds => other / base,
            Unit::BytesPerSecond => base / other,
        })
    };
    let costs: Vec<_> = (1..=run.last_round()).filter_map(cost).collect();
    let cost = Ratio::of(&costs)?;
    Some(Comparison {
        series: other.0.clone(),
        unit,
        base: Spread::of(&run.all_numbers(base.1, base.0))?,
        other: Spread::of(&run.all_numbers(other.1, other.0))?,
        verdict: Verdict::of(&cost, tolerated),
        cost,
    })
}

/// None if the other kernel has no number of it.
fn other_alone(run: &Benchmark, series: Series) -> Option<Alone> {
    Some(Alone {
        unit: run.unit(&series)?,
        spread: Spread::of(&run.all_numbers(Side::Other, &series))?,
        series,
    })
}

fn like_stock(kernels: &[Comparison]) -> Option<GoalLine> {
    let concerned = kernels
        .iter()
        .filter(|it| goal(&it.series) == Goal::LikeStock);
    verdicts("outside a freeze at most 2 % slower", concerned)
}

fn free(pending: &[Comparison]) -> Option<GoalLine> {
    let goal = "a pending deadline costs other filesystems' writers nothing (at most 1 %)";
    verdicts(goal, pending.iter())
}

/// One that misses the goal is enough to miss it. None of no comparison.
fn verdicts<'a>(goal: &str, concerned: impl Iterator<Item = &'a Comparison>) -> Option<GoalLine> {
    let (verdicts, texts): (Vec<_>, Vec<_>) =
        concerned.map(|it| (it.verdict, describe(it))).unzip();
    let good = |verdict: &Verdict| matches!(verdict, Verdict::Faster | Verdict::NotSlower);
    (!verdicts.is_empty()).then(|| GoalLine {
        goal: goal.into(),
        outcome: match &verdicts {
            all if all.contains(&Verdict::Slower) => Outcome::Missed,
            all if all.iter().all(good) => Outcome::Met,
            _ => Outcome::Open,
        },
        because: texts.join("; "),
    })
}

/// `ext3 write_cached 1.003 (0.998 to 1.009), not slower`
fn describe(comparison: &Comparison) -> String {
    let Comparison {
        series,
        cost,
        verdict,
        ..
    } = comparison;
    format!(
        "{} {} {}, {}",
        series.filesystem,
        series.measurement,
        format::ratio(cost),
        verdict
    )
}

fn punctual(run: &Benchmark, kernels: &[Comparison], alone: &[Alone]) -> Option<GoalLine> {
    let limit = TICKS * 1e9 / f64::from(run.other.hz);
    // Both kernels have it when a kernel is compared with itself.
    let both = kernels.iter().map(|it| (&it.series, it.other));
    let all = both.chain(alone.iter().map(|it| (&it.series, it.spread)));
    let found: Vec<_> = all
        .filter(|(series, _)| goal(series) == Goal::Punctual)
        .collect();
    let text = |(series, spread): &(&Series, Spread)| {
        let of = |number| format::value(number, Unit::Nanoseconds);
        format!(
            "{}: median {}, 95 % of {} by {}, all by {}",
            series.filesystem,
            of(spread.median),
            spread.count,
            of(spread.most),
            of(spread.max)
        )
    };
    (!found.is_empty()).then(|| GoalLine {
        goal: format!(
            "less than two clock ticks ({}) late when idle, 95 times of 100",
            format::value(limit, Unit::Nanoseconds)
        ),
        outcome: on_time(limit, found.iter().map(|(_, spread)| spread)),
        because: found.iter().map(text).collect::<Vec<_>>().join("; "),
    })
}

/// One that is late is enough to miss the goal, and one of which too little is known to leave it open.
fn on_time<'a>(limit: f64, spreads: impl Iterator<Item = &'a Spread>) -> Outcome {
    let (enough, few): (Vec<&Spread>, Vec<_>) = spreads.partition(|it| it.count >= ENOUGH);
    match enough.iter().all(|it| it.most < limit) {
        false => Outcome::Missed,
        true if few.is_empty() => Outcome::Met,
        true => Outcome::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{Measured, samples};
    use super::*;

    #[test]
    fn verdicts_say_what_can_be_said() {
        let table = [
            ("nothing", (0.999, 1.001), true, Verdict::NotSlower),
            ("tolerated", (1.005, 1.015), true, Verdict::NotSlower),
            ("a noisy run", (0.9, 1.1), true, Verdict::Unclear),
            ("perhaps too slow", (1.005, 1.025), true, Verdict::Unclear),
            ("slower", (1.05, 1.15), true, Verdict::Slower),
            ("faster", (0.85, 0.95), true, Verdict::Faster),
            ("two rounds", (1.1, 1.2), false, Verdict::TooFewRounds),
        ];
        for (name, (low, high), known, wanted) in table {
            let cost = Ratio {
                median: 1.0,
                low,
                high,
                known,
            };
            assert_eq!(Verdict::of(&cost, LIKE_STOCK), wanted, "{name}");
        }
    }

    fn outcomes(factor: f64) -> Vec<Outcome> {
        let findings = Findings::of(&samples::run(factor));
        findings.goals.iter().map(|goal| goal.outcome).collect()
    }

    #[test]
    fn equals_meet_every_goal() {
        assert_eq!(outcomes(1.0), [Outcome::Met; 3]);
    }

    #[test]
    fn five_percent_are_found() {
        let wanted = [Outcome::Missed, Outcome::Met, Outcome::Met];
        assert_eq!(outcomes(1.05), wanted);
        let findings = Findings::of(&samples::run(1.05));
        let slower = findings.kernels.iter();
        let slower = slower.filter(|it| it.verdict == Verdict::Slower);
        let names: Vec<_> = slower.map(|it| it.series.measurement.as_str()).collect();
        // Throughput costs more when it is less.
        assert_eq!(names, ["write_cached", "write_stream"].repeat(2));
    }

    #[test]
    fn few_rounds_show_nothing() {
        let mut run = samples::run(1.5);
        run.guests.retain(|guest| guest.round <= 5);
        let findings = Findings::of(&run);
        let mut kernels = findings.kernels.iter();
        assert!(kernels.all(|it| it.verdict == Verdict::TooFewRounds));
        assert_eq!(findings.goals[0].outcome, Outcome::Open);
    }

    #[test]
    fn what_one_kernel_has_is_told_alone() {
        let findings = Findings::of(&samples::run(1.0));
        assert_eq!(findings.pending.len(), 2);
        let alone = findings.alone.iter().map(|it| it.series.to_string());
        let alone: Vec<_> = alone.collect();
        assert_eq!(alone[..2], ["deadline_late", "deadlines_many: set 1"]);
    }

    #[test]
    fn numbers_of_the_base_are_not_told_as_the_others() {
        let mut run = samples::run(1.0);
        // No round in which both kernels have one.
        for guest in &mut run.guests {
            let keep = (guest.side == Side::Base) == (guest.round > 1);
            let is_kept = |it: &Measured| keep || it.measurement != "getppid";
            guest.measured.retain(is_kept);
        }
        let counts = |run: &Benchmark| -> Vec<usize> {
            let findings = Findings::of(run);
            let own = findings.alone.iter();
            let own = own.filter(|it| it.series.measurement == "getppid");
            own.map(|it| it.spread.count).collect()
        };
        let of_one = samples::LENGTH;
        assert_eq!(counts(&run), [of_one, of_one], "ext3 and xfs, one guest");
        run.guests.retain(|guest| guest.round > 1);
        assert!(counts(&run).is_empty());
    }

    #[test]
    fn late_is_late() {
        let mut run = samples::run(1.0);
        run.other.hz = 1000;
        let goal = &Findings::of(&run).goals[1];
        assert_eq!(goal.outcome, Outcome::Missed, "{goal:?}");
        assert!(goal.goal.contains("2.00 ms"), "{goal:?}");
    }

    #[test]
    fn few_samples_do_not_tell_how_late() {
        for hz in [250, 1000] {
            let mut run = samples::run(1.0);
            run.other.hz = hz;
            run.guests.retain(|guest| guest.round <= 5);
            let goal = &Findings::of(&run).goals[1];
            assert_eq!(goal.outcome, Outcome::Open, "{goal:?}");
        }
    }
}
