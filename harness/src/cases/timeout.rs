//! The deadline: what sets it, what moves it, what ends with it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::FileExt as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sys::signal::{Signal, raise};

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::devices::{disk, dm, filesystem};
use crate::fixture::Fixture;
use crate::freeze::ioctl;
use crate::kit::complaints::DEVICE_GONE;
use crate::kit::deadline::{
    HOUR, SHORT, after, ends_at, freeze_for, has_no_file_hold, in_time, logged_at,
    logged_nothing_else, not_before, reset, stays_frozen_beyond,
};
use crate::kit::device::{resume, succeeds, suspend};
use crate::kit::privilege::is_privileged;
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{NEW, WRITTEN, Writer, holds_new, holds_old, prepare};
use crate::linux::kmsg::Kmsg;
use crate::linux::mapping::Mapping;
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
        "timeout_leaves_device_hold",
        "after the deadline the hold of dmsetup suspend remains",
        leaves_device_hold,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_rescues_itself",
        "a program that keeps resetting the timeout, and then writes to what it froze, comes free",
        rescues_itself,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_rescues_killed",
        "the deadline ends the freeze of a program that was killed",
        rescues_killed,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_rescues_stopped",
        "the deadline ends the freeze of a program that was stopped",
        rescues_stopped,
    )
    .needing(Feature::Timeout),
];

/// They run after those of `pressure`.
pub const LATER: &[Case] = &[
    Case::new(
        "timeout_unmount_pending",
        "a filesystem that was unmounted while frozen is gone at the deadline, clean",
        unmount_pending,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_read_only_mount",
        "the deadline ends the freeze of a read-only filesystem",
        read_only_mount,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_device_gone",
        "the deadline ends the freeze of a filesystem whose device fails, and it can be unmounted",
        device_gone,
    )
    .needing(Feature::Timeout)
    .complaining(DEVICE_GONE),
    Case::new(
        "timeout_device_gone_writable",
        "the deadline lets a writer go whose device has failed, and it can be unmounted",
        device_gone_writable,
    )
    .needing(Feature::Timeout)
    .complaining(DEVICE_GONE),
    Case::new(
        "timeout_values",
        "0 to 0x7fffffff are timeouts, all else is EINVAL and changes nothing",
        values,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_pointers",
        "a timeout that cannot be read is EFAULT and changes nothing; it is only read",
        pointers,
    )
    .needing(Feature::Timeout),
    Case::new(
        "timeout_permissions",
        "EPERM comes before EFAULT; tmpfs is EOPNOTSUPP",
        permissions,
    )
    .needing(Feature::Timeout),
];

/// How often the program that rescues itself moves its deadline.
const RESETS: u32 = 3;

/// Numbers that are no timeout.
const REFUSED: [i64; 4] = [-1, i64::MIN, ioctl::TIMEOUT_MAX + 1, i64::MAX];

/// A request with a timeout, given by its address.
type Call = fn(RawFd, usize) -> Result<(), Errno>;

const FREEZE_TIMEOUT: (&str, Call) = ("FIFREEZE_TIMEOUT", ioctl::freeze_timeout);
const RESET_TIMEOUT: (&str, Call) = ("FIFREEZE_RESET_TIMEOUT", ioctl::reset_timeout);

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
    has_no_file_hold(&fs)
}

