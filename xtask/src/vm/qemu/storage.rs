//! The storage below the guest's disks: image files, which are copied and
//! checked as a case asks, behind the guest's back.
//!
//! What the guest has written, and been told that it is written, is in the file:
//! QEMU writes through the host's page cache (`cache=unsafe`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use harness::devices::filesystem;
use harness::linux::program;
use harness::wire::storage::{Answer, Question, SCRATCH};
use nix::sys::signal::Signal;
use xshell::cmd;

use crate::host::environment::PLAIN;
use crate::host::proc::{self, Stop};

/// What one question may take of a case's deadline: the case has other things to do, and is to be told why it has
/// no answer.
const SHARE: u32 = 3;

/// Answers each question of the guest, until it has `gone`; `deadline` is that of its cases. The Nth image is the
/// disk with the Nth serial number. That the host fails is told before the case hears of it: no case is to blame.
pub fn serve(
    guest: &UnixStream,
    images: &[Utf8PathBuf],
    deadline: Duration,
    gone: &Stop,
    failed: &dyn Fn(String),
) {
    for line in BufReader::new(guest).split(b'\n').map_while(Result::ok) {
        let leash = Leash {
            begun: Instant::now(),
            limit: deadline / SHARE,
            gone,
            failed,
        };
        let answer: Answer = carry_out(&line, images, leash).map_err(|error| format!("{error:#}"));
        let answer = serde_json::to_string(&answer).expect("an answer is plain text");
        let mut guest = guest;
        if guest.write_all(format!("{answer}\n").as_bytes()).is_err() {
            return; // it ended, which is seen elsewhere
        }
    }
}

/// What ends the work for a question early, and who is told that the host has failed.
#[derive(Clone, Copy)]
struct Leash<'a> {
    begun: Instant,
    limit: Duration,
    /// The guest is.
    gone: &'a Stop,
    failed: &'a dyn Fn(String),
}

impl Leash<'_> {
    /// As [`program::output`], but the program ends with the guest, with this thread, and when its time is over.
    fn run(self, command: &mut Command) -> Result<program::Output> {
        let left = self.limit.saturating_sub(self.begun.elapsed());
        match proc::output_within(&mut proc::mortal(Signal::SIGKILL, command), left, self.gone) {
            Ok(it) => Ok(program::Output::new(it.status, &it.stdout, &it.stderr)),
            Err(proc::Error::Interrupted) => Err(anyhow!("the guest is over")),
            Err(proc::Error::Failed(error)) => Err(error),
        }
    }
}

fn carry_out(line: &[u8], images: &[Utf8PathBuf], leash: Leash<'_>) -> Result<()> {
    let question = serde_json::from_slice(line)
        .with_context(|| format!("bad question: {}", String::from_utf8_lossy(line)))?;
    match question {
        Question::Copy { from, to } => copy(image(&from, images)?, image(&to, images)?, leash),
        Question::Check { disk, filesystem } => {
            let image = image(&disk, images)?;
            let run = |command: &mut Command| leash.run(command);
            filesystem::is_clean_by(&run, filesystem, image.as_std_path())
        }
    }
}

fn image<'a>(serial: &str, images: &'a [Utf8PathBuf]) -> Result<&'a Utf8Path> {
    let mut disks = SCRATCH.iter().zip(images);
    let found = disks.find(|(name, _)| **name == serial);
    let (_, image) = found.with_context(|| format!("no disk has the serial number {serial:?}"))?;
    Ok(image)
}

