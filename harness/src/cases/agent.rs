//! The real qemu-ga, which may meet a filesystem once for each of its mounts.
//!
//! Before 10.0 it freezes once for each mount; since then it skips bind mounts, and
//! freezes a filesystem once (QEMU's qga/commands-linux.c). Both are right. So the cases
//! take the agent's word for how many holds it has, and look whether it has just those.
//!
//! Freezing, it counts how often `FIFREEZE` worked, and takes `EBUSY` for fine.
//! Thawing, it repeats `FITHAW` until that fails, at the first mount for all of them.

use std::fs::File;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::devices::tools;
use crate::fixture::agent::{Agent, PROGRAM};
use crate::fixture::{Fixture, Skip};
use crate::kit::device::{resume, scratch_with_device, suspend};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "program_qemu_ga",
        "qemu-ga freezes what is mounted three times, beside another freezer, and thaws it",
        freezes_and_thaws,
    )
    .needing(Feature::Nesting),
    Case::new(
        "program_qemu_ga_foreign_hold",
        "qemu-ga thaws until that fails, and leaves the file hold of another",
        foreign_hold,
    )
    .needing(Feature::Nesting),
    Case::new(
        "program_qemu_ga_device_hold",
        "qemu-ga freezes and thaws while device-mapper holds, which keeps its hold",
        device_hold,
    )
    .needing(Feature::Nesting),
];

/// Bind mounts beside the first mount.
const BINDS: [&str; 2] = ["bind-1", "bind-2"];

/// A filesystem by each of its mounts, the first of them first; never empty.
struct Mounts(Vec<Mount>);

/// A file of each mount, for a [`Writer`].
struct Files(Vec<File>);

impl Mounts {
    fn of(fixture: &Fixture, fs: Mount) -> Result<Mounts> {
        let mut mounts = vec![fs];
        for name in BINDS {
            mounts.push(fixture.bind(&mounts[0], name)?);
        }
        Ok(Mounts(mounts))
    }

    fn fs(&self) -> &Mount {
        &self.0[0]
    }

    fn prepare(&self) -> Result<Files> {
        self.0.iter().map(prepare).collect::<Result<_>>().map(Files)
    }

    fn let_complete(&self, fixture: &Fixture, writers: Vec<Writer<'_>>) -> Result<()> {
        let mut pairs = writers.into_iter().zip(&self.0);
        pairs.try_for_each(|(writer, mount)| writer.completes(fixture, mount))
    }
}

impl Files {
    fn start_writers(&self, fixture: &Fixture) -> Result<Vec<Writer<'_>>> {
        let files = self.0.iter();
        files.map(|file| Writer::start(fixture, file)).collect()
    }
}

fn start(fixture: &Fixture) -> Result<Agent> {
    if !tools::exists(PROGRAM) {
        return Err(Skip(format!("{PROGRAM} is not installed")).into());
    }
    Agent::start(fixture)
}

/// How the holds of the agent end, of which there are so many.
type End = fn(&Fixture, &mut Agent, &Mounts, u32) -> Result<()>;

fn freezes_and_thaws(fixture: &Fixture) -> Result<()> {
    let mounts = Mounts::of(fixture, fixture.scratch()?)?;
    let mut agent = start(fixture)?;
    let ends: [End; 2] = [by_the_agent, by_hand];
    for end in ends {
        let files = mounts.prepare()?;
        says(&mut agent, "thawed")?;
        let holds = freezes(fixture, &mut agent, &mounts)?;
        says(&mut agent, "frozen")?;
        let writers = files.start_writers(fixture)?;
        another_freezer(mounts.fs())?;
        are_blocked(&writers)?;
        end(fixture, &mut agent, &mounts, holds)?;
        says(&mut agent, "thawed")?;
        mounts.let_complete(fixture, writers)?;
        has_no_hold(mounts.fs())?;
    }
    Ok(())
}

fn by_the_agent(fixture: &Fixture, agent: &mut Agent, _: &Mounts, _: u32) -> Result<()> {
    thaws(fixture, agent)
}

