//! What a case asks of the superblock, and what it takes for an answer.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;

use crate::devices::mount::Mount;
use crate::fixture::Fixture;

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(5);

/// Fails unless the outcome is this error.
pub fn fails_with(what: &str, outcome: Result<(), Errno>, want: Errno) -> Result<()> {
    match outcome {
        Err(errno) if errno == want => Ok(()),
        Err(errno) => bail!("{what}: {errno}, not {want:?}"),
        Ok(()) => bail!("{what}: returned 0, not {want:?}"),
    }
}

pub fn freeze(fs: &Mount) -> Result<()> {
    fs.freeze().context("FIFREEZE")
}

pub fn thaw(fs: &Mount) -> Result<()> {
    fs.thaw().context("FITHAW")
}

pub fn is_frozen(fs: &Mount) -> Result<()> {
    ensure!(fs.is_frozen()?, "the filesystem is not frozen");
    Ok(())
}

pub fn is_thawed(fs: &Mount) -> Result<()> {
    ensure!(!fs.is_frozen()?, "the filesystem is still frozen");
    Ok(())
}

/// Thawed soon: FITHAW knows of no hold while a deadline is ending the last one, and to ask gfs2 does not wait for that.
pub fn gets_thawed(fixture: &Fixture, fs: &Mount) -> Result<()> {
    let end = Instant::now() + fixture.patience();
    while fs.is_frozen()? && Instant::now() < end {
        sleep(PAUSE);
    }
    is_thawed(fs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wanted_error_will_do() {
        assert!(fails_with("x", Err(Errno::EINVAL), Errno::EINVAL).is_ok());
        let other = fails_with("FITHAW", Err(Errno::EBUSY), Errno::EINVAL).unwrap_err();
        assert!(other.to_string().starts_with("FITHAW: EBUSY"), "{other}");
        let none = fails_with("FITHAW", Ok(()), Errno::EINVAL).unwrap_err();
        assert_eq!(none.to_string(), "FITHAW: returned 0, not EINVAL");
    }
}
