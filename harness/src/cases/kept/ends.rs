//! How such a hold ends: by close, by death, at its deadline, by force.

use std::fs::{File, remove_file};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, raise};

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::freeze::hold::{End, Hold};
use crate::kit::deadline::{
    after, has_no_file_hold, in_time, logged_at, logged_nothing_else, not_before, sleep_until,
    stays_frozen_beyond,
};
use crate::kit::device::{resume, scratch_on_stack, suspend};
use crate::kit::kept::{self, has_ended, hold, is_active, is_of, time_left};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{NEW, OLD, Waiting, prepare};
use crate::linux::kmsg::Kmsg;
use crate::wire::{Feature, Filesystem};

pub const CASES: &[Case] = &[
    Case::new(
        "hold_close",
        "FS_IOC_FREEZE_HOLD freezes, and close thaws before it returns",
        close,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_killed",
        "kill -9 of who has the hold thaws, whatever else they have open there",
        killed,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_expires",
        "at the deadline that hold ends, and no other; poll and read tell at once",
        expires,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_rescues_itself",
        "who writes to what they froze cannot be killed, so close never comes: the deadline does",
        rescues_itself,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_moves_its_deadline",
        "FS_IOC_FREEZE_HOLD_RESET moves the deadline to later, away, and to sooner than another one",
        moves_its_deadline,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_forced",
        "SysRq j ends the hold, and poll and read tell; to close it then thaws nobody else's freeze",
        forced,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_too_late",
        "a freeze that is complete only after the deadline is undone, and ETIMEDOUT",
        too_late,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_tells_first",
        "poll and read tell of the end before the thaw, which may take its time, and let writers go on",
        tells_first,
    )
    .needing(Feature::FreezeHold)
    // XFS writes nothing when it is thawed.
    .only_on(&[Filesystem::Ext3, Filesystem::Ext4]),
];

/// Seconds, for a deadline that is waited for, and for one that is not.
const SHORT: u64 = 2;
const HOUR: u64 = 3600;

/// So often a file is appended to before it has more room than it needs.
const APPENDED: usize = 1 << 8;

fn close(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    for seconds in [0, HOUR] {
        let file = prepare(&fs)?;
        let writer = Waiting::new(fixture, &file)?;
        let hold = hold(&fs, seconds)?;
        is_active(&hold)?;
        is_of(&hold, &fs)?;
        let writer = writer.is_blocked(fixture)?;
        is_frozen(&fs)?;
        fixture.step("close");
        drop(hold);
        is_thawed(&fs)?;
        writer.completes(fixture, &fs)?;
        has_no_file_hold(&fs)?;
    }
    Ok(())
}

fn killed(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    for is_closed_first in [true, false] {
        with_files(fixture, &fs, is_closed_first)?;
    }
    Ok(())
}

/// Descriptors are closed in the order of their numbers. The last close of a file that was extended may have something to
/// give back, and that of one that was unlinked has.
fn with_files(fixture: &Fixture, fs: &Mount, is_closed_first: bool) -> Result<()> {
    let file = prepare(fs)?;
    let writer = Waiting::new(fixture, &file)?;
    let holder = fixture.actor("holder", || {
        let smaller_number = fs.as_fd().try_clone_to_owned()?;
        let mut open = ["extended", "unlinked"].map(|name| File::create(fs.path(name)));
        for file in open.iter_mut().flatten() {
            for _ in 0..APPENDED {
                file.write_all(&OLD)?;
            }
        }
        remove_file(fs.path("unlinked"))?;
        let _kept = (!is_closed_first).then_some(smaller_number);
        let _hold = Hold::take(fs.as_fd(), 0)?;
        Ok(raise(Signal::SIGSTOP)?)
    })?;
    holder.has_got(Signal::SIGSTOP)?;
    let writer = writer.is_blocked(fixture)?;
    has_no_file_hold(fs)?;
    fixture.step("kill -9");
    kill(holder.pid(), Signal::SIGKILL)?;
    holder.has_got(Signal::SIGKILL)?;
    is_thawed(fs)?;
    writer.completes(fixture, fs)?;
    has_no_file_hold(fs)
}

fn expires(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let writer = Waiting::new(fixture, &file)?;
    let ((hold, actors, mut log), deadline) = in_time(fixture, &fs, |seconds| {
        let hold = hold(&fs, seconds.unsigned_abs())?;
        freeze(&fs).context("a hold without a deadline")?;
        cannot_be_read_yet(&hold)?;
        let reader = fixture.actor("reader", || match hold.end()? {
            End::Expired => Ok(()),
            End::Forced => Err(Errno::EINVAL.into()),
        })?;
        let poller = fixture.actor("poller", || wait_for_end(&hold))?;
        reader.sleeps()?;
        poller.sleeps()?;
        is_active(&hold)?;
        Ok((hold, [reader, poller], Kmsg::mark()?))
    })?;
    let writer = writer.is_blocked(fixture)?;
    logged_at(fixture, &mut log, deadline)?;
    for actor in actors {
        actor.outcome()?.context("at the deadline")?;
    }
    has_ended(&hold, End::Expired)?;
    logged_nothing_else(&mut log)?;
    writer.actor.blocked()?;
    drop(hold);
    is_frozen(&fs)?;
    thaw(&fs).context("the other hold")?;
    writer.completes(fixture, &fs)
}

