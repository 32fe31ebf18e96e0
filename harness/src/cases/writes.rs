//! A frozen filesystem blocks whatever would change it, and nothing else.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};

use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::state::{freeze, thaw};
use crate::kit::writer::{NEW, OLD, WRITTEN, holds_new, holds_old, prepare};
use crate::linux::mapping::Mapping;

pub const CASES: &[Case] = &[
    Case::new(
        "writes_stop_write",
        "a frozen filesystem blocks write(2), and reads go on",
        write,
    ),
    Case::new(
        "writes_stop_fsync",
        "a write that an fsync follows is blocked, and durable after the thaw",
        fsync,
    ),
    Case::new(
        "writes_stop_create",
        "a frozen filesystem blocks the creation of a file",
        create,
    ),
    Case::new(
        "writes_stop_rename",
        "a frozen filesystem blocks rename(2)",
        rename,
    ),
    Case::new(
        "writes_stop_truncate",
        "a frozen filesystem blocks ftruncate(2)",
        truncate,
    ),
    Case::new(
        "writes_stop_mmap",
        "a frozen filesystem blocks a store to a clean page of a shared mapping",
        mmap,
    ),
];

const BYSTANDER: &str = "bystander";
const RENAMED: &str = "renamed";

fn write(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    stops(
        fixture,
        &fs,
        || file.write_all_at(&NEW, 0),
        holds_old,
        holds_new,
    )
}

/// No file can be dirty on a frozen filesystem, and syncing a clean one has
/// nothing to wait for: so the write belongs to the operation, and it is the
/// write that is blocked. That the data outlives a crash is not shown.
fn fsync(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let write_and_sync = || {
        file.write_all_at(&NEW, 0)?;
        file.sync_all()
    };
    stops(fixture, &fs, write_and_sync, holds_old, holds_new)
}

fn create(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let path = fs.path(WRITTEN);
    let create = || File::create_new(&path).map(drop);
    stops(
        fixture,
        &fs,
        create,
        |fs| fs.lacks(WRITTEN),
        |fs| fs.holds(WRITTEN, &[]),
    )
}

fn rename(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    prepare(&fs)?;
    let (from, to) = (fs.path(WRITTEN), fs.path(RENAMED));
    let untouched = |fs: &Mount| {
        fs.holds(WRITTEN, &OLD)?;
        fs.lacks(RENAMED)
    };
    let renamed = |fs: &Mount| {
        fs.holds(RENAMED, &OLD)?;
        fs.lacks(WRITTEN)
    };
    stops(fixture, &fs, || fs::rename(&from, &to), untouched, renamed)
}

fn truncate(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let half = OLD.len() / 2;
    let truncate = || file.set_len(half as u64);
    stops(fixture, &fs, truncate, holds_old, |fs| {
        fs.holds(WRITTEN, &OLD[..half])
    })
}

fn mmap(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = prepare(&fs)?;
    let length = NonZeroUsize::new(OLD.len()).context("the file is not empty")?;
    let mut mapping = Mapping::new(&file, length)?;
    // Present and clean again, so that just the store itself can fault.
    mapping.fill(OLD[0]);
    mapping.sync()?;
    let store = || {
        mapping.fill(NEW[0]);
        Ok(())
    };
    stops(fixture, &fs, store, holds_old, holds_new)
}

/// Freezes, shows that `operation` is blocked and has had no effect while
/// reads go on, and that it completes after the thaw.
fn stops(
    fixture: &Fixture,
    fs: &Mount,
    operation: impl FnOnce() -> io::Result<()>,
    untouched: impl Fn(&Mount) -> Result<()>,
    done: impl Fn(&Mount) -> Result<()>,
) -> Result<()> {
    fs.write(BYSTANDER, &OLD)?;
    fixture.step("freeze");
    freeze(fs)?;
    fixture.step("the operation starts and is blocked");
    let actor = fixture.actor("the operation", operation)?;
    actor.blocked()?;
    fixture.step("reads go on");
    fs.holds(BYSTANDER, &OLD)?;
    untouched(fs).context("while frozen")?;
    actor.blocked()?;
    fixture.step("thaw");
    thaw(fs)?;
    fixture.step("the operation completes");
    actor
        .outcome()?
        .context("the operation failed after the thaw")?;
    done(fs).context("after the thaw")
}
