//! An actor that writes to a file, and what is in that file before and after.

use std::fs::File;
use std::io::{self, PipeWriter, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};

use crate::actors::actor::Actor;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;

/// The file that a [`Writer`] writes to, and what it is before and after.
pub const WRITTEN: &str = "written";
pub const OLD: [u8; 4096] = [b'o'; 4096];
pub const NEW: [u8; 4096] = [b'n'; 4096];

/// A file prepared for a [`Writer`], before anything is frozen.
pub fn prepare(fs: &Mount) -> Result<File> {
    fs.write(WRITTEN, &OLD)
}

/// An actor that writes to a file and is held back by the freeze.
#[derive(Debug)]
pub struct Writer<'a> {
    pub actor: Actor,
    file: &'a File,
}

impl<'a> Writer<'a> {
    /// Starts it and returns when it is seen to be blocked.
    pub fn start(fixture: &Fixture, file: &'a File) -> Result<Writer<'a>> {
        fixture.step("a writer starts and is blocked");
        // Into a cached page and without fsync: nothing but a freeze can
        // block it, no suspended device either.
        let actor = fixture.actor("write", || file.write_all_at(&NEW, 0))?;
        let writer = Writer { actor, file };
        writer.is_blocked()?;
        Ok(writer)
    }

    pub fn is_blocked(&self) -> Result<()> {
        self.actor.blocked()
    }

    /// Waits for the end of the write, and reads what it wrote.
    pub fn completes(self, fixture: &Fixture, fs: &Mount) -> Result<()> {
        fixture.step("the writer completes");
        let outcome = self.actor.outcome()?;
        outcome.context("the blocked write failed after the thaw")?;
        self.file
            .sync_all()
            .context("failed to sync what was written")?;
        holds_new(fs)
    }
}

/// A [`Writer`] that has not begun: a child that has no file which is opened from now on.
#[derive(Debug)]
pub struct Waiting<'a> {
    writer: Writer<'a>,
    begin: PipeWriter,
}

impl<'a> Waiting<'a> {
    pub fn new(fixture: &Fixture, file: &'a File) -> Result<Waiting<'a>> {
        let (mut reader, begin) = io::pipe().context("failed to make a pipe")?;
        let actor = fixture.actor("write", || {
            reader.read_exact(&mut [0])?;
            file.write_all_at(&NEW, 0)
        })?;
        let writer = Writer { actor, file };
        Ok(Waiting { writer, begin })
    }

    /// Lets it begin and returns when it is seen to be blocked.
    pub fn is_blocked(mut self, fixture: &Fixture) -> Result<Writer<'a>> {
        fixture.step("the writer begins and is blocked");
        let begun = self.begin.write_all(b".");
        begun.context("failed to write to a pipe")?;
        self.writer.is_blocked()?;
        Ok(self.writer)
    }
}

/// What was there before a [`Writer`] was blocked, and nothing of what came after.
pub fn holds_old(fs: &Mount) -> Result<()> {
    fs.holds(WRITTEN, &OLD)
}

/// What a [`Writer`] has written.
pub fn holds_new(fs: &Mount) -> Result<()> {
    fs.holds(WRITTEN, &NEW)
}
