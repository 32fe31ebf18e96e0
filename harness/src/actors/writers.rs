//! Processes that go on writing files, for as long as the filesystem lets them.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::process::{self, until_blocked};
use super::report::{self, Listener, Teller};
use crate::devices::mount::Mount;
use crate::linux::proc::describe;

/// Bytes that say where they belong.
const SECTOR: usize = 512;
/// Bytes of the largest file: more blocks than an inode of ext3 has room for.
const LARGEST: usize = 100_000;
/// Bytes that one write(2) has.
const PIECE: usize = 16_384;

/// Writers; the fixture starts them, and ends them when the case is over.
#[derive(Debug)]
pub struct Writers {
    writers: Vec<Writer>,
    patience: Duration,
}

#[derive(Debug)]
struct Writer {
    name: String,
    pid: Pid,
    report: Listener,
    complete: usize,
}

/// The files that were complete at one moment: how many of each writer, which numbers them from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files(Vec<usize>);

impl Writers {
    /// No later wait for one of them lasts longer than `patience`.
    pub fn spawn(count: usize, mount: &Mount, patience: Duration) -> Result<Writers> {
        let writers = (0..count)
            .map(|writer| Writer::spawn(writer, mount.root()))
            .collect::<Result<_>>()?;
        Ok(Writers { writers, patience })
    }

    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.writers.iter().map(|writer| writer.pid)
    }

    /// Returns when each of them has completed `more` files more.
    pub fn complete(&mut self, more: usize) -> Result<()> {
        for writer in &mut self.writers {
            let goal = writer.complete + more;
            while writer.complete < goal {
                ensure!(
                    writer.reports_within(self.patience)?,
                    "{} completes nothing for {} s: {}",
                    writer.name,
                    self.patience.as_secs_f32(),
                    describe(writer.pid)
                );
            }
        }
        Ok(())
    }

    /// Returns when all of them are seen to wait for a thaw, and what they had completed before.
    pub fn blocked(&mut self) -> Result<Files> {
        for writer in &mut self.writers {
            let (name, pid) = (writer.name.clone(), writer.pid);
            until_blocked(&name, pid, self.patience, |time| {
                writer.reports_within(time).map(drop)
            })?;
            // Blocked in the filesystem, it has sent all that it had to.
            while writer.reports_within(Duration::ZERO)? {}
        }
        Ok(self.files())
    }

    /// Ends them, and says what they have completed.
    pub fn stop(mut self) -> Result<Files> {
        for writer in &self.writers {
            kill(writer.pid, Signal::SIGKILL).context("failed to kill a writer")?;
        }
        for writer in &mut self.writers {
            let last = writer.report.last_signals();
            writer.complete += last.context("failed to read the last reports of a writer")?;
            process::until_ended(writer.pid)?;
        }
        Ok(self.files())
    }

    fn files(&self) -> Files {
        Files(self.writers.iter().map(|writer| writer.complete).collect())
    }
}

impl Writer {
    fn spawn(writer: usize, root: &Path) -> Result<Writer> {
        let (report, teller) = report::channel()?;
        let name = format!("writer{writer}");
        let pid = process::spawn(|| {
            process::set_own_name(&name);
            go_on(writer, root, teller).expect("the filesystem takes files, and the parent reads");
        })?;
        Ok(Writer {
            name,
            pid,
            report,
            complete: 0,
        })
    }

    /// Counts the reports that are there, or come within this time; whether there were any.
    fn reports_within(&mut self, patience: Duration) -> Result<bool> {
        if !self.report.is_ready_within(patience)? {
            return Ok(false);
        }
        let signals = self.report.signals();
        let count = signals.with_context(|| format!("failed to read a report of {}", self.name))?;
        ensure!(count > 0, "{} died", self.name);
        self.complete += count;
        Ok(true)
    }
}

impl Files {
    /// Fails unless all of them are in the filesystem, bit for bit.
    pub fn are_in(&self, mount: &Mount) -> Result<()> {
        for (writer, &count) in self.0.iter().enumerate() {
            for number in 0..count {
                mount.holds(&name(writer, number), &content(writer, number))?;
            }
        }
        Ok(())
    }

    /// Fails unless they are in the filesystem, bit for bit, and no file is that was completed later.
    pub fn are_all_in(&self, mount: &Mount) -> Result<()> {
        self.are_in(mount)?;
        for (writer, &count) in self.0.iter().enumerate() {
            mount.lacks(&name(writer, count))?;
        }
        Ok(())
    }

    pub fn count(&self) -> usize {
        self.0.iter().sum()
    }
}

/// A writer's life; it ends by a signal, or with the error that nobody listens any more.
fn go_on(writer: usize, root: &Path, mut teller: Teller) -> io::Result<()> {
    for number in 0.. {
        write(writer, number, root)?;
        teller.signal()?; // it is complete
    }
    Ok(())
}

/// Writes a file that has its name only when it is complete.
fn write(writer: usize, number: usize, root: &Path) -> io::Result<()> {
    let unfinished: PathBuf = root.join(format!("{writer}.unfinished"));
    let mut file = File::create(&unfinished)?;
    for piece in content(writer, number).chunks(PIECE) {
        file.write_all(piece)?;
    }
    // The others are on disk only if the freeze sees to it.
    if number.is_multiple_of(2) {
        file.sync_all()?;
    }
    fs::rename(&unfinished, root.join(name(writer, number)))
}

fn name(writer: usize, number: usize) -> String {
    format!("{writer}.{number}")
}

/// What the file holds: no two sectors of one filesystem are alike.
fn content(writer: usize, number: usize) -> Vec<u8> {
    let size = (number * 7_919 + writer * 104_729) % (LARGEST + 1);
    let mut content = Vec::with_capacity(size + SECTOR);
    for sector in 0..size.div_ceil(SECTOR) {
        let line = format!("{} sector {sector}\n", name(writer, number));
        let lines = line.repeat(SECTOR.div_ceil(line.len()));
        content.extend_from_slice(&lines.as_bytes()[..SECTOR]);
    }
    content.truncate(size);
    content
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn sizes_vary_and_no_two_sectors_are_alike() {
        let mut seen = HashSet::new();
        let mut sizes = HashSet::new();
        for (writer, number) in (0..4).flat_map(|writer| (0..20).map(move |it| (writer, it))) {
            let content = content(writer, number);
            assert!(content.len() <= LARGEST);
            sizes.insert(content.len());
            let whole = content.chunks_exact(SECTOR);
            whole.for_each(|sector| assert!(seen.insert(sector.to_vec())));
        }
        assert_eq!(sizes.len(), 80);
        assert!(sizes.iter().any(|size| size % SECTOR != 0));
    }
}
