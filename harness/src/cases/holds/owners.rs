//! What one freezer does, and what becomes of the hold of another.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, raise};

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::freeze::ioctl;
use crate::kit::deadline::{
    HOUR, SHORT, after, ends_at, freeze_for, in_time, logged_at, logged_nothing_else, reset,
    stays_frozen_beyond,
};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "owner_thaws_its_own",
        "FITHAW through a file that has frozen releases no hold of another file",
        thaws_its_own,
    )
    .needing(Feature::Nesting),
    Case::new(
        "owner_is_an_open_file",
        "a hold stays with its open file through dup, fork and close of one of several descriptors",
        is_an_open_file,
    )
    .needing(Feature::Nesting),
    Case::new(
        "owner_leaves_its_hold",
        "a hold that a closed file or a killed program left is what others release first",
        leaves_its_hold,
    )
    .needing(Feature::Nesting),
    Case::new(
        "owner_is_rescued",
        "a file that has not frozen releases one hold of another file, and no more; so does each further one",
        is_rescued,
    )
    .needing(Feature::Nesting),
    Case::new(
        "owner_resets_its_own",
        "a second freezer that resets its time and thaws does not shorten that of the first",
        resets_its_own,
    )
    .needing(Feature::Timeout),
    Case::new(
        "owner_keeps_its_deadline",
        "what an untimed freezer does takes no deadline away, nor does a reset to 0",
        keeps_its_deadline,
    )
    .needing(Feature::Timeout),
    Case::new(
        "owner_learns_of_its_end",
        "after its deadline a freezer gets EINVAL though others hold; a plain FIFREEZE outlives that deadline",
        learns_of_its_end,
    )
    .needing(Feature::Timeout),
];

/// How a first freezer may freeze, and what has to last.
const FIRST: [fn(&Mount) -> Result<()>; 2] = [freeze, |fs| freeze_for(fs, HOUR)];

fn thaws_its_own(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let (a, b) = (fs.again()?, fs.again()?);
    let file = prepare(&fs)?;
    freeze(&a)?;
    freeze(&b)?;
    let writer = Writer::start(fixture, &file)?;
    thaw(&b)?;
    fails_with("a second FITHAW of B", b.thaw(), Errno::EINVAL)?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    thaw(&a).context("of A")?;
    writer.completes(fixture, &fs)?;
    fails_with("FITHAW of A after the last", a.thaw(), Errno::EINVAL)?;
    fails_with("FITHAW of another", fs.thaw(), Errno::EINVAL)
}

fn is_an_open_file(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    fixture.step("dup");
    let a = fs.again()?;
    freeze(&a)?;
    let copy: OwnedFd = a.duplicate()?;
    drop(a);
    another_is_released(&fs)?;
    ioctl::thaw(copy.as_raw_fd()).context("through the copy")?;
    is_thawed(&fs)?;
    fixture.step("fork");
    let a = fs.again()?;
    freeze(&a)?;
    let heir = fixture.actor("heir", || {
        raise(Signal::SIGSTOP)?;
        Ok(a.thaw()?)
    })?;
    heir.has_got(Signal::SIGSTOP)?;
    drop(a);
    another_is_released(&fs)?;
    kill(heir.pid(), Signal::SIGCONT).context("failed to wake the heir")?;
    heir.outcome()?.context("the heir's FITHAW")?;
    is_thawed(&fs)
}

/// Of the hold of an open file and one that is left behind, the latter goes.
fn another_is_released(fs: &Mount) -> Result<()> {
    freeze(&fs.again()?).context("through a file that is closed at once")?;
    thaw(&fs.again()?).context("of what was left behind")?;
    is_frozen(fs)
}

fn leaves_its_hold(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let b = fs.again()?;
    freeze(&b)?;
    let freezer = fixture.actor("freezer", || {
        let own = fs.again().map_err(std::io::Error::other)?;
        own.freeze()?;
        Ok(raise(Signal::SIGKILL)?)
    })?;
    freezer.has_got(Signal::SIGKILL)?;
    fixture.step("FITHAW of what the killed program left");
    thaw(&fs.again()?)?;
    is_frozen(&fs)?;
    fixture.step("a closed file, and one that may have its place in memory");
    let mut a = fs.again()?;
    freeze(&a)?;
    a.reopen()?;
    freeze(&a).context("through the new file")?;
    thaw(&a).context("through the new file")?;
    fails_with("FITHAW of the old one's hold", a.thaw(), Errno::EINVAL)?;
    thaw(&fs.again()?).context("of what the closed file left")?;
    is_frozen(&fs)?;
    thaw(&b).context("of B")?;
    is_thawed(&fs)
}

/// A program that thaws in a loop ends one freeze of somebody else, and not all.
fn is_rescued(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let (a, b) = (fs.again()?, fs.again()?);
    freeze(&a)?;
    freeze(&b)?;
    freeze(&b)?;
    for _ in 0..2 {
        let rescuer = fs.again()?;
        thaw(&rescuer).context("of another's hold")?;
        is_frozen(&fs)?;
        fails_with("the next FITHAW", rescuer.thaw(), Errno::EINVAL)?;
        freeze(&rescuer).context("by the rescuer")?;
        thaw(&rescuer).context("of the rescuer")?;
        fails_with("FITHAW after its own", rescuer.thaw(), Errno::EINVAL)?;
    }
    thaw(&fs).context("of the last")?;
    is_thawed(&fs)
}

fn resets_its_own(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    for first in FIRST {
        let (a, b) = (fs.again()?, fs.again()?);
        let file = prepare(&fs)?;
        first(&a)?;
        let writer = Writer::start(fixture, &file)?;
        freeze_for(&b, HOUR)?;
        let deadline = after(SHORT);
        reset(&b, SHORT)?;
        // Too late it has ended by itself, which is as good.
        match b.thaw() {
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(errno).context("FITHAW of B"),
        }
        stays_frozen_beyond(fixture, &fs, &writer, deadline)?;
        thaw(&a).context("of A")?;
        writer.completes(fixture, &fs)?;
    }
    Ok(())
}

fn keeps_its_deadline(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    fixture.step("an untimed freezer came first, and goes");
    let (writer, deadline) = in_time(fixture, &fs, |seconds| {
        let (a, b) = (fs.again()?, fs.again()?);
        freeze(&a)?;
        freeze_for(&b, seconds)?;
        thaw(&a)?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, &fs, writer, deadline)?;
    let file = prepare(&fs)?;
    fixture.step("another one wants no deadline, and goes");
    let (writer, deadline) = in_time(fixture, &fs, |seconds| {
        let (a, b) = (fs.again()?, fs.again()?);
        freeze_for(&a, seconds)?;
        freeze_for(&b, seconds)?;
        reset(&b, 0)?;
        thaw(&b)?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, &fs, writer, deadline)
}

fn learns_of_its_end(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let ((a, b, writer, mut log), deadline) = in_time(fixture, &fs, |seconds| {
        let (a, b) = (fs.again()?, fs.again()?);
        freeze_for(&a, seconds)?;
        freeze(&b)?;
        Ok((a, b, Writer::start(fixture, &file)?, Kmsg::mark()?))
    })?;
    logged_at(fixture, &mut log, deadline)?;
    fails_with("reset of A", a.reset_timeout(HOUR), Errno::EINVAL)?;
    fails_with("FITHAW of A", a.thaw(), Errno::EINVAL)?;
    stays_frozen_beyond(fixture, &fs, &writer, deadline)?;
    logged_nothing_else(&mut log)?;
    thaw(&b).context("of B")?;
    writer.completes(fixture, &fs)
}
