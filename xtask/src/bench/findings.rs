//! What the numbers show, and whether the goals are met.

use fastrand::Rng;
use harness::measure::{self, Goal, IDLE, IDLE_AGAIN, PENDING, Unit};
use serde::{Deserialize, Serialize};

use super::format;
use super::model::{Run, Series, Side};
use super::stats::{Groups, Interval, Spread, interval, noise_of_halves, ratio};

/// How much slower than the stock kernel the patched one may be outside a freeze: 2 %.
pub const LIKE_STOCK: f64 = 0.02;
/// What counts as nothing, where it can be shown: 1 %.
pub const NOTHING: f64 = 0.01;
/// Noise in which anything could hide: no goal is met by it.
const LOUD: f64 = 0.1;
/// Guests of each kernel that can show a difference: with three, all of one kernel are slower than all of the other
/// once in ten times by chance; with four, once in 35 times.
const ENOUGH: usize = 4;
/// Clock ticks that a deadline may be late.
pub const TICKS: f64 = 2.0;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// One kernel against the other.
    pub kernels: Vec<Comparison>,
    /// In one kernel: without a deadline pending elsewhere, and with.
    pub pending: Vec<Comparison>,
    /// What only one kernel has.
    pub alone: Vec<Alone>,
    pub goals: Vec<GoalLine>,
}

/// Two sides of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub series: Series,
    pub unit: Unit,
    pub base: Spread,
    pub other: Spread,
    /// What the other side costs, where 1 is the base: of times, or of the inverse of throughput.
    pub cost: f64,
    pub interval: Interval,
    /// How far equals differ in this run: the logarithm of a ratio. None if it cannot be known.
    pub noise: Option<f64>,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alone {
    pub series: Series,
    pub unit: Unit,
    pub spread: Spread,
}

/// What a comparison shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Shown to cost as much, to within the tolerance.
    Same,
    /// No difference beyond the noise of this run, which is more than the tolerance.
    Noise,
    Faster,
    Slower,
    /// There seems to be a difference, but it is not certain, or not as small as it should be.
    Unclear,
    /// So few guests show nothing.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Met,
    Missed,
    /// This run cannot tell.
    Open,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoalLine {
    pub goal: String,
    pub outcome: Outcome,
    pub because: String,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Met => "met",
            Outcome::Missed => "MISSED",
            Outcome::Open => "open",
        }
    }

    /// Of a goal that several must meet: one that misses it is enough to miss it.
    fn of_all(outcomes: &[Outcome]) -> Outcome {
        let worst = [Outcome::Missed, Outcome::Open];
        worst
            .into_iter()
            .find(|it| outcomes.contains(it))
            .unwrap_or(Outcome::Met)
    }
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Same => "the same",
            Verdict::Noise => "within the noise",
            Verdict::Faster => "faster",
            Verdict::Slower => "slower",
            Verdict::Unclear => "unclear",
            Verdict::Unknown => "unknown",
        }
    }
}

impl Comparison {
    fn outcome(&self) -> Outcome {
        match self.verdict {
            Verdict::Same | Verdict::Faster => Outcome::Met,
            Verdict::Noise if self.noise.is_some_and(|noise| noise <= LOUD.ln_1p()) => Outcome::Met,
            Verdict::Slower => Outcome::Missed,
            Verdict::Noise | Verdict::Unclear | Verdict::Unknown => Outcome::Open,
        }
    }
}

/// What can be said of a ratio, and no more.
pub fn judge(cost: f64, interval: Interval, noise: Option<f64>, tolerance: f64) -> Verdict {
    let Some(noise) = noise else {
        return Verdict::Unknown;
    };
    let tolerated = 1.0 / (1.0 + tolerance)..=1.0 + tolerance;
    let within = tolerated.contains(&interval.low) && tolerated.contains(&interval.high);
    if within && noise <= tolerance.ln_1p() {
        Verdict::Same
    } else if cost.ln().abs() <= noise {
        Verdict::Noise
    } else if interval.high < 1.0 {
        Verdict::Faster
    } else if interval.low > 1.0 && !tolerated.contains(&cost) {
        Verdict::Slower
    } else {
        Verdict::Unclear
    }
}

