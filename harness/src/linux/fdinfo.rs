//! What /proc/PID/fdinfo says of a freeze (Documentation/filesystems/freeze.rst).

use std::fs;
use std::os::fd::RawFd;

use anyhow::{Context as _, Result};

/// The lines of one open file; `None` where there is no such line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freeze {
    /// The holds of the superblock: those of files, devices and the kernel.
    pub holds: Option<[u32; 3]>,
    /// Seconds until the next deadline.
    pub expires: Option<u64>,
    /// The holds of this file.
    pub own: Option<u32>,
}

impl Freeze {
    /// Of a descriptor of this process.
    pub fn of(fd: RawFd) -> Result<Freeze> {
        let path = format!("/proc/self/fdinfo/{fd}");
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        Freeze::parse(&text).with_context(|| format!("{path}: {text:?}"))
    }

    fn parse(text: &str) -> Option<Freeze> {
        let mut freeze = Freeze::default();
        let lines = text.lines().filter_map(|line| line.split_once(":\t"));
        for (key, value) in lines {
            match key {
                "freeze-holds" => freeze.holds = Some(counts(value)?),
                "freeze-expires" => freeze.expires = Some(value.parse().ok()?),
                "freeze-own" => freeze.own = Some(value.parse().ok()?),
                _ => {}
            }
        }
        Some(freeze)
    }
}

/// From `file 2 device 1 kernel 0`.
fn counts(value: &str) -> Option<[u32; 3]> {
    let words: Vec<_> = value.split(' ').collect();
    let [kinds, numbers] = [0, 1].map(|first| words.iter().skip(first).step_by(2));
    let numbers: Vec<_> = numbers
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    kinds
        .eq(&["file", "device", "kernel"])
        .then(|| numbers.try_into().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let freeze = |holds, expires, own| {
            Some(Freeze {
                holds,
                expires,
                own,
            })
        };
        for (text, wanted) in [
            (
                "pos:\t0\nflags:\t0100000\nmnt_id:\t29\n",
                freeze(None, None, None),
            ),
            (
                "pos:\t0\nfreeze-holds:\tfile 2 device 1 kernel 0\nfreeze-expires:\t12\nfreeze-own:\t1\n",
                freeze(Some([2, 1, 0]), Some(12), Some(1)),
            ),
            ("freeze-holds:\tfile 2 device 1\n", None),
            ("freeze-holds:\tfile 2 kernel 1 device 0\n", None),
            ("freeze-expires:\t-1\n", None),
        ] {
            assert_eq!(Freeze::parse(text), wanted, "{text}");
        }
    }
}
