//! The real qemu-ga, which meets the same filesystem once for each of its mounts.
//!
//! Freezing, it counts how often `FIFREEZE` worked, and takes `EBUSY` for fine;
//! so its count tells whether holds are counted. Thawing, it repeats `FITHAW`
//! until that fails, at the first mount for all of them.

use anyhow::{Result, ensure};
use nix::errno::Errno;

use super::dm::{resume, suspend};
use super::{Writer, fails_with, freeze, is_frozen, is_thawed, prepare};
use crate::agent::{Agent, PROGRAM};
use crate::bench::{Bench, Skip};
use crate::mount::Mount;
use crate::program;

/// Bind mounts beside the first mount.
const BINDS: [&str; 2] = ["bind-1", "bind-2"];
const MOUNTS: u32 = 1 + BINDS.len() as u32;

fn start(bench: &Bench, fs: &Mount) -> Result<Agent> {
    if !program::exists(PROGRAM) {
        return Err(Skip(format!("{PROGRAM} is not installed")).into());
    }
    for name in BINDS {
        bench.bind(fs, name)?;
    }
    Agent::start(bench)
}

pub fn freezes_and_thaws(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let mut agent = start(bench, &fs)?;
    for _ in 0..2 {
        says(&mut agent, "thawed")?;
        freezes(bench, &mut agent)?;
        says(&mut agent, "frozen")?;
        let writer = Writer::start(bench, &file)?;
        thaws(bench, &mut agent)?;
        says(&mut agent, "thawed")?;
        writer.completes(bench, &fs)?;
        has_no_hold(&fs)?;
    }
    Ok(())
}

/// The agent cannot tell its own holds from those of others: this is how a
/// counting kernel is described to users (Documentation/filesystems/freeze.rst).
pub fn foreign_hold(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let mut agent = start(bench, &fs)?;
    freeze(&fs)?;
    let writer = Writer::start(bench, &file)?;
    freezes(bench, &mut agent)?;
    writer.is_blocked()?;
    thaws(bench, &mut agent)?;
    writer.completes(bench, &fs)?;
    has_no_hold(&fs)
}

pub fn device_hold(bench: &Bench) -> Result<()> {
    let (fs, dm) = bench.scratch_on_dm()?;
    let file = prepare(&fs)?;
    let mut agent = start(bench, &fs)?;
    suspend(bench, &dm)?;
    let writer = Writer::start(bench, &file)?;
    freezes(bench, &mut agent)?;
    thaws(bench, &mut agent)?;
    writer.is_blocked()?;
    is_frozen(&fs)?;
    resume(bench, &dm)?;
    writer.completes(bench, &fs)?;
    has_no_hold(&fs)
}

/// Every mount of the scratch filesystem, and nothing else: not the root.
fn freezes(bench: &Bench, agent: &mut Agent) -> Result<()> {
    bench.step("guest-fsfreeze-freeze");
    let holds = agent.freeze()?;
    ensure!(holds == MOUNTS, "{holds} holds, not {MOUNTS}");
    Ok(())
}

/// Once, as nothing is left for the other mounts.
fn thaws(bench: &Bench, agent: &mut Agent) -> Result<()> {
    bench.step("guest-fsfreeze-thaw");
    let thawed = agent.thaw()?;
    ensure!(thawed == 1, "thawed {thawed} mounts, not 1");
    Ok(())
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
