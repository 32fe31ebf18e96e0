//! The deadline: what sets it, what moves it, what ends with it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;

use crate::case::Case;
use crate::devices::disk;
use crate::devices::mount::Mount;
use crate::fixture::{Fixture, skip};
use crate::kit::deadline::{
    HOUR, SHORT, after, ends_at, freeze_for, has_no_file_hold, in_time, logged_at,
    logged_nothing_else, reset, stays_frozen_beyond,
};
use crate::kit::device::{resume, scratch_with_device, succeeds, suspend};
use crate::kit::state::{fails_with, freeze, is_frozen, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::wire::Feature;
use crate::wire::storage::SCRATCH;

pub const CASES: &[Case] = &[
    Case::new(
        "timeout_thaws",
        "FIFREEZE_TIMEOUT ends by itself, not early, and the log says so once",
        thaws,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_reset_later",
        "FIFREEZE_RESET_TIMEOUT moves the deadline to later",
        reset_later,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_reset_sooner",
        "FIFREEZE_RESET_TIMEOUT moves the deadline to sooner",
        reset_sooner,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_reset_cancels",
        "FIFREEZE_RESET_TIMEOUT with 0 removes the deadline, also for who freezes later",
        reset_cancels,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_last_thaw_cancels",
        "the deadline of a freeze that was thawed does not end the next freeze",
        last_thaw_cancels,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_emergency_thaw_cancels",
        "the deadline of a freeze that SysRq j ended does not end the next freeze",
        emergency_thaw_cancels,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_never_shortens",
        "a second FIFREEZE_TIMEOUT may extend the first one's time, but not shorten it",
        never_shortens,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_ends_each_hold",
        "a deadline ends the holds whose time has come, and no others; one FITHAW of two keeps the deadline",
        ends_each_hold,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_ends_no_later_hold",
        "of two holds with deadlines half a second apart, the later is there when the sooner has ended",
        ends_no_later_hold,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_leaves_device_hold",
        "after the deadline the hold of dmsetup suspend remains",
        leaves_device_hold,
    )
    .needing(Feature::Timeout),
];

/// Between two deadlines, and how often it is tried.
const HALF: Duration = Duration::from_millis(500);
const ATTEMPTS: usize = 5;

fn thaws(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let ((writer, mut log), deadline) = in_time(fixture, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        Ok((Writer::start(fixture, &file)?, Kmsg::mark()?))
    })?;
    ends_at(fixture, &fs, writer, deadline)?;
    let line = logged_at(fixture, &mut log, deadline)?;
    let device = disk::by_serial(SCRATCH[0])?;
    let name = device.file_name().context("a disk has a name")?;
    ensure!(
        line.contains(&*name.to_string_lossy()),
        "{} is not in {line:?}",
        device.display()
    );
    logged_nothing_else(&mut log)
}

fn reset_later(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let ((writer, later), _) = in_time(fixture, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        let writer = Writer::start(fixture, &file)?;
        let later = after(seconds + 1);
        reset(&fs, seconds + 1)?;
        Ok((writer, later))
    })?;
    ends_at(fixture, &fs, writer, later)
}

fn reset_sooner(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    freeze_for(&fs, HOUR)?;
    let writer = Writer::start(fixture, &file)?;
    let sooner = after(SHORT);
    reset(&fs, SHORT)?;
    ends_at(fixture, &fs, writer, sooner)
}

fn reset_cancels(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let (writer, deadline) = in_time(fixture, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        let writer = Writer::start(fixture, &file)?;
        reset(&fs, 0)?;
        Ok(writer)
    })?;
    stays_frozen_beyond(fixture, &fs, &writer, deadline)?;
    fixture.step("who comes later with a deadline does not shorten that");
    let deadline = after(SHORT);
    freeze_for(&fs, SHORT)?;
    stays_frozen_beyond(fixture, &fs, &writer, deadline)?;
    thaw(&fs)?;
    writer.completes(fixture, &fs)?;
    has_no_file_hold(&fs)
}

fn last_thaw_cancels(fixture: &Fixture) -> Result<()> {
    the_next_freeze_lasts(fixture, thaw)
}

fn emergency_thaw_cancels(fixture: &Fixture) -> Result<()> {
    the_next_freeze_lasts(fixture, |_| fixture.emergency_thaw())
}

