//! Who holds a filesystem frozen, as /proc tells it.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::{Context as _, Result, bail, ensure};
use nix::libc;

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::{HOUR, freeze_for, reset};
use crate::kit::device::{resume, scratch_with_device, suspend};
use crate::kit::state::{freeze, is_thawed, thaw};
use crate::linux::fdinfo::Freeze;
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "fdinfo_tells_who_holds",
        "fdinfo of any file tells of holds by kind, of the next deadline, and of the file's own holds",
        tells_who_holds,
    )
    .needing(Feature::Fdinfo),
    Case::new(
        "fdinfo_of_holds_left_behind",
        "after a crash fdinfo tells how many FITHAW it takes",
        of_holds_left_behind,
    )
    .needing(Feature::Fdinfo),
];

/// Looks at what passes in less than a second.
const ATTEMPTS: usize = 10;

fn tells_who_holds(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    let (a, b) = (fs.again()?, fs.again()?);
    let path = File::options()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(fs.root())
        .context("failed to open with O_PATH")?;
    let says_nothing = || -> Result<()> {
        for fd in [fs.fd(), a.fd(), path.as_raw_fd()] {
            let said = Freeze::of(fd)?;
            ensure!(said == Freeze::default(), "while not frozen: {said:?}");
        }
        Ok(())
    };
    says_nothing()?;
    freeze(&a)?;
    says(&a, [1, 0, 0], Some(1))?;
    says(&b, [1, 0, 0], None)?;
    expires(&fs, None)?;
    freeze_for(&b, HOUR)?;
    freeze_for(&b, 2 * HOUR)?;
    says(&b, [3, 0, 0], Some(2))?;
    expires(&fs, Some(HOUR))?;
    suspend(fixture, &dm)?;
    says(&a, [3, 1, 0], Some(1))?;
    resume(fixture, &dm)?;
    rounds_up(&b)?;
    reset(&b, 0)?;
    expires(&fs, None)?;
    let said = Freeze::of(path.as_raw_fd())?;
    ensure!(said.holds == Some([3, 0, 0]), "through O_PATH: {said:?}");
    thaw(&b)?;
    thaw(&a)?;
    says(&a, [1, 0, 0], Some(0))?;
    says(&fs, [1, 0, 0], None)?;
    thaw(&b)?;
    is_thawed(&fs)?;
    says_nothing()
}

fn of_holds_left_behind(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    for _ in 0..2 {
        freeze(&fs.again()?).context("through a file that is closed at once")?;
    }
    says(&fs, [2, 0, 0], None)?;
    thaw(&fs.again()?)?;
    says(&fs, [1, 0, 0], None)?;
    thaw(&fs)?;
    is_thawed(&fs)
}

/// So many holds of each kind; for a file that has frozen, so many are its own.
fn says(file: &Mount, holds: [u32; 3], own: Option<u32>) -> Result<()> {
    let said = Freeze::of(file.fd())?;
    ensure!(
        said.holds == Some(holds) && said.own == own,
        "{said:?}, not {holds:?}, of which {own:?} are its own"
    );
    Ok(())
}

/// Within a second of a reset all its seconds are left; the machine may be too slow for that once, but not always.
fn rounds_up(file: &Mount) -> Result<()> {
    let mut seen = Vec::new();
    for _ in 0..ATTEMPTS {
        reset(file, HOUR)?;
        let left = Freeze::of(file.fd())?.expires;
        if left == Some(HOUR.unsigned_abs()) {
            return Ok(());
        }
        seen.push(left);
    }
    bail!("after resets to {HOUR} s it expires in {seen:?} s");
}

/// The next deadline is in so many seconds, or somewhat less.
fn expires(file: &Mount, wanted: Option<i64>) -> Result<()> {
    let said = Freeze::of(file.fd())?;
    let seconds = said.expires.map(i64::try_from).transpose()?;
    let right = match (seconds, wanted) {
        (Some(seconds), Some(wanted)) => (wanted / 2..=wanted).contains(&seconds),
        (seconds, wanted) => seconds == wanted,
    };
    ensure!(
        right,
        "{said:?}: it expires in {seconds:?} s, not {wanted:?}"
    );
    Ok(())
}
