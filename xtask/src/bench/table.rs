//! Findings as tables: the same cells for the terminal and for Markdown.

use std::fmt::Write;

use comfy_table::{Table as Drawn, TableStyle, presets};

use super::findings::{Alone, Comparison, Findings, GoalLine};
use super::format;
use super::model::{Benchmark, Side};
use crate::words::count;

/// Cells without a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub title: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: impl Into<String>, header: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self {
            title: title.into(),
            header: header.iter().map(|cell| (*cell).into()).collect(),
            rows,
        }
    }

    pub fn terminal(&self) -> String {
        self.drawn(presets::NOTHING)
    }

    pub fn markdown(&self) -> String {
        self.drawn(presets::ASCII_MARKDOWN)
    }

    fn drawn(&self, style: TableStyle) -> String {
        let mut table = Drawn::new();
        table.load_style(style);
        table.set_header(&self.header);
        table.add_rows(&self.rows);
        format!("{}:\n\n{table}\n", self.title)
    }
}

/// The tables of a benchmark of kernels; none is empty.
pub fn of_kernels(run: &Benchmark, findings: &Findings) -> Vec<Table> {
    let (base, other) = (run.side_name(Side::Base), run.side_name(Side::Other));
    let version = &run.other.facts.version;
    let kernels = Table::new(
        format!(
            "Linux {version}, {}: medians (quartiles); cost of {other} where {base} is 1, the median of the rounds (its 95 % interval; of fewer than six rounds, the range)",
            count(run.last_round(), "round")
        ),
        &["measured", "on", &base, &other, "cost", "verdict"],
        findings.kernels.iter().map(compared).collect(),
    );
    let pending = Table::new(
        format!("{other}: write(2) of 4 KiB while another filesystem is frozen"),
        &[
            "measured",
            "on",
            "without a deadline",
            "with one",
            "cost",
            "verdict",
        ],
        findings.pending.iter().map(compared).collect(),
    );
    let alone = Table::new(
        format!("Only on {other}"),
        &[
            "measured",
            "on",
            "median (quartiles)",
            "95 % by",
            "all by",
            "samples",
        ],
        findings.alone.iter().map(told).collect(),
    );
    [kernels, pending, alone]
        .into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect()
}

fn compared(comparison: &Comparison) -> Vec<String> {
    let Comparison {
        series,
        unit,
        base,
        other,
        cost,
        verdict,
    } = comparison;
    vec![
        series.to_string(),
        series.filesystem.to_string(),
        format::spread(base, *unit),
        format::spread(other, *unit),
        format::ratio(cost),
        verdict.to_string(),
    ]
}

fn told(alone: &Alone) -> Vec<String> {
    let Alone {
        series,
        unit,
        spread,
    } = alone;
    vec![
        series.to_string(),
        series.filesystem.to_string(),
        format::spread(spread, *unit),
        format::value(spread.most, *unit),
        format::value(spread.max, *unit),
        spread.count.to_string(),
    ]
}

/// `goal met: …`, one line for each.
pub fn goals(goals: &[GoalLine]) -> String {
    let line = |it: &GoalLine| format!("goal {}: {} ({})", it.outcome, it.goal, it.because);
    goals.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// All of it, for a README. `pictures` are the names of the plots.
pub fn markdown(
    head: &str,
    tables: &[Table],
    goal_lines: &[GoalLine],
    pictures: &[String],
) -> String {
    let mut text = format!("{head}\n");
    for table in tables {
        let _ = write!(text, "\n{}", table.markdown());
    }
    if !goal_lines.is_empty() {
        let list = goals(goal_lines)
            .lines()
            .map(|line| format!("- {line}\n"))
            .collect::<String>();
        let _ = write!(text, "\n{list}");
    }
    for picture in pictures {
        let _ = write!(
            text,
            "\n![{}]({picture})\n",
            picture.trim_end_matches(".svg")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::model::samples;
    use super::*;

    #[test]
    fn markdown_is_a_table() {
        let table = Table::new("T", &["a", "b"], vec![vec!["1".into(), "3".into()]]);
        similar_asserts::assert_eq!(table.markdown(), "T:\n\n| a | b |\n|---|---|\n| 1 | 3 |\n");
        assert!(table.terminal().contains(" 1  3"));
    }

    #[test]
    fn every_row_has_its_columns() {
        let run = samples::run(1.0);
        let tables = of_kernels(&run, &Findings::of(&run));
        assert_eq!(tables.len(), 3);
        for table in &tables {
            assert!(
                table.rows.iter().all(|row| row.len() == table.header.len()),
                "{table:?}"
            );
        }
        assert!(
            tables[0]
                .rows
                .iter()
                .any(|row| row[0] == "write_stream" && row[2].contains("MiB/s"))
        );
        let text = markdown(
            "On a machine.",
            &tables,
            &Findings::of(&run).goals,
            &["costs.svg".into()],
        );
        assert!(text.contains("- goal met: "), "{text}");
        assert!(text.contains("![costs](costs.svg)"), "{text}");
    }
}
