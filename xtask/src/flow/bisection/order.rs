//! What is searched for, and how; what it makes of the search, of builds and of reports.

use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;

use super::judge::Trial;
use crate::bisect::{Manner, Plan, Scope, Terms};
use crate::failure::Result;
use crate::flow::prepare::Guests;
use crate::flow::select;
use crate::host::session::Session;
use crate::kernel::commit::{self, Recipe};
use crate::kernel::request::{Part, Request};

/// The base whose series are bisected, and the one that reports name.
const BASE: &str = "6.12";

/// What is searched for, and how.
#[derive(Debug)]
pub struct Order {
    pub range: Range,
    pub base: Option<String>,
    pub configs: Vec<String>,
    pub jobs: Option<usize>,
    /// Whether tools that are missing are installed.
    pub install: bool,
    pub trial: Trial,
    pub manner: Manner,
    pub resume: bool,
    /// In the place of a folder in `target/freeze/bisections`.
    pub report: Option<Utf8PathBuf>,
    /// The line that repeats it.
    pub command: String,
}

#[derive(Clone, Debug)]
pub enum Range {
    /// Of a tree of the user's, with these series on top of each commit.
    Tree {
        tree: Utf8PathBuf,
        terms: Terms,
        old: String,
        new: String,
        series: Vec<String>,
    },
    /// The patches of these, one after the other.
    Series(Vec<String>),
}

pub fn request(order: &Order) -> Request {
    let (tree, series) = match &order.range {
        Range::Tree { tree, series, .. } => (Some(tree.clone()), series.clone()),
        Range::Series(_) => (None, Vec::new()),
    };
    Request {
        base: order.base.clone().unwrap_or(BASE.into()),
        tree,
        series,
        configs: order.configs.clone(),
        part: Part::Whole,
        jobs: order.jobs,
    }
}

pub fn recipe(
    order: &Order,
    tree: &Utf8Path,
    series: &[String],
    session: &Session,
) -> Result<Recipe> {
    Ok(Recipe {
        name: commit::name(tree, session)?,
        tree: tree.to_owned(),
        base: order.base.clone(),
        series: series.to_vec(),
        configs: order.configs.clone(),
        jobs: order.jobs,
    })
}

pub fn plan(order: &Order, tree: &Utf8Path, terms: Terms, [old, new]: [&String; 2]) -> Plan {
    let mut manner = order.manner.clone();
    if matches!(order.range, Range::Series(_)) {
        // A few patches, all of which are about freezing, and later ones are made on top of the culprit.
        manner.scope = Scope::All;
        manner.revert = false;
    }
    Plan {
        tree: tree.to_owned(),
        old: old.clone(),
        new: new.clone(),
        terms,
        manner,
        judged_by: judged_by(order),
    }
}

fn value(flag: &str, value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    let name = value.as_ref().map_or("", |value| value.get_name());
    format!("{flag} {name}")
}

/// All but the range that a verdict depends on, as flags.
pub fn judged_by(order: &Order) -> Vec<String> {
    let trial = &order.trial;
    let runs = select::runs(&trial.cases, 1);
    let cases = runs
        .iter()
        .map(|id| format!("{} {}", id.filesystem, id.case));
    let (series, names) = match &order.range {
        Range::Tree { series, .. } => ("--with-series", series),
        Range::Series(names) => ("--series", names),
    };
    let flags = |flag: &'static str, names: &[String]| {
        let names = names.iter().map(move |name| format!("{flag} {name}"));
        names.collect::<Vec<_>>()
    };
    let mut all: Vec<String> = cases.collect();
    all.push(format!("--control {}", trial.control.case));
    all.extend(order.base.iter().map(|base| format!("--base {base}")));
    let Guests { accel, way } = trial.guests;
    all.extend([value("--accel", accel), value("--boot", way)]);
    all.extend(flags("--config", &order.configs));
    all.extend(flags(series, names));
    let deadline = trial
        .deadline
        .map(|it| format!("--timeout {}", it.as_secs()));
    all.extend(deadline);
    all
}

#[cfg(test)]
pub mod samples {
    use super::*;

    /// What a line asks for that has no other flags.
    pub fn order(range: Range, trial: Trial) -> Order {
        Order {
            range,
            base: None,
            configs: vec![],
            jobs: None,
            install: false,
            trial,
            manner: Manner::default(),
            resume: false,
            report: None,
            command: "cargo xtask bisect".into(),
        }
    }
}
