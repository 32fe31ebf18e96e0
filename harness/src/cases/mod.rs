//! The cases. A case asserts every return code, and shows that writers are
//! blocked by the state of their tasks, never by time.

mod agent;
mod argument;
mod compat;
mod deadline;
mod descriptor;
mod dm;
mod emergency;
mod errors;
mod ext3;
mod nesting;
mod pressure;
mod programs;
mod races;
mod snapshots;
mod timeout;
mod writes;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::mount::MsFlags;

use crate::bench::Bench;
use crate::case::{Case, Feature, Filesystem};
use crate::fsck;
use crate::mount::Mount;
use crate::task::Actor;

/// A case that runs on every filesystem.
const fn case(name: &'static str, about: &'static str, run: fn(&Bench) -> Result<()>) -> Case {
    Case {
        name,
        about,
        filesystems: Filesystem::ALL,
        needs: None,
        complaints: &[],
        run,
    }
}

/// A case for kernels that provide this.
const fn needing(feature: Feature, case: Case) -> Case {
    Case {
        needs: Some(feature),
        ..case
    }
}

/// What a kernel is right to say when every request to a mapped device fails.
const DEVICE_GONE: &[&str] = &[
    "EXT4-fs error (device dm-",
    "EXT4-fs warning (device dm-",
    "): I/O error while writing superblock",
    "): Remounting filesystem read-only",
    "Aborting journal on device dm-",
    "JBD2: I/O error when updating journal superblock for dm-",
    "JBD2: Detected IO errors",
    "Buffer I/O error on dev dm-",
    "Buffer I/O error on device dm-",
    "): previous I/O error to superblock detected",
    "): Delayed block allocation failed for inode ",
    "): This should not happen!! Data will be lost",
    "): failed to convert unwritten extents to written extents",
    ": jbd2_start: ",
    ": writeback error on inode ",
    "): log I/O error -5",
    "): Metadata I/O Error (",
    "): Log I/O Error (",
    "): metadata I/O error in ",
    "): page discard on ",
    "): Failing async write on buffer block ",
    "): Filesystem has been shut down due to log error (",
    "): Please unmount the filesystem and rectify the problem(s)",
];

/// What it is right to say when the scratch filesystem is told to shut down.
const SHUT_DOWN: &[&str] = &[
    "): shut down requested (",
    "Aborting journal on device vd",
    "): User initiated shutdown received",
    "): Log I/O Error (",
    "): Please unmount the filesystem and rectify the problem(s)",
];

/// A case in which the kernel is right to complain in these words.
const fn complaining(complaints: &'static [&'static str], case: Case) -> Case {
    Case { complaints, ..case }
}

/// A case for the timeout.
const fn timed(name: &'static str, about: &'static str, run: fn(&Bench) -> Result<()>) -> Case {
    needing(Feature::Timeout, case(name, about, run))
}

/// A case for the ioctls of ext3, where a filesystem can be mounted as that.
const fn ext3(name: &'static str, about: &'static str, run: fn(&Bench) -> Result<()>) -> Case {
    Case {
        filesystems: &[Filesystem::Ext3],
        ..needing(Feature::Ext3Ioctl, case(name, about, run))
    }
}

/// Every case, in the order in which they run.
pub fn all() -> &'static [Case] {
    CASES
}

/// The case of this name.
pub fn find(name: &str) -> Option<&'static Case> {
    all().iter().find(|case| case.name == name)
}

