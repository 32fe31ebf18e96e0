//! System suspend while something is frozen. The kernel is told to go no further than the freezing of tasks.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::case::Case;
use crate::fixture::{Fixture, skip};
use crate::kit::deadline::{after, freeze_for, has_no_file_hold, logged_at};
use crate::kit::state::{freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::linux::kmsg::Kmsg;
use crate::linux::sysctl::Setting;
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "suspend_while_frozen",
        "system suspend and resume leave a frozen filesystem as it is, without a complaint",
        while_frozen,
    )
    .needing(Feature::Resume),
    Case::new(
        "suspend_across_a_deadline",
        "a deadline that comes while tasks are frozen is met after the resume",
        across_a_deadline,
    )
    .needing(Feature::Timeout),
];

/// Documentation/power/basic-pm-debugging.rst
const TEST: &str = "/sys/power/pm_test";
/// Whether filesystems are frozen, too; not on every kernel.
const FREEZE: &str = "/sys/power/freeze_filesystems";

/// Seconds: not over before the suspend, and over before its end, which takes 5 s.
const DEADLINE: i64 = 3;

/// Does something with filesystems that suspend freezes, and with such that it does not.
fn either_way(act: impl Fn() -> Result<()>) -> Result<()> {
    if !Path::new(TEST).exists() {
        return skip("the kernel cannot test system suspend");
    }
    let _test = Setting::change(TEST, "freezer")?;
    act()?;
    if !Path::new(FREEZE).exists() {
        return Ok(());
    }
    let _freeze = Setting::change(FREEZE, "1")?;
    act().context("with filesystems frozen by suspend")
}

fn suspend(fixture: &Fixture) -> Result<()> {
    fixture.step("system suspend");
    fs::write("/sys/power/state", "freeze").context("failed to suspend")
}

fn while_frozen(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    either_way(|| {
        freeze(&fs)?;
        suspend(fixture)?;
        is_frozen(&fs)?;
        thaw(&fs)?;
        is_thawed(&fs)?;
        suspend(fixture)?;
        // Nobody that waits for a thaw can be suspended.
        let file = prepare(&fs)?;
        freeze(&fs)?;
        let writer = Writer::start(fixture, &file)?;
        thaw(&fs)?;
        writer.completes(fixture, &fs)
    })
}

fn across_a_deadline(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    either_way(|| {
        let mut log = Kmsg::mark()?;
        let deadline = after(DEADLINE);
        freeze_for(&fs, DEADLINE)?;
        suspend(fixture)?;
        logged_at(fixture, &mut log, deadline)?;
        is_thawed(&fs)?;
        has_no_file_hold(&fs)
    })
}
