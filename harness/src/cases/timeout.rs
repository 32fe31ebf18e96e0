//! The deadline: what sets it, what moves it, what ends with it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::FileExt as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use super::deadline::{
    HOUR, SHORT, after, ends_at, freeze_for, has_no_file_hold, in_time, logged_at,
    logged_nothing_else, not_before, reset, stays_frozen_beyond,
};
use super::dm::{resume, succeeds, suspend};
use super::errors::is_privileged;
use super::{NEW, OLD, WRITTEN, Writer, fails_with, freeze, is_frozen, is_thawed, prepare, thaw};
use crate::bench::Bench;
use crate::case::Filesystem;
use crate::kmsg::Kmsg;
use crate::mapping::Mapping;
use crate::mount::Mount;
use crate::task::Actor;
use crate::{disk, dm, ioctl};

/// How often the program that rescues itself moves its deadline.
const RESETS: u32 = 3;

/// Numbers that are no timeout.
const REFUSED: [i64; 4] = [-1, i64::MIN, ioctl::TIMEOUT_MAX + 1, i64::MAX];

/// A request with a timeout, given by its address.
type Request = fn(RawFd, usize) -> Result<(), Errno>;

const FREEZE_TIMEOUT: (&str, Request) = ("FIFREEZE_TIMEOUT", ioctl::freeze_timeout);
const RESET_TIMEOUT: (&str, Request) = ("FIFREEZE_RESET_TIMEOUT", ioctl::reset_timeout);

pub fn thaws(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let ((writer, mut log), deadline) = in_time(bench, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        Ok((Writer::start(bench, &file)?, Kmsg::mark()?))
    })?;
    ends_at(bench, &fs, writer, deadline)?;
    let line = logged_at(bench, &mut log, deadline)?;
    let device = disk::by_serial(disk::SCRATCH[0])?;
    let name = device.file_name().context("a disk has a name")?;
    ensure!(
        line.contains(&*name.to_string_lossy()),
        "{} is not in {line:?}",
        device.display()
    );
    logged_nothing_else(&mut log)
}

pub fn reset_later(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let ((writer, later), _) = in_time(bench, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        let writer = Writer::start(bench, &file)?;
        let later = after(seconds + 1);
        reset(&fs, seconds + 1)?;
        Ok((writer, later))
    })?;
    ends_at(bench, &fs, writer, later)
}

pub fn reset_sooner(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    freeze_for(&fs, HOUR)?;
    let writer = Writer::start(bench, &file)?;
    let sooner = after(SHORT);
    reset(&fs, SHORT)?;
    ends_at(bench, &fs, writer, sooner)
}

pub fn reset_cancels(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let (writer, deadline) = in_time(bench, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        let writer = Writer::start(bench, &file)?;
        reset(&fs, 0)?;
        Ok(writer)
    })?;
    stays_frozen_beyond(bench, &fs, &writer, deadline)?;
    bench.step("who comes later with a deadline does not shorten that");
    let deadline = after(SHORT);
    freeze_for(&fs, SHORT)?;
    stays_frozen_beyond(bench, &fs, &writer, deadline)?;
    thaw(&fs)?;
    thaw(&fs).context("second hold")?;
    writer.completes(bench, &fs)
}

pub fn last_thaw_cancels(bench: &Bench) -> Result<()> {
    the_next_freeze_lasts(bench, thaw)
}

pub fn emergency_thaw_cancels(bench: &Bench) -> Result<()> {
    the_next_freeze_lasts(bench, |_| bench.emergency_thaw())
}

/// What ends the freeze ends its deadline, too: it does not end the next freeze.
fn the_next_freeze_lasts(bench: &Bench, end: impl Fn(&Mount) -> Result<()>) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let (mut log, deadline) = in_time(bench, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        end(&fs)?;
        freeze(&fs)?;
        Kmsg::mark()
    })?;
    let writer = Writer::start(bench, &file)?;
    stays_frozen_beyond(bench, &fs, &writer, deadline)?;
    logged_nothing_else(&mut log)?;
    thaw(&fs)?;
    writer.completes(bench, &fs)
}

pub fn never_shortens(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    the_latest_deadline_counts(bench, &fs)?;
    no_deadline_is_the_latest(bench, &fs)
}

