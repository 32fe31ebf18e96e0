//! gfs2, which freezes a whole cluster, and so by a way of its own; here it is a cluster of one.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;

use crate::case::Case;
use crate::devices::dm::Dm;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::deadline::{HOUR, SHORT, after, freeze_for, has_no_file_hold, not_before, reset};
use crate::kit::device::{resume, scratch_with_device, suspend};
use crate::kit::state::{fails_with, freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::{Writer, prepare};
use crate::wire::{Feature, Filesystem};

pub const CASES: &[Case] = &[
    Case::new(
        "gfs2_whoever_thaws",
        "gfs2 can be written to, and frozen again, whoever has thawed it: FITHAW, its switch in sysfs, SysRq j",
        whoever_thaws,
    )
    .needing(Feature::Nesting)
    .only_on(&[Filesystem::Gfs2]),
    Case::new(
        "gfs2_deadline",
        "gfs2 can be written to, and frozen again, after a deadline",
        deadline,
    )
    .needing(Feature::Timeout)
    .only_on(&[Filesystem::Gfs2]),
    Case::new(
        "gfs2_nests",
        "holds of files, devices and the switch of gfs2 are counted, in any order",
        nests,
    )
    .needing(Feature::Nesting)
    .only_on(&[Filesystem::Gfs2]),
    Case::new(
        "gfs2_withdrawn",
        "a gfs2 that withdraws while it is frozen can be thawed: by FITHAW, its switch, SysRq j, and a deadline",
        withdrawn,
    )
    .needing(Feature::Timeout)
    .only_on(&[Filesystem::Gfs2])
    .complaining(&["gfs2: fsid="]),
];

/// A gfs2 that is mounted.
struct Gfs2 {
    fs: Mount,
    dm: Dm,
    /// Its switches (fs/gfs2/sys.c).
    sysfs: PathBuf,
}

impl Gfs2 {
    fn new(fixture: &Fixture) -> Result<Gfs2> {
        let (fs, dm) = scratch_with_device(fixture)?;
        Gfs2::of(fs, dm)
    }

    fn of(fs: Mount, dm: Dm) -> Result<Gfs2> {
        let mut all = fs::read_dir("/sys/fs/gfs2").context("gfs2 has no folder in sysfs")?;
        let own = all.next().context("no gfs2 is mounted")??;
        ensure!(all.next().is_none(), "more than one gfs2 is mounted");
        let sysfs = own.path();
        Ok(Gfs2 { fs, dm, sysfs })
    }

    /// 1 freezes, 0 thaws.
    fn switch(&self, fixture: &Fixture, value: &str) -> Result<()> {
        self.set(fixture, "freeze", value)
    }

    fn set(&self, fixture: &Fixture, name: &str, value: &str) -> Result<()> {
        let switch = self.sysfs.join(name);
        fixture.step(&format!("{value} to {}", switch.display()));
        fs::write(&switch, value).with_context(|| format!("failed to write to {name}"))
    }

    /// Frozen in this way, writers are held back until the other.
    fn holds_writers(
        &self,
        fixture: &Fixture,
        freezes: impl FnOnce() -> Result<()>,
        ends: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let file = prepare(&self.fs)?;
        freezes()?;
        let writer = Writer::start(fixture, &file)?;
        ends()?;
        writer.completes(fixture, &self.fs)?;
        fails_with("FITHAW", self.fs.thaw(), Errno::EINVAL)
    }
}

fn whoever_thaws(fixture: &Fixture) -> Result<()> {
    let gfs2 = Gfs2::new(fixture)?;
    let fs = &gfs2.fs;
    for round in 0..2 {
        fixture.step(&format!("round {round}"));
        gfs2.holds_writers(fixture, || freeze(fs), || thaw(fs))?;
        gfs2.holds_writers(fixture, || freeze(fs), || gfs2.switch(fixture, "0"))?;
        gfs2.holds_writers(fixture, || freeze(fs), || fixture.emergency_thaw())?;
        let on = || gfs2.switch(fixture, "1");
        gfs2.holds_writers(fixture, on, || gfs2.switch(fixture, "0"))?;
        gfs2.holds_writers(fixture, on, || thaw(&fs.again()?))?;
    }
    Ok(())
}

fn deadline(fixture: &Fixture) -> Result<()> {
    let gfs2 = Gfs2::new(fixture)?;
    let fs = &gfs2.fs;
    let ends = after(SHORT);
    gfs2.holds_writers(fixture, || freeze_for(fs, SHORT), || Ok(()))?;
    not_before(ends)?;
    gfs2.holds_writers(fixture, || freeze(fs), || thaw(fs))
}

fn nests(fixture: &Fixture) -> Result<()> {
    let gfs2 = Gfs2::new(fixture)?;
    let (fs, dm) = (&gfs2.fs, &gfs2.dm);
    fixture.step("two files");
    let other = fs.again()?;
    let twice = || freeze(fs).and_then(|()| freeze(&other));
    gfs2.holds_writers(fixture, twice, || {
        thaw(&other)?;
        is_frozen(fs)?;
        thaw(fs)
    })?;
    fixture.step("the switch, and a device");
    let both = || {
        gfs2.switch(fixture, "1")
            .and_then(|()| suspend(fixture, dm))
    };
    gfs2.holds_writers(fixture, both, || {
        resume(fixture, dm)?;
        is_frozen(fs)?;
        gfs2.switch(fixture, "0")
    })?;
    fixture.step("a file, and a device that goes last");
    let both = || freeze(fs).and_then(|()| suspend(fixture, dm));
    gfs2.holds_writers(fixture, both, || {
        let released = fixture.returns("FITHAW while suspended", || fs.thaw())?;
        released.context("FITHAW while suspended")?;
        is_frozen(fs)?;
        resume(fixture, dm)
    })?;
    is_thawed(fs)
}

/// Ways to end a freeze.
const ENDS: [fn(&Fixture, &Gfs2) -> Result<()>; 4] = [
    |_, gfs2| thaw(&gfs2.fs),
    |fixture, gfs2| gfs2.switch(fixture, "0"),
    |fixture, _| fixture.emergency_thaw(),
    |_, gfs2| reset(&gfs2.fs, SHORT),
];

/// It gets no lock of the cluster any more. The writer comes free, with an error.
fn withdrawn(fixture: &Fixture) -> Result<()> {
    let Gfs2 { fs, mut dm, .. } = Gfs2::new(fixture)?;
    fixture.unmount(fs)?;
    for end in ENDS {
        let gfs2 = Gfs2::of(fixture.fresh(&dm.node())?, dm)?;
        let file = prepare(&gfs2.fs)?;
        freeze_for(&gfs2.fs, HOUR)?;
        let writer = Writer::start(fixture, &file)?;
        gfs2.set(fixture, "withdraw", "1")?;
        end(fixture, &gfs2)?;
        writer.actor.ends()?;
        has_no_file_hold(&gfs2.fs)?;
        drop(file);
        fixture.unmount(gfs2.fs)?;
        dm = gfs2.dm;
    }
    Ok(())
}