/// While the device is suspended, every ioctl is made through [`Fixture::returns`].
fn leaves_device_hold(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = fixture.scratch_on_dm()?;
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

/// The use that the timeout was made for.
fn rescues_itself(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let mut time = Duration::from_secs(SHORT.unsigned_abs());
    let rescue = loop {
        fixture.step(&format!("freeze for {time:?} again and again, then write"));
        let rescue = Instant::now() + time / 2 * RESETS + time;
        let freezer = fixture.actor("freezer", || freeze_and_write(&fs, &file, time))?;
        match freezer.outcome()? {
            Err(Errno::ETIME) => time *= 2,
            outcome => break outcome.map(|()| rescue),
        }
        fs.thaw_fully()?;
    };
    not_before(rescue.context("the freezer")?)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    holds_new(&fs)
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

fn rescues_killed(fixture: &Fixture) -> Result<()> {
    rescues_from(fixture, Signal::SIGKILL)
}

fn rescues_stopped(fixture: &Fixture) -> Result<()> {
    rescues_from(fixture, Signal::SIGSTOP)
}

/// The freezer gets the signal once it has frozen.
fn rescues_from(fixture: &Fixture, signal: Signal) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let (writer, deadline) = in_time(fixture, &fs, |seconds| {
        let freezer = fixture.actor("freezer", || {
            fs.freeze_timeout(seconds)?;
            Ok(raise(signal)?)
        })?;
        freezer.has_got(signal)?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, &fs, writer, deadline)
}

fn unmount_pending(fixture: &Fixture) -> Result<()> {
    let device = disk::by_serial(SCRATCH[0])?;
    let fs = fixture.scratch()?;
    drop(prepare(&fs)?);
    let deadline = after(SHORT);
    freeze_for(&fs, SHORT)?;
    fixture.unmount(fs)?;
    fixture.step("wait until nobody uses the device");
    disk::until_unused(&device, fixture.patience())?;
    not_before(deadline)?;
    fixture.step("fsck");
    filesystem::check(fixture.filesystem(), &device)?;
    let fs = fixture.mount(&device, MsFlags::empty(), "")?;
    holds_old(&fs)?;
    fs.write(WRITTEN, &NEW).map(drop)
}

fn read_only_mount(fixture: &Fixture) -> Result<()> {
    fixture.unmount(fixture.scratch()?)?;
    let device = disk::by_serial(SCRATCH[0])?;
    let fs = fixture.mount(&device, MsFlags::MS_RDONLY, "")?;
    let (mut log, deadline) = in_time(fixture, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        is_frozen(&fs)?;
        Kmsg::mark()
    })?;
    logged_at(fixture, &mut log, deadline)?;
    is_thawed(&fs)?;
    has_no_file_hold(&fs)?;
    fixture.step("remount writable");
    fs.remount(MsFlags::empty())
        .context("remount after the deadline")?;
    prepare(&fs).map(drop)
}

/// Read-only, the filesystem writes nothing at the thaw, and has nothing to complain of.
fn device_gone(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = fixture.scratch_on_dm()?;
    let sectors = disk::sectors(&disk::by_serial(SCRATCH[0])?)?;
    if filesystem::of(fixture.filesystem()).thaw_writes {
        fs.remount(MsFlags::MS_RDONLY).context("remount")?;
    }
    freeze_for(&fs, HOUR)?;
    fixture.step("the device fails");
    dm.replace(&dm::error(sectors))?;
    let mut log = Kmsg::mark()?;
    let deadline = after(SHORT);
    reset(&fs, SHORT)?;
    logged_at(fixture, &mut log, deadline)?;
    has_no_file_hold(&fs)?;
    fixture.unmount(fs)
}

/// The writer may fail: on what does not matter, as long as it does not hang.
fn device_gone_writable(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = fixture.scratch_on_dm()?;
    let sectors = disk::sectors(&disk::by_serial(SCRATCH[0])?)?;
    let file = prepare(&fs)?;
    freeze_for(&fs, HOUR)?;
    let writer = Writer::start(fixture, &file)?;
    fixture.step("the device fails");
    dm.replace(&dm::error(sectors))?;
    writer.is_blocked()?;
    let mut log = Kmsg::mark()?;
    let deadline = after(SHORT);
    reset(&fs, SHORT)?;
    logged_at(fixture, &mut log, deadline)?;
    fixture.step("the writer ends");
    let outcome = writer.actor.outcome()?;
    fixture.step(&format!("it ended with {outcome:?}"));
    has_no_file_hold(&fs)?;
    drop(file);
    fixture.unmount(fs)
}

fn values(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    fixture.step("without a freeze");
    are_refused(FREEZE_TIMEOUT, &fs)?;
    are_refused(RESET_TIMEOUT, &fs)?;
    is_thawed(&fs)?;
    for seconds in [0, 1, ioctl::TIMEOUT_MAX] {
        let outcome = fs.reset_timeout(seconds);
        fails_with("reset without a hold", outcome, Errno::EINVAL)?;
    }
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    long_timeouts(fixture, &fs)?;
    one_second(fixture, &fs)?;
    refused_while_frozen(fixture, &fs)
}

/// 0 is no deadline, and the largest is far away.
fn long_timeouts(fixture: &Fixture, fs: &Mount) -> Result<()> {
    for seconds in [0, ioctl::TIMEOUT_MAX] {
        let file = prepare(fs)?;
        freeze_for(fs, seconds)?;
        let writer = Writer::start(fixture, &file)?;
        reset(fs, seconds)?;
        writer.is_blocked()?;
        thaw(fs)?;
        writer.completes(fixture, fs)?;
        has_no_file_hold(fs)?;
    }
    Ok(())
}

fn one_second(fixture: &Fixture, fs: &Mount) -> Result<()> {
    let mut log = Kmsg::mark()?;
    let deadline = after(1);
    freeze_for(fs, 1)?;
    logged_at(fixture, &mut log, deadline)?;
    has_no_file_hold(fs)
}

fn refused_while_frozen(fixture: &Fixture, fs: &Mount) -> Result<()> {
    let file = prepare(fs)?;
    let (writer, deadline) = in_time(fixture, fs, |seconds| {
        freeze_for(fs, seconds)?;
        are_refused(FREEZE_TIMEOUT, fs)?;
        are_refused(RESET_TIMEOUT, fs)?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, fs, writer, deadline)
}

fn are_refused((what, request): (&str, Call), fs: &Mount) -> Result<()> {
    for seconds in REFUSED {
        let outcome = request(fs.fd(), ioctl::address(&seconds));
        fails_with(&format!("{what} {seconds}"), outcome, Errno::EINVAL)?;
    }
    Ok(())
}

fn pointers(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    fixture.step("without a freeze");
    cannot_be_read(FREEZE_TIMEOUT, &fs)?;
    is_thawed(&fs)?;
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)?;
    let (writer, deadline) = in_time(fixture, &fs, |seconds| {
        freeze_for(&fs, seconds)?;
        cannot_be_read(FREEZE_TIMEOUT, &fs)?;
        cannot_be_read(RESET_TIMEOUT, &fs)?;
        Writer::start(fixture, &file)
    })?;
    ends_at(fixture, &fs, writer, deadline)?;
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

fn cannot_be_read((what, request): (&str, Call), fs: &Mount) -> Result<()> {
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

fn permissions(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    freeze(&fs)?;
    for (what, request) in [FREEZE_TIMEOUT, RESET_TIMEOUT] {
        is_privileged(fixture, what, || request(fs.fd(), ioctl::address(&HOUR)))?;
        let null = format!("{what} with a null pointer");
        is_privileged(fixture, &null, || request(fs.fd(), 0))?;
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
