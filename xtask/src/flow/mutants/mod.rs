//! Wrong versions of the patches, one after the other: each has to make a case fail.

mod lab;
mod order;
mod trial;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

use super::prepare::{self, provide_deps, to_test};
use crate::failure::{FAILED, Kind, PASSED, Result};
use crate::host::files;
use crate::host::layout::MUTANTS;
use crate::host::proc::Stop;
use crate::host::session::Session;
use crate::kernel::mutant::Workbench;
use crate::kernel::request::Request;
use crate::report::mutants::{Outcome, Row, markdown, text};
use crate::report::{terminal, watched};
use crate::series::mutants::Mutant;
use crate::vm::accelerator;
use crate::vm::root::init;
use lab::Bench;
pub use order::Order;
use trial::{Lab, Trials};

/// Tries all of them, for the exit code.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    accelerator::is_there(order.how.guests.accel)?;
    let session = &Session {
        layout: session.layout.aside(MUTANTS),
        ..session.clone()
    };
    let mut rows = Vec::new();
    let outcome = watched(session, None, |session| {
        let needs = to_test(order.how.guests.way, &order.request.configs);
        provide_deps(order.how.install, &needs, session)?;
        let workbench = Workbench::open(&order.request, session)?;
        let outcome = each(order, &workbench, &mut rows, session);
        // The tree is nobody's; but who looks into it is not to find a mutant, not even after Ctrl-C.
        let unstopped = Session {
            stop: Stop::default(),
            ..session.clone()
        };
        let restored = workbench.restore(&unstopped);
        outcome.and_then(|folder| restored.map(|()| folder))
    });
    if !rows.is_empty() {
        terminal::text(&text(&rows));
    }
    terminal::text(&format!("report in {}", outcome?));
    Ok(verdict(&rows))
}

/// Returns the folder with the report.
fn each(
    order: &Order,
    workbench: &Workbench<'_>,
    rows: &mut Vec<Row>,
    session: &Session,
) -> Result<Utf8PathBuf> {
    let accel = order.how.guests.accel;
    accelerator::starts(accel, &session.stop)?;
    let sound = || prepare::ready(workbench.make(None, session)?, accel, session);
    let (sound, init) = init::beside(sound, session)?;
    let records = Records::open(order, &sound.kernel.fingerprint, session);
    let folder = records.folder.clone();
    let lab = Bench::new(order, workbench, (sound, init), folder, session)?;
    let mut trials = Trials::new(lab, order.how.wanted.cases.clone());
    for (number, mutant) in (1..).zip(&order.mutants) {
        let known = order.resume.then(|| records.killed(mutant)).flatten();
        rows.push(match known {
            Some(row) => row,
            None => {
                session.events.note(format!(
                    "mutant {number} of {}: {} ({})",
                    order.mutants.len(),
                    mutant.name,
                    mutant.patch.subject
                ));
                one(&mut trials, mutant, &records)?
            }
        });
        records.keep(rows)?;
    }
    Ok(records.folder)
}

fn one(trials: &mut Trials<Bench<'_>>, mutant: &Mutant, records: &Records) -> Result<Row> {
    let begun = Instant::now();
    let built = trials.lab.build(mutant)?;
    let building = begun.elapsed();
    let outcome = match built {
        Err(why) => Outcome::Broken(why),
        Ok(()) => trials.run(mutant)?,
    };
    Ok(Row {
        building,
        testing: begun.elapsed() - building,
        ..records.row(mutant, outcome)
    })
}

/// A survivor is worse than a mutant that is none, but that has to be mended first.
fn verdict(rows: &[Row]) -> u8 {
    let code = |row: &Row| match row.outcome {
        Outcome::Killed { .. } | Outcome::NoBoot => PASSED,
        Outcome::Survived { .. } => FAILED,
        Outcome::Broken(_) => Kind::Build.exit_code(),
    };
    rows.iter().map(code).max().unwrap_or(PASSED)
}

/// What became of mutants, in a folder for each base and configuration: `outcomes.json`, `report.md`, and the runs of
/// each mutant.
struct Records {
    folder: Utf8PathBuf,
    title: String,
    /// Names the kernel without a mutant.
    ground: String,
    /// Of earlier runs, by the mutants' names.
    before: BTreeMap<String, Row>,
}

