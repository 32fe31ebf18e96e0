//! Which commit broke freezing, with proof: what has to be there, the search, what is kept of it.

mod dossier;
mod judge;
#[cfg(test)]
mod proof;
mod series;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::Filesystem;

pub use judge::Trial;

use super::prepare::{Guests, provide_deps, to_test};
use super::select;
use crate::bisect::report::{title, verdict};
use crate::bisect::{self, Found, Plan, Scope, Terms};
use crate::event::CaseId;
use crate::failure::{Failure, Kind, Result};
use crate::host::files;
use crate::host::session::Session;
use crate::kernel::commit::{self, Recipe, Workbench};
use crate::kernel::request::{Part, Request};
use crate::kernel::{are_names, bases};
use crate::report::{output, terminal, watched};
use crate::vm::accelerator;
use crate::vm::root::init;
use judge::Bench;

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
    pub search: Search,
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

/// See [`Plan`].
#[derive(Clone, Debug)]
pub struct Search {
    pub scope: Scope,
    pub first_parent: bool,
    pub runs: Option<u32>,
    pub confidence: f64,
    pub any_failure: bool,
    pub revert: bool,
    pub picks: Vec<String>,
}

/// What is to be run, by the names of cases.
///
/// # Errors
/// [`Kind::Usage`] if a name is none, or if the control case is one of those that are wanted.
pub fn trial(
    (filters, fs): (&[String], &[Filesystem]),
    control: &str,
    guests: Guests,
    deadline: Option<Duration>,
) -> Result<Trial> {
    let cases = select::choose(fs, filters)?;
    if cases.iter().any(|(case, _)| case.name == control) {
        return Err(Kind::Usage.error(format!(
            "--control {control} is one of the cases of --filter: take another one, or a narrower filter"
        )));
    }
    let Some(case) = harness::cases::find(control) else {
        return Err(Kind::Usage.error(format!(
            "--control {control}: there is no such case; cargo xtask test-kernel --list names all"
        )));
    };
    let mut wanted = cases.iter().flat_map(|(_, filesystems)| filesystems);
    let Some(filesystem) = wanted.find(|fs| case.filesystems.contains(fs)) else {
        return Err(Kind::Usage.error(format!(
            "--control {control} does not run on the filesystems of --fs"
        )));
    };
    Ok(Trial {
        control: CaseId {
            filesystem: *filesystem,
            case: control.into(),
            repeat: 0,
        },
        cases,
        guests,
        deadline,
    })
}

/// Does all of it, for the exit code.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    check(order, session)?;
    let init = watched(session, None, |session| {
        let way = order.trial.guests.way;
        provide_deps(order.install, to_test(way), session)?;
        accelerator::starts(order.trial.guests.accel, &session.stop)?;
        init::beside(|| Ok(()), session).map(|((), init)| init)
    })?;
    let folder = folder(order, session)?;
    let (found, recipe) = watched(session, None, |session| {
        search(order, init, &folder, session)
    })
    .map_err(|failure| with_way_on(failure, order, &folder))?;
    let letter = dossier::write(&found, &recipe, order, &folder, session)?;
    terminal::text(&format!("\n{}\n{}", title(&found), plain(&verdict(&found))));
    let letter = letter.map_or(String::new(), |path| {
        format!("; a draft for the list, which nobody has sent: {path}")
    });
    terminal::text(&format!("report: {folder}/report.md{letter}"));
    Ok(found.exit_code())
}

fn search(
    order: &Order,
    init: Utf8PathBuf,
    folder: &Utf8Path,
    session: &Session,
) -> Result<(Found, Recipe)> {
    let request = request(order);
    let commits = folder.join("commits");
    let bench = |recipe: Recipe| -> Result<Bench<'_>> {
        let workbench = Workbench::open(recipe, session)?;
        let (trial, request) = (&order.trial, request.clone());
        Ok(Bench::new(
            workbench,
            trial,
            request,
            init.clone(),
            commits.clone(),
            session,
        ))
    };
    let (plan, recipe) = match &order.range {
        Range::Tree {
            tree,
            terms,
            old,
            new,
            series,
        } => {
            let recipe = recipe(order, tree, series, session)?;
            (plan(order, tree, *terms, [old, new]), recipe)
        }
        Range::Series(names) => {
            let patches = series::patches(&request, names, session)?;
            let recipe = Recipe {
                base: Some(request.base.clone()),
                ..recipe(order, &patches.repository, &[], session)?
            };
            let good = series::first_good(&patches, &order.trial, &mut bench(recipe.clone())?)?;
            let [good, tip] = [good, patches.tip()];
            (
                plan(order, &patches.repository, Terms::GoodBad, [&good, &tip]),
                recipe,
            )
        }
    };
    let found = bisect::search::search(
        &plan,
        order.resume,
        folder,
        &mut bench(recipe.clone())?,
        session,
    )?;
    Ok((found, recipe))
}