/// Copies onto the file that is there, which QEMU has open. What is a hole stays one.
fn copy(from: &Utf8Path, to: &Utf8Path, leash: Leash<'_>) -> Result<()> {
    let size = |image| fs_err::metadata(image).map(|file| file.len());
    ensure!(from != to, "a disk is not copied onto itself");
    let wanted = size(from)?;
    ensure!(size(to)? == wanted, "the disks differ in size");
    let mut cp = Command::from(cmd!(PLAIN, "cp --sparse=always {from} {to}"));
    let copied = leash.run(&mut cp).and_then(|output| {
        let done = output.of_success(&cp);
        done.inspect_err(|error| {
            (leash.failed)(format!("a guest's disk cannot be copied: {error:#}"))
        })
    });
    // A copy that failed half way has cut the disk short, which the next case may use.
    let image = fs_err::OpenOptions::new().write(true).open(to)?;
    image.set_len(wanted)?;
    copied.map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};
    use std::thread;

    use tempfile::TempDir;

    use super::*;

    const SIZE: u64 = 16 << 20;

    /// Two disks, on which nothing is, in a folder that goes with the test.
    fn disks() -> (TempDir, [Utf8PathBuf; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let disks = SCRATCH.map(|serial| {
            let image = Utf8Path::from_path(dir.path()).unwrap().join(serial);
            File::create(&image).unwrap().set_len(SIZE).unwrap();
            image
        });
        (dir, disks)
    }

    /// What a guest that sends these lines is answered.
    fn answers<T: AsRef<[u8]>>(disks: &[Utf8PathBuf], lines: &[T]) -> Vec<Answer> {
        let (host, mut guest) = UnixStream::pair().unwrap();
        let disks = disks.to_vec();
        let server = thread::spawn(move || {
            serve(
                &host,
                &disks,
                Duration::from_secs(120),
                &Stop::default(),
                &drop,
            )
        });
        let mut replies = BufReader::new(guest.try_clone().unwrap()).lines();
        let answers = lines.iter().map(|line| {
            guest.write_all(line.as_ref()).unwrap();
            guest.write_all(b"\n").unwrap();
            serde_json::from_str(&replies.next().unwrap().unwrap()).unwrap()
        });
        let answers = answers.collect();
        drop((guest, replies));
        server.join().unwrap();
        answers
    }

    const COPY: &str = r#"{"copy":{"from":"scratch0","to":"scratch1"}}"#;
    const CHECK: &str = r#"{"check":{"disk":"scratch1","filesystem":"ext3"}}"#;

    #[test]
    fn a_copy_is_exact_and_sparse_and_the_same_file() {
        let (_dir, disks) = disks();
        let [original, copy] = disks.each_ref().map(|disk| {
            let options = File::options().read(true).write(true).open(disk);
            options.unwrap()
        });
        original.write_all_at(b"here", 5 << 20).unwrap();
        copy.write_all_at(&[1; 4 << 20], 0).unwrap();
        assert_eq!(answers(&disks, &[COPY]), [Ok(())]);
        let wanted = fs_err::read(&disks[0]).unwrap();
        assert!(
            fs_err::read(&disks[1]).unwrap() == wanted,
            "the copy differs"
        );
        let found = copy.metadata().unwrap();
        assert_eq!(
            found.ino(),
            fs_err::metadata(&disks[1]).unwrap().ino(),
            "QEMU has it open"
        );
        let allocated = found.blocks() * 512;
        assert!(
            allocated < 1 << 20,
            "{allocated} bytes are allocated for 4 of content"
        );
    }

    #[test]
    #[ignore = "takes mkfs.ext3 and e2fsck; cargo xtask ci sees to them"]
    fn a_copy_of_a_clean_filesystem_is_clean_until_it_needs_recovery() {
        let (_dir, disks) = disks();
        let mut mkfs = program::of_administrator("mkfs.ext3");
        program::run(mkfs.args(["-q", "-F", disks[0].as_str()])).unwrap();
        assert_eq!(answers(&disks, &[COPY, CHECK]), [Ok(()), Ok(())]);
        // The flag RECOVER in s_feature_incompat, as while mounted.
        let image = File::options()
            .read(true)
            .write(true)
            .open(&disks[0])
            .unwrap();
        let mut flags = [0];
        image.read_exact_at(&mut flags, 1024 + 0x60).unwrap();
        image.write_all_at(&[flags[0] | 4], 1024 + 0x60).unwrap();
        let [copied, checked] = &answers(&disks, &[COPY, CHECK])[..] else {
            panic!("two answers");
        };
        assert_eq!(copied, &Ok(()));
        let reason = checked.as_ref().unwrap_err();
        assert!(reason.ends_with("needs journal recovery"), "{reason}");
    }

    #[test]
    fn nothing_is_done_for_a_guest_that_is_gone() {
        let gone = Stop::default();
        gone.request();
        let error = leash(Duration::from_secs(60), &gone)
            .run(Command::new("sleep").arg("30"))
            .unwrap_err();
        assert_eq!(error.to_string(), "the guest is over");
    }

    fn leash(limit: Duration, gone: &Stop) -> Leash<'_> {
        Leash {
            begun: Instant::now(),
            limit,
            gone,
            failed: &drop,
        }
    }

    #[test]
    fn all_programs_of_a_question_share_its_time() {
        let gone = Stop::default();
        let leash = leash(Duration::from_secs(2), &gone);
        let run = |seconds| leash.run(Command::new("sleep").arg(seconds));
        run("0").unwrap();
        let late = run("60").unwrap_err().to_string();
        assert!(late.contains("has not ended within"), "{late}");
        assert!(run("60").is_err());
        let took = leash.begun.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?}");
    }

    #[test]
    fn the_host_tells_when_a_copy_fails() {
        let (_dir, disks) = disks();
        // cp copies no folder.
        fs_err::remove_file(&disks[0]).unwrap();
        fs_err::create_dir(&disks[0]).unwrap();
        let size = fs_err::metadata(&disks[0]).unwrap().len();
        File::create(&disks[1]).unwrap().set_len(size).unwrap();
        let (told, failures) = std::sync::mpsc::channel();
        let (deadline, gone) = (Duration::from_secs(120), Stop::default());
        let leash = Leash {
            failed: &|failure| told.send(failure).unwrap(),
            ..leash(deadline, &gone)
        };
        assert!(carry_out(COPY.as_bytes(), &disks, leash).is_err());
        let said = failures.try_recv().unwrap();
        assert!(
            said.starts_with("a guest's disk cannot be copied:"),
            "{said}"
        );
        assert!(carry_out(b"mkfs", &disks, leash).is_err());
        assert!(failures.try_recv().is_err(), "no fault of the host's");
    }

    /// An answer that comes after the deadline of the case is none.
    #[test]
    fn a_case_with_a_short_deadline_is_answered_within_it() {
        let (_dir, disks) = disks();
        // The host reads it for as long as anybody writes to it, as nobody does.
        fs_err::remove_file(&disks[0]).unwrap();
        nix::unistd::mkfifo(disks[0].as_std_path(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs_err::File::options()
            .write(true)
            .open(&disks[1])
            .unwrap()
            .set_len(0)
            .unwrap();
        let (host, mut guest) = UnixStream::pair().unwrap();
        let deadline = Duration::from_secs(6);
        let begun = Instant::now();
        thread::spawn(move || serve(&host, &disks, deadline, &Stop::default(), &drop));
        guest.write_all(format!("{COPY}\n").as_bytes()).unwrap();
        let mut said = String::new();
        BufReader::new(guest).read_line(&mut said).unwrap();
        assert!(said.contains("has not ended within 2s"), "{said}");
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "{:?}",
            begun.elapsed()
        );
    }

    #[test]
    fn what_cannot_be_done_is_answered_with_the_reason() {
        let (_dir, disks) = disks();
        let other_size = File::options().write(true).open(&disks[1]).unwrap();
        other_size.set_len(SIZE / 2).unwrap();
        let table = [
            (COPY, "differ in size"),
            (
                r#"{"copy":{"from":"scratch0","to":"sda"}}"#,
                "serial number \"sda\"",
            ),
            (
                r#"{"copy":{"from":"scratch0","to":"scratch0"}}"#,
                "onto itself",
            ),
            (CHECK, "e2fsck"),
            ("mkfs", "bad question: mkfs"),
        ];
        let lines = table.map(|(line, _)| line);
        for (answer, (line, wanted)) in answers(&disks, &lines).into_iter().zip(table) {
            let reason = answer.unwrap_err();
            assert!(reason.contains(wanted), "{line}: {reason}");
        }
        let not_text = &answers(&disks, &[b"\xff"])[0];
        assert!(not_text.is_err(), "{not_text:?}");
    }
}
