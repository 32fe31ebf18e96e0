//! What was found out about the patches of a series: one row for each patch, and below it what was found.

use comfy_table::{Table, presets};

/// How one check of one patch ended, in words for the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cell {
    /// Not tried.
    #[default]
    Open,
    Fine(String),
    /// A complaint.
    Failed(String),
    /// There is no kernel: the patch does not apply, or does not compile.
    Broken(String),
}

/// A patch, or all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub title: String,
    pub applies: Cell,
    pub checkpatch: Cell,
    /// Of gcc with `W=1`, sparse and kernel-doc.
    pub warnings: Cell,
    pub builds: Cell,
    pub cases: Cell,
    /// What was found, to be shown below the table.
    pub details: Vec<String>,
}

const HEADER: [&str; 6] = [
    "",
    "applies",
    "checkpatch",
    "warnings",
    "builds",
    "boots and cases",
];

impl Cell {
    fn words(&self) -> &str {
        match self {
            Cell::Open => "–",
            Cell::Fine(words) | Cell::Failed(words) | Cell::Broken(words) => words,
        }
    }
}

impl Row {
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    pub fn cells(&self) -> [&Cell; 5] {
        let Self {
            applies,
            checkpatch,
            warnings,
            builds,
            cases,
            ..
        } = self;
        [applies, checkpatch, warnings, builds, cases]
    }
}

/// The table, the details by patch, then the notes.
pub fn text(rows: &[Row], notes: &[String]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(HEADER);
    for row in rows {
        let cells = row.cells().map(Cell::words);
        table.add_row(std::iter::once(row.title.as_str()).chain(cells));
    }
    let mut text = format!("\n{table}\n");
    for row in rows.iter().filter(|row| !row.details.is_empty()) {
        text += &format!("\n{}\n", row.title);
        for line in row.details.iter().flat_map(|detail| detail.lines()) {
            text += &format!("    {line}\n");
        }
    }
    for note in notes {
        text += &format!("\n{note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_a_patch() {
        let mut good = Row::new("1 fs: a");
        good.applies = Cell::Fine("yes".into());
        good.cases = Cell::Fine("9 passed".into());
        let mut bad = Row::new("2 fs: b");
        bad.applies = Cell::Broken("NO".into());
        bad.checkpatch = Cell::Failed("1 COMPLAINT".into());
        bad.details = vec!["fs/a.c: hunk 1\n    | x".into(), "fs/b.c:3: y".into()];
        let text = text(&[good, bad], &["seen: all".into()]);
        let lines: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let expected = [
            "",
            "applies checkpatch warnings builds boots and cases",
            "1 fs: a yes – – – 9 passed",
            "2 fs: b NO 1 COMPLAINT – – –",
            "",
            "2 fs: b",
            "fs/a.c: hunk 1",
            "| x",
            "fs/b.c:3: y",
            "",
            "seen: all",
        ];
        let expected = expected.map(|line| line.split_whitespace().collect::<Vec<_>>());
        similar_asserts::assert_eq!(lines, expected, "{text}");
    }
}