impl Findings {
    pub fn of(run: &Run) -> Self {
        let mut rng = Rng::with_seed(run.seed);
        let (mut kernels, mut pending, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for series in run.series() {
            match goal(&series) {
                Goal::Free if series.part == PENDING => {
                    pending.extend(pending_cost(run, &series, &mut rng));
                }
                Goal::Free => {}
                Goal::Report | Goal::LikeStock | Goal::Punctual => {
                    match kernel_cost(run, &series, &mut rng) {
                        Some(comparison) => kernels.push(comparison),
                        None => alone.extend(numbers(run, series)),
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
            kernels,
            pending,
            alone,
            goals: goals.into_iter().flatten().collect(),
        }
    }
}

fn goal(series: &Series) -> Goal {
    measure::find(&series.measurement).map_or(Goal::Report, |measurement| measurement.goal)
}

/// None unless both kernels have numbers.
fn kernel_cost(run: &Run, series: &Series, rng: &mut Rng) -> Option<Comparison> {
    let unit = run.unit(series)?;
    let groups = |side| run.groups(series, side);
    let (base, other) = (groups(Side::Base), groups(Side::Other));
    let costs = |groups: &[Vec<f64>]| costs(groups, unit);
    let noises = [&base, &other].map(|groups| noise_of_halves(&costs(groups), rng));
    let enough = base.len().min(other.len()) >= ENOUGH;
    // Either kernel shows what equals differ by; the larger number is the safer one.
    let noise = noises[0]
        .zip(noises[1])
        .map(|(base, other)| base.max(other))
        .filter(|_| enough);
    compare(
        series,
        unit,
        (&base, &other),
        Groups::Apart,
        noise,
        LIKE_STOCK,
        rng,
    )
}

fn pending_cost(run: &Run, series: &Series, rng: &mut Rng) -> Option<Comparison> {
    let unit = run.unit(series)?;
    let part = |part: &str| {
        let series = Series {
            part: part.into(),
            ..series.clone()
        };
        run.groups(&series, Side::Other)
    };
    let (idle, pending, again) = (part(IDLE), part(PENDING), part(IDLE_AGAIN));
    let equals = interval(&idle, &again, Groups::Paired, rng);
    let noise = equals.low.ln().abs().max(equals.high.ln().abs());
    compare(
        series,
        unit,
        (&idle, &pending),
        Groups::Paired,
        Some(noise),
        NOTHING,
        rng,
    )
}

fn compare(
    series: &Series,
    unit: Unit,
    (base, other): (&[Vec<f64>], &[Vec<f64>]),
    groups: Groups,
    noise: Option<f64>,
    tolerance: f64,
    rng: &mut Rng,
) -> Option<Comparison> {
    let spreads = (Spread::of(&base.concat())?, Spread::of(&other.concat())?);
    let (base, other) = (costs(base, unit), costs(other, unit));
    let cost = ratio(&base, &other, groups);
    let interval = interval(&base, &other, groups, rng);
    Some(Comparison {
        series: series.clone(),
        unit,
        base: spreads.0,
        other: spreads.1,
        cost,
        interval,
        noise,
        verdict: judge(cost, interval, noise, tolerance),
    })
}

/// Numbers of which less is better.
fn costs(groups: &[Vec<f64>], unit: Unit) -> Vec<Vec<f64>> {
    match unit {
        Unit::Nanoseconds | Unit::Bytes => groups.to_vec(),
        Unit::BytesPerSecond => groups
            .iter()
            .map(|group| group.iter().map(|rate| 1.0 / rate).collect())
            .collect(),
    }
}

fn numbers(run: &Run, series: Series) -> Option<Alone> {
    let sides = [Side::Other, Side::Base];
    let values = sides
        .map(|side| run.groups(&series, side).concat())
        .concat();
    Some(Alone {
        unit: run.unit(&series)?,
        spread: Spread::of(&values)?,
        series,
    })
}

fn like_stock(kernels: &[Comparison]) -> Option<GoalLine> {
    let concerned = kernels
        .iter()
        .filter(|it| goal(&it.series) == Goal::LikeStock);
    verdicts(
        format!(
            "outside a freeze at most {:.0} % slower, or no slower than the noise",
            LIKE_STOCK * 100.0
        ),
        concerned,
    )
}

fn free(pending: &[Comparison]) -> Option<GoalLine> {
    verdicts(
        "a pending deadline costs other filesystems' writers nothing".into(),
        pending.iter(),
    )
}

/// None of no comparison.
fn verdicts<'a>(goal: String, concerned: impl Iterator<Item = &'a Comparison>) -> Option<GoalLine> {
    let (outcomes, texts): (Vec<_>, Vec<_>) =
        concerned.map(|it| (it.outcome(), describe(it))).unzip();
    (!outcomes.is_empty()).then(|| GoalLine {
        goal,
        outcome: Outcome::of_all(&outcomes),
        because: texts.join("; "),
    })
}

/// `ext3 write_cached 1.003, within the noise (±2.1 %)`
fn describe(comparison: &Comparison) -> String {
    let Comparison {
        series,
        cost,
        noise,
        verdict,
        ..
    } = comparison;
    let noise = noise.map_or(String::new(), |noise| {
        format!(" ({})", format::noise(noise))
    });
    let measurement = &series.measurement;
    format!(
        "{} {measurement} {cost:.3}, {}{noise}",
        series.filesystem,
        verdict.word()
    )
}

fn punctual(run: &Run, kernels: &[Comparison], alone: &[Alone]) -> Option<GoalLine> {
    let limit = TICKS * 1e9 / f64::from(run.other.hz);
    // Both kernels have it when a kernel is compared with itself.
    let both = kernels.iter().map(|it| (&it.series, it.other));
    let all = both.chain(alone.iter().map(|it| (&it.series, it.spread)));
    let found: Vec<_> = all
        .filter(|(series, _)| goal(series) == Goal::Punctual)
        .collect();
    let text = |(series, spread): &(&Series, Spread)| {
        let of = |number| format::value(number, Unit::Nanoseconds);
        let Spread {
            median,
            most,
            max,
            count,
            ..
        } = *spread;
        format!(
            "{}: median {}, 95 % of {count} by {}, all by {}",
            series.filesystem,
            of(median),
            of(most),
            of(max)
        )
    };
    let on_time = found.iter().all(|(_, spread)| spread.most < limit);
    (!found.is_empty()).then(|| GoalLine {
        goal: format!(
            "less than two clock ticks ({}) late when idle, 95 times of 100",
            format::value(limit, Unit::Nanoseconds)
        ),
        outcome: if on_time {
            Outcome::Met
        } else {
            Outcome::Missed
        },
        because: found.iter().map(text).collect::<Vec<_>>().join("; "),
    })
}

#[cfg(test)]
mod tests {
    use super::super::model::samples;
    use super::*;

    #[test]
    fn verdicts_say_what_can_be_said() {
        let table = [
            ("nothing", 1.0, (0.999, 1.001), Some(0.001), Verdict::Same),
            (
                "inside the tolerance",
                1.01,
                (1.005, 1.015),
                Some(0.001),
                Verdict::Same,
            ),
            ("a noisy run", 1.01, (0.9, 1.1), Some(0.05), Verdict::Noise),
            (
                "narrow by chance in a noisy run",
                1.0,
                (0.999, 1.001),
                Some(0.05),
                Verdict::Noise,
            ),
            ("slower", 1.1, (1.05, 1.15), Some(0.01), Verdict::Slower),
            ("faster", 0.9, (0.85, 0.95), Some(0.01), Verdict::Faster),
            (
                "perhaps slower",
                1.1,
                (0.95, 1.2),
                Some(0.01),
                Verdict::Unclear,
            ),
            (
                "perhaps too slow",
                1.015,
                (1.005, 1.025),
                Some(0.01),
                Verdict::Unclear,
            ),
            ("one round", 1.0, (1.0, 1.0), None, Verdict::Unknown),
        ];
        for (name, cost, (low, high), noise, wanted) in table {
            let found = judge(cost, Interval { low, high }, noise, LIKE_STOCK);
            assert_eq!(found, wanted, "{name}");
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
        assert_eq!(
            outcomes(1.05),
            [Outcome::Missed, Outcome::Met, Outcome::Met]
        );
        let findings = Findings::of(&samples::run(1.05));
        let slower: Vec<_> = findings
            .kernels
            .iter()
            .filter(|it| it.verdict == Verdict::Slower)
            .collect();
        let names: Vec<_> = slower
            .iter()
            .map(|it| it.series.measurement.as_str())
            .collect();
        // Throughput costs more when it is less.
        assert_eq!(names, ["write_cached", "write_stream"].repeat(2));
    }

    #[test]
    fn three_guests_show_nothing() {
        let mut run = samples::run(1.5);
        run.guests.retain(|guest| guest.round <= 3);
        let findings = Findings::of(&run);
        assert!(
            findings
                .kernels
                .iter()
                .all(|it| it.verdict == Verdict::Unknown)
        );
        assert_eq!(findings.goals[0].outcome, Outcome::Open);
    }

    #[test]
    fn much_noise_meets_no_goal() {
        let mut comparison = Findings::of(&samples::run(1.0)).kernels.remove(0);
        comparison.verdict = Verdict::Noise;
        for (noise, wanted) in [(0.05, Outcome::Met), (0.5, Outcome::Open)] {
            comparison.noise = Some(noise);
            assert_eq!(comparison.outcome(), wanted, "{noise}");
        }
    }

    #[test]
    fn what_one_kernel_has_is_told_alone() {
        let findings = Findings::of(&samples::run(1.0));
        assert_eq!(findings.pending.len(), 2);
        let alone: Vec<_> = findings
            .alone
            .iter()
            .map(|it| it.series.to_string())
            .collect();
        assert_eq!(alone[..2], ["deadline_late", "deadlines_many: set 1"]);
    }

    #[test]
    fn late_is_late() {
        let mut run = samples::run(1.0);
        run.other.hz = 1000;
        let findings = Findings::of(&run);
        assert!(
            findings.goals[1].outcome == Outcome::Missed,
            "{:?}",
            findings.goals[1]
        );
        assert!(
            findings.goals[1].goal.contains("2.00 ms"),
            "{:?}",
            findings.goals[1]
        );
    }
}
