//! The kernel tree's daemon that freezes at the request of a host with Hyper-V, on real filesystems.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::mount::MsFlags;

use crate::case::Case;
use crate::devices::disk;
use crate::devices::mount::Mount;
use crate::fixture::hyperv::Daemon;
use crate::fixture::{Fixture, Skip};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::wire::Feature;
use crate::wire::storage::SCRATCH;

pub const CASES: &[Case] = &[
    Case::new(
        "program_hv_vss_daemon",
        "hv_vss_daemon freezes what is mounted, once or more often, and thaws it",
        freezes_and_thaws,
    ),
    Case::new(
        "program_hv_vss_daemon_mounts",
        "hv_vss_daemon thaws what it froze, whatever became of the mounts meanwhile",
        mounts_change,
    )
    .needing(Feature::HvVss),
    Case::new(
        "program_hv_vss_daemon_fails",
        "when one filesystem cannot be frozen, hv_vss_daemon thaws what it froze, and nothing else",
        fails,
    )
    .needing(Feature::HvVss),
];

/// A name as if of a device, and no such device.
const NOTHING: &str = "/dev/nothing";

fn start(fixture: &Fixture) -> Result<Daemon<'_>> {
    let reason = "the kernel tree has no hv_vss_daemon, or the guest has the root of the host";
    let skip = || Skip(reason.to_owned()).into();
    Daemon::start(fixture)?.ok_or_else(skip)
}

/// One is mounted twice, the other once, and then there may be one mount more.
struct Mounts {
    twice: Mount,
    bind: Option<Mount>,
    once: Mount,
    more: Option<Mount>,
}

const BIND: &str = "bind";
const MORE: &str = "more";

impl Mounts {
    fn new(fixture: &Fixture) -> Result<Mounts> {
        let twice = fixture.scratch()?;
        let bind = Some(fixture.bind(&twice, BIND)?);
        let once = fixture.fresh(&disk::by_serial(SCRATCH[1])?)?;
        Ok(Mounts {
            twice,
            bind,
            once,
            more: None,
        })
    }

    fn filesystems(&self) -> [&Mount; 2] {
        [&self.twice, &self.once]
    }

    fn unmount_bind(&mut self, fixture: &Fixture) -> Result<()> {
        let bind = self.bind.take().context("it is not mounted")?;
        fixture.unmount(bind)
    }

    fn mount_bind(&mut self, fixture: &Fixture) -> Result<()> {
        self.bind = Some(fixture.bind(&self.twice, BIND)?);
        Ok(())
    }

    fn make_read_only(&mut self, _: &Fixture) -> Result<()> {
        self.change_all(MsFlags::MS_RDONLY)
    }

    fn make_writable(&mut self, _: &Fixture) -> Result<()> {
        self.change_all(MsFlags::empty())
    }

    /// Of the mounts, not of the filesystems.
    fn change_all(&self, flags: MsFlags) -> Result<()> {
        let mut all = self.filesystems().into_iter().chain(&self.bind);
        all.try_for_each(|mount| mount.remount(MsFlags::MS_BIND | flags))
            .context("remount,bind")
    }

    fn cover(&mut self, fixture: &Fixture) -> Result<()> {
        let place = self.once.root().file_name().context("it has a name")?;
        self.more = Some(fixture.bind(&self.twice, place)?);
        Ok(())
    }

    fn add(&mut self, fixture: &Fixture) -> Result<()> {
        self.more = Some(fixture.bind(&self.twice, MORE)?);
        Ok(())
    }

    fn remove(&mut self, fixture: &Fixture) -> Result<()> {
        let more = self.more.take().context("it is not mounted")?;
        fixture.unmount(more)
    }
}

fn freezes(daemon: &mut Daemon<'_>) -> Result<()> {
    ensure!(daemon.freeze()?, "hv_vss_daemon could not freeze");
    Ok(())
}

fn thaws(daemon: &mut Daemon<'_>) -> Result<()> {
    ensure!(daemon.thaw()?, "hv_vss_daemon could not thaw");
    Ok(())
}

fn has_no_hold(fs: &Mount) -> Result<()> {
    is_thawed(fs)?;
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)
}

fn freezes_and_thaws(fixture: &Fixture) -> Result<()> {
    let mut daemon = start(fixture)?;
    let mounts = Mounts::new(fixture)?;
    freeze_and_thaw(fixture, &mut daemon, &mounts)?;
    freeze_and_thaw(fixture, &mut daemon, &mounts)
}

fn freeze_and_thaw(fixture: &Fixture, daemon: &mut Daemon<'_>, mounts: &Mounts) -> Result<()> {
    let filesystems = mounts.filesystems();
    let files: Vec<_> = filesystems
        .into_iter()
        .map(prepare)
        .collect::<Result<_>>()?;
    freezes(daemon)?;
    let writers = files.iter().map(|file| Writer::start(fixture, file));
    let writers: Vec<_> = writers.collect::<Result<_>>()?;
    thaws(daemon)?;
    for (writer, fs) in writers.into_iter().zip(filesystems) {
        writer.completes(fixture, fs)?;
        has_no_hold(fs)?;
    }
    Ok(())
}

type Act = fn(&mut Mounts, &Fixture) -> Result<()>;

/// What happens to mounts between freeze and thaw, and how it is undone.
const CHANGES: [(&str, Act, Act); 4] = [
    (
        "one of two mounts is gone",
        Mounts::unmount_bind,
        Mounts::mount_bind,
    ),
    (
        "all are read-only",
        Mounts::make_read_only,
        Mounts::make_writable,
    ),
    ("one is covered", Mounts::cover, Mounts::remove),
    ("there is one more", Mounts::add, Mounts::remove),
];

fn mounts_change(fixture: &Fixture) -> Result<()> {
    let mut daemon = start(fixture)?;
    let mut mounts = Mounts::new(fixture)?;
    for (what, change, undo) in CHANGES {
        freezes(&mut daemon)?;
        mounts.filesystems().into_iter().try_for_each(is_frozen)?;
        fixture.step(what);
        change(&mut mounts, fixture)?;
        thaws(&mut daemon)?;
        undo(&mut mounts, fixture)?;
        for fs in mounts.filesystems() {
            has_no_hold(fs).with_context(|| what.to_owned())?;
        }
    }
    Ok(())
}

fn fails(fixture: &Fixture) -> Result<()> {
    let mut daemon = start(fixture)?;
    let mounts = Mounts::new(fixture)?;
    let (fs, of_another) = (&mounts.twice, &mounts.once);
    freeze(of_another)?;
    let unable = fixture.in_memory(Path::new(NOTHING))?;
    let frozen = daemon.freeze()?;
    ensure!(!frozen, "hv_vss_daemon says that it has frozen a tmpfs");
    has_no_hold(fs)?;
    is_frozen(of_another)?;
    thaw(of_another)?;
    has_no_hold(of_another)?;
    fixture.unmount(unable)?;
    freeze_and_thaw(fixture, &mut daemon, &mounts)
}
