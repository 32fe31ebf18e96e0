//! Tests one commit for real: its kernel is built, booted, and the cases run on it.

use std::collections::BTreeSet;
use std::time::Duration;
use std::{io, iter};

use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::Filesystem;
use harness::wire::plan::Work;

use crate::bisect::{Build, Commit, Judge, Outcome, Reason, Untestable};
use crate::event::{CaseId, CaseResult, Verdict};
use crate::failure::{Failure, Kind, Result};
use crate::flow::facts::{kernel_facts, machine_facts};
use crate::flow::prepare::{self, Guests, Prepared};
use crate::flow::recording;
use crate::flow::select::{self, Chosen};
use crate::host::files;
use crate::host::session::Session;
use crate::kernel::commit::{self, Obstacle, Stage, Wanted, Workbench};
use crate::kernel::request::Request;
use crate::report::model::{KernelFacts, Run};
use crate::report::store::Finished;
use crate::shard;
use crate::vm::qemu::accel::Accel;
use crate::vm::qemu::machine;
use crate::vm::watch::queue::Workload;
use crate::vm::watch::supervisor::Limits;
use crate::words;

/// What is run on each commit.
#[derive(Clone, Debug)]
pub struct Trial {
    pub cases: Vec<Chosen>,
    /// Shows that the kernel works otherwise.
    pub control: CaseId,
    pub guests: Guests,
    /// For one case; the accelerator's own if `None`.
    pub deadline: Option<Duration>,
}

