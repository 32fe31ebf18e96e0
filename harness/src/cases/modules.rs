//! The driver as a module, which a reference to a filesystem pins: what a freeze leaks, nobody can unload any more.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::kmod::{DeleteModuleFlags, delete_module};
use nix::mount::MsFlags;

use crate::case::Case;
use crate::devices::dm::Dm;
use crate::devices::mount::Mount;
use crate::fixture::{Fixture, Skip, is_known};
use crate::kit::deadline::{SHORT, after, freeze_for, logged_at};
use crate::kit::device::{follows, resume, suspend};
use crate::kit::state::{freeze, is_frozen, is_thawed, thaw};
use crate::kit::writer::prepare;
use crate::linux::kmsg::Kmsg;
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "module_is_released",
        "the filesystem's module can be unloaded after FIFREEZE, dmsetup suspend, SysRq j, and an unmount while frozen",
        released,
    ),
    Case::new(
        "module_is_released_at_a_deadline",
        "it can be unloaded after a deadline, whether or not the filesystem was unmounted before",
        released_at_a_deadline,
    )
    .needing(Feature::Timeout),
];

/// The pause between two looks at the references.
const PAUSE: Duration = Duration::from_millis(20);

/// A filesystem that is not mounted, and its driver.
struct Module<'a> {
    fixture: &'a Fixture,
    name: &'static str,
    dm: Dm,
}

impl<'a> Module<'a> {
    fn new(fixture: &'a Fixture) -> Result<Module<'a>> {
        let entry = fixture.filesystem().entry();
        let name = entry.driver;
        if is_known(entry.kind)? && !references_of(name).exists() {
            return Err(Skip(format!("{name} is no module of this kernel")).into());
        }
        let (fs, dm) = fixture.scratch_on_dm()?;
        drop(prepare(&fs)?);
        fixture.unmount(fs)?;
        let module = Module { fixture, name, dm };
        module.unload()?;
        Ok(module)
    }

    /// The kernel loads the module for that.
    fn mount(&self) -> Result<Mount> {
        let fs = self.fixture.mount(&self.dm.node(), MsFlags::empty(), "")?;
        self.is_pinned()?;
        Ok(fs)
    }

    /// Mounted, used, and unmounted, it has left nothing.
    fn is_released_after(&self, uses: impl FnOnce(&Mount) -> Result<()>) -> Result<()> {
        let fs = self.mount()?;
        uses(&fs)?;
        is_thawed(&fs)?;
        self.fixture.unmount(fs)?;
        self.unload()
    }

    fn unload(&self) -> Result<()> {
        self.fixture.step(&format!("unload {}", self.name));
        let end = Instant::now() + self.fixture.patience();
        while self.references()? > 0 {
            ensure!(Instant::now() < end, "{} is still in use", self.name);
            sleep(PAUSE);
        }
        let name = CString::new(self.name)?;
        delete_module(&name, DeleteModuleFlags::O_NONBLOCK)
            .with_context(|| format!("failed to unload {}", self.name))
    }

    fn is_pinned(&self) -> Result<()> {
        ensure!(self.references()? > 0, "nothing pins {}", self.name);
        Ok(())
    }

    fn references(&self) -> Result<u32> {
        let path = references_of(self.name);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        text.trim().parse().context("no number of references")
    }
}

fn references_of(module: &str) -> PathBuf {
    Path::new("/sys/module").join(module).join("refcnt")
}

fn released(fixture: &Fixture) -> Result<()> {
    let module = Module::new(fixture)?;
    let dm = &module.dm;
    module.is_released_after(|fs| freeze(fs).and_then(|()| thaw(fs)))?;
    module.is_released_after(|fs| {
        follows(fixture, fs, dm)?;
        suspend(fixture, dm)?;
        resume(fixture, dm)
    })?;
    module.is_released_after(|fs| freeze(fs).and_then(|()| fixture.emergency_thaw()))?;
    let fs = module.mount()?;
    freeze(&fs)?;
    fixture.unmount(fs)?;
    module.is_pinned()?;
    module.is_released_after(|fs| is_frozen(fs).and_then(|()| thaw(fs)))
}

fn released_at_a_deadline(fixture: &Fixture) -> Result<()> {
    let module = Module::new(fixture)?;
    module.is_released_after(|fs| {
        let (mut log, deadline) = (Kmsg::mark()?, after(SHORT));
        freeze_for(fs, SHORT)?;
        logged_at(fixture, &mut log, deadline).map(drop)
    })?;
    fixture.step("unmounted before the deadline");
    let fs = module.mount()?;
    let (mut log, deadline) = (Kmsg::mark()?, after(SHORT));
    freeze_for(&fs, SHORT)?;
    fixture.unmount(fs)?;
    module.is_pinned()?;
    logged_at(fixture, &mut log, deadline)?;
    module.unload()
}
