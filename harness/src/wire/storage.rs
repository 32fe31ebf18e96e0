//! The storage below the scratch disks, which only the host can reach: what a
//! case asks of it, one line of JSON each way on [`port::STORAGE`].

use std::fs::File;
use std::io::Write as _;

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::filesystem::Filesystem;
use super::port;

/// The serial numbers that the host gives the virtio-blk disks.
pub const SCRATCH: [&str; 2] = ["scratch0", "scratch1"];

/// That of a smaller disk, for filesystems that are on two devices.
pub const SECOND: &str = "scratch2";

/// Disks are named by their serial numbers, see [`SCRATCH`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Copies all of one disk onto another, behind the guest's back.
    Copy { from: String, to: String },
    /// Whether a filesystem is consistent as it is, before any recovery, with the host's own eyes.
    Check {
        disk: String,
        filesystem: Filesystem,
    },
}

/// Done, and found good; or why not.
pub type Answer = Result<(), String>;

/// The way to the host. One process of the guest can have it at a time.
#[derive(Debug)]
pub struct Storage {
    port: File,
}

impl Storage {
    /// `None` where no host listens: in a guest that was not started to run a plan.
    pub fn connect() -> Result<Option<Storage>> {
        if !port::has_host() {
            return Ok(None);
        }
        let port = port::open(port::STORAGE)?;
        Ok(Some(Storage { port }))
    }

    /// Returns when all of `from` is on `to`. What the guest has cached of `to` is out of date then.
    pub fn copy(&mut self, from: &str, to: &str) -> Result<()> {
        self.ask(&Question::Copy {
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }

    /// Fails unless the host finds a filesystem on the disk that is consistent without recovery.
    pub fn check(&mut self, disk: &str, filesystem: Filesystem) -> Result<()> {
        self.ask(&Question::Check {
            disk: disk.to_owned(),
            filesystem,
        })
    }

    fn ask(&mut self, question: &Question) -> Result<()> {
        let line = serde_json::to_string(question).context("failed to write a question as JSON")?;
        self.port
            .write_all(format!("{line}\n").as_bytes())
            .context("failed to ask the host")?;
        let line = port::read_line(&mut self.port)?;
        let answer: Answer =
            serde_json::from_str(&line).with_context(|| format!("bad answer: {line}"))?;
        answer.map_err(|reason| anyhow!("the host, asked to {question:?}: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_are_one_line_each() {
        let questions = [
            Question::Copy {
                from: "scratch0".into(),
                to: "scratch1".into(),
            },
            Question::Check {
                disk: "scratch1".into(),
                filesystem: Filesystem::Ext3,
            },
        ];
        for question in questions {
            let line = serde_json::to_string(&question).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Question>(&line).unwrap(), question);
        }
        for answer in [Ok(()), Err("Pass 1\nPass 2\n".to_owned())] {
            let line = serde_json::to_string(&answer).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
        }
    }
}
