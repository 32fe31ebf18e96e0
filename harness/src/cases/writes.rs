//! A frozen filesystem blocks whatever would change it, and nothing else.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result};

use super::{NEW, OLD, WRITTEN, freeze, prepare, thaw};
use crate::bench::Bench;
use crate::mapping::Mapping;
use crate::mount::Mount;

const BYSTANDER: &str = "bystander";
const RENAMED: &str = "renamed";

pub fn write(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    stops(
        bench,
        &fs,
        || file.write_all_at(&NEW, 0),
        Mount::is_old,
        Mount::is_new,
    )
}

/// No file can be dirty on a frozen filesystem, and syncing a clean one has
/// nothing to wait for: so the write belongs to the operation, and it is the
/// write that is blocked. That the data outlives a crash is not shown.
pub fn fsync(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let write_and_sync = || {
        file.write_all_at(&NEW, 0)?;
        file.sync_all()
    };
    stops(bench, &fs, write_and_sync, Mount::is_old, Mount::is_new)
}

pub fn create(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let path = fs.path(WRITTEN);
    let create = || File::create_new(&path).map(drop);
    stops(
        bench,
        &fs,
        create,
        |fs| fs.lacks(WRITTEN),
        |fs| fs.holds(WRITTEN, &[]),
    )
}

pub fn rename(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
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
    stops(bench, &fs, || fs::rename(&from, &to), untouched, renamed)
}

pub fn truncate(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
    let file = prepare(&fs)?;
    let half = OLD.len() / 2;
    let truncate = || file.set_len(half as u64);
    stops(bench, &fs, truncate, Mount::is_old, |fs| {
        fs.holds(WRITTEN, &OLD[..half])
    })
}

pub fn mmap(bench: &Bench) -> Result<()> {
    let fs = bench.scratch()?;
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
    stops(bench, &fs, store, Mount::is_old, Mount::is_new)
}

impl Mount {
    fn is_old(&self) -> Result<()> {
        self.holds(WRITTEN, &OLD)
    }

    fn is_new(&self) -> Result<()> {
        self.holds(WRITTEN, &NEW)
    }
}

/// Freezes, shows that `operation` is blocked and has had no effect while
/// reads go on, and that it completes after the thaw.
fn stops(
    bench: &Bench,
    fs: &Mount,
    operation: impl FnOnce() -> io::Result<()>,
    untouched: impl Fn(&Mount) -> Result<()>,
    done: impl Fn(&Mount) -> Result<()>,
) -> Result<()> {
    fs.write(BYSTANDER, &OLD)?;
    bench.step("freeze");
    freeze(fs)?;
    bench.step("the operation starts and is blocked");
    let actor = bench.actor("the operation", operation)?;
    actor.blocked()?;
    bench.step("reads go on");
    fs.holds(BYSTANDER, &OLD)?;
    untouched(fs).context("while frozen")?;
    actor.blocked()?;
    bench.step("thaw");
    thaw(fs)?;
    bench.step("the operation completes");
    actor
        .outcome()?
        .context("the operation failed after the thaw")?;
    done(fs).context("after the thaw")
}