/// What is wrong with names is told before anything is installed.
fn check(order: &Order, session: &Session) -> Result<()> {
    are_names("--config", &order.configs)?;
    if let Some(base) = &order.base {
        bases::find(&session.layout, base)?;
    }
    match &order.range {
        Range::Tree { tree, series, .. } => {
            are_names("--with-series", series)?;
            if !tree.is_dir() {
                return Err(Kind::Usage.error(format!("--tree {tree} is no folder")));
            }
            Ok(())
        }
        Range::Series(names) => {
            are_names("--series", names)?;
            crate::kernel::checked(
                Request {
                    series: names.clone(),
                    ..request(order)
                },
                session,
            )
            .map(drop)
        }
    }
}

fn request(order: &Order) -> Request {
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

fn recipe(order: &Order, tree: &Utf8Path, series: &[String], session: &Session) -> Result<Recipe> {
    Ok(Recipe {
        name: commit::name(tree, session)?,
        tree: tree.to_owned(),
        base: order.base.clone(),
        series: series.to_vec(),
        configs: order.configs.clone(),
        jobs: order.jobs,
    })
}

fn plan(order: &Order, tree: &Utf8Path, terms: Terms, [old, new]: [&String; 2]) -> Plan {
    let search = &order.search;
    let of_series = matches!(order.range, Range::Series(_));
    Plan {
        tree: tree.to_owned(),
        old: old.clone(),
        new: new.clone(),
        terms,
        // A few patches, all of which are about freezing.
        scope: match of_series {
            true => Scope::All,
            false => search.scope.clone(),
        },
        first_parent: search.first_parent,
        runs: search.runs,
        confidence: search.confidence,
        any_failure: search.any_failure,
        // Later patches are made on top of it.
        revert: search.revert && !of_series,
        picks: search.picks.clone(),
        judged_by: judged_by(order),
    }
}

/// All but the range that a verdict depends on, as flags.
fn judged_by(order: &Order) -> Vec<String> {
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
    all.extend(flags("--config", &order.configs));
    all.extend(flags(series, names));
    let deadline = trial
        .deadline
        .map(|it| format!("--timeout {}", it.as_secs()));
    all.extend(deadline);
    all
}

/// The same search is always in the same folder: a later `--resume` finds it there.
fn folder(order: &Order, session: &Session) -> Result<Utf8PathBuf> {
    if let Some(folder) = &order.report {
        fs_err::create_dir_all(folder)?;
        return Ok(folder.canonicalize_utf8()?);
    }
    let of = match &order.range {
        Range::Tree { tree, old, new, .. } => {
            vec![
                tree.canonicalize_utf8()?.to_string(),
                old.clone(),
                new.clone(),
            ]
        }
        Range::Series(names) => names.clone(),
    };
    let name = match &order.range {
        Range::Tree { tree, .. } => tree.file_name().unwrap_or("tree").to_owned(),
        Range::Series(names) => names.join("+"),
    };
    let case = order.trial.cases.first().map_or("", |(case, _)| case.name);
    let digest = files::digest(of.into_iter().chain(judged_by(order)));
    let folder = session.layout.bisections();
    let folder = folder.join(format!("{name}-{case}-{}", &digest[..8]));
    fs_err::create_dir_all(&folder)?;
    Ok(folder)
}

fn with_way_on(failure: Failure, order: &Order, folder: &Utf8Path) -> Failure {
    if failure.kind != Kind::Usage {
        output::warn(&format!(
            "what was found so far is in {folder}; to go on: {} --resume",
            order.command
        ));
    }
    failure
}

/// Without the marks of Markdown.
fn plain(text: &str) -> String {
    text.replace("**", "")
}
