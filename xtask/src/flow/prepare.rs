//! What must be there before a guest can boot.

use camino::Utf8Path;
use camino::Utf8PathBuf;
use harness::wire::plan::Work;

use crate::deps;
use crate::deps::need::{self, Missing, Need};
use crate::event::Event;
use crate::failure::{Kind, Result};
use crate::host::session::Session;
use crate::kernel::config;
use crate::kernel::request::Request;
use crate::kernel::{self, Kernel};
use crate::vm::accelerator::{self, Bootable, Choice};
use crate::vm::boot::{Machine, Way};
use crate::vm::qemu::accel::{self, Accel};
use crate::vm::qemu::{command, machine};
use crate::vm::root::init;
use crate::words::count;

/// What it takes to build a kernel and to run the cases on it, in guests with a root of our own.
pub const TO_TEST: &[Need] = &[Need::Build, Need::Run];
/// The same with virtme-ng.
pub const TO_TEST_WITH_VIRTME: &[Need] = &[Need::Build, Need::Run, Need::Virtme];

/// How guests run.
#[derive(Clone, Copy, Debug)]
pub struct Guests {
    pub accel: Choice,
    pub way: Way,
}

/// A kernel and what it takes to boot it.
#[derive(Debug)]
pub struct Prepared {
    pub kernel: Kernel,
    pub accel: Accel,
    pub single_thread: bool,
    /// As it calls itself.
    pub qemu: String,
}

impl Prepared {
    /// A kernel for which the accelerator was chosen.
    pub fn of(kernel: Kernel, accel: Accel, qemu: String) -> Result<Self> {
        Ok(Self {
            single_thread: single_thread(&kernel)?,
            kernel,
            accel,
            qemu,
        })
    }

    pub fn bootable(&self) -> command::Kernel<'_> {
        command::Kernel {
            image: &self.kernel.image,
            accel: self.accel,
            single_thread: self.single_thread,
        }
    }

    /// What all guests with this kernel have in common.
    pub fn machine<'a>(&'a self, way: Way, init: &'a Utf8Path, work: Work) -> Machine<'a> {
        Machine {
            kernel: self.bootable(),
            way,
            init,
            programs: &self.kernel.programs,
            provides: &self.kernel.provides,
            stock: self.kernel.patches.is_empty(),
            work,
        }
    }
}

/// What it takes to build a kernel with these configurations and to run the cases in such guests.
pub fn to_test(way: Way, configs: &[String]) -> Vec<Need> {
    let filesystems = configs.iter().filter_map(|name| config::filesystem(name));
    let always = match way {
        Way::Initramfs => TO_TEST,
        Way::Virtme => TO_TEST_WITH_VIRTME,
    };
    let needs = always.iter().copied();
    needs.chain(filesystems.map(Need::Filesystem)).collect()
}

/// Makes the kernel, chooses the accelerator. The tools are there: see [`provide_deps`].
pub fn prepare(request: &Request, accel: Choice, session: &Session) -> Result<Prepared> {
    let kernel = kernel::prepare(request, session)?;
    session.events.note(describe(&kernel));
    ready(kernel, accel, session)
}

/// Chooses the accelerator for a kernel.
pub fn ready(kernel: Kernel, accel: Choice, session: &Session) -> Result<Prepared> {
    let qemu = machine::version(&session.stop)?;
    let accel = choose(&kernel, accel, &qemu, session)?;
    Prepared::of(kernel, accel, qemu)
}

/// The accelerator for a kernel.
pub fn choose(kernel: &Kernel, accel: Choice, qemu: &str, session: &Session) -> Result<Accel> {
    let bootable = Bootable {
        image: &kernel.image,
        version: &kernel.version,
        qemu,
        single_thread: single_thread(kernel)?,
    };
    accelerator::choose(accel, bootable, session)
}

fn single_thread(kernel: &Kernel) -> Result<bool> {
    let config = fs_err::read_to_string(kernel.build.join(".config"))?;
    Ok(accel::needs_single_thread(&config))
}

/// All that has to be there for a run of cases: the tools, the kernel, the accelerator, and the harness, whose path is returned.
pub fn make_ready(
    request: &Request,
    install: bool,
    guests: Guests,
    session: &Session,
) -> Result<(Prepared, Utf8PathBuf)> {
    let needs = to_test(guests.way, &request.configs);
    provide_deps(install, &needs, session)?;
    accelerator::starts(guests.accel, &session.stop)?;
    let kernel = || prepare(request, guests.accel, session);
    init::beside(kernel, session)
}

fn describe(kernel: &Kernel) -> String {
    let Kernel {
        version,
        source,
        patches,
        tree,
        build,
        ..
    } = kernel;
    let state = if kernel.rebuilt {
        "built"
    } else {
        "unchanged since its last build"
    };
    format!(
        "kernel {version} ({source}), {}, {state}; tree {tree}, build {build}",
        count(patches.len(), "patch")
    )
}

/// Installs what is missing if that is wanted; else it is an error that says how.
pub fn provide_deps(install: bool, needs: &[Need], session: &Session) -> Result<()> {
    let missing = missing(needs);
    if install {
        deps::install(&missing, session)?;
        return match needs.contains(&Need::Build) {
            true => install_ccache(session),
            false => Ok(()),
        };
    }
    match deps::to_have(&missing) {
        Some(line) => Err(Kind::Machinery.error(format!(
            "{} missing; run: {line}\n(or add --install-deps)",
            missing
                .iter()
                .map(|missing| missing.what.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ))),
        None => Ok(()),
    }
}

/// Nothing depends on it.
fn install_ccache(session: &Session) -> Result<()> {
    let missing = need::missing(Need::Cache);
    match deps::install(&missing, session) {
        Err(failure) if failure.kind != Kind::Interrupted => {
            session.events.send(Event::Warning(format!(
                "kernels are compiled without ccache: {failure}"
            )));
            Ok(())
        }
        end => end,
    }
}

/// Everything that is needed and this machine lacks, each thing once.
pub fn missing(needs: &[Need]) -> Vec<Missing> {
    let mut all: Vec<_> = needs.iter().copied().flat_map(need::missing).collect();
    all.sort_by(|one, other| one.what.cmp(&other.what));
    all.dedup();
    all
}