fn the_latest_deadline_counts(bench: &Bench, fs: &Mount) -> Result<()> {
    let file = prepare(fs)?;
    let ((writer, latest), _) = in_time(bench, fs, |seconds| {
        freeze_for(fs, seconds)?;
        let latest = after(seconds + 1);
        freeze_for(fs, seconds + 1).context("a later one")?;
        freeze_for(fs, seconds).context("a sooner one")?;
        Ok((Writer::start(bench, &file)?, latest))
    })?;
    ends_at(bench, fs, writer, latest)
}

fn no_deadline_is_the_latest(bench: &Bench, fs: &Mount) -> Result<()> {
    let file = prepare(fs)?;
    freeze(fs)?;
    let writer = Writer::start(bench, &file)?;
    let deadline = after(SHORT);
    freeze_for(fs, SHORT)?;
    stays_frozen_beyond(bench, fs, &writer, deadline)?;
    thaw(fs)?;
    thaw(fs).context("second hold")?;
    writer.completes(bench, fs)
}

pub fn ends_all_file_holds(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let ((writer, latest), _) = in_time(bench, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        freeze(&fs)?;
        let latest = after(seconds);
        freeze_for(&fs, seconds)?;
        thaw(&fs).context("not the last")?;
        Ok((Writer::start(bench, &file)?, latest))
    })?;
    ends_at(bench, &fs, writer, latest)
}

/// While the device is suspended, every ioctl is made through [`Bench::returns`].
pub fn leaves_device_hold(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let file = prepare(&fs)?;
    suspend(bench, &dm)?;
    let writer = Writer::start(bench, &file)?;
    let mut log = Kmsg::mark()?;
    let deadline = after(SHORT);
    succeeds(bench, "FIFREEZE_TIMEOUT", || fs.freeze_timeout(SHORT))?;
    logged_at(bench, &mut log, deadline)?;
    let thaw = bench.returns("FITHAW", || fs.thaw())?;
    fails_with("FITHAW after the deadline", thaw, Errno::EINVAL)?;
    let reset = bench.returns("FIFREEZE_RESET_TIMEOUT", || fs.reset_timeout(SHORT))?;
    fails_with("reset after the deadline", reset, Errno::EINVAL)?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    resume(bench, &dm)?;
    writer.completes(bench, &fs)
}

/// The use that the timeout was made for.
pub fn rescues_itself(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let mut time = Duration::from_secs(SHORT.unsigned_abs());
    let rescue = loop {
        bench.step(&format!("freeze for {time:?} again and again, then write"));
        let rescue = Instant::now() + time / 2 * RESETS + time;
        let freezer = bench.actor("freezer", || freeze_and_write(&fs, &file, time))?;
        match freezer.outcome()? {
            Err(Errno::ETIME) => time *= 2,
            outcome => break outcome.map(|()| rescue),
        }
        fs.thaw_fully()?;
    };
    not_before(rescue.context("the freezer")?)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    fs.holds(WRITTEN, &NEW)
}

/// Moves the deadline whenever half of the time is over, and then forgets that
/// the filesystem is frozen. `ETIME` if the machine is too slow.
fn freeze_and_write(fs: &Mount, file: &File, time: Duration) -> io::Result<()> {
    let seconds = i64::try_from(time.as_secs()).map_err(io::Error::other)?;
    let mut deadline = Instant::now() + time;
    fs.freeze_timeout(seconds)?;
    for _ in 0..RESETS {
        sleep(time / 2);
        let next = Instant::now() + time;
        match fs.reset_timeout(seconds) {
            Err(_) if Instant::now() >= deadline => return Err(Errno::ETIME.into()),
            outcome => outcome?,
        }
        deadline = next;
    }
    file.write_all_at(&NEW, 0)
}

pub fn rescues_killed(bench: &Bench) -> Result<()> {
    rescues_from(bench, Signal::SIGKILL)
}

pub fn rescues_stopped(bench: &Bench) -> Result<()> {
    rescues_from(bench, Signal::SIGSTOP)
}

