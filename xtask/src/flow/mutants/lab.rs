//! Mutants for real: each is built from the kernel without one, and cases run on it in guests.

use std::time::Duration;

use camino::Utf8PathBuf;
use harness::wire::plan::Work;

use super::order::Order;
use super::trial::{End, Lab, On};
use crate::event::{CaseId, Event};
use crate::failure::{Kind, Result};
use crate::flow::facts::{kernel_facts, machine_facts};
use crate::flow::prepare::Prepared;
use crate::flow::recording;
use crate::flow::test_kernel::{How, spread};
use crate::host::files;
use crate::host::session::Session;
use crate::kernel::mutant::Workbench;
use crate::report::model::Counts;
use crate::report::times::Times;
use crate::series::mutants::Mutant;
use crate::shard::Wanted;
use crate::vm::watch::supervisor::Limits;

pub struct Bench<'a> {
    order: &'a Order,
    workbench: &'a Workbench<'a>,
    sound: Prepared,
    /// Of its image.
    sound_digest: String,
    /// The one that was built last.
    mutant: Option<Prepared>,
    /// The harness binary.
    init: Utf8PathBuf,
    /// Has a folder of runs for each mutant.
    folder: Utf8PathBuf,
    session: &'a Session,
}

impl<'a> Bench<'a> {
    pub fn new(
        order: &'a Order,
        workbench: &'a Workbench<'a>,
        (sound, init): (Prepared, Utf8PathBuf),
        folder: Utf8PathBuf,
        session: &'a Session,
    ) -> Result<Self> {
        Ok(Self {
            sound_digest: digest(&sound)?,
            mutant: None,
            order,
            workbench,
            sound,
            init,
            folder,
            session,
        })
    }
}

fn digest(prepared: &Prepared) -> Result<String> {
    Ok(files::digest([fs_err::read(&prepared.kernel.image)?]))
}

impl Lab for Bench<'_> {
    fn build(&mut self, mutant: &Mutant) -> Result<std::result::Result<(), String>> {
        self.mutant = None;
        if let Some(why) = self.workbench.obstacle(&mutant.patch, self.session)? {
            return Ok(Err(format!("it does not apply: {why}")));
        }
        let kernel = match self.workbench.make(Some(&mutant.patch), self.session) {
            Err(failure) if failure.kind == Kind::Build => return Ok(Err(failure.to_string())),
            kernel => kernel?,
        };
        let prepared = Prepared::of(kernel, self.sound.accel, self.sound.qemu.clone())?;
        if digest(&prepared)? == self.sound_digest {
            return Ok(Err("the kernel is the same with it".into()));
        }
        self.mutant = Some(prepared);
        Ok(Ok(()))
    }

    fn run(&mut self, on: On, name: &str, cases: Vec<CaseId>) -> Result<End> {
        let built = match on {
            On::Mutant => self.mutant.as_ref(),
            On::Sound => Some(&self.sound),
        };
        let prepared =
            built.ok_or_else(|| Kind::Machinery.error("a bug of xtask: none is built"))?;
        let how = How {
            wanted: Wanted::of(cases, None)?,
            fail_fast: true,
            ..self.order.how.clone()
        };
        let machine = prepared.machine(how.guests.way, &self.init, Work::Cases);
        let workload = spread(&how, prepared.accel, &self.session.layout)?;
        let limits = Limits::new(prepared.accel, how.deadline);
        let facts = (
            kernel_facts(&self.order.request, prepared),
            machine_facts(prepared, workload.guests)?,
        );
        let (finished, outcome) = recording::run(
            &machine,
            (&workload, &limits),
            facts,
            &how.wanted,
            &self.folder.join(name),
            self.session,
        )?;
        match outcome {
            Err(failure) if failure.kind == Kind::NoBoot => return Ok(End::NoBoot),
            Err(failure) if failure.kind != Kind::Failed => return Err(failure),
            _ => finished.written?,
        }
        let passed = Counts::of(&finished.run.results).passed;
        let mut results = finished.run.results.into_iter();
        let failed = results.find(|result| result.verdict.is_failure());
        Ok(failed.map_or(End::Passed(passed), End::Failed))
    }

    fn afforded(&self, cases: Vec<CaseId>) -> Vec<CaseId> {
        let times = Times::of_runs(&self.session.layout.runs());
        shortest(cases, self.order.budget, |id| times.expected(id))
    }

    fn warn(&self, text: String) {
        self.session.events.send(Event::Warning(text));
    }
}

/// The shortest cases, as many as there is time for: the more of them run, the more is seen.
fn shortest(
    mut cases: Vec<CaseId>,
    mut budget: Duration,
    expected: impl Fn(&CaseId) -> Duration,
) -> Vec<CaseId> {
    cases.sort_by_key(&expected);
    let fits = |id: &CaseId| match budget.checked_sub(expected(id)) {
        Some(left) => {
            budget = left;
            true
        }
        None => false,
    };
    cases.into_iter().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::Xfs;

    use super::*;
    use crate::event::Verdict;
    use crate::report::model::samples::result;

    #[test]
    fn the_budget_is_for_as_many_cases_as_it_can_be() {
        let cases = ["a3", "b1", "c9", "d2"].map(|name| result(Xfs, name, 0, Verdict::Passed).id);
        let seconds = |id: &CaseId| Duration::from_secs(id.case[1..].parse().unwrap());
        for (budget, wanted) in [
            (0, ""),
            (1, "b1"),
            (5, "b1d2"),
            (6, "b1d2a3"),
            (15, "b1d2a3c9"),
        ] {
            let afforded = shortest(cases.to_vec(), Duration::from_secs(budget), seconds);
            let names: String = afforded.iter().map(|id| id.case.as_str()).collect();
            assert_eq!(names, wanted, "{budget}");
        }
    }
}
