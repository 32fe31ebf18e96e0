//! `series check`: everything that can be said of patches before a person reads them.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::prepare::{provide_deps, to_test};
use super::test_kernel::{How, test};
use crate::deps::need::Need;
use crate::event::Event;
use crate::failure::{FAILED, Failure, Kind, PASSED, Result};
use crate::host::phase::phase;
use crate::host::session::Session;
use crate::kernel;
use crate::kernel::request::{Part, Request};
use crate::report::checks::{self, Cell, Row};
use crate::report::model::{Counts, Run};
use crate::report::{terminal, watched};
use crate::review::checkpatch::{self, IGNORED};
use crate::review::compile::{self, Compiled, Difference, Touched};
use crate::review::finding::Finding;
use crate::series::{self, Patch, Series};
use crate::vm::accelerator;
use crate::words::count;

/// What is to be checked, and how far.
#[derive(Debug)]
pub struct Order {
    pub request: Request,
    /// A kernel after every patch, not only after the last.
    pub each: bool,
    /// Boot no guest.
    pub no_run: bool,
    pub how: How,
}

impl Order {
    /// What is to be checked.
    ///
    /// # Errors
    /// [`Kind::Usage`] if there is no patch.
    pub fn series(&self, session: &Session) -> Result<Vec<Series>> {
        let request = &self.request;
        let load = |name: &String| series::load(&session.layout, &request.base, name);
        let series: Vec<Series> = request.series.iter().map(load).collect::<Result<_>>()?;
        if series.iter().all(|series| series.patches.is_empty()) {
            return Err(Kind::Usage.error(format!(
                "{} for base {} has no patch to check",
                request.series.join(" and "),
                request.base
            )));
        }
        Ok(series)
    }
}

/// Checks all of it, for the exit code.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    let mut check = Check::new(order, session)?;
    let How {
        guests, install, ..
    } = order.how;
    accelerator::is_there(guests.accel)?;
    watched(session, None, |session| {
        let needs = [
            to_test(guests.way, &order.request.configs),
            vec![Need::Check],
        ]
        .concat();
        provide_deps(install, &needs, session)?;
        accelerator::starts(guests.accel, &session.stop)
    })?;
    let outcome = check.all();
    terminal::text(&checks::text(&check.rows, &check.notes()));
    outcome?;
    verdict_of(&check.rows, check.passed || order.no_run)
}

/// The work, and what has been found so far.
struct Check<'a> {
    order: &'a Order,
    session: &'a Session,
    patches: Vec<Patch>,
    touched: Touched,
    rows: Vec<Row>,
    /// By the number of patches; an error is what the compiler said when no file compiled.
    compiled: BTreeMap<usize, std::result::Result<Compiled, Failure>>,
    unknown: BTreeSet<String>,
    /// Whether any case has passed.
    passed: bool,
}

impl<'a> Check<'a> {
    fn new(order: &'a Order, session: &'a Session) -> Result<Self> {
        let series = order.series(session)?;
        let touched = Touched::by(&series);
        let patches = series.into_iter().flat_map(|series| series.patches);
        let patches: Vec<Patch> = patches.collect();
        let titles = patches.iter().zip(1..);
        Ok(Self {
            order,
            session,
            rows: titles
                .map(|(patch, number)| Row::new(format!("{number} {}", patch.subject)))
                .collect(),
            unknown: touched.other.clone(),
            patches,
            touched,
            compiled: BTreeMap::new(),
            passed: false,
        })
    }

    fn all(&mut self) -> Result<()> {
        let applied = self.one_by_one()?;
        if self.order.each {
            for count in 1..=applied {
                self.kernel(count - 1, count - 1, count)?;
            }
        } else if applied == self.patches.len() {
            self.rows.push(Row::new("all of them"));
            self.kernel(applied, 0, applied)?;
        }
        Ok(())
    }

    /// What takes no compiler. Returns how many patches apply.
    fn one_by_one(&mut self) -> Result<usize> {
        let request = self.first(self.patches.len());
        let next = if self.order.each {
            1
        } else {
            self.patches.len()
        };
        watched(self.session, None, |session| {
            let (applied, tree) = compile::apply(&request, next, session)?;
            let (patches, rows) = (&self.patches, &mut self.rows);
            for row in &mut rows[..applied.count] {
                row.applies = Cell::Fine("yes".into());
            }
            if let Some(refused) = applied.refused {
                rows[applied.count].applies = Cell::Broken("NO".into());
                rows[applied.count].details.push(refused.to_string());
            }
            phase(&session.events, "asking checkpatch.pl", || {
                for ((patch, row), done) in patches.iter().zip(rows).zip(1..) {
                    let found = checkpatch::check(patch, &tree, &session.stop)?;
                    row.checkpatch = checkpatch_cell(found.len());
                    row.details.extend(
                        found
                            .iter()
                            .map(|finding| short(finding, session.layout.root())),
                    );
                    session.events.send(Event::Progress {
                        done,
                        total: Some(patches.len() as u64),
                        unit: "",
                        item: patch.subject.clone(),
                    });
                }
                Ok(((), count(patches.len(), "patch")))
            })?;
            Ok(applied.count)
        })
    }

