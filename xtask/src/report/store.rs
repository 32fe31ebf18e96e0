//! The folder of a run: `ktap`, `console.log`, `junit.xml`, `results.json`.
//!
//! It has a hidden name until it is written. One that ended early is called so, and `latest` leads to the newest other.

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err::File;
use jiff::Zoned;

use super::model::{KernelFacts, MachineFacts, Run};
use super::{junit, ktap, output};
use crate::event::{CaseId, CaseResult, Event, GuestId};
use crate::host::claim::{self, Claim};
use crate::host::files;
use crate::shard::Wanted;

/// Ends the name of a folder whose run ended early.
const CUT_SHORT: &str = "-incomplete";

/// Whether a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Whole,
    CutShort,
}

impl Extent {
    pub fn of<T, E>(outcome: &std::result::Result<T, E>) -> Self {
        match outcome {
            Ok(_) => Extent::Whole,
            Err(_) => Extent::CutShort,
        }
    }
}

/// A run's folder while it is not written.
#[derive(Debug)]
pub struct Folder {
    runs: Utf8PathBuf,
    name: String,
    claim: Claim,
}

impl Folder {
    /// Makes one in `runs`, named after the time.
    pub fn open(runs: &Utf8Path) -> Result<Self> {
        Self::of(runs, &Zoned::now())
    }

    fn of(runs: &Utf8Path, time: &Zoned) -> Result<Self> {
        fs_err::create_dir_all(runs)?;
        claim::sweep(runs, ".");
        let name = make_part(runs, &time.strftime("%Y-%m-%dT%H-%M-%S").to_string())?;
        Ok(Self {
            claim: Claim::new(&runs.join(hidden(&name)))?,
            runs: runs.to_owned(),
            name,
        })
    }

    /// Where it is as long as it is not written.
    pub fn path(&self) -> Utf8PathBuf {
        self.runs.join(hidden(&self.name))
    }

    /// Makes the folder visible; returns where it is then.
    pub fn reveal(self, extent: Extent) -> Result<Utf8PathBuf> {
        let (dir, part) = (self.runs.join(named(&self.name, extent)), self.path());
        self.claim.release()?;
        fs_err::rename(part, &dir)?;
        if extent == Extent::Whole {
            point_latest(&self.runs, &self.name)?;
        }
        Ok(dir)
    }

    /// Writes the reports, and makes the folder visible.
    pub fn publish(self, run: Run) -> Finished {
        let extent = match run.is_complete() {
            true => Extent::Whole,
            false => Extent::CutShort,
        };
        let (dir, part) = (self.runs.join(named(&self.name, extent)), self.path());
        let written = write_reports(&run, &part).and_then(|()| self.reveal(extent).map(drop));
        let folder = if dir.exists() { dir } else { part };
        Finished {
            run,
            folder,
            written,
        }
    }
}

/// Keeps what the reports are made from. The console is on disk at once: it is what a crash leaves.
#[derive(Debug)]
pub struct Recorder {
    folder: Folder,
    started: String,
    begun: Instant,
    console: File,
    /// Each case as it ends; the whole document replaces it.
    ktap: File,
    results: Vec<CaseResult>,
    /// The first error of writing; told at the end, as results are worth more than files.
    broken: Option<anyhow::Error>,
}

impl Recorder {
    /// Opens a folder in `runs`, named after the time.
    pub fn open(runs: &Utf8Path) -> Result<Self> {
        let now = Zoned::now();
        let folder = Folder::of(runs, &now)?;
        let dir = folder.path();
        Ok(Self {
            folder,
            console: File::create(dir.join("console.log"))?,
            ktap: File::create(dir.join("ktap"))?,
            started: started(&now),
            begun: Instant::now(),
            results: Vec::new(),
            broken: None,
        })
    }