const CASES: &[Case] = &[
    case(
        "writes_stop_write",
        "a frozen filesystem blocks write(2), and reads go on",
        writes::write,
    ),
    case(
        "writes_stop_fsync",
        "a write that an fsync follows is blocked, and durable after the thaw",
        writes::fsync,
    ),
    case(
        "writes_stop_create",
        "a frozen filesystem blocks the creation of a file",
        writes::create,
    ),
    case(
        "writes_stop_rename",
        "a frozen filesystem blocks rename(2)",
        writes::rename,
    ),
    case(
        "writes_stop_truncate",
        "a frozen filesystem blocks ftruncate(2)",
        writes::truncate,
    ),
    case(
        "writes_stop_mmap",
        "a frozen filesystem blocks a store to a clean page of a shared mapping",
        writes::mmap,
    ),
    case(
        "n_freezes_need_n_thaws",
        "five FIFREEZE need five FITHAW; a writer waits for the last",
        nesting::n_freezes_need_n_thaws,
    ),
    case(
        "concurrent_freezes",
        "16 processes freeze and thaw at the same instant, 100 times; only the last thaw thaws",
        nesting::concurrent_freezes,
    ),
    case(
        "freeze_read_only",
        "holds are counted on a read-only filesystem too",
        nesting::freeze_read_only,
    ),
    case(
        "remount_while_frozen_is_busy",
        "a remount fails with EBUSY until the last hold is gone",
        nesting::remount_while_frozen_is_busy,
    ),
    case(
        "emergency_thaw",
        "SysRq j releases all file holds at once",
        nesting::emergency_thaw,
    ),
    case(
        "descriptor_outlives_unmount",
        "FITHAW works on a descriptor after a lazy unmount, or through a new mount if that is as writable; else SysRq j",
        descriptor::outlives_unmount,
    ),
    complaining(
        SHUT_DOWN,
        case(
            "descriptor_outlives_shutdown",
            "FITHAW works on a descriptor after the filesystem has shut down, when open(2) is EIO",
            descriptor::outlives_shutdown,
        ),
    ),
    case(
        "dm_case_a",
        "dmsetup suspend, FIFREEZE, FITHAW, dmsetup resume",
        dm::case_a,
    ),
    case(
        "dm_case_b",
        "FIFREEZE, dmsetup suspend, dmsetup resume, FITHAW",
        dm::case_b,
    ),
    case(
        "dm_case_c",
        "dmsetup suspend, FIFREEZE, FITHAW; a second FITHAW is EINVAL at once",
        dm::case_c,
    ),
    case(
        "dm_thaw_cannot_steal",
        "FITHAW after dmsetup suspend is EINVAL and leaves device-mapper's hold alone",
        dm::thaw_cannot_steal,
    ),
    case(
        "dm_hold_outlives_thaw",
        "FIFREEZE, dmsetup suspend, FITHAW: frozen until dmsetup resume",
        dm::hold_outlives_thaw,
    ),
    case(
        "dm_snapshot_while_frozen",
        "a dm-snapshot taken while frozen holds a clean filesystem",
        dm::snapshot_while_frozen,
    ),
    case(
        "dm_emergency_thaw",
        "SysRq j while suspended releases all holds; dmsetup resume works, and freezing again",
        emergency::while_suspended,
    ),
    case(
        "snapshot_outside",
        "a copy that the host takes of the frozen disk is clean, with all that writers had completed",
        snapshots::outside,
    ),
    case(
        "snapshot_inside",
        "a dm-snapshot of the frozen device is clean, with all that writers had completed",
        snapshots::inside,
    ),
    case(
        "error_not_frozen",
        "FITHAW without a hold is EINVAL",
        errors::not_frozen,
    ),
    case(
        "error_no_capability",
        "both ioctls are EPERM without CAP_SYS_ADMIN in the superblock's user namespace",
        errors::no_capability,
    ),
    case(
        "error_cannot_freeze",
        "FIFREEZE is EOPNOTSUPP on tmpfs and proc",
        errors::cannot_freeze,
    ),
    case(
        "error_wrong_descriptor",
        "closed and O_PATH descriptors are EBADF; a pipe's or socket's filesystem cannot freeze",
        errors::wrong_descriptor,
    ),
    case(
        "error_full_counter",
        "65535 holds fit, the next is EBUSY, and 65535 thaws undo them",
        errors::full_counter,
    ),
    case(
        "program_fsfreeze",
        "fsfreeze of util-linux freezes and thaws",
        programs::fsfreeze,
    ),
    case(
        "program_xfs_freeze",
        "xfs_freeze of xfsprogs freezes and thaws",
        programs::xfs_freeze,
    ),
    case(
        "program_lvcreate_snapshot",
        "lvcreate -s while frozen takes a snapshot with a clean filesystem",
        programs::lvcreate_snapshot,
    ),
    case(
        "program_qemu_ga",
        "qemu-ga freezes what is mounted three times, beside another freezer, and thaws it",
        agent::freezes_and_thaws,
    ),
    case(
        "program_qemu_ga_foreign_hold",
        "qemu-ga thaws until nothing is left, so that the file holds of others go, too",
        agent::foreign_hold,
    ),
    case(
        "program_qemu_ga_device_hold",
        "qemu-ga freezes and thaws while device-mapper holds, which keeps its hold",
        agent::device_hold,
    ),
    timed(
        "timeout_thaws",
        "FIFREEZE_TIMEOUT ends by itself, not early, and the log says so once",
        timeout::thaws,
    ),
    timed(
        "timeout_reset_later",
        "FIFREEZE_RESET_TIMEOUT moves the deadline to later",
        timeout::reset_later,
    ),
    timed(
        "timeout_reset_sooner",
        "FIFREEZE_RESET_TIMEOUT moves the deadline to sooner",
        timeout::reset_sooner,
    ),
    timed(
        "timeout_reset_cancels",
        "FIFREEZE_RESET_TIMEOUT with 0 removes the deadline, also for who freezes later",
        timeout::reset_cancels,
    ),
    timed(
        "timeout_last_thaw_cancels",
        "the deadline of a freeze that was thawed does not end the next freeze",
        timeout::last_thaw_cancels,
    ),
    timed(
        "timeout_emergency_thaw_cancels",
        "the deadline of a freeze that SysRq j ended does not end the next freeze",
        timeout::emergency_thaw_cancels,
    ),
    timed(
        "timeout_never_shortens",
        "a second FIFREEZE_TIMEOUT may extend the first one's time, but not shorten it",
        timeout::never_shortens,
    ),
    timed(
        "timeout_ends_all_file_holds",
        "at the deadline all file holds go at once, whichever ioctl took them; a FITHAW before the last does not save them",
        timeout::ends_all_file_holds,
    ),
    timed(
        "timeout_leaves_device_hold",
        "after the deadline the hold of dmsetup suspend remains",
        timeout::leaves_device_hold,
    ),
    timed(
        "timeout_rescues_itself",
        "a program that keeps resetting the timeout, and then writes to what it froze, comes free",
        timeout::rescues_itself,
    ),
    timed(
        "timeout_rescues_killed",
        "the deadline ends the freeze of a program that was killed",
        timeout::rescues_killed,
    ),
    timed(
        "timeout_rescues_stopped",
        "the deadline ends the freeze of a program that was stopped",
        timeout::rescues_stopped,
    ),
    timed(
        "timeout_rescues_swapped_out",
        "the deadline ends the freeze of a program that was swapped out, while memory is short",
        pressure::rescues_swapped_out,
    ),
    timed(
        "timeout_unmount_pending",
        "a filesystem that was unmounted while frozen is gone at the deadline, clean",
        timeout::unmount_pending,
    ),
    timed(
        "timeout_read_only_mount",
        "the deadline ends the freeze of a read-only filesystem",
        timeout::read_only_mount,
    ),
    complaining(
        DEVICE_GONE,
        timed(
            "timeout_device_gone",
            "the deadline ends the freeze of a filesystem whose device fails, and it can be unmounted",
            timeout::device_gone,
        ),
    ),
    complaining(
        DEVICE_GONE,
        timed(
            "timeout_device_gone_writable",
            "the deadline lets a writer go whose device has failed, and it can be unmounted",
            timeout::device_gone_writable,
        ),
    ),
    timed(
        "timeout_values",
        "0 to 0x7fffffff are timeouts, all else is EINVAL and changes nothing",
        timeout::values,
    ),
    timed(
        "timeout_pointers",
        "a timeout that cannot be read is EFAULT and changes nothing; it is only read",
        timeout::pointers,
    ),
    timed(
        "timeout_permissions",
        "EPERM comes before EFAULT; tmpfs is EOPNOTSUPP",
        timeout::permissions,
    ),
    timed(
        "timeout_races",
        "deadlines of 16 filesystems pass while others freeze, thaw, reset, remount and write",
        races::requests,
    ),
    timed(
        "timeout_races_unmount",
        "deadlines of 16 filesystems pass while they are unmounted",
        races::unmount,
    ),
    timed(
        "timeout_races_suspend",
        "deadlines of 16 filesystems pass while their devices are suspended and resumed",
        races::suspends,
    ),
    complaining(
        DEVICE_GONE,
        timed(
            "timeout_races_device_gone",
            "deadlines of 16 filesystems pass while their devices fail",
            races::fails,
        ),
    ),
    timed(
        "timeout_races_emergency_thaw",
        "deadlines of 16 filesystems pass while SysRq j thaws them",
        races::emergency_thaw,
    ),
    needing(
        Feature::Argument,
        case(
            "argument_ignored_by_default",
            "FIFREEZE does not look at its argument unless the sysctl says so",
            argument::ignored_by_default,
        ),
    ),
    needing(
        Feature::Argument,
        case(
            "argument_honoured",
            "with the sysctl on, FIFREEZE takes a timeout; 0, 1, NULL and an int 1 are none",
            argument::honoured,
        ),
    ),
    case(
        "freeze_compat",
        "FIFREEZE and FITHAW of a 32-bit program take and release the same holds",
        compat::freeze_and_thaw,
    ),
    timed(
        "timeout_compat",
        "both requests with a timeout work for a 32-bit program, which aligns its number less",
        compat::timeout,
    ),
    needing(
        Feature::Argument,
        case(
            "argument_compat",
            "with the sysctl on, FIFREEZE of a 32-bit program takes a long of 32 bits",
            compat::argument,
        ),
    ),
    ext3(
        "ext3_ioctl_freeze_and_thaw",
        "EXT3_IOC_FREEZE with 0 freezes until EXT3_IOC_THAW or FITHAW",
        ext3::freeze_and_thaw,
    ),
    ext3(
        "ext3_ioctl_timeout",
        "EXT3_IOC_FREEZE with a timeout ends by itself, not early",
        ext3::timeout,
    ),
    ext3(
        "ext3_ioctl_errors",
        "freezing the frozen, thawing the thawed and bad timeouts are EINVAL, bad pointers EFAULT",
        ext3::errors,
    ),
    ext3(
        "ext3_ioctl_no_capability",
        "both ioctls are EPERM without CAP_SYS_ADMIN in the superblock's user namespace",
        ext3::no_capability,
    ),
    ext3(
        "ext3_ioctl_device_hold",
        "both ioctls are EINVAL while dmsetup suspend holds",
        ext3::device_hold,
    ),
    ext3(
        "ext3_ioctl_compat",
        "both ioctls of a 32-bit program, which have numbers of their own, do the same",
        compat::ext3,
    ),
    needing(
        Feature::Ext3Ioctl,
        case(
            "ext3_ioctl_elsewhere",
            "both ioctls are ENOTTY on what is not mounted as ext3",
            ext3::elsewhere,
        ),
    ),
];

