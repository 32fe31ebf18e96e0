//! The storage below the guest's disks: image files, which are copied and
//! checked as a case asks, behind the guest's back.
//!
//! What the guest has written, and been told that it is written, is in the file:
//! QEMU writes through the host's page cache (`cache=unsafe`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use harness::disk;
use harness::fsck;
use harness::program;
use harness::storage::{Answer, Request};
use nix::sys::signal::Signal;

use crate::environment;
use crate::proc::{self, Stop};

/// What one program may take: less than a case, which is to be told why it has no answer.
const LIMIT: Duration = Duration::from_secs(40);

/// Answers each request of the guest, until it has `gone`. The Nth image is the disk with the Nth serial number.
pub fn serve(guest: &UnixStream, images: &[Utf8PathBuf], gone: &Stop) {
    for line in BufReader::new(guest).split(b'\n').map_while(Result::ok) {
        let answer: Answer = carry_out(&line, images, gone).map_err(|error| format!("{error:#}"));
        let answer = serde_json::to_string(&answer).expect("an answer is plain text");
        let mut guest = guest;
        if guest.write_all(format!("{answer}\n").as_bytes()).is_err() {
            return; // it ended, which is seen elsewhere
        }
    }
}

fn carry_out(line: &[u8], images: &[Utf8PathBuf], gone: &Stop) -> Result<()> {
    let request = serde_json::from_slice(line)
        .with_context(|| format!("bad request: {}", String::from_utf8_lossy(line)))?;
    match request {
        Request::Copy { from, to } => copy(image(&from, images)?, image(&to, images)?, gone),
        Request::Check { disk, filesystem } => {
            let image = image(&disk, images)?;
            let run = |command: &mut Command| run(command, gone);
            fsck::is_clean_by(&run, filesystem, image.as_std_path())
        }
    }
}

/// As [`program::output`], but it ends with the guest, with this thread, and after [`LIMIT`].
fn run(command: &mut Command, gone: &Stop) -> Result<program::Output> {
    match proc::output_within(&mut proc::mortal(Signal::SIGKILL, command), LIMIT, gone) {
        Ok(it) => Ok(program::Output::new(it.status, &it.stdout, &it.stderr)),
        Err(proc::Error::Interrupted) => Err(anyhow!("the guest is over")),
        Err(proc::Error::Failed(error)) => Err(error),
    }
}

fn image<'a>(serial: &str, images: &'a [Utf8PathBuf]) -> Result<&'a Utf8Path> {
    let mut disks = disk::SCRATCH.iter().zip(images);
    let found = disks.find(|(name, _)| **name == serial);
    let (_, image) = found.with_context(|| format!("no disk has the serial number {serial:?}"))?;
    Ok(image)
}

/// Copies onto the file that is there, which QEMU has open. What is a hole stays one.
fn copy(from: &Utf8Path, to: &Utf8Path, gone: &Stop) -> Result<()> {
    let size = |image| fs_err::metadata(image).map(|file| file.len());
    let wanted = size(from)?;
    ensure!(size(to)? == wanted, "the disks differ in size");
    let mut cp = environment::command("cp");
    cp.arg("--sparse=always").args([from, to]);
    let copied = run(&mut cp, gone).and_then(|output| output.of_success(&cp));
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
        let disks = disk::SCRATCH.map(|serial| {
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
        let server = thread::spawn(move || serve(&host, &disks, &Stop::default()));
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
        let begun = std::time::Instant::now();
        let error = run(Command::new("sleep").arg("30"), &gone).unwrap_err();
        assert_eq!(error.to_string(), "the guest is over");
        assert!(begun.elapsed() < Duration::from_secs(20));
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
                r#""cp" "--sparse=always""#,
            ),
            (CHECK, "e2fsck"),
            ("mkfs", "bad request: mkfs"),
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