    pub fn see(&mut self, event: &Event) {
        match event {
            Event::CaseEnded(result) => self.keep(result),
            Event::Console { guest, line } => self.log(*guest, line),
            Event::CaseStarted { guest, case } => {
                let line = format!("=== {} {} begins", case.filesystem, case.case);
                self.log(*guest, &line);
            }
            Event::GuestStarted { guest, .. } => self.log(*guest, "=== boots"),
            Event::GuestEnded { guest, reason } => self.log(*guest, &format!("=== {reason}")),
            _ => {}
        }
    }

    /// Guests that run at once say their lines in turn: `grep '^2|'` has those of guest 2.
    fn log(&mut self, guest: GuestId, line: &str) {
        let written = writeln!(self.console, "{guest}| {line}");
        self.note(written);
    }

    fn keep(&mut self, result: &CaseResult) {
        self.results.push(result.clone());
        let text = ktap::single(self.results.len(), result);
        let written = self.ktap.write_all(text.as_bytes());
        self.note(written);
    }

    fn note(&mut self, written: std::io::Result<()>) {
        if let (Err(error), None) = (written, &self.broken) {
            self.broken = Some(error.into());
        }
    }

    /// Writes the reports, and makes the folder visible.
    pub fn finish(
        self,
        kernel: KernelFacts,
        machine: MachineFacts,
        wanted: &Wanted,
        failure: Option<String>,
    ) -> Finished {
        let Wanted { cases, part } = wanted;
        let run = Run {
            kernel,
            machine,
            started: self.started,
            took: Duration::from_secs(self.begun.elapsed().as_secs()),
            not_run: not_run(cases, &self.results),
            results: in_order(cases, self.results),
            failure,
            part: part.clone(),
        };
        let mut finished = self.folder.publish(run);
        finished.written = finished.written.and(self.broken.map_or(Ok(()), Err));
        finished
    }
}

/// Writes the reports into a folder of the user's, which is made if need be.
pub fn write_into(dir: &Utf8Path, run: Run) -> Result<Finished> {
    fs_err::create_dir_all(dir)?;
    Ok(Finished {
        written: write_reports(&run, dir),
        folder: dir.to_owned(),
        run,
    })
}

/// A run, and what became of its folder.
#[derive(Debug)]
pub struct Finished {
    pub run: Run,
    pub folder: Utf8PathBuf,
    /// The first error of writing anything.
    pub written: Result<()>,
}

/// All of them are tried, for what they are worth.
fn write_reports(run: &Run, part: &Utf8Path) -> Result<()> {
    let write = |name: &str, text: Result<String>| -> Result<()> {
        files::write(&part.join(name), text?.as_bytes())
    };
    let results = serde_json::to_string_pretty(run).map_err(Into::into);
    let ktap = write("ktap", Ok(ktap::document(run)));
    let junit = write("junit.xml", junit::document(run));
    ktap.and(junit).and(write("results.json", results))
}

/// As they were wanted, not as they ended: guests run at once.
pub fn in_order(wanted: &[CaseId], mut results: Vec<CaseResult>) -> Vec<CaseResult> {
    let places: HashMap<_, _> = wanted.iter().zip(0..).collect();
    results.sort_by_key(|result| places.get(&result.id).copied().unwrap_or(wanted.len()));
    results
}

/// What was wanted and has no result, in order.
pub fn not_run(wanted: &[CaseId], results: &[CaseResult]) -> Vec<CaseId> {
    let ran: HashSet<_> = results.iter().map(|result| &result.id).collect();
    let missing = wanted.iter().filter(|id| !ran.contains(id));
    missing.cloned().collect()
}

/// Local time with offset.
pub fn started(time: &Zoned) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn named(name: &str, extent: Extent) -> String {
    match extent {
        Extent::Whole => name.to_owned(),
        Extent::CutShort => format!("{name}{CUT_SHORT}"),
    }
}

fn hidden(name: &str) -> String {
    format!(".{name}.part")
}

