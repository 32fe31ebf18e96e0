//! The folder of a run: `ktap`, `console.log`, `junit.xml`, `results.json`.
//!
//! It has a hidden name until it is whole; `latest` leads to the newest.

use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err::File;
use jiff::Zoned;

use crate::event::{CaseId, CaseResult, Event};
use crate::report::model::{KernelFacts, MachineFacts, Run};
use crate::report::{junit, ktap};
use crate::vm::claim::{self, Claim};

/// Keeps what the reports are made from. The console is on disk at once: it is what a crash leaves.
#[derive(Debug)]
pub struct Recorder {
    runs: Utf8PathBuf,
    name: String,
    started: String,
    begun: Instant,
    console: File,
    /// Each case as it ends; the whole document replaces it.
    ktap: File,
    claim: Claim,
    results: Vec<CaseResult>,
    /// The first error of writing; told at the end, as results are worth more than files.
    broken: Option<anyhow::Error>,
}

impl Recorder {
    /// Opens a folder in `runs`, named after the time.
    pub fn open(runs: &Utf8Path) -> Result<Self> {
        let now = Zoned::now();
        fs_err::create_dir_all(runs)?;
        claim::sweep(runs, ".");
        let name = make_part(runs, &stamp(&now))?;
        let dir = runs.join(hidden(&name));
        Ok(Self {
            runs: runs.to_owned(),
            claim: Claim::new(&dir)?,
            console: File::create(dir.join("console.log"))?,
            ktap: File::create(dir.join("ktap"))?,
            name,
            started: started(&now),
            begun: Instant::now(),
            results: Vec::new(),
            broken: None,
        })
    }

    pub fn see(&mut self, event: &Event) {
        match event {
            Event::CaseEnded(result) => self.keep(result),
            Event::Console(line) => self.log(line),
            Event::CaseStarted(id) => {
                self.log(&format!("=== {} {} begins", id.filesystem, id.case))
            }
            Event::GuestStarted { count } => self.log(&format!("=== guest {count} boots")),
            Event::GuestEnded { reason } => self.log(&format!("=== {reason}")),
            _ => {}
        }
    }

    fn log(&mut self, line: &str) {
        let written = writeln!(self.console, "{line}");
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
        wanted: &[CaseId],
        failure: Option<String>,
    ) -> Finished {
        let took = Duration::from_secs(self.begun.elapsed().as_secs());
        let not_run = not_run(wanted, &self.results);
        let run = Run {
            kernel,
            machine,
            started: self.started,
            took,
            results: self.results,
            not_run,
            failure,
        };
        let dir = self.runs.join(&self.name);
        let part = self.runs.join(hidden(&self.name));
        let written = write_reports(&run, &part)
            .and_then(|()| self.claim.release())
            .and_then(|()| Ok(fs_err::rename(&part, &dir)?))
            .and_then(|()| point(&self.runs, "latest", &self.name))
            .and(self.broken.map_or(Ok(()), Err));
        let folder = if dir.exists() { dir } else { part };
        Finished {
            run,
            folder,
            written,
        }
    }
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
        let hidden = part.join(format!(".{name}"));
        fs_err::write(&hidden, text?)?;
        Ok(fs_err::rename(hidden, part.join(name))?)
    };
    let results = serde_json::to_string_pretty(run).map_err(Into::into);
    let ktap = write("ktap", Ok(ktap::document(run)));
    let junit = write("junit.xml", junit::document(run));
    ktap.and(junit).and(write("results.json", results))
}

/// What was wanted and has no result, in order.
fn not_run(wanted: &[CaseId], results: &[CaseResult]) -> Vec<CaseId> {
    let ran: HashSet<_> = results.iter().map(|result| &result.id).collect();
    let missing = wanted.iter().filter(|id| !ran.contains(id));
    missing.cloned().collect()
}

pub(crate) fn hidden(name: &str) -> String {
    format!(".{name}.part")
}

/// Makes the hidden folder of a run named `stamp`, or with a number if two begin in one second.
pub(crate) fn make_part(runs: &Utf8Path, stamp: &str) -> Result<String> {
    let mut name = stamp.to_owned();
    let mut number = 1;
    loop {
        let part = runs.join(hidden(&name));
        match fs_err::create_dir(&part) {
            Ok(()) if !runs.join(&name).exists() => return Ok(name),
            Ok(()) => fs_err::remove_dir(part)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        number += 1;
        name = format!("{stamp}-{number}");
    }
}

/// Replaces the link `latest` at once: a reader finds the old run or the new one.
pub(crate) fn point(runs: &Utf8Path, latest: &str, name: &str) -> Result<()> {
    let link = runs.join(format!(".{name}.{latest}"));
    symlink(name, &link).with_context(|| format!("failed to make the symbolic link {link}"))?;
    Ok(fs_err::rename(link, runs.join(latest))?)
}

/// The name of a run's folder.
pub(crate) fn stamp(time: &Zoned) -> String {
    time.strftime("%Y-%m-%dT%H-%M-%S").to_string()
}

/// Local time with offset.
pub(crate) fn started(time: &Zoned) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use harness::case::Filesystem::Ext3;

    use super::*;
    use crate::event::Verdict;
    use crate::report::model::samples;

    #[test]
    fn results_outlive_a_disk_that_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Utf8Path::from_path(dir.path()).unwrap();
        let sample = samples::aborted();
        let mut recorder = Recorder::open(runs).unwrap();
        recorder.console = File::options().write(true).open("/dev/full").unwrap();
        recorder.see(&Event::Console("Linux version".into()));
        let result = &sample.results[0];
        let mut wanted = vec![result.id.clone()];
        wanted.extend(sample.not_run.clone());
        recorder.see(&Event::CaseEnded(result.clone()));
        let live = fs_err::read_to_string(runs.join(hidden(&recorder.name)).join("ktap")).unwrap();
        assert!(live.contains("    ok 1 a"), "{live}");
        let Finished {
            run,
            folder,
            written,
        } = recorder.finish(sample.kernel, sample.machine, &wanted, sample.failure);
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
            recorder.see(&Event::Console("Linux version".into()));
            recorder.see(&Event::CaseEnded(samples::result(Ext3, "a", 0, verdict)));
            let finished =
                recorder.finish(sample.kernel.clone(), sample.machine.clone(), &[], None);
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
}
