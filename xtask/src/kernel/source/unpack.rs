//! A Debian package into git through pipes, without its 1.5 GB in 86,000 files being written on the way.

use std::io::{self, BufReader, BufWriter, PipeWriter, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use camino::Utf8Path;
use duct::ReaderHandle;
use nix::sys::signal::Signal;
use tar::Archive;
use xshell::{Cmd, cmd};

use super::stream;
use crate::failure::Result;
use crate::host::environment::{PLAIN, piped};
use crate::host::git::Git;
use crate::host::phase::Pace;
use crate::host::proc::Stop;
use crate::host::session::Session;
use crate::words::count;

const MB: u64 = 1_000_000;
/// Bytes that are read or written at once.
const BUFFER: usize = 1 << 20;
/// How soon a stop is noticed.
const TICK: Duration = Duration::from_millis(50);

/// What goes where.
#[derive(Debug)]
pub struct Import<'a> {
    pub package: &'a Utf8Path,
    /// The compressed archive in the package, e.g. `usr/src/linux-source-6.12.tar.xz`.
    pub member: String,
    /// What will name the commit, whose id depends on nothing but the files and the message.
    pub reference: String,
    pub message: String,
    pub repository: &'a Git,
    pub session: &'a Session,
}

/// How much of the compressed archive was read, and how much there is, in bytes.
#[derive(Debug, Default)]
struct Reading {
    done: AtomicU64,
    of: AtomicU64,
}

impl Import<'_> {
    /// Returns the number of files. The reference is set last: what was interrupted is no import.
    pub fn run(&self) -> Result<u64> {
        self.run_with("dpkg-deb".into())
    }

    fn run_with(&self, dpkg: &Utf8Path) -> Result<u64> {
        let (archive, to_xz) = io::pipe()?;
        let (commit, to_git) = io::pipe()?;
        let (package, git) = (self.package, self.repository);
        let dpkg = part(cmd!(PLAIN, "{dpkg} --fsys-tarfile {package}"));
        let dpkg = dpkg.stdin_null().reader()?;
        let xz = part(cmd!(PLAIN, "xz --decompress --stdout --threads=0"));
        let xz = xz.stdin_file(archive).reader()?;
        // Similar files are not looked for: nothing here is compressed.
        let git = part(cmd!(git, "git fast-import --quiet --done --depth=0"));
        let git = git.stdin_file(commit).reader()?;
        let (parts, over) = ([&dpkg, &xz, &git], AtomicBool::new(false));
        let files = std::thread::scope(|scope| {
            scope.spawn(|| leash(parts, &self.session.stop, &over));
            let mut to = BufWriter::with_capacity(BUFFER, to_git);
            let files = self.unpack(&dpkg, &xz, to_xz, &mut to, parts);
            let files = files.and_then(|files| {
                stream::done(&mut to)?;
                drop(to);
                drain(&git)?;
                verdict(Ok(()), Ok(files), &[&git])
            });
            over.store(true, Ordering::Relaxed);
            files
        });
        self.session.stop.check()?;
        Ok(files.with_context(|| format!("cannot import {}", self.message))?)
    }

    /// All that git is told before the end. Where that fails, git is ended and never learns of an end.
    fn unpack(
        &self,
        dpkg: &ReaderHandle,
        xz: &ReaderHandle,
        to_xz: PipeWriter,
        to_git: &mut impl Write,
        parts: [&ReaderHandle; 3],
    ) -> anyhow::Result<u64> {
        let read = Reading::default();
        let files = std::thread::scope(|scope| {
            let fed = scope.spawn(|| self.feed(dpkg, to_xz, &read));
            let files = self.write(xz, to_git, &read);
            let files = files.and_then(|files| drain(xz).map(|()| files));
            if files.is_err() {
                end(parts);
            }
            verdict(fed.join().expect("it does not panic"), files, &parts)
        });
        files.inspect_err(|_| end(parts))
    }

    /// Takes the archive out of the package.
    fn feed(
        &self,
        mut package: &ReaderHandle,
        mut to: PipeWriter,
        read: &Reading,
    ) -> io::Result<()> {
        let mut found = false;
        for entry in Archive::new(BufReader::with_capacity(BUFFER, package)).entries()? {
            let mut entry = entry?;
            let path = entry.path_bytes();
            if path.strip_prefix(b"./").unwrap_or(&path) != self.member.as_bytes() {
                continue;
            }
            found = true;
            read.of.store(entry.size(), Ordering::Relaxed);
            let mut buffer = vec![0; BUFFER];
            loop {
                let count = entry.read(&mut buffer)?;
                if count == 0 {
                    break;
                }
                to.write_all(&buffer[..count])?;
                read.done.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
        drop(to);
        drain(&mut package)?;
        if found {
            Ok(())
        } else {
            Err(io::Error::other(format!(
                "{} has no {}",
                self.package, self.member
            )))
        }
    }

    fn write(&self, tar: &ReaderHandle, to: &mut impl Write, read: &Reading) -> io::Result<u64> {
        let mut pace = Pace::new(&self.session.events).of("MB");
        let tar = BufReader::with_capacity(BUFFER, tar);
        stream::commit(tar, &self.reference, &self.message, to, &mut |files| {
            let [done, of] = [&read.done, &read.of].map(|bytes| bytes.load(Ordering::Relaxed) / MB);
            pace.tell(done, Some(of), || count(files, "file"));
        })
    }
}

fn part(line: Cmd<'_>) -> duct::Expression {
    piped(line).stderr_capture().unchecked()
}

fn drain(mut from: impl Read) -> io::Result<()> {
    io::copy(&mut from, &mut io::sink()).map(drop)
}

/// Ends all parts once the run is stopped, so that nobody waits for them for ever.
fn leash(parts: [&ReaderHandle; 3], stop: &Stop, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        if stop.requested() {
            return end(parts);
        }
        std::thread::sleep(TICK);
    }
}