/// Makes the hidden folder of a run named `stamp`, or with a number if two begin in one second.
fn make_part(runs: &Utf8Path, stamp: &str) -> Result<String> {
    let mut name = stamp.to_owned();
    let mut number = 1;
    loop {
        let part = runs.join(hidden(&name));
        match fs_err::create_dir(&part) {
            Ok(()) if is_free(runs, &name) => return Ok(name),
            Ok(()) => fs_err::remove_dir(part)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        number += 1;
        name = format!("{stamp}-{number}");
    }
}

/// A clock that was set back gives the same names again.
fn is_free(runs: &Utf8Path, name: &str) -> bool {
    let mut names = [Extent::Whole, Extent::CutShort]
        .map(|extent| named(name, extent))
        .into_iter();
    names.all(|name| !is_there(&runs.join(name)))
}

/// Also if it is a link that leads nowhere.
fn is_there(path: &Utf8Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Replaces the link at once: a reader finds the old run or the new one.
fn point_latest(runs: &Utf8Path, name: &str) -> Result<()> {
    let latest = runs.join("latest");
    if latest.symlink_metadata().is_ok_and(|it| !it.is_symlink()) {
        set_aside(&latest)?;
    }
    let link = runs.join(format!(".{name}.latest"));
    symlink(name, &link).with_context(|| format!("failed to make the symbolic link {link}"))?;
    Ok(fs_err::rename(link, latest)?)
}

/// Gives another name to what stands in the place of the link: a copy of runs has folders where there were links.
fn set_aside(latest: &Utf8Path) -> Result<()> {
    let mut names = (1..).map(|number| Utf8PathBuf::from(format!("{latest}-{number}")));
    let free = names.find(|name| !is_there(name));
    let aside = free.context("there is a number for each name")?;
    fs_err::rename(latest, &aside)?;
    output::warn(&format!(
        "{latest} was no link to a run, and is {aside} now"
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::Ext3;

    use super::*;
    use crate::event::Verdict;
    use crate::report::model::samples;

    fn whole(cases: Vec<CaseId>) -> Wanted {
        Wanted { cases, part: None }
    }

    fn console() -> Event {
        Event::Console {
            guest: 1,
            line: "Linux version".into(),
        }
    }

    #[test]
    fn results_outlive_a_disk_that_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Utf8Path::from_path(dir.path()).unwrap();
        let sample = samples::aborted();
        let mut recorder = Recorder::open(runs).unwrap();
        recorder.console = File::options().write(true).open("/dev/full").unwrap();
        recorder.see(&console());
        let result = &sample.results[0];
        let mut wanted = vec![result.id.clone()];
        wanted.extend(sample.not_run.clone());
        recorder.see(&Event::CaseEnded(result.clone()));
        let live =
            fs_err::read_to_string(runs.join(hidden(&recorder.folder.name)).join("ktap")).unwrap();
        assert!(live.contains("    ok 1 a"), "{live}");
        let Finished {
            run,
            folder,
            written,
        } = recorder.finish(
            sample.kernel,
            sample.machine,
            &whole(wanted),
            sample.failure,
        );
        assert!(written.is_err());
        assert_eq!(run.not_run, sample.not_run);
        let ktap = fs_err::read_to_string(folder.join("ktap")).unwrap();
        assert!(ktap.contains("Bail out! interrupted"), "{ktap}");
    }

    #[test]
    fn a_run_is_kept_whole_and_latest_leads_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Utf8Path::from_path(dir.path()).unwrap();
        let sample = samples::run(&["generic-freeze"], vec![]);
        for verdict in [Verdict::Passed, Verdict::Hung("stuck".into())] {
            let mut recorder = Recorder::open(runs).unwrap();
            recorder.see(&console());
            recorder.see(&Event::CaseEnded(samples::result(Ext3, "a", 0, verdict)));
            let finished = recorder.finish(
                sample.kernel.clone(),
                sample.machine.clone(),
                &whole(vec![]),
                None,
            );
            finished.written.unwrap();
        }
        let text = fs_err::read_to_string(runs.join("latest/results.json")).unwrap();
        let run: Run = serde_json::from_str(&text).unwrap();
        assert_eq!(run.results[0].verdict, Verdict::Hung("stuck".into()));
        let mut files: Vec<_> = runs
            .join("latest")
            .read_dir_utf8()
            .unwrap()
            .map(|file| file.unwrap().file_name().to_owned())
            .collect();
        files.sort();
        assert_eq!(files, ["console.log", "junit.xml", "ktap", "results.json"]);
        let left: Vec<_> = runs
            .read_dir_utf8()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_owned())
            .collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    /// What a run leaves in `runs`; returns the name of its folder.
    fn leave(runs: &Utf8Path, run: Run) -> String {
        let finished = Folder::open(runs).unwrap().publish(run);
        finished.written.unwrap();
        finished.folder.file_name().unwrap().to_owned()
    }

    #[test]
    fn an_interrupted_run_is_kept_and_is_not_the_latest() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Utf8Path::from_path(dir.path()).unwrap();
        let latest = || runs.join("latest").read_link_utf8();
        let first = leave(runs, samples::aborted());
        assert!(first.ends_with("-incomplete"), "{first}");
        assert!(runs.join(&first).join("results.json").exists());
        latest().unwrap_err();
        let whole = leave(runs, samples::run(&[], vec![]));
        leave(runs, samples::aborted());
        assert_eq!(latest().unwrap(), whole);
    }

    #[test]
    fn whatever_stands_in_the_place_of_latest() {
        type Occupy = fn(&Utf8Path);
        let table: &[(Occupy, bool)] = &[
            (|_| (), false),
            (|latest| symlink("nowhere", latest).unwrap(), false),
            (|latest| symlink("/dev/null", latest).unwrap(), false),
            (|latest| fs_err::create_dir(latest).unwrap(), true),
            (|latest| fs_err::write(latest, "mine").unwrap(), true),
        ];
        for (occupy, is_kept) in table {
            let dir = tempfile::tempdir().unwrap();
            let runs = Utf8Path::from_path(dir.path()).unwrap();
            fs_err::create_dir(runs.join("latest-1")).unwrap();
            occupy(&runs.join("latest"));
            let name = leave(runs, samples::run(&[], vec![]));
            assert_eq!(runs.join("latest").read_link_utf8().unwrap(), name);
            assert_eq!(runs.join("latest-2").exists(), *is_kept);
        }
    }

    #[test]
    fn runs_of_one_second_have_folders_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Utf8Path::from_path(dir.path()).unwrap();
        let now = Zoned::now();
        let stamp = now.strftime("%Y-%m-%dT%H-%M-%S").to_string();
        fs_err::create_dir(runs.join(format!("{stamp}-incomplete"))).unwrap();
        symlink("nowhere", runs.join(format!("{stamp}-2"))).unwrap();
        let open: Vec<_> = (0..3).map(|_| Folder::of(runs, &now).unwrap()).collect();
        let names: Vec<_> = open.iter().map(|folder| folder.name.as_str()).collect();
        assert_eq!(names, [3, 4, 5].map(|number| format!("{stamp}-{number}")));
        for folder in open {
            folder.publish(samples::aborted()).written.unwrap();
        }
    }

    #[test]
    fn results_are_in_the_order_of_the_list() {
        let result = |case: &str| samples::result(Ext3, case, 0, Verdict::Passed);
        let wanted = ["c", "a", "b"].map(|case| result(case).id);
        let ended = ["b", "c", "a"].map(result).to_vec();
        let cases: Vec<_> = in_order(&wanted, ended)
            .into_iter()
            .map(|result| result.id)
            .collect();
        assert_eq!(cases, wanted);
    }
}