/// What ends the freeze ends its deadline, too: it does not end the next freeze.
fn the_next_freeze_lasts(fixture: &Fixture, end: impl Fn(&Mount) -> Result<()>) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let (mut log, deadline) = in_time(fixture, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        end(&fs)?;
        freeze(&fs)?;
        Kmsg::mark()
    })?;
    let writer = Writer::start(fixture, &file)?;
    stays_frozen_beyond(fixture, &fs, &writer, deadline)?;
    logged_nothing_else(&mut log)?;
    thaw(&fs)?;
    writer.completes(fixture, &fs)
}

fn never_shortens(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    the_latest_deadline_counts(fixture, &fs)?;
    no_deadline_is_the_latest(fixture, &fs)
}

fn the_latest_deadline_counts(fixture: &Fixture, fs: &Mount) -> Result<()> {
    let file = prepare(fs)?;
    let ((writer, latest), _) = in_time(fixture, fs, |seconds| {
        freeze_for(fs, seconds)?;
        let latest = after(seconds + 1);
        freeze_for(fs, seconds + 1).context("a later one")?;
        freeze_for(fs, seconds).context("a sooner one")?;
        Ok((Writer::start(fixture, &file)?, latest))
    })?;
    ends_at(fixture, fs, writer, latest)
}

fn no_deadline_is_the_latest(fixture: &Fixture, fs: &Mount) -> Result<()> {
    let file = prepare(fs)?;
    freeze(fs)?;
    let writer = Writer::start(fixture, &file)?;
    let deadline = after(SHORT);
    freeze_for(fs, SHORT)?;
    stays_frozen_beyond(fixture, fs, &writer, deadline)?;
    thaw(fs)?;
    writer.completes(fixture, fs)?;
    has_no_file_hold(fs)
}

fn ends_each_hold(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let ((writer, latest), _) = in_time(fixture, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        let latest = after(seconds);
        freeze_for(&fs, seconds)?;
        thaw(&fs).context("not the last")?;
        Ok((Writer::start(fixture, &file)?, latest))
    })?;
    ends_at(fixture, &fs, writer, latest)?;
    let file = prepare(&fs)?;
    let ((writer, mut log), deadline) = in_time(fixture, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        freeze(&fs)?;
        Ok((Writer::start(fixture, &file)?, Kmsg::mark()?))
    })?;
    logged_at(fixture, &mut log, deadline)?;
    stays_frozen_beyond(fixture, &fs, &writer, deadline)?;
    thaw(&fs).context("of the hold without a deadline")?;
    writer.completes(fixture, &fs)?;
    has_no_file_hold(&fs)?;
    fixture.step("two holds with one deadline");
    freeze(&fs)?;
    freeze_for(&fs, HOUR)?;
    let mut log = Kmsg::mark()?;
    let deadline = after(SHORT);
    reset(&fs, SHORT)?;
    let line = logged_at(fixture, &mut log, deadline)?;
    ensure!(line.contains("2 file holds"), "not two: {line}");
    has_no_file_hold(&fs)
}

/// As long as a machine is too slow for that, it says nothing.
fn ends_no_later_hold(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    for _ in 0..ATTEMPTS {
        let (sooner, later) = (fs.again()?, fs.again()?);
        let mut log = Kmsg::mark()?;
        let deadline = after(SHORT);
        freeze_for(&sooner, SHORT)?;
        sleep(HALF);
        let end = after(SHORT);
        freeze_for(&later, SHORT)?;
        logged_at(fixture, &mut log, deadline)?;
        let there = later.reset_timeout(HOUR);
        if Instant::now() < end {
            there.context("reset of the later hold")?;
            thaw(&later)?;
            return has_no_file_hold(&fs);
        }
        fs.thaw_fully()?;
    }
    skip("this machine is too slow to tell")
}

/// While the device is suspended, every ioctl is made through [`Fixture::returns`].
fn leaves_device_hold(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    let file = prepare(&fs)?;
    suspend(fixture, &dm)?;
    let writer = Writer::start(fixture, &file)?;
    let mut log = Kmsg::mark()?;
    let deadline = after(SHORT);
    succeeds(fixture, "FIFREEZE_TIMEOUT", || fs.freeze_timeout(SHORT))?;
    logged_at(fixture, &mut log, deadline)?;
    let thaw = fixture.returns("FITHAW", || fs.thaw())?;
    fails_with("FITHAW after the deadline", thaw, Errno::EINVAL)?;
    let reset = fixture.returns("FIFREEZE_RESET_TIMEOUT", || fs.reset_timeout(SHORT))?;
    fails_with("reset after the deadline", reset, Errno::EINVAL)?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    resume(fixture, &dm)?;
    writer.completes(fixture, &fs)
}