impl Trial {
    /// What is to be run, by the names of cases.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a name is none, or if the control case is one of those that are wanted.
    pub fn of(
        (filters, fs): (&[String], &[Filesystem]),
        control: &str,
        guests: Guests,
        deadline: Option<Duration>,
    ) -> Result<Self> {
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
        Ok(Self {
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
}

/// The accelerator of a search. It is measured once, on an end: a kernel that does not boot, with which a search may go
/// on, would tell the wrong one; and a flake is rarer under one than under the other.
#[derive(Debug)]
pub struct SameAccel {
    memory: Utf8PathBuf,
    accel: Option<Accel>,
}

impl SameAccel {
    /// Begins anew, or with what was chosen.
    pub fn open(folder: &Utf8Path, resume: bool) -> Self {
        let memory = folder.join("accel.json");
        Self {
            accel: files::recall(&memory).filter(|_| resume),
            memory,
        }
    }

    fn or(&mut self, choose: impl FnOnce() -> Result<Accel>) -> Result<Accel> {
        if let Some(accel) = self.accel {
            return Ok(accel);
        }
        let accel = choose()?;
        files::remember(&self.memory, &accel)?;
        self.accel = Some(accel);
        Ok(accel)
    }
}

/// A judge that builds and boots.
pub struct Bench<'a> {
    workbench: Workbench,
    trial: &'a Trial,
    /// Names the base and the configuration in reports.
    request: Request,
    /// The harness binary.
    init: Utf8PathBuf,
    /// One folder for each commit: `REPORT/commits`.
    folder: Utf8PathBuf,
    session: &'a Session,
    accel: SameAccel,
    /// Of the last build.
    kernel: Option<Prepared>,
}

impl<'a> Bench<'a> {
    pub fn new(
        workbench: Workbench,
        trial: &'a Trial,
        request: Request,
        init: Utf8PathBuf,
        accel: SameAccel,
        folder: Utf8PathBuf,
        session: &'a Session,
    ) -> Self {
        Self {
            workbench,
            trial,
            request,
            init,
            folder,
            session,
            accel,
            kernel: None,
        }
    }

    fn prepared(&mut self, kernel: crate::kernel::Kernel) -> Result<Prepared> {
        let qemu = machine::version(&self.session.stop)?;
        let (choice, session) = (self.trial.guests.accel, self.session);
        let accel = (self.accel).or(|| prepare::choose(&kernel, choice, &qemu, session))?;
        Prepared::of(kernel, accel, qemu)
    }

    /// Runs the cases, and leaves what was said in the folder of the commit.
    fn run(&self, prepared: &Prepared, cases: Vec<CaseId>, folder: &Utf8Path) -> Result<Run> {
        let trial = self.trial;
        let machine = prepared.machine(trial.guests.way, &self.init, Work::Cases);
        let limits = Limits::new(prepared.accel, trial.deadline);
        let workload = Workload::of_one_guest(cases.clone());
        let kernel = KernelFacts {
            base: prepared.kernel.base.clone(),
            ..kernel_facts(&self.request, prepared)
        };
        let host = machine_facts(prepared, 1)?;
        let wanted = shard::Wanted::of(cases, None)?;
        let how = (&workload, &limits);
        let (finished, outcome) =
            recording::run(&machine, how, (kernel, host), &wanted, folder, self.session)?;
        let Finished { run, written, .. } = finished;
        outcome?;
        written?;
        Ok(run)
    }

    /// The words of what went wrong, with all of it in a file of the commit's folder.
    fn untestable(&self, reason: Reason, why: &Failure, commit: &Commit<'_>) -> Result<Untestable> {
        let places = [self.workbench.tree(), self.session.layout.root()];
        let why = without_places(why.to_string(), places);
        let folder = self.folder.join(name(commit));
        let all = folder.join("why");
        files::write(&all, format!("{why}\n").as_bytes())?;
        self.session
            .events
            .note(format!("all that was said: {all}"));
        Ok(Untestable {
            reason,
            words: gist(&why),
        })
    }

    fn obstacle(&self, obstacle: &Obstacle, commit: &Commit<'_>) -> Result<Untestable> {
        let reason = match obstacle.stage {
            Stage::Patching => Reason::DoesNotApply,
            Stage::Configuring => Reason::OptionLost,
            Stage::Compiling => Reason::DoesNotCompile,
        };
        if let Some(log) = &obstacle.log {
            let kept = self.folder.join(name(commit)).join("build.log");
            files::write(&kept, log)?;
        }
        self.untestable(reason, &obstacle.why, commit)
    }
}

impl Judge for Bench<'_> {
    fn build(&mut self, commit: &Commit<'_>) -> Result<Build> {
        self.kernel = None;
        let wanted = Wanted {
            commit: commit.id,
            picks: commit.picks,
            revert: commit.revert,
        };
        let kernel = match self.workbench.make(&wanted, self.session)? {
            Ok(kernel) => kernel,
            Err(obstacle) => return Ok(Build::Untestable(self.obstacle(&obstacle, commit)?)),
        };
        let programs = kernel.programs.iter().map(|program| &program.path);
        let parts = iter::once(&kernel.image).chain(programs);
        let parts: Vec<_> = parts.map(fs_err::read).collect::<io::Result<_>>()?;
        let image = files::digest(parts);
        self.kernel = Some(self.prepared(kernel)?);
        Ok(Build::Image(image[..16].to_owned()))
    }

    fn test(&mut self, commit: &Commit<'_>, runs: u32) -> Result<Outcome> {
        let Some(prepared) = &self.kernel else {
            return Err(
                Kind::Machinery.error(format!("a bug of xtask: {} is not built", commit.id))
            );
        };
        let control = &self.trial.control;
        let all = std::iter::once(control.clone()).chain(select::runs(&self.trial.cases, runs));
        let folder = self.folder.join(name(commit));
        match self.run(prepared, all.collect(), &folder) {
            Ok(run) => Ok(outcome(run.results, control)),
            Err(failure) if failure.kind == Kind::NoBoot => {
                let why = self.untestable(Reason::DoesNotBoot, &failure, commit)?;
                Ok(Outcome::Untestable(why))
            }
            Err(other) => Err(other),
        }
    }

    fn read(&mut self) -> Result<BTreeSet<String>> {
        let kernel = self.kernel.as_ref().map(|prepared| &prepared.kernel);
        let kernel =
            kernel.ok_or_else(|| Kind::Machinery.error("a bug of xtask: none is built"))?;
        let read = self.workbench.read(&kernel.content, self.session)?;
        self.session.events.note(commit::words_of(&read));
        Ok(read)
    }
}

/// The folder of a commit.
fn name(commit: &Commit<'_>) -> String {
    let short = |id: &str| id[..12.min(id.len())].to_owned();
    match commit.revert {
        None => short(commit.id),
        Some(culprit) => format!("{}-without-{}", short(commit.id), short(culprit)),
    }
}

/// What the cases say of a commit; one on which none can run lacks what they need.
fn outcome(results: Vec<CaseResult>, control: &CaseId) -> Outcome {
    let (controls, results): (Vec<_>, Vec<_>) = results
        .into_iter()
        .partition(|result| result.id == *control);
    let skipped = |result: &CaseResult| match &result.verdict {
        Verdict::Skipped(why) => Some(why.clone()),
        _ => None,
    };
    let reasons: Option<Vec<String>> = results.iter().map(skipped).collect();
    if let Some(words) = reasons.and_then(|reasons| reasons.into_iter().next()) {
        let reason = Reason::LacksFeature;
        return Outcome::Untestable(Untestable { reason, words });
    }
    let control = controls.into_iter().next().map(|control| control.verdict);
    Outcome::Ran {
        results,
        control: control.unwrap_or(Verdict::Skipped("it did not run".into())),
    }
}

/// Where things are on this machine is nobody's business. A place inside another comes first.
fn without_places(text: String, places: [&Utf8Path; 2]) -> String {
    let without = |text: String, place| text.replace(&format!("{place}/"), "");
    places.into_iter().fold(text, without)
}

/// The one line that says most: the first error of a compiler, the first option, or else the beginning.
fn gist(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let line = match first.ends_with(':') {
        true => lines.next().unwrap_or(first).trim(),
        false => first,
    };
    words::short(line)
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::Xfs;

    use super::*;
    use crate::bisect::relevant::Relevant;
    use crate::kernel::programs;
    use crate::report::model::samples::result;

    #[test]
    fn what_the_cases_have_of_the_tree_can_be_the_culprit() {
        let relevant = Relevant::of(["fs/super.c".to_owned()]);
        for folder in programs::folders() {
            let source = format!("{folder}/a.c");
            assert!(relevant.has(&source), "{source}");
        }
    }

    #[test]
    fn folders_are_named_after_commits() {
        let commit = |revert| Commit {
            id: "0123456789abcdef",
            picks: &[],
            revert,
        };
        assert_eq!(name(&commit(None)), "0123456789ab");
        let wanted = "0123456789ab-without-fedcba987654";
        assert_eq!(name(&commit(Some("fedcba9876543210"))), wanted);
    }

    #[test]
    fn a_search_goes_on_under_the_accelerator_that_it_began_with() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let mut chosen = SameAccel::open(dir, false);
        let full = || Err(Kind::Machinery.error("no space left on device"));
        assert!(chosen.or(full).is_err());
        for _ in 0..2 {
            assert_eq!(chosen.or(|| Ok(Accel::Kvm)).unwrap(), Accel::Kvm);
        }
        let asked = |resume| SameAccel::open(dir, resume).or(|| Ok(Accel::Tcg)).unwrap();
        assert_eq!(asked(true), Accel::Kvm);
        assert_eq!(asked(false), Accel::Tcg, "a search that begins anew");
    }