    /// What takes a kernel with the first `count` patches; its warnings are compared to those with `before`.
    fn kernel(&mut self, row: usize, before: usize, count: usize) -> Result<()> {
        self.warnings(row, before, count)?;
        let request = self.first(count);
        match self.boot(&request) {
            Err(failure) if failure.kind == Kind::Build => {
                self.rows[row].builds = Cell::Broken("NO".into());
                self.rows[row].details.push(failure.to_string());
            }
            run => {
                let run = run?;
                self.rows[row].builds = Cell::Fine("yes".into());
                if let Some(run) = run {
                    self.passed |= Counts::of(&run.results).passed > 0;
                    self.rows[row].cases = cases_cell(Counts::of(&run.results));
                    self.rows[row].details.extend(failures(&run));
                }
            }
        }
        Ok(())
    }

    fn boot(&self, request: &Request) -> Result<Option<Run>> {
        if self.order.no_run {
            let prepare = |session: &_| kernel::prepare(request, session);
            return watched(self.session, None, prepare).map(|_| None);
        }
        test(request, &self.order.how, self.session).map(Some)
    }

    fn warnings(&mut self, row: usize, before: usize, count: usize) -> Result<()> {
        if self.touched.kernel.is_empty() {
            return Ok(());
        }
        self.compile(before)?;
        self.compile(count)?;
        let row = &mut self.rows[row];
        match (&self.compiled[&before], &self.compiled[&count]) {
            (_, Err(failure)) => {
                row.warnings = Cell::Broken("NONE COMPILES".into());
                row.details.push(failure.to_string());
            }
            // The row of that patch says so; there is nothing to compare with.
            (Err(_), Ok(_)) => {}
            (Ok(before), Ok(after)) => {
                let difference = compile::compare(before, after);
                row.warnings = warnings_cell(&difference);
                row.details.extend(found(&difference));
                self.unknown.extend(difference.unknown);
            }
        }
        Ok(())
    }

    fn compile(&mut self, count: usize) -> Result<()> {
        if self.compiled.contains_key(&count) {
            return Ok(());
        }
        let request = self.first(count);
        let compiled = watched(self.session, None, |session| {
            compile::compile(&request, &self.touched.kernel, session)
        });
        match compiled {
            Err(failure) if failure.kind != Kind::Build || count == 0 => Err(failure),
            compiled => {
                self.compiled.insert(count, compiled);
                Ok(())
            }
        }
    }