/// The freezer gets the signal once it has frozen.
fn rescues_from(bench: &Bench, signal: Signal) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let (writer, deadline) = in_time(bench, &fs, |seconds| {
        let freezer = bench.actor("freezer", || {
            fs.freeze_timeout(seconds)?;
            Ok(raise(signal)?)
        })?;
        has_got(&freezer, signal)?;
        Writer::start(bench, &file)
    })?;
    ends_at(bench, &fs, writer, deadline)
}

/// Returns when the signal has ended or stopped the process.
pub(super) fn has_got(actor: &Actor, signal: Signal) -> Result<()> {
    // The bench collects it in the end.
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
    match waitid(Id::Pid(actor.pid()), flags).context("failed to wait for an actor")? {
        WaitStatus::Signaled(_, by, _) | WaitStatus::Stopped(_, by) if by == signal => Ok(()),
        status => bail!("not {signal}, but {status:?}"),
    }
}

pub fn unmount_pending(bench: &Bench) -> Result<()> {
    let device = disk::by_serial(disk::SCRATCH[0])?;
    let fs = bench.scratch()?;
    drop(prepare(&fs)?);
    let deadline = after(SHORT);
    freeze_for(&fs, SHORT)?;
    bench.unmount(fs)?;
    bench.step("wait until nobody uses the device");
    disk::until_unused(&device, bench.patience())?;
    not_before(deadline)?;
    bench.step("fsck");
    disk::check(bench.filesystem(), &device)?;
    let fs = bench.mount(&device, MsFlags::empty(), "")?;
    fs.holds(WRITTEN, &OLD)?;
    fs.write(WRITTEN, &NEW).map(drop)
}

pub fn read_only_mount(bench: &Bench) -> Result<()> {
    bench.unmount(bench.scratch()?)?;
    let device = disk::by_serial(disk::SCRATCH[0])?;
    let fs = bench.mount(&device, MsFlags::MS_RDONLY, "")?;
    let (mut log, deadline) = in_time(bench, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        is_frozen(&fs)?;
        Kmsg::mark()
    })?;
    logged_at(bench, &mut log, deadline)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    bench.step("remount writable");
    fs.remount(MsFlags::empty())
        .context("remount after the deadline")?;
    prepare(&fs).map(drop)
}

/// Read-only: ext3 writes nothing at the thaw, and has nothing to complain of.
pub fn device_gone(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let sectors = disk::sectors(&disk::by_serial(disk::SCRATCH[0])?)?;
    if bench.filesystem() == Filesystem::Ext3 {
        fs.remount(MsFlags::MS_RDONLY).context("remount")?;
    }
    freeze_for(&fs, HOUR)?;
    bench.step("the device fails");
    dm.replace(&dm::error(sectors))?;
    let mut log = Kmsg::mark()?;
    let deadline = after(SHORT);
    reset(&fs, SHORT)?;
    logged_at(bench, &mut log, deadline)?;
    has_no_file_hold(&fs)?;
    bench.unmount(fs)
}

/// The writer may fail: on what does not matter, as long as it does not hang.
pub fn device_gone_writable(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let sectors = disk::sectors(&disk::by_serial(disk::SCRATCH[0])?)?;
    let file = prepare(&fs)?;
    freeze_for(&fs, HOUR)?;
    let writer = Writer::start(bench, &file)?;
    bench.step("the device fails");
    dm.replace(&dm::error(sectors))?;
    writer.is_blocked()?;
    let mut log = Kmsg::mark()?;
    let deadline = after(SHORT);
    reset(&fs, SHORT)?;
    logged_at(bench, &mut log, deadline)?;
    bench.step("the writer ends");
    let outcome = writer.actor.outcome()?;
    bench.step(&format!("it ended with {outcome:?}"));
    has_no_file_hold(&fs)?;
    drop(file);
    bench.unmount(fs)
}

pub fn values(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    bench.step("without a freeze");
    are_refused(FREEZE_TIMEOUT, &fs)?;
    are_refused(RESET_TIMEOUT, &fs)?;
    is_thawed(&fs)?;
    for seconds in [0, 1, ioctl::TIMEOUT_MAX] {
        let outcome = fs.reset_timeout(seconds);
        fails_with("reset without a hold", outcome, Errno::EINVAL)?;
    }
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    long_timeouts(bench, &fs)?;
    one_second(bench, &fs)?;
    refused_while_frozen(bench, &fs)
}