    #[test]
    fn a_kernel_on_which_nothing_can_run_lacks_a_feature() {
        let control = result(Xfs, "control", 0, Verdict::Passed);
        let of = |verdicts: &[Verdict]| {
            let cases = verdicts.iter().zip(0..);
            let cases = cases.map(|(verdict, at)| result(Xfs, "a", at, verdict.clone()));
            let all = std::iter::once(control.clone()).chain(cases);
            outcome(all.collect(), &control.id)
        };
        let skipped = || Verdict::Skipped("the kernel has no timeouts".into());
        match of(&[skipped(), skipped()]) {
            Outcome::Untestable(Untestable {
                reason: Reason::LacksFeature,
                words,
            }) => assert_eq!(words, "the kernel has no timeouts"),
            other => panic!("{other:?}"),
        }
        match of(&[Verdict::Passed, skipped()]) {
            Outcome::Ran { results, control } => {
                assert_eq!((results.len(), control), (2, Verdict::Passed));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_do_not_say_where_things_are() {
        let said = "`make -C /home/me/freeze/trees/x O=/home/me/freeze/out` failed: /home/me/freeze/trees/x/fs/super.c:9";
        let places = ["/home/me/freeze/trees/x", "/home/me/freeze"].map(Utf8Path::new);
        let wanted = "`make -C trees/x O=out` failed: fs/super.c:9";
        assert_eq!(without_places(said.to_owned(), places), wanted);
    }

    #[test]
    fn one_line_says_why() {
        for (text, wanted) in [
            (
                "6.12 does not compile:\nfs/super.c:9: error: x\nlog",
                "fs/super.c:9: error: x",
            ),
            (
                "x does not apply to y: no\nmore",
                "x does not apply to y: no",
            ),
            ("2 guests ended; the console said last:\n    panic", "panic"),
        ] {
            assert_eq!(gist(text), wanted);
        }
    }
}
