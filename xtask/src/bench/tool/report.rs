//! What a run of `bench tool` looks like.

use harness::wire::samples::Unit;

use super::model::{Benchmark, Quantity, Side};
use crate::bench::format;
use crate::bench::plot::{self, Axis, Mark, Plot};
use crate::bench::stats::{Ratio, Spread};
use crate::bench::table::Table;
use crate::failure::Result;

impl Benchmark {
    fn quantities(&self) -> Vec<Quantity> {
        let mut all: Vec<_> = self.taken.iter().map(|taken| taken.quantity).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Rounds and seconds.
    fn times(&self, quantity: Quantity, side: Side) -> impl Iterator<Item = (u32, f64)> {
        let taken = self.taken.iter();
        taken
            .filter(move |taken| (taken.quantity, taken.side) == (quantity, side))
            .map(|taken| (taken.round, taken.seconds))
    }

    fn spread(&self, quantity: Quantity, side: Side) -> Option<Spread> {
        let nanoseconds: Vec<_> = self.times(quantity, side).map(|it| it.1 * 1e9).collect();
        Spread::of(&nanoseconds)
    }

    /// What this program takes where the other side is 1.
    fn ratio(&self, quantity: Quantity, base: Side) -> Option<Ratio> {
        let ratio = |(round, ours)| {
            let mut theirs = self.times(quantity, base);
            Some(ours / theirs.find(|it| it.0 == round)?.1)
        };
        let ours = self.times(quantity, Side::Xtask);
        Ratio::of(&ours.filter_map(ratio).collect::<Vec<_>>())
    }
}

/// None if nothing was measured.
pub fn table(run: &Benchmark) -> Option<Table> {
    let none = || "–".to_owned();
    let row = |quantity: Quantity| {
        let time = |side| {
            let spread = run.spread(quantity, side);
            spread.map_or_else(none, |it| format::spread(&it, Unit::Nanoseconds))
        };
        let ratio = |base| {
            let ratio = run.ratio(quantity, base);
            ratio.map_or_else(none, |it| format::ratio(&it))
        };
        vec![
            quantity.to_string(),
            time(Side::Xtask),
            time(Side::Vng),
            time(Side::Bare),
            ratio(Side::Vng),
            ratio(Side::Bare),
        ]
    };
    let rows: Vec<_> = run.quantities().into_iter().map(row).collect();
    let header = [
        "time of",
        "xtask",
        "virtme-ng",
        "bare boot",
        "xtask : virtme-ng",
        "xtask : bare boot",
    ];
    let title = "Building a kernel, each with its own default configuration; starting a guest of the same kernel, to the first case (of the bare boot, the init) and to the guest's end, where xtask first looks whether all is up to date: medians (quartiles); ratios, medians of the rounds (their 95 % interval; of fewer than six rounds, the range)";
    (!rows.is_empty()).then(|| Table::new(title, &header, rows))
}

/// A sentence on the files that were compiled; none if nothing was.
pub fn compiled(run: &Benchmark) -> Option<String> {
    let count = |side| run.compiled.get(&side);
    let (ours, theirs) = (*count(Side::Xtask)?, *count(Side::Vng)?);
    let ratio = ours as f64 / theirs as f64;
    Some(format!(
        "Files compiled: {ours} by xtask, {theirs} by virtme-ng, a ratio of {ratio:.3}."
    ))
}

/// None if nothing was measured.
pub fn plot(run: &Benchmark) -> Result<Option<Plot>> {
    let sides = [
        (Side::Xtask, plot::BLUE),
        (Side::Vng, plot::ORANGE),
        (Side::Bare, plot::GREEN),
    ];
    let marks = |quantity| -> Vec<Mark> {
        let mark = |(side, colour)| Some(plot::mark(&run.spread(quantity, side)?, 1e9, colour));
        sides.into_iter().filter_map(mark).collect()
    };
    let quantities = run.quantities().into_iter();
    let rows: Vec<_> = quantities.map(|it| (it.to_string(), marks(it))).collect();
    let axis = Axis {
        title: "Building a kernel and starting a guest",
        label: "seconds: median and quartiles",
        range: plot::around(&rows, 1.0..10.0, 1.2),
        good: None,
        legend: sides
            .map(|(side, colour)| (side.to_string(), colour))
            .to_vec(),
    };
    Ok(plot::of_rows("tool.svg", &rows, &axis)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::bench::tool::model::Taken;

    fn run() -> Benchmark {
        let taken = |(round, quantity, side, seconds)| Taken {
            round,
            quantity,
            side,
            seconds,
        };
        let all = [
            (1, Quantity::FirstCase, Side::Vng, 8.0),
            (1, Quantity::FirstCase, Side::Xtask, 4.0),
            (1, Quantity::FirstCase, Side::Bare, 2.0),
            (2, Quantity::FirstCase, Side::Xtask, 400.0),
            (1, Quantity::ColdBuild, Side::Xtask, 600.0),
            (1, Quantity::ColdBuild, Side::Vng, 1200.0),
            (1, Quantity::NoChange, Side::Xtask, 0.4),
        ];
        Benchmark {
            machine: crate::bench::testbed::samples::machine(),
            kernel: crate::report::model::samples::run(&[], vec![]).kernel,
            started: "2026-11-21T01:00:00+00:00".into(),
            took: Duration::from_secs(9),
            taken: all.map(taken).to_vec(),
            compiled: [(Side::Xtask, 1000), (Side::Vng, 4000)].into(),
            problems: vec![],
        }
    }

    #[test]
    fn a_row_a_quantity() {
        let table = table(&run()).unwrap();
        assert_eq!(table.rows.len(), 3);
        let cold = [
            "cold build",
            "600 s",
            "1200 s",
            "–",
            "0.500 (0.500 to 0.500)",
            "–",
        ];
        assert_eq!(table.rows[0], cold);
        assert_eq!(table.rows[1][1], "400 ms");
        assert_eq!(table.rows[2][5], "2.000 (2.000 to 2.000)");
        let wanted = "Files compiled: 1000 by xtask, 4000 by virtme-ng, a ratio of 0.250.";
        assert_eq!(compiled(&run()).as_deref(), Some(wanted));
        assert!(plot(&run()).unwrap().unwrap().svg.contains("first case"));
    }

    #[test]
    fn nothing_measured_is_nothing_shown() {
        let empty = Benchmark {
            taken: vec![],
            compiled: BTreeMap::new(),
            ..run()
        };
        assert_eq!(super::table(&empty), None);
        assert!(plot(&empty).unwrap().is_none());
    }
}
