//! The programs that people freeze with.

use std::process::Command;

use anyhow::{Result, bail};

use crate::case::Case;
use crate::devices::tools;
use crate::fixture::{Fixture, skip};
use crate::kit::snapshot::snapshot_is_good;
use crate::kit::state::{freeze, thaw};
use crate::kit::writer::{Writer, holds_old, prepare};
use crate::linux::program;
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "program_fsfreeze",
        "fsfreeze of util-linux freezes and thaws",
        fsfreeze,
    ),
    Case::new(
        "program_xfs_freeze",
        "xfs_freeze of xfsprogs freezes and thaws",
        xfs_freeze,
    ),
    Case::new(
        "program_lvcreate_snapshot",
        "lvcreate -s while frozen takes a snapshot with a clean filesystem",
        lvcreate_snapshot,
    )
    .needing(Feature::DeviceHolds),
];

/// Mebibytes: mkfs.xfs wants 300 at least, both disks have 1024 together.
const ORIGIN: u32 = 320;
const SNAPSHOT: u32 = 64;

/// As the programs say it in the locale C.
const EINVAL: &str = "Invalid argument";

fn fsfreeze(fixture: &Fixture) -> Result<()> {
    freezes_and_thaws(fixture, "fsfreeze")
}

fn xfs_freeze(fixture: &Fixture) -> Result<()> {
    freezes_and_thaws(fixture, "xfs_freeze")
}

/// Both programs take `-f` and `-u` and a mount point.
fn freezes_and_thaws(fixture: &Fixture, program: &str) -> Result<()> {
    if !tools::exists(program) {
        return skip(format!("{program} is not installed"));
    }
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let run = |option: &str| {
        fixture.step(&format!("{program} {option}"));
        program::run(Command::new(program).arg(option).arg(fs.root()))
    };
    run("-f")?;
    let writer = Writer::start(fixture, &file)?;
    run("-u")?;
    writer.completes(fixture, &fs)?;
    match run("-u") {
        Ok(_) => bail!("{program} -u works although nothing is frozen"),
        Err(error) if error.to_string().contains(EINVAL) => Ok(()),
        Err(error) => Err(error.context("-u of what is not frozen must fail with EINVAL")),
    }
}

fn lvcreate_snapshot(fixture: &Fixture) -> Result<()> {
    if !tools::exists("lvcreate") {
        return skip("lvcreate is not installed");
    }
    fixture.can_copy()?;
    fixture.step("vgcreate and lvcreate");
    let group = fixture.volume_group("freeze")?;
    let fs = fixture.fresh(&group.volume("origin", ORIGIN)?)?;
    let file = prepare(&fs)?;
    freeze(&fs)?;
    let writer = Writer::start(fixture, &file)?;
    fixture.step("lvcreate -s");
    let snapshot = group.snapshot("origin", "copy", SNAPSHOT)?;
    writer.is_blocked()?;
    thaw(&fs)?;
    writer.completes(fixture, &fs)?;
    snapshot_is_good(fixture, &snapshot, holds_old)
}