impl Records {
    fn open(order: &Order, ground: &str, session: &Session) -> Self {
        let Request { base, configs, .. } = &order.request;
        let name = std::iter::once(base).chain(configs);
        let title = name.map(String::as_str).collect::<Vec<_>>().join("+");
        let folder = session.layout.mutants().join(&title);
        Self::of(folder, title, ground)
    }

    fn of(folder: Utf8PathBuf, title: String, ground: &str) -> Self {
        let before: Vec<Row> = files::recall(&folder.join("outcomes.json")).unwrap_or_default();
        let before = before.into_iter().map(|row| (row.name.clone(), row));
        Self {
            before: before.collect(),
            ground: ground.to_owned(),
            folder,
            title,
        }
    }

    fn key(&self, mutant: &Mutant) -> String {
        files::digest([self.ground.clone(), mutant.patch.digest()])
    }

    /// An outcome that still holds. Who has survived, or was none, is worth another try.
    fn killed(&self, mutant: &Mutant) -> Option<Row> {
        let row = self.before.get(&mutant.name)?;
        let killed = matches!(row.outcome, Outcome::Killed { .. } | Outcome::NoBoot);
        (killed && row.key == self.key(mutant)).then(|| row.clone())
    }

    fn row(&self, mutant: &Mutant, outcome: Outcome) -> Row {
        Row {
            name: mutant.name.clone(),
            class: mutant.class.clone(),
            subject: mutant.patch.subject.clone(),
            outcome,
            building: Duration::ZERO,
            testing: Duration::ZERO,
            key: self.key(mutant),
        }
    }

    /// Beside what is known of the mutants that are not tried now.
    fn keep(&self, rows: &[Row]) -> Result<()> {
        let mut all = self.before.clone();
        all.extend(rows.iter().map(|row| (row.name.clone(), row.clone())));
        let all: Vec<Row> = all.into_values().collect();
        fs_err::create_dir_all(&self.folder)?;
        files::remember(&self.folder.join("outcomes.json"), &all)?;
        let report = markdown(&self.title, &all);
        Ok(files::write(
            &self.folder.join("report.md"),
            report.as_bytes(),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::layout::Layout;
    use crate::report::mutants::samples::row;
    use crate::series::mutants::load;

    #[test]
    fn exit_codes() {
        let by = || crate::event::CaseId {
            filesystem: harness::wire::Filesystem::Xfs,
            case: "a".into(),
            repeat: 0,
        };
        let killed = Outcome::Killed {
            by: by(),
            why: String::new(),
        };
        let survived = Outcome::Survived { ran: 1, of: 1 };
        let broken = Outcome::Broken("x".into());
        for (outcomes, code) in [
            (vec![&killed, &Outcome::NoBoot], 0),
            (vec![&killed, &survived], 1),
            (vec![&broken, &survived, &killed], 3),
            (vec![], 0),
        ] {
            let rows: Vec<_> = outcomes
                .into_iter()
                .map(|it| row("m", it.clone()))
                .collect();
            assert_eq!(verdict(&rows), code, "{rows:?}");
        }
    }

    #[test]
    fn what_was_killed_stays_so_on_the_same_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let folder = camino::Utf8Path::from_path(dir.path()).unwrap();
        let mutants = load(&Layout::of_this_checkout().unwrap()).unwrap();
        let records = |ground: &str| Records::of(folder.to_owned(), "x".into(), ground);
        let first = records("a");
        let rows = [
            first.row(&mutants[0], Outcome::NoBoot),
            first.row(&mutants[1], Outcome::Survived { ran: 1, of: 1 }),
        ];
        first.keep(&rows).unwrap();
        first.keep(&rows[..1]).unwrap();
        let again = records("a");
        let known = |records: &Records| [0, 1, 2].map(|at| records.killed(&mutants[at]).is_some());
        assert_eq!(known(&again), [true, false, false]);
        again
            .keep(&[again.row(&mutants[2], Outcome::NoBoot)])
            .unwrap();
        assert_eq!(known(&records("a")), [true, false, true]);
        assert_eq!(known(&records("b")), [false; 3]);
    }
}
