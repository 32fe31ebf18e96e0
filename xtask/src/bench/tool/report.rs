//! What a run of `bench tool` looks like.

use fastrand::Rng;
use harness::measure::Unit;

use super::{Quantity, Run, Side};
use crate::bench::format;
use crate::bench::plot::{self, Axis, Mark, Plot};
use crate::bench::stats::{Groups, Spread, interval, ratio};
use crate::bench::table::Table;
use crate::failure::Result;

impl Run {
    fn quantities(&self) -> Vec<Quantity> {
        let mut all: Vec<_> = self.taken.iter().map(|taken| taken.quantity).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Nanoseconds, each a group of its own.
    fn times(&self, quantity: Quantity, side: Side) -> Vec<Vec<f64>> {
        let wanted = self
            .taken
            .iter()
            .filter(|taken| (taken.quantity, taken.side) == (quantity, side));
        wanted.map(|taken| vec![taken.seconds * 1e9]).collect()
    }

    fn spread(&self, quantity: Quantity, side: Side) -> Option<Spread> {
        Spread::of(&self.times(quantity, side).concat())
    }
}

/// None if nothing was measured.
pub fn table(run: &Run) -> Option<Table> {
    let mut rng = Rng::with_seed(run.seed);
    let row = |quantity: Quantity| {
        let cell = |side| {
            let spread = run.spread(quantity, side);
            spread.map_or("–".into(), |it| format::spread(&it, Unit::Nanoseconds))
        };
        let mut against = |side| {
            let (base, other) = (run.times(quantity, side), run.times(quantity, Side::Xtask));
            if base.is_empty() || other.is_empty() {
                return "–".into();
            }
            let interval = interval(&base, &other, Groups::Apart, &mut rng);
            format::ratio(ratio(&base, &other, Groups::Apart), interval)
        };
        vec![
            quantity.to_string(),
            cell(Side::Xtask),
            cell(Side::Vng),
            cell(Side::Bare),
            against(Side::Vng),
            against(Side::Bare),
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
    let title = "Medians (quartiles); ratios with their 95 % interval";
    (!rows.is_empty()).then(|| Table::new(title, &header, rows))
}

pub fn plots(run: &Run) -> Result<Vec<Plot>> {
    let sides = [
        (Side::Xtask, plot::BLUE),
        (Side::Vng, plot::ORANGE),
        (Side::Bare, plot::GREEN),
    ];
    let marks = |quantity| -> Vec<Mark> {
        let mark = |(side, colour)| Some(plot::mark(&run.spread(quantity, side)?, 1e9, colour));
        sides.into_iter().filter_map(mark).collect()
    };
    let rows: Vec<_> = run
        .quantities()
        .into_iter()
        .map(|it| (it.to_string(), marks(it)))
        .collect();
    let axis = Axis {
        title: "Building a kernel and starting a guest",
        label: "seconds: median and quartiles",
        range: plot::around(&rows, 1.0..10.0, 1.2),
        good: None,
        legend: sides
            .map(|(side, colour)| (side.to_string(), colour))
            .to_vec(),
    };
    let svg = plot::rows_picture(&rows, &axis)?;
    let plot = svg.map(|svg| Plot {
        name: "tool.svg".into(),
        svg,
    });
    Ok(plot.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Taken;
    use super::*;

    fn run() -> Run {
        let taken = |(quantity, side, seconds)| Taken {
            round: 1,
            quantity,
            side,
            seconds,
        };
        let all = [
            (Quantity::GuestStart, Side::Vng, 8.0),
            (Quantity::GuestStart, Side::Xtask, 4.0),
            (Quantity::GuestStart, Side::Bare, 2.0),
            (Quantity::ColdBuild, Side::Xtask, 600.0),
            (Quantity::ColdBuild, Side::Vng, 1200.0),
            (Quantity::NoChange, Side::Xtask, 0.4),
        ];
        Run {
            machine: crate::bench::machine::samples::machine(),
            kernel: crate::report::model::samples::run(&[], vec![]).kernel,
            started: "2026-11-21T01:00:00+00:00".into(),
            took: Duration::from_secs(9),
            seed: 7,
            taken: all.map(taken).to_vec(),
            problems: vec![],
        }
    }

    #[test]
    fn a_row_a_quantity() {
        let table = table(&run()).unwrap();
        assert_eq!(table.rows.len(), 3);
        assert_eq!(
            table.rows[0],
            [
                "cold build",
                "600 s",
                "1200 s",
                "–",
                "0.500 (0.500 to 0.500)",
                "–"
            ]
        );
        assert_eq!(table.rows[1][1], "400 ms");
        assert_eq!(table.rows[2][5], "2.000 (2.000 to 2.000)");
        let empty = Run {
            taken: vec![],
            ..run()
        };
        assert_eq!(super::table(&empty), None);
        assert_eq!(plots(&empty).unwrap(), []);
    }

    #[test]
    fn json_round_trip_and_plot() {
        let text = serde_json::to_string(&run()).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run());
        assert!(plots(&run()).unwrap()[0].svg.contains("guest start"));
    }
}