/// 0 is no deadline, and the largest is far away.
fn long_timeouts(bench: &Bench, fs: &Mount) -> Result<()> {
    for seconds in [0, ioctl::TIMEOUT_MAX] {
        let file = prepare(fs)?;
        freeze_for(fs, seconds)?;
        let writer = Writer::start(bench, &file)?;
        reset(fs, seconds)?;
        writer.is_blocked()?;
        thaw(fs)?;
        writer.completes(bench, fs)?;
        has_no_file_hold(fs)?;
    }
    Ok(())
}

fn one_second(bench: &Bench, fs: &Mount) -> Result<()> {
    let mut log = Kmsg::mark()?;
    let deadline = after(1);
    freeze_for(fs, 1)?;
    logged_at(bench, &mut log, deadline)?;
    has_no_file_hold(fs)
}

fn refused_while_frozen(bench: &Bench, fs: &Mount) -> Result<()> {
    let file = prepare(fs)?;
    let (writer, deadline) = in_time(bench, fs, |seconds| {
        freeze_for(fs, seconds)?;
        are_refused(FREEZE_TIMEOUT, fs)?;
        are_refused(RESET_TIMEOUT, fs)?;
        Writer::start(bench, &file)
    })?;
    ends_at(bench, fs, writer, deadline)
}

fn are_refused((what, request): (&str, Request), fs: &Mount) -> Result<()> {
    for seconds in REFUSED {
        let outcome = request(fs.fd(), ioctl::address(&seconds));
        fails_with(&format!("{what} {seconds}"), outcome, Errno::EINVAL)?;
    }
    Ok(())
}

pub fn pointers(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    bench.step("without a freeze");
    cannot_be_read(FREEZE_TIMEOUT, &fs)?;
    is_thawed(&fs)?;
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    let (writer, deadline) = in_time(bench, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        cannot_be_read(FREEZE_TIMEOUT, &fs)?;
        cannot_be_read(RESET_TIMEOUT, &fs)?;
        Writer::start(bench, &file)
    })?;
    ends_at(bench, &fs, writer, deadline)?;
    // In a section that is mapped without the right to write.
    static READ_ONLY: i64 = HOUR;
    for (what, request) in [FREEZE_TIMEOUT, RESET_TIMEOUT] {
        request(fs.fd(), ioctl::address(&READ_ONLY))
            .with_context(|| format!("{what} from read-only memory"))?;
        is_frozen(&fs)?;
    }
    thaw(&fs)?;
    is_thawed(&fs)
}

fn cannot_be_read((what, request): (&str, Request), fs: &Mount) -> Result<()> {
    let (_memory, half) = Mapping::ending_with(&[0; size_of::<i64>() / 2])?;
    for (which, address) in [
        ("a null pointer", 0),
        // Below what any process can map (/proc/sys/vm/mmap_min_addr).
        ("a small number", size_of::<i64>()),
        (
            "an address of the kernel",
            usize::MAX - size_of::<i64>() + 1,
        ),
        ("half a number", half),
    ] {
        let outcome = request(fs.fd(), address);
        fails_with(&format!("{what} with {which}"), outcome, Errno::EFAULT)?;
    }
    Ok(())
}

pub fn permissions(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    freeze(&fs)?;
    for (what, request) in [FREEZE_TIMEOUT, RESET_TIMEOUT] {
        is_privileged(bench, what, || request(fs.fd(), ioctl::address(&HOUR)))?;
        let null = format!("{what} with a null pointer");
        is_privileged(bench, &null, || request(fs.fd(), 0))?;
    }
    thaw(&fs)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    let tmpfs = File::open("/run").context("failed to open /run")?;
    let (fd, hour) = (tmpfs.as_raw_fd(), ioctl::address(&HOUR));
    let freeze = ioctl::freeze_timeout(fd, hour);
    fails_with("FIFREEZE_TIMEOUT of a tmpfs", freeze, Errno::EOPNOTSUPP)?;
    let reset = ioctl::reset_timeout(fd, hour);
    fails_with("FIFREEZE_RESET_TIMEOUT of a tmpfs", reset, Errno::EINVAL)
}
