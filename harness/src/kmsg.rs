//! The kernel log, and what in it counts as a complaint.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Longest record that the kernel returns (`PRINTK_MESSAGE_MAX` is 2048).
const RECORD: usize = 8192;

/// Words that no healthy kernel logs. What starts with a letter must start a word.
const COMPLAINTS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "kernel BUG at",
    "Oops",
    "general protection",
    "possible circular locking",
    "possible recursive locking",
    "inconsistent lock state",
    "INFO: possible",
    "INFO: trying to register non-static key",
    "suspicious RCU usage",
    "KASAN",
    "UBSAN",
    "KFENCE",
    "ODEBUG:",
    "XFS: Assertion failed",
    "Internal error",
    "EXT4-fs error",
    "Kernel panic",
    // This project's own (fs/super.c).
    "freeze timed out, but thawing failed",
];

/// Whether a line of the kernel log reports a bug of the kernel.
pub fn is_complaint(line: &str) -> bool {
    let hung = line.contains("INFO: task") && line.contains("blocked for more than");
    hung || COMPLAINTS
        .iter()
        .any(|words| contains_from_word_start(line, words))
}

/// `BUG:` must not be found in `DEBUG:`.
fn contains_from_word_start(line: &str, words: &str) -> bool {
    line.match_indices(words).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_')
    })
}

/// The message of one record: `priority,sequence,time,flags;message`, then
/// lines of key=value (Documentation/ABI/testing/dev-kmsg).
fn message(record: &str) -> Option<&str> {
    record.split_once(';')?.1.lines().next()
}

/// The records logged after a moment.
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
        let mut buffer = [0; RECORD];
        loop {
            match self.file.read(&mut buffer) {
                Ok(length) => {
                    let record = String::from_utf8_lossy(&buffer[..length]);
                    if let Some(message) = message(&record) {
                        return Ok(Some(message.to_owned()));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                // EPIPE: records were overwritten before they were read; go on with the oldest.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) => return Err(error).context("failed to read /dev/kmsg"),
            }
        }
    }

    /// The complaints logged since the last look.
    pub fn complaints(&mut self) -> Result<Vec<String>> {
        self.all(is_complaint)
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
    fn complaints_are_recognised() {
        for line in [
            "WARNING: CPU: 1 PID: 71 at fs/super.c:2079 freeze_super+0x1e5/0x2a0",
            "WARNING: possible circular locking dependency detected",
            "WARNING: possible recursive locking detected",
            "WARNING: inconsistent lock state",
            "WARNING: suspicious RCU usage",
            "INFO: possible recursive locking detected",
            "[ INFO: possible circular locking dependency detected ]",
            "INFO: trying to register non-static key.",
            "BUG: unable to handle page fault for address: ffffffffffffffe8",
            "BUG: KASAN: slab-use-after-free in thaw_super+0x1/0x2",
            "BUG: sleeping function called from invalid context at fs/super.c:1",
            "watchdog: BUG: soft lockup - CPU#0 stuck for 26s!",
            "kernel BUG at fs/super.c:1!",
            "Oops: 0000 [#1] PREEMPT SMP",
            "Oops: general protection fault, probably for non-canonical address",
            "INFO: task writer:83 blocked for more than 120 seconds.",
            "ODEBUG: free active (active state 0) object: 0 object type: timer_list",
            "UBSAN: shift-out-of-bounds in fs/super.c:1:2",
            "XFS: Assertion failed: 0, file: fs/xfs/xfs_log.c, line: 1",
            "XFS (vda): Internal error !ino_ok at line 200",
            "EXT4-fs error (device vda): ext4_lookup:1: inode #2: deleted inode referenced: 12",
            "Kernel panic - not syncing: Attempted to kill init!",
            "VFS: vda (ext3): freeze timed out, but thawing failed (-5), trying again in 1 s",
        ] {
            assert!(is_complaint(line), "{line}");
        }
    }

    #[test]
    fn ordinary_lines_are_not_complaints() {
        for line in [
            "EXT4-fs (vda): mounting ext3 file system using the ext4 subsystem",
            "EXT4-fs (vda): mounted filesystem r/w with ordered data mode. Quota mode: disabled.",
            "XFS (dm-0): Ending clean mount",
            "sysrq: Emergency Thaw of all frozen filesystems",
            "Emergency Thaw complete",
            "VFS: vda (ext3): freeze timed out, released all file holds",
            "INFO: task list follows",
            "DEBUG: nothing",
            "DEBUG_WARNING: nothing",
            "",
        ] {
            assert!(!is_complaint(line), "{line}");
        }
    }

    #[test]
    fn a_record_is_split() {
        let record = "4,339,5140900,-;hello; world\n SUBSYSTEM=block\n DEVICE=b254:0\n";
        assert_eq!(message(record), Some("hello; world"));
        assert_eq!(message("garbage"), None);
    }
}
