//! The programs that people freeze with.

use std::process::Command;

use anyhow::{Result, bail};

use super::{Writer, freeze, holds_old, prepare, snapshot_is_good, thaw};
use crate::bench::{Bench, skip};
use crate::program;

/// Mebibytes: mkfs.xfs wants 300 at least, both disks have 1024 together.
const ORIGIN: u32 = 320;
const SNAPSHOT: u32 = 64;

/// As the programs say it in the locale C.
const EINVAL: &str = "Invalid argument";

pub fn fsfreeze(bench: &Bench) -> Result<()> {
    freezes_and_thaws(bench, "fsfreeze")
}

pub fn xfs_freeze(bench: &Bench) -> Result<()> {
    freezes_and_thaws(bench, "xfs_freeze")
}

/// Both programs take `-f` and `-u` and a mount point.
fn freezes_and_thaws(bench: &Bench, program: &str) -> Result<()> {
    if !program::exists(program) {
        return skip(format!("{program} is not installed"));
    }
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let run = |option: &str| {
        bench.step(&format!("{program} {option}"));
        program::run(Command::new(program).arg(option).arg(fs.root()))
    };
    run("-f")?;
    let writer = Writer::start(bench, &file)?;
    run("-u")?;
    writer.completes(bench, &fs)?;
    match run("-u") {
        Ok(_) => bail!("{program} -u works although nothing is frozen"),
        Err(error) if error.to_string().contains(EINVAL) => Ok(()),
        Err(error) => Err(error.context("-u of what is not frozen must fail with EINVAL")),
    }
}

pub fn lvcreate_snapshot(bench: &Bench) -> Result<()> {
    if !program::exists("lvcreate") {
        return skip("lvcreate is not installed");
    }
    bench.step("vgcreate and lvcreate");
    let group = bench.volume_group("freeze")?;
    let fs = bench.fresh(&group.volume("origin", ORIGIN)?)?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    let writer = Writer::start(bench, &file)?;
    bench.step("lvcreate -s");
    let snapshot = group.snapshot("origin", "copy", SNAPSHOT)?;
    writer.is_blocked()?;
    thaw(&fs)?;
    writer.completes(bench, &fs)?;
    snapshot_is_good(bench, &snapshot, holds_old)
}