fn end(parts: [&ReaderHandle; 3]) {
    for part in parts {
        // One that has ended already is what was wanted.
        let _ = part.kill();
    }
}

/// A part that failed says better why than the other end of its pipe does.
fn verdict(
    fed: io::Result<()>,
    files: io::Result<u64>,
    parts: &[&ReaderHandle],
) -> anyhow::Result<u64> {
    // That its pipe broke is said better by who broke it.
    let mut said: Vec<String> = fed
        .err()
        .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
        .map(|error| error.to_string())
        .into_iter()
        .collect();
    for part in parts {
        let Some(output) = part.try_wait()? else {
            continue;
        };
        let by_us = files.is_err() && output.status.signal() == Some(Signal::SIGKILL as i32);
        if !output.status.success() && !by_us {
            let stderr = String::from_utf8_lossy(&output.stderr);
            said.push(format!("{} ({})", stderr.trim_end(), output.status));
        }
    }
    if said.is_empty() {
        Ok(files?)
    } else {
        Err(anyhow!(said.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use camino::Utf8PathBuf;

    use super::*;
    use crate::failure::{Failure, Kind};
    use crate::host::layout::Layout;
    use crate::host::proc;
    use crate::host::scripts;
    use crate::kernel::source::repository;

    /// A tar archive with one file, compressed or not.
    fn archive(dir: &Utf8Path, options: &[&str], file: &str) -> Vec<u8> {
        let tar = cmd!(PLAIN, "tar --create --directory {dir} {options...} {file}");
        let output = proc::output(tar, b"", &Stop::default()).unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// A repository, and a program in the place of dpkg-deb that prints a file.
    struct Place {
        _guard: tempfile::TempDir,
        dir: Utf8PathBuf,
        repository: Git,
    }

    impl Place {
        fn new(stop: &Stop) -> Self {
            let guard = tempfile::tempdir().unwrap();
            let dir = Utf8PathBuf::try_from(guard.path().to_owned()).unwrap();
            let repository =
                repository::open("x", None, &Session::new(Layout::at(&dir), stop.clone())).unwrap();
            Self {
                _guard: guard,
                dir,
                repository,
            }
        }

        /// What a package holds: a compressed archive of one file of so many bytes.
        fn package(&self, size: usize) -> Vec<u8> {
            fs_err::create_dir_all(self.dir.join("top")).unwrap();
            let bytes: Vec<u8> = (0..size).map(|_| fastrand::u8(..)).collect();
            fs_err::write(self.dir.join("top/file"), bytes).unwrap();
            fs_err::write(
                self.dir.join("source.tar.xz"),
                archive(&self.dir, &["--xz"], "top"),
            )
            .unwrap();
            archive(&self.dir, &[], "source.tar.xz")
        }

        fn import(&self, script: &str, member: &str, stop: &Stop) -> Result<u64> {
            let program = self.dir.join("dpkg-deb");
            scripts::make(&program, &format!("#!/bin/sh\n{script}\n"));
            let import = Import {
                package: "x.deb".into(),
                member: member.to_owned(),
                reference: "refs/tags/x".to_owned(),
                message: "x 1".to_owned(),
                repository: &self.repository,
                session: &Session::new(Layout::at(&self.dir), stop.clone()),
            };
            import.run_with(&program)
        }

        fn known(&self) -> bool {
            self.repository.resolve("refs/tags/x").unwrap().is_some()
        }
    }

    fn failed(result: Result<u64>) -> Failure {
        let failure = result.unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery, "{failure}");
        failure
    }

    #[test]
    fn a_package_becomes_a_tag_and_what_is_none_says_why() {
        let stop = Stop::default();
        let place = Place::new(&stop);
        let whole = place.dir.join("whole");
        fs_err::write(&whole, place.package(3_000_000)).unwrap();
        let cut = place.dir.join("cut");
        fs_err::write(&cut, &fs_err::read(&whole).unwrap()[..2_000_000]).unwrap();
        for (script, member, said) in [
            (format!("cat {cut}"), "source.tar.xz", "xz: "),
            (
                format!("cat {whole}"),
                "other.tar.xz",
                "x.deb has no other.tar.xz",
            ),
            (
                format!("cat {whole}; echo broken >&2; exit 2"),
                "source.tar.xz",
                "broken (exit status: 2)",
            ),
            (
                "exit 0".to_owned(),
                "source.tar.xz",
                "x.deb has no source.tar.xz",
            ),
        ] {
            let failure = failed(place.import(&script, member, &stop));
            assert!(failure.to_string().contains(said), "{script}: {failure}");
            assert!(!place.known(), "{script}");
            assert!(
                failure.to_string().starts_with("cannot import x 1"),
                "{failure}"
            );
        }
        let files = place
            .import(&format!("cat {whole}"), "source.tar.xz", &stop)
            .unwrap();
        assert!(files == 1 && place.known());
    }

    #[test]
    fn git_that_ends_early_ends_the_rest() {
        let stop = Stop::default();
        let place = Place::new(&stop);
        let whole = place.dir.join("whole");
        fs_err::write(&whole, place.package(3_000_000)).unwrap();
        let objects = place.repository.dir().join("objects");
        fs_err::remove_dir_all(&objects).unwrap();
        fs_err::write(&objects, "").unwrap();
        let failure = failed(place.import(
            &format!("cat {whole}; exec sleep 60"),
            "source.tar.xz",
            &stop,
        ));
        assert!(failure.to_string().contains("fatal: "), "{failure}");
    }

    #[test]
    fn a_stop_ends_all_parts_and_leaves_no_tag() {
        let stop = Stop::default();
        let place = Place::new(&stop);
        let whole = place.dir.join("whole");
        fs_err::write(&whole, place.package(3_000_000)).unwrap();
        let begun = Instant::now();
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                let there = place.dir.join("there");
                while !there.exists() && begun.elapsed() < Duration::from_secs(10) {
                    std::thread::sleep(TICK);
                }
                stop.request();
            });
            let script = format!(
                "head -c 1000000 {whole}; touch {}/there; exec sleep 60",
                place.dir
            );
            place.import(&script, "source.tar.xz", &stop)
        });
        assert_eq!(result.unwrap_err().kind, Kind::Interrupted);
        assert!(begun.elapsed() < Duration::from_secs(30));
        let place = Place {
            repository: Git::at(place.repository.dir(), &Stop::default()),
            ..place
        };
        assert!(!place.known());
    }
}
