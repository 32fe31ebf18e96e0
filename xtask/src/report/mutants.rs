//! What became of mutants: one row for each, for a terminal and as Markdown.

use std::time::Duration;

use comfy_table::{Table, TableStyle, presets};
use serde::{Deserialize, Serialize};

use crate::event::CaseId;
use crate::words::{self, count, seconds};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A case has noticed it, with these words.
    Killed { by: CaseId, why: String },
    /// Its kernel does not get as far as a case.
    NoBoot,
    /// No case of those that ran, of so many, has noticed it.
    Survived { ran: usize, of: usize },
    /// It is none: it does not apply, does not compile, or changes nothing.
    Broken(String),
}

/// A mutant, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    pub class: String,
    /// What is wrong with it.
    pub subject: String,
    pub outcome: Outcome,
    pub building: Duration,
    pub testing: Duration,
    /// What the outcome is good for: the kernel without it, and what it changes.
    pub key: String,
}

const HEADER: [&str; 5] = ["mutant", "class", "killed by", "build", "test"];

impl Row {
    fn cells(&self) -> [String; 5] {
        let end = match &self.outcome {
            Outcome::Killed { by, .. } => format!("{} {}", by.filesystem, by.case),
            Outcome::NoBoot => "the boot".into(),
            Outcome::Survived { ran, of } => format!("SURVIVED {ran} of {}", count(*of, "case")),
            Outcome::Broken(_) => "BROKEN".into(),
        };
        let times = [self.building, self.testing].map(seconds);
        let [building, testing] = times;
        [
            self.name.clone(),
            self.class.clone(),
            end,
            building,
            testing,
        ]
    }

    /// What there is to do about it, if anything.
    fn complaint(&self) -> Option<String> {
        let Self { name, subject, .. } = self;
        match &self.outcome {
            Outcome::Killed { .. } | Outcome::NoBoot => None,
            Outcome::Survived { .. } => Some(format!("{name}: no case notices: {subject}")),
            Outcome::Broken(why) => Some(format!("{name} is no mutant: {why}")),
        }
    }
}

fn table(rows: &[Row], style: TableStyle) -> Table {
    let mut table = Table::new();
    table.load_style(style);
    table.set_header(HEADER);
    for row in rows {
        table.add_row(row.cells());
    }
    table
}

/// `58 killed, 1 survived, 1 broken`
fn counts(rows: &[Row]) -> String {
    let so_many = |is: fn(&Outcome) -> bool| rows.iter().filter(|row| is(&row.outcome)).count();
    let survived = so_many(|outcome| matches!(outcome, Outcome::Survived { .. }));
    let broken = so_many(|outcome| matches!(outcome, Outcome::Broken(_)));
    let killed = rows.len() - survived - broken;
    format!("{killed} killed, {survived} survived, {broken} broken")
}

fn complaints(rows: &[Row]) -> String {
    let complaints = rows.iter().filter_map(Row::complaint);
    complaints.map(|line| format!("{line}\n")).collect()
}

pub fn text(rows: &[Row]) -> String {
    let table = table(rows, presets::NOTHING);
    let complaints = complaints(rows);
    format!("\n{table}\n\n{complaints}{}", counts(rows))
}

/// With what each mutant is, and what the case said that noticed it.
pub fn markdown(title: &str, rows: &[Row]) -> String {
    let table = table(rows, presets::ASCII_MARKDOWN);
    let complaints = complaints(rows);
    let told = rows.iter().map(|row| {
        let said = match &row.outcome {
            Outcome::Killed { why, .. } => format!(" ({})", words::short(why)),
            _ => String::new(),
        };
        format!("- {}: {}{said}\n", row.name, row.subject)
    });
    let told: String = told.collect();
    format!(
        "# Mutants of {title}\n\n{}\n\n{table}\n\n{complaints}\n{told}",
        counts(rows)
    )
}

#[cfg(test)]
pub mod samples {
    use super::*;

    pub fn row(name: &str, outcome: Outcome) -> Row {
        Row {
            name: name.into(),
            class: "counts".into(),
            subject: format!("{name} is wrong"),
            outcome,
            building: Duration::from_secs(20),
            testing: Duration::from_secs(3),
            key: "k".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::Xfs;

    use super::samples::row;
    use super::*;

    #[test]
    fn a_row_a_mutant() {
        let by = CaseId {
            filesystem: Xfs,
            case: "dm_case_a".into(),
            repeat: 0,
        };
        let why = "a writer went on".into();
        let rows = [
            row("one", Outcome::Killed { by, why }),
            row("two", Outcome::Survived { ran: 9, of: 12 }),
            row("three", Outcome::Broken("fs/a.c: hunk 1".into())),
            row("four", Outcome::NoBoot),
        ];
        let text = text(&rows);
        let lines: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let wanted = [
            "",
            "mutant class killed by build test",
            "one counts xfs dm_case_a 20.0 s 3.0 s",
            "two counts SURVIVED 9 of 12 cases 20.0 s 3.0 s",
            "three counts BROKEN 20.0 s 3.0 s",
            "four counts the boot 20.0 s 3.0 s",
            "",
            "two: no case notices: two is wrong",
            "three is no mutant: fs/a.c: hunk 1",
            "2 killed, 1 survived, 1 broken",
        ];
        let wanted = wanted.map(|line| line.split_whitespace().collect::<Vec<_>>());
        similar_asserts::assert_eq!(lines, wanted, "{text}");
        let markdown = markdown("6.12", &rows);
        for line in [
            "# Mutants of 6.12\n",
            "| one    | counts | xfs dm_case_a",
            "- one: one is wrong (a writer went on)\n",
        ] {
            assert!(markdown.contains(line), "{markdown}");
        }
    }
}
