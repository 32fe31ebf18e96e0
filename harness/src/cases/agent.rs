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

use super::dm::{resume, suspend};
use super::{Writer, fails_with, freeze, is_frozen, is_thawed, prepare, thaw};
use crate::agent::{Agent, PROGRAM};
use crate::bench::{Bench, Skip};
use crate::mount::Mount;
use crate::program;

/// Bind mounts beside the first mount.
const BINDS: [&str; 2] = ["bind-1", "bind-2"];

/// A filesystem by each of its mounts, the first of them first; never empty.
struct Mounts(Vec<Mount>);

/// A file of each mount, for a [`Writer`].
struct Files(Vec<File>);

impl Mounts {
    fn of(bench: &Bench, fs: Mount) -> Result<Mounts> {
        let mut mounts = vec![fs];
        for name in BINDS {
            mounts.push(bench.bind(&mounts[0], name)?);
        }
        Ok(Mounts(mounts))
    }

    fn fs(&self) -> &Mount {
        &self.0[0]
    }

    fn prepare(&self) -> Result<Files> {
        self.0.iter().map(prepare).collect::<Result<_>>().map(Files)
    }

    fn let_complete(&self, bench: &Bench, writers: Vec<Writer<'_>>) -> Result<()> {
        let mut pairs = writers.into_iter().zip(&self.0);
        pairs.try_for_each(|(writer, mount)| writer.completes(bench, mount))
    }
}

impl Files {
    fn start_writers(&self, bench: &Bench) -> Result<Vec<Writer<'_>>> {
        let files = self.0.iter();
        files.map(|file| Writer::start(bench, file)).collect()
    }
}

fn start(bench: &Bench) -> Result<Agent> {
    if !program::exists(PROGRAM) {
        return Err(Skip(format!("{PROGRAM} is not installed")).into());
    }
    Agent::start(bench)
}

/// How the holds of the agent end, of which there are so many.
type End = fn(&Bench, &mut Agent, &Mounts, u32) -> Result<()>;

pub fn freezes_and_thaws(bench: &Bench) -> Result<()> {
    let mounts = Mounts::of(bench, bench.scratch()?)?;
    let mut agent = start(bench)?;
    let ends: [End; 2] = [by_the_agent, by_hand];
    for end in ends {
        let files = mounts.prepare()?;
        says(&mut agent, "thawed")?;
        let holds = freezes(bench, &mut agent, &mounts)?;
        says(&mut agent, "frozen")?;
        let writers = files.start_writers(bench)?;
        another_freezer(mounts.fs())?;
        are_blocked(&writers)?;
        end(bench, &mut agent, &mounts, holds)?;
        says(&mut agent, "thawed")?;
        mounts.let_complete(bench, writers)?;
        has_no_hold(mounts.fs())?;
    }
    Ok(())
}

fn by_the_agent(bench: &Bench, agent: &mut Agent, _: &Mounts, _: u32) -> Result<()> {
    thaws(bench, agent)
}

/// Shows that the agent has as many holds as it says. There is nothing left for it then.
fn by_hand(bench: &Bench, agent: &mut Agent, mounts: &Mounts, holds: u32) -> Result<()> {
    bench.step(&format!("FITHAW of what qemu-ga holds: {holds}"));
    let fs = mounts.fs();
    for hold in 1..=holds {
        is_frozen(fs).with_context(|| format!("before FITHAW {hold} of {holds}"))?;
        thaw(fs).with_context(|| format!("FITHAW {hold} of {holds}"))?;
    }
    is_thawed(fs)?;
    let thawed = agent.thaw()?;
    ensure!(thawed == 0, "thawed {thawed} filesystems of none");
    Ok(())
}

/// It comes and goes beside the agent, if holds are counted.
fn another_freezer(fs: &Mount) -> Result<()> {
    freeze(fs).context("beside the agent")?;
    thaw(fs).context("beside the agent")?;
    is_frozen(fs)
}

/// The agent cannot tell its own holds from those of others: this is how a
/// counting kernel is described to users (Documentation/filesystems/freeze.rst).
pub fn foreign_hold(bench: &Bench) -> Result<()> {
    let mounts = Mounts::of(bench, bench.scratch()?)?;
    let files = mounts.prepare()?;
    let mut agent = start(bench)?;
    freeze(mounts.fs())?;
    let writers = files.start_writers(bench)?;
    freezes(bench, &mut agent, &mounts)?;
    are_blocked(&writers)?;
    thaws(bench, &mut agent)?;
    mounts.let_complete(bench, writers)?;
    has_no_hold(mounts.fs())
}

pub fn device_hold(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let mounts = Mounts::of(bench, fs)?;
    let files = mounts.prepare()?;
    let mut agent = start(bench)?;
    suspend(bench, &dm)?;
    let writers = files.start_writers(bench)?;
    freezes(bench, &mut agent, &mounts)?;
    thaws(bench, &mut agent)?;
    are_blocked(&writers)?;
    is_frozen(mounts.fs())?;
    resume(bench, &dm)?;
    mounts.let_complete(bench, writers)?;
    has_no_hold(mounts.fs())
}

/// The scratch filesystem, and nothing else: not the root. Returns how many holds the agent says it has.
fn freezes(bench: &Bench, agent: &mut Agent, mounts: &Mounts) -> Result<u32> {
    bench.step("guest-fsfreeze-freeze");
    let (holds, most) = (agent.freeze()?, mounts.0.len());
    bench.step(&format!("holds of qemu-ga: {holds}"));
    let possible = (1..=most).contains(&usize::try_from(holds)?);
    ensure!(possible, "holds of qemu-ga: {holds}, not 1 to {most}");
    is_frozen(mounts.fs())?;
    Ok(holds)
}

/// One filesystem, however often it is mounted.
fn thaws(bench: &Bench, agent: &mut Agent) -> Result<()> {
    bench.step("guest-fsfreeze-thaw");
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
