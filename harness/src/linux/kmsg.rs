//! The kernel log.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::complaints::{contains_any, is_complaint};

/// Longest record that the kernel returns (`PRINTK_MESSAGE_MAX` is 2048).
const RECORD: usize = 8192;
const READING: &str = "failed to read /dev/kmsg";

/// What a look at the log finds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Record(String),
    /// Records were overwritten before they were read; the oldest that is left comes next.
    Overrun,
    Nothing,
}

/// Takes one record off /dev/kmsg, which is open without blocking.
fn take(log: &mut impl Read) -> io::Result<Found> {
    let mut buffer = [0; RECORD];
    match log.read(&mut buffer) {
        Ok(0) => Ok(Found::Nothing),
        Ok(length) => Ok(Found::Record(
            String::from_utf8_lossy(&buffer[..length]).into_owned(),
        )),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Found::Nothing),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Found::Overrun),
        Err(error) if error.kind() == ErrorKind::Interrupted => take(log),
        Err(error) => Err(error),
    }
}

/// The message of one record: `priority,sequence,time,flags;message`, then
/// lines of key=value (Documentation/ABI/testing/dev-kmsg).
fn message(record: &str) -> Option<&str> {
    record.split_once(';')?.1.lines().next()
}

/// Whether the kernel itself has said it: what programs write has a facility, in the bits above the level.
fn is_of_kernel(record: &str) -> bool {
    let priority = record
        .split_once(',')
        .and_then(|(first, _)| first.parse().ok());
    priority.is_some_and(|priority: u32| priority >> 3 == 0)
}

/// What the kernel complained of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaints {
    pub lines: Vec<String>,
    /// There may have been more, that were overwritten.
    pub overrun: bool,
}

impl Complaints {
    /// Those that have none of these words.
    pub fn beside<'a>(&'a self, expected: &'a [&str]) -> impl Iterator<Item = &'a String> {
        let is_unexpected = |line: &&String| !contains_any(line, expected);
        self.lines.iter().filter(is_unexpected)
    }
}

fn complaints(log: &mut impl Read) -> io::Result<Complaints> {
    let mut found = Complaints::default();
    loop {
        match take(log)? {
            Found::Record(record) if is_of_kernel(&record) => {
                let line = message(&record).filter(|line| is_complaint(line));
                found.lines.extend(line.map(str::to_owned));
            }
            Found::Record(_) => {}
            Found::Overrun => found.overrun = true,
            Found::Nothing => return Ok(found),
        }
    }
}

/// The records logged after a moment, of all levels, whatever reaches the console.
#[derive(Debug)]
pub struct Kmsg {
    file: File,
}

impl Kmsg {
    /// Starts now.
    pub fn mark() -> Result<Kmsg> {
        let mut file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .context("failed to open /dev/kmsg")?;
        file.seek(SeekFrom::End(0))
            .context("failed to seek in /dev/kmsg")?;
        Ok(Kmsg { file })
    }

    /// The next message, or `None` when all are read.
    fn next(&mut self) -> Result<Option<String>> {
        loop {
            match take(&mut self.file).context(READING)? {
                Found::Record(record) => {
                    if let Some(message) = message(&record) {
                        return Ok(Some(message.to_owned()));
                    }
                }
                Found::Overrun => {}
                Found::Nothing => return Ok(None),
            }
        }
    }

    /// The complaints logged since the last look.
    pub fn complaints(&mut self) -> Result<Complaints> {
        complaints(&mut self.file).context(READING)
    }

    /// The messages with these words that were logged since the last look.
    pub fn containing(&mut self, words: &str) -> Result<Vec<String>> {
        self.all(|message| message.contains(words))
    }

    fn all(&mut self, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let mut found = Vec::new();
        while let Some(message) = self.next()? {
            if wanted(&message) {
                found.push(message);
            }
        }
        Ok(found)
    }

    /// Returns the next message with these words, once it has been logged.
    pub fn wait_for(&mut self, words: &str) -> Result<String> {
        loop {
            match self.next()? {
                Some(message) if message.contains(words) => return Ok(message),
                Some(_) => {}
                None => self.wait()?,
            }
        }
    }

    fn wait(&self) -> Result<()> {
        let mut ready = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).context("failed to poll /dev/kmsg"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_split() {
        let record = "4,339,5140900,-;hello; world\n SUBSYSTEM=block\n DEVICE=b254:0\n";
        assert_eq!(message(record), Some("hello; world"));
        assert_eq!(message("garbage"), None);
        assert!(is_of_kernel(record) && is_of_kernel("0,1,2,-;x"));
        assert!(!is_of_kernel("12,1,2,-;said by a program") && !is_of_kernel("garbage"));
    }

    /// Each is a read of /dev/kmsg; in the end there is nothing to read.
    struct Log(Vec<io::Result<&'static str>>);

    impl Read for Log {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            let record = self.0.remove(0)?;
            buffer[..record.len()].copy_from_slice(record.as_bytes());
            Ok(record.len())
        }
    }

    #[test]
    fn a_look_finds_the_kernels_complaints_of_all_levels() {
        let mut log = Log(vec![
            Ok("7,1,1,-;WARNING: of the level debug"),
            Err(ErrorKind::Interrupted.into()),
            Ok("12,2,2,-;WARNING: said by a program"),
            Ok("6,3,3,-;Emergency Thaw complete"),
            Err(ErrorKind::BrokenPipe.into()),
            Ok("0,9,9,-;BUG: after what is lost"),
        ]);
        let wanted = Complaints {
            lines: ["WARNING: of the level debug", "BUG: after what is lost"]
                .map(str::to_owned)
                .to_vec(),
            overrun: true,
        };
        assert_eq!(complaints(&mut log).unwrap(), wanted);
        assert_eq!(complaints(&mut log).unwrap(), Complaints::default());
        let mut broken = Log(vec![Err(ErrorKind::InvalidInput.into())]);
        assert!(complaints(&mut broken).is_err());
    }
}