/// Shows that the agent has as many holds as it says. There is nothing left for it then.
fn by_hand(fixture: &Fixture, agent: &mut Agent, mounts: &Mounts, holds: u32) -> Result<()> {
    fixture.step(&format!("FITHAW of what qemu-ga holds: {holds}"));
    let fs = mounts.fs();
    for hold in 1..=holds {
        is_frozen(fs).with_context(|| format!("before FITHAW {hold} of {holds}"))?;
        let rescuer = fs.again()?;
        thaw(&rescuer).with_context(|| format!("FITHAW {hold} of {holds}"))?;
    }
    is_thawed(fs)?;
    let thawed = agent.thaw()?;
    ensure!(thawed == 0, "thawed {thawed} filesystems of none");
    Ok(())
}

/// It comes and goes beside the agent, if holds are counted.
fn another_freezer(fs: &Mount) -> Result<()> {
    let own = fs.again()?;
    freeze(&own).context("beside the agent")?;
    thaw(&own).context("beside the agent")?;
    is_frozen(fs)
}

/// The agent thaws through another file than it froze through. It finds the holds that it left behind, one for each
/// file that it opens (Documentation/filesystems/freeze.rst).
fn foreign_hold(fixture: &Fixture) -> Result<()> {
    let mounts = Mounts::of(fixture, fixture.scratch()?)?;
    let files = mounts.prepare()?;
    let mut agent = start(fixture)?;
    freeze(mounts.fs())?;
    let writers = files.start_writers(fixture)?;
    freezes(fixture, &mut agent, &mounts)?;
    are_blocked(&writers)?;
    thaws(fixture, &mut agent)?;
    are_blocked(&writers)?;
    thaw(mounts.fs()).context("of the other freezer")?;
    mounts.let_complete(fixture, writers)?;
    has_no_hold(mounts.fs())
}

fn device_hold(fixture: &Fixture) -> Result<()> {
    let (fs, dm) = scratch_with_device(fixture)?;
    let mounts = Mounts::of(fixture, fs)?;
    let files = mounts.prepare()?;
    let mut agent = start(fixture)?;
    suspend(fixture, &dm)?;
    let writers = files.start_writers(fixture)?;
    freezes(fixture, &mut agent, &mounts)?;
    thaws(fixture, &mut agent)?;
    are_blocked(&writers)?;
    is_frozen(mounts.fs())?;
    resume(fixture, &dm)?;
    mounts.let_complete(fixture, writers)?;
    has_no_hold(mounts.fs())
}

/// The scratch filesystem, and nothing else: not the root. Returns how many holds the agent says it has.
fn freezes(fixture: &Fixture, agent: &mut Agent, mounts: &Mounts) -> Result<u32> {
    fixture.step("guest-fsfreeze-freeze");
    let (holds, most) = (agent.freeze()?, mounts.0.len());
    fixture.step(&format!("holds of qemu-ga: {holds}"));
    let possible = (1..=most).contains(&usize::try_from(holds)?);
    ensure!(possible, "holds of qemu-ga: {holds}, not 1 to {most}");
    is_frozen(mounts.fs())?;
    Ok(holds)
}

/// One filesystem, however often it is mounted.
fn thaws(fixture: &Fixture, agent: &mut Agent) -> Result<()> {
    fixture.step("guest-fsfreeze-thaw");
    let thawed = agent.thaw()?;
    ensure!(thawed == 1, "thawed {thawed} filesystems, not 1");
    Ok(())
}

fn are_blocked(writers: &[Writer<'_>]) -> Result<()> {
    writers.iter().try_for_each(Writer::is_blocked)
}

fn says(agent: &mut Agent, want: &str) -> Result<()> {
    let status = agent.status()?;
    ensure!(
        status == want,
        "guest-fsfreeze-status: {status}, not {want}"
    );
    Ok(())
}

fn has_no_hold(fs: &Mount) -> Result<()> {
    is_thawed(fs)?;
    fails_with("FITHAW", fs.thaw(), Errno::EINVAL)
}