    fn first(&self, count: usize) -> Request {
        Request {
            part: Part::First(count),
            ..self.order.request.clone()
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.unknown.is_empty() {
            let files: Vec<&str> = self.unknown.iter().map(String::as_str).collect();
            notes.push(format!(
                "touched, but not compiled in this configuration: {}",
                files.join(", ")
            ));
        }
        let ignored = IGNORED
            .iter()
            .map(|ignored| format!("{} ({})", ignored.kind, ignored.why));
        let ignored: Vec<String> = ignored.collect();
        notes.push(format!(
            "checkpatch is not asked for {}",
            ignored.join("; ")
        ));
        notes
    }
}

fn checkpatch_cell(complaints: usize) -> Cell {
    match complaints {
        0 => Cell::Fine("clean".into()),
        1 => Cell::Failed("1 COMPLAINT".into()),
        count => Cell::Failed(format!("{count} COMPLAINTS")),
    }
}

fn warnings_cell(difference: &Difference) -> Cell {
    match (difference.broken.len(), difference.added.len()) {
        (0, 0) => Cell::Fine("none new".into()),
        (0, count) => Cell::Failed(format!("{count} NEW")),
        (1, _) => Cell::Broken("1 FILE DOES NOT COMPILE".into()),
        (count, _) => Cell::Broken(format!("{count} FILES DO NOT COMPILE")),
    }
}

fn cases_cell(counts: Counts) -> Cell {
    let Counts {
        passed,
        failed,
        skipped,
    } = counts;
    let parts = [(passed, "passed"), (failed, "FAILED"), (skipped, "skipped")];
    let words: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let words = words.join(", ");
    match failed {
        0 => Cell::Fine(words),
        _ => Cell::Failed(words),
    }
}

/// New warnings, and the files that no longer compile.
fn found(difference: &Difference) -> impl Iterator<Item = String> {
    let added = difference.added.iter().map(ToString::to_string);
    let broken = difference.broken.iter();
    added.chain(broken.map(|file| format!("{file} does not compile")))
}

fn failures(run: &Run) -> impl Iterator<Item = String> {
    let failed = run
        .results
        .iter()
        .filter(|result| result.verdict.is_failure());
    failed.map(|result| {
        let (id, verdict) = (&result.id, &result.verdict);
        let (word, reason) = (verdict.word(), verdict.reason());
        format!("{} {}: {word} {reason}", id.filesystem, id.case)
    })
}

/// A pass is what nothing speaks against, and at least one case that ran speaks for.
fn verdict_of(rows: &[Row], shown: bool) -> Result<u8> {
    let cells: Vec<&Cell> = rows.iter().flat_map(Row::cells).collect();
    if cells.iter().any(|cell| matches!(cell, Cell::Broken(_))) {
        return Ok(Kind::Build.exit_code());
    }
    if cells.iter().any(|cell| matches!(cell, Cell::Failed(_))) {
        return Ok(FAILED);
    }
    if !shown {
        return Err(Kind::Machinery.error("every case was skipped: that shows nothing"));
    }
    Ok(PASSED)
}

/// Without the path of the checkout.
fn short(finding: &Finding, root: &Utf8Path) -> String {
    finding.to_string().replacen(&format!("{root}/"), "", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::prepare::Guests;
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;
    use crate::shard::Wanted;
    use crate::vm::accelerator::Choice;
    use crate::vm::boot::Way;

    #[test]
    fn a_series_without_patches_is_a_usage_error() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(Utf8Path::from_path(dir.path()).unwrap());
        let bases = Layout::of_this_checkout().unwrap().configs();
        let series = layout.patches().join("6.12/empty");
        fs_err::create_dir_all(layout.configs()).unwrap();
        fs_err::create_dir_all(&series).unwrap();
        fs_err::copy(
            bases.join("kernels.toml"),
            layout.configs().join("kernels.toml"),
        )
        .unwrap();
        fs_err::write(series.join("series"), "# none yet\n").unwrap();
        fs_err::write(layout.configs().join("base.config"), "").unwrap();
        let stop = Stop::default();
        let order = Order {
            request: Request {
                base: "6.12".into(),
                tree: None,
                series: vec!["empty".into()],
                configs: vec![],
                part: Part::Whole,
                jobs: None,
            },
            each: false,
            no_run: true,
            how: How {
                wanted: Wanted::of(vec![], None).unwrap(),
                guests: Guests {
                    accel: Choice::Auto,
                    way: Way::Initramfs,
                },
                deadline: None,
                at_once: None,
                fail_fast: false,
                install: false,
            },
        };
        let failure = run(&order, &Session::new(layout, stop)).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        let said = failure.to_string();
        assert_eq!(said, "empty for base 6.12 has no patch to check");
    }

    #[test]
    fn cells() {
        let difference = |broken: usize, added: usize| {
            let finding = Finding {
                file: "a.c".into(),
                line: 1,
                text: "warning: x".into(),
            };
            warnings_cell(&Difference {
                added: vec![finding; added],
                broken: vec!["a.c".into(); broken],
                unknown: vec!["b.c".into()],
            })
        };
        let cases = |passed, failed, skipped| {
            cases_cell(Counts {
                passed,
                failed,
                skipped,
            })
        };
        for (cell, expected) in [
            (checkpatch_cell(0), Cell::Fine("clean".into())),
            (checkpatch_cell(1), Cell::Failed("1 COMPLAINT".into())),
            (checkpatch_cell(2), Cell::Failed("2 COMPLAINTS".into())),
            (difference(0, 0), Cell::Fine("none new".into())),
            (difference(0, 2), Cell::Failed("2 NEW".into())),
            (
                difference(1, 2),
                Cell::Broken("1 FILE DOES NOT COMPILE".into()),
            ),
            (
                difference(2, 0),
                Cell::Broken("2 FILES DO NOT COMPILE".into()),
            ),
            (cases(92, 0, 7), Cell::Fine("92 passed, 7 skipped".into())),
            (cases(9, 1, 0), Cell::Failed("9 passed, 1 FAILED".into())),
        ] {
            assert_eq!(cell, expected);
        }
    }

    #[test]
    fn exit_codes() {
        let row = |cell: Cell| Row {
            warnings: cell,
            ..Row::default()
        };
        let fine = || row(Cell::Fine("none new".into()));
        let failed = || row(Cell::Failed("1 NEW".into()));
        let broken = || row(Cell::Broken("NO".into()));
        for (rows, shown, expected) in [
            (vec![fine(), Row::default()], true, Ok(PASSED)),
            (vec![fine()], false, Err(Kind::Machinery)),
            (vec![failed(), fine()], true, Ok(FAILED)),
            (vec![failed(), fine()], false, Ok(FAILED)),
            (vec![failed(), broken()], true, Ok(3)),
        ] {
            let code = verdict_of(&rows, shown).map_err(|failure| failure.kind);
            assert_eq!(code, expected, "{rows:?}");
        }
    }
}