fn cannot_be_read_yet(hold: &Hold) -> Result<()> {
    fcntl(hold, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("O_NONBLOCK")?;
    let read = hold.end().map(drop);
    fcntl(hold, FcntlArg::F_SETFL(OFlag::empty())).context("no O_NONBLOCK")?;
    let error = read.err().and_then(|error| error.raw_os_error());
    ensure!(
        error == Some(Errno::EAGAIN as i32),
        "read with O_NONBLOCK: {error:?}, not EAGAIN"
    );
    Ok(())
}

fn wait_for_end(hold: &Hold) -> io::Result<()> {
    let mut polled = [PollFd::new(hold.as_fd(), PollFlags::empty())];
    poll(&mut polled, PollTimeout::NONE)?;
    match polled[0].revents() {
        Some(PollFlags::POLLHUP) => Ok(()),
        events => Err(io::Error::other(format!("poll says {events:?}"))),
    }
}

fn rescues_itself(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let (holder, deadline) = in_time(fixture, &fs, |seconds| {
        let holder = fixture.actor("holder", || {
            let _hold = Hold::take(fs.as_fd(), seconds.unsigned_abs())?;
            file.write_all_at(&NEW, 0)
        })?;
        holder.blocked()?;
        fixture.step("kill -9");
        kill(holder.pid(), Signal::SIGKILL)?;
        holder.blocked().context("after kill -9")?;
        Ok(holder)
    })?;
    holder.has_got(Signal::SIGKILL)?;
    not_before(deadline)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    prepare(&fs).map(drop)
}

fn moves_its_deadline(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let writer = Waiting::new(fixture, &file)?;
    let (hold, deadline) = in_time(fixture, &fs, |seconds| {
        let hold = hold(&fs, seconds.unsigned_abs())?;
        kept::reset(&hold, HOUR)?;
        Ok(hold)
    })?;
    let writer = writer.is_blocked(fixture)?;
    stays_frozen_beyond(fixture, &fs, &writer, deadline)?;
    let left = time_left(&hold)?;
    let is_later = left.is_some_and(|left| (HOUR / 2..=HOUR).contains(&left));
    ensure!(is_later, "{left:?} left of {HOUR} s");
    fixture.step("no deadline");
    kept::reset(&hold, 0)?;
    let left = time_left(&hold)?;
    ensure!(left.is_none(), "{left:?} left without a deadline");
    has_no_file_hold(&fs).context("through another file")?;
    is_active(&hold)?;
    fixture.step("sooner than another one");
    let other = kept::hold(&fs, HOUR)?;
    let deadline = after(2);
    kept::reset(&hold, SHORT)?;
    ensure!(hold.end().context("read")? == End::Expired);
    not_before(deadline)?;
    has_ended(&hold, End::Expired)?;
    is_active(&other)?;
    writer.is_blocked()?;
    drop(other);
    writer.completes(fixture, &fs)
}

fn forced(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let writer = Waiting::new(fixture, &file)?;
    let hold = hold(&fs, HOUR)?;
    freeze(&fs)?;
    let writer = writer.is_blocked(fixture)?;
    let reader = fixture.actor("reader", || hold.end().map(drop))?;
    reader.sleeps()?;
    fixture.emergency_thaw()?;
    is_thawed(&fs)?;
    writer.completes(fixture, &fs)?;
    reader.outcome()?.context("read")?;
    has_ended(&hold, End::Forced)?;
    freeze(&fs).context("a freeze after that")?;
    drop(hold);
    is_frozen(&fs)?;
    thaw(&fs)?;
    is_thawed(&fs)
}

/// The thaw waits for the device below, of which a suspend freezes nothing.
fn tells_first(fixture: &Fixture) -> Result<()> {
    let (fs, below) = scratch_on_stack(fixture)?;
    let file = prepare(&fs)?;
    let writer = Waiting::new(fixture, &file)?;
    let hold = hold(&fs, HOUR)?;
    let reader = fixture.actor("reader", || hold.end().map(drop))?;
    suspend(fixture, &below)?;
    let writer = writer.is_blocked(fixture)?;
    fixture.step("the deadline passes");
    kept::reset(&hold, SHORT)?;
    reader.outcome()?.context("read")?;
    has_ended(&hold, End::Expired)?;
    has_no_file_hold(&fs)?;
    drop(hold);
    writer.is_blocked()?;
    resume(fixture, &below)?;
    writer.completes(fixture, &fs)?;
    is_thawed(&fs)
}

fn next_descriptor(fs: &Mount) -> io::Result<RawFd> {
    let duplicate = fs.as_fd().try_clone_to_owned()?;
    Ok(duplicate.as_raw_fd())
}

/// A write that waits for a pipe keeps the freeze waiting.
fn too_late(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let mut file = prepare(&fs)?;
    let (pipe, mut data) = io::pipe().context("no pipe")?;
    let stuck = fixture.actor("stuck", || io::copy(&mut pipe.take(1), &mut file).map(drop))?;
    stuck.sleeps()?;
    let freezer = fixture.actor("freezer", || {
        let next = next_descriptor(&fs)?;
        let outcome = Hold::take(fs.as_fd(), 1).map(drop);
        match next_descriptor(&fs)? == next {
            true => Ok(outcome?),
            false => Err(io::Error::other("a descriptor is left")),
        }
    })?;
    freezer.sleeps()?;
    let deadline = Instant::now() + Duration::from_secs(1);
    sleep_until(deadline);
    data.write_all(b"x").context("failed to write to a pipe")?;
    fails_with("FS_IOC_FREEZE_HOLD", freezer.outcome()?, Errno::ETIMEDOUT)?;
    stuck.outcome()?.context("the writer that was stuck")?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    fixture.step("the next freeze");
    is_active(&hold(&fs, HOUR)?)?;
    is_thawed(&fs)
}