/// Fails unless the outcome is this error.
fn fails_with(what: &str, outcome: Result<(), Errno>, want: Errno) -> Result<()> {
    match outcome {
        Err(errno) if errno == want => Ok(()),
        Err(errno) => bail!("{what}: {errno}, not {want:?}"),
        Ok(()) => bail!("{what}: returned 0, not {want:?}"),
    }
}

fn freeze(fs: &Mount) -> Result<()> {
    fs.freeze().context("FIFREEZE")
}

fn thaw(fs: &Mount) -> Result<()> {
    fs.thaw().context("FITHAW")
}

fn is_frozen(fs: &Mount) -> Result<()> {
    ensure!(fs.is_frozen()?, "the filesystem is not frozen");
    Ok(())
}

fn is_thawed(fs: &Mount) -> Result<()> {
    ensure!(!fs.is_frozen()?, "the filesystem is still frozen");
    Ok(())
}

/// The file that a [`Writer`] writes to, and what it is before and after.
const WRITTEN: &str = "written";
const OLD: [u8; 4096] = [b'o'; 4096];
const NEW: [u8; 4096] = [b'n'; 4096];

/// A file prepared for a [`Writer`], before anything is frozen.
fn prepare(fs: &Mount) -> Result<File> {
    fs.write(WRITTEN, &OLD)
}

