//! Which commit broke freezing, with proof: what has to be there, the search, what is kept of it.

mod dossier;
mod judge;
mod order;
#[cfg(test)]
mod proof;
mod series;

use camino::{Utf8Path, Utf8PathBuf};

pub use judge::Trial;
pub use order::{Order, Range, judged_by};

use super::prepare::{provide_deps, to_test};
use crate::bisect::report::{title, verdict};
use crate::bisect::state::Held;
use crate::bisect::{Found, Plan, Terms, search};
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::host::files;
use crate::host::session::Session;
use crate::kernel::commit::{self, Recipe, Workbench};
use crate::kernel::request::Request;
use crate::kernel::{are_names, bases};
use crate::report::{output, terminal, watched};
use crate::vm::accelerator;
use crate::vm::root::init;
use judge::{Bench, SameAccel};
use order::{plan, recipe, request};
use series::Tried;

/// Does all of it, for the exit code.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    check(order, session)?;
    let init = watched(session, None, |session| {
        let way = order.trial.guests.way;
        provide_deps(order.install, &to_test(way, &order.configs), session)?;
        accelerator::starts(order.trial.guests.accel, &session.stop)?;
        init::beside(|| Ok(()), session).map(|((), init)| init)
    })?;
    let held = Held::of(&folder(order, session)?)?;
    let folder = held.folder();
    let (found, recipe) = watched(session, None, |session| {
        let desk = Desk {
            order,
            init,
            held: &held,
            session,
        };
        desk.search()
    })
    .inspect_err(|failure| {
        tell_way_on(failure, order, &held);
        leave_nothing(failure, order, &held);
    })?;
    let letter =
        dossier::write(&found, &recipe, order, folder, session).map_err(search::resumable)?;
    terminal::text(&format!("\n{}\n{}", title(&found), plain(&verdict(&found))));
    let letter = letter.map_or(String::new(), |path| {
        format!("; a draft for the list, which nobody has sent: {path}")
    });
    terminal::text(&format!("report: {folder}/report.md{letter}"));
    Ok(found.exit_code())
}

/// All that a search is made with.
struct Desk<'a> {
    order: &'a Order,
    /// The harness binary.
    init: Utf8PathBuf,
    held: &'a Held,
    session: &'a Session,
}

impl Desk<'_> {
    fn search(&self) -> Result<(Found, Recipe)> {
        let (order, session) = (self.order, self.session);
        self.warn_of_other_cases()?;
        let mut resume = order.resume;
        let (mut plan, recipe) = match &order.range {
            Range::Tree {
                tree,
                terms,
                old,
                new,
                series,
            } => {
                let plan = plan(order, tree, *terms, [old, new]);
                (plan, recipe(order, tree, series, session)?)
            }
            Range::Series(names) => {
                let of_series = self.of_series(names)?;
                // It may have been stopped while it looked for the good end.
                resume = resume && self.held.has_begun();
                of_series
            }
        };
        plan.judged_by = self.judged_by(&recipe)?;
        let mut bench = self.bench(&recipe)?;
        let found = search::search(&plan, resume, self.held, &mut bench, session)?;
        Ok((found, recipe))
    }

    /// A search takes hours, and not each edit of a case makes its verdicts others: a person decides.
    fn warn_of_other_cases(&self) -> Result<()> {
        let memory = self.held.folder().join("cases.json");
        let now = files::digest([fs_err::read(&self.init)?]);
        if are_others(&memory, &now, self.order.resume)? {
            self.session.events.send(Event::Warning(
                "the cases were built anew since this search began, and what was tested is not tested again: if it \
                 matters, leave --resume out"
                    .into(),
            ));
        }
        Ok(())
    }

    /// The good end is the first patch on which the case passes.
    fn of_series(&self, names: &[String]) -> Result<(Plan, Recipe)> {
        let (order, session) = (self.order, self.session);
        let request = request(order);
        let patches = series::patches(&request, names, session)?;
        let recipe = Recipe {
            base: Some(request.base),
            ..recipe(order, &patches.repository, &[], session)?
        };
        let judged_by = self.judged_by(&recipe)?;
        let mut tried = Tried::open(self.held, order.resume, judged_by, session)?;
        let mut bench = self.bench(&recipe)?;
        let good = series::first_good(&patches, &order.trial, &mut bench, &mut tried)?;
        let ends = [&good, &patches.tip()];
        let plan = plan(order, &patches.repository, Terms::GoodBad, ends);
        Ok((plan, recipe))
    }

    /// With what is in files that may have been edited since.
    fn judged_by(&self, recipe: &Recipe) -> Result<Vec<String>> {
        let mut all = judged_by(self.order);
        let inputs = commit::inputs(recipe, self.session)?;
        all.push(format!("options and patches {inputs}"));
        Ok(all)
    }

    fn bench(&self, recipe: &Recipe) -> Result<Bench<'_>> {
        Ok(Bench::new(
            Workbench::open(recipe.clone(), self.session)?,
            &self.order.trial,
            request(self.order),
            self.init.clone(),
            SameAccel::open(self.held.folder(), self.order.resume),
            self.held.folder().join("commits"),
            self.session,
        ))
    }
}

/// Whether a search that goes on began with other cases.
fn are_others(memory: &Utf8Path, now: &str, resume: bool) -> Result<bool> {
    let then: Option<String> = files::recall(memory).filter(|_| resume);
    if then.is_none() {
        files::remember(memory, &now)?;
    }
    Ok(then.is_some_and(|then| then != now))
}

/// What is wrong with names is told before anything is installed.
fn check(order: &Order, session: &Session) -> Result<()> {
    are_names("--config", &order.configs)?;
    if let Some(base) = &order.base {
        bases::find(&session.layout, base)?;
    }
    if let Some(report) = &order.report
        && report.exists()
        && !report.is_dir()
    {
        return Err(Kind::Usage.error(format!("--report {report} is no folder")));
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

/// All other failures say so themselves. Before the first commit is built, there is nothing to go on with.
fn tell_way_on(failure: &Failure, order: &Order, held: &Held) {
    if failure.kind == Kind::Interrupted && has_begun(held) {
        output::warn(&format!(
            "nothing is lost; to go on: {} --resume",
            order.command
        ));
    }
}

/// A mistake on the command line makes no search.
fn leave_nothing(failure: &Failure, order: &Order, held: &Held) {
    if failure.kind == Kind::Usage && order.report.is_none() && !has_begun(held) {
        // The mistake is what is to be told.
        let _ = files::remove(held.folder());
    }
}

/// Of a series, with the good end that is looked for.
fn has_begun(held: &Held) -> bool {
    held.has_begun() || Tried::is_in(held)
}

/// Without the marks of Markdown.
fn plain(text: &str) -> String {
    text.replace("**", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_goes_on_with_other_cases_says_so_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Utf8Path::from_path(dir.path()).unwrap().join("cases.json");
        for (now, resume, wanted) in [
            ("one", false, false),
            ("one", true, false),
            ("other", true, true),
            ("other", true, true),
            ("other", false, false),
            ("other", true, false),
        ] {
            let told = are_others(&memory, now, resume).unwrap();
            assert_eq!(told, wanted, "{now} {resume}");
        }
    }
}