/// An actor that writes to a file and is held back by the freeze.
#[derive(Debug)]
struct Writer<'a> {
    actor: Actor,
    file: &'a File,
}

impl<'a> Writer<'a> {
    /// Starts it and returns when it is seen to be blocked.
    fn start(bench: &Bench, file: &'a File) -> Result<Writer<'a>> {
        bench.step("a writer starts and is blocked");
        // Into a cached page and without fsync: nothing but a freeze can
        // block it, no suspended device either.
        let actor = bench.actor("write", || file.write_all_at(&NEW, 0))?;
        let writer = Writer { actor, file };
        writer.is_blocked()?;
        Ok(writer)
    }

    fn is_blocked(&self) -> Result<()> {
        self.actor.blocked()
    }

    /// Waits for the end of the write, and reads what it wrote.
    fn completes(self, bench: &Bench, fs: &Mount) -> Result<()> {
        bench.step("the writer completes");
        let outcome = self.actor.outcome()?;
        outcome.context("the blocked write failed after the thaw")?;
        self.file
            .sync_all()
            .context("failed to sync what was written")?;
        fs.holds(WRITTEN, &NEW)
    }
}

/// A snapshot taken while frozen holds a clean filesystem and what it should,
/// with and without recovery.
fn snapshot_is_good(
    bench: &Bench,
    snapshot: &Path,
    holds: impl Fn(&Mount) -> Result<()>,
) -> Result<()> {
    // XFS also refuses two filesystems with one UUID.
    let (unrecovered, recovered) = match bench.filesystem() {
        Filesystem::Ext3 => ("noload", ""),
        Filesystem::Xfs => ("norecovery,nouuid", "nouuid"),
    };
    bench.step("fsck of the snapshot");
    fsck::is_clean_as_it_is(bench.filesystem(), snapshot)?;
    let fs = bench.mount(snapshot, MsFlags::MS_RDONLY, unrecovered)?;
    let held = holds(&fs);
    // The check at the end of the case is for filesystems that were recovered.
    bench.unmount(fs)?;
    held.context("in the snapshot, without recovery")?;
    let fs = bench.mount(snapshot, MsFlags::empty(), recovered)?;
    holds(&fs).context("in the snapshot, after recovery")
}

/// What was there before a [`Writer`] was blocked, and nothing of what came after.
fn holds_old(fs: &Mount) -> Result<()> {
    fs.holds(WRITTEN, &OLD)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_snake_case() {
        let mut seen = HashSet::new();
        for case in all() {
            assert!(seen.insert(case.name), "{} is there twice", case.name);
            let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(case.name.chars().all(snake), "{}", case.name);
        }
    }

    #[test]
    fn every_case_says_what_it_is_and_runs_somewhere() {
        for case in all() {
            assert!(
                !case.about.is_empty() && !case.filesystems.is_empty(),
                "{}",
                case.name
            );
        }
    }

    #[test]
    fn only_the_wanted_error_will_do() {
        assert!(fails_with("x", Err(Errno::EINVAL), Errno::EINVAL).is_ok());
        let other = fails_with("FITHAW", Err(Errno::EBUSY), Errno::EINVAL).unwrap_err();
        assert!(other.to_string().starts_with("FITHAW: EBUSY"), "{other}");
        let none = fails_with("FITHAW", Ok(()), Errno::EINVAL).unwrap_err();
        assert_eq!(none.to_string(), "FITHAW: returned 0, not EINVAL");
    }
}
