//! Which accelerator is worth using, by measured boots.
//!
//! That /dev/kvm opens says little: where virtualisation is nested, a guest may
//! crawl under KVM and be quick under emulation.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;
use nix::unistd::{Group, User, geteuid};
use serde::{Deserialize, Serialize};
use xshell::cmd;

use super::qemu::accel::Accel;
use super::qemu::bare::{self, Outcome};
use super::qemu::command;
use super::qemu::machine::QEMU;
use crate::failure::{Kind, Result};
use crate::host::environment::PLAIN;
use crate::host::files;
use crate::host::layout::Layout;
use crate::host::phase::phase;
use crate::host::proc::{self, Stop};
use crate::host::session::Session;

const KVM: &str = "/dev/kvm";
/// When a boot that ends in "no root" should have come to that, even emulated on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    Auto,
    Kvm,
    Tcg,
}

/// The two measured times that decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Seconds to the end of a boot; none if it did not get there in time.
    tcg: Option<f32>,
    kvm: Option<f32>,
}

/// What is known, by the version of the guest's kernel. It holds for one boot of the host and one QEMU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    host_boot: String,
    qemu: String,
    times: BTreeMap<String, Times>,
}

/// A kernel that is to be booted.
#[derive(Clone, Copy, Debug)]
pub struct Bootable<'a> {
    pub image: &'a Utf8Path,
    pub version: &'a str,
    /// What will run it: times hold for one QEMU.
    pub qemu: &'a str,
    pub single_thread: bool,
}

impl Times {
    /// KVM has to be faster than emulation to be of use.
    pub fn accel(&self) -> Accel {
        match (self.kvm, self.tcg) {
            (Some(kvm), Some(tcg)) if kvm < tcg => Accel::Kvm,
            (Some(_), None) => Accel::Kvm,
            _ => Accel::Tcg,
        }
    }

    /// `tcg: a guest boots in 1.9 s, under KVM not even then`
    pub fn sentence(&self) -> String {
        let time =
            |time: Option<f32>| time.map_or("not in time".into(), |time| format!("in {time:.1} s"));
        let (accel, tcg, kvm) = (self.accel(), time(self.tcg), time(self.kvm));
        format!("{accel}: the kernel boots {tcg} under TCG, {kvm} under KVM")
    }
}

/// The accelerator to use for this kernel; measures unless told or known, and says the reason as a note.
pub fn choose(choice: Choice, kernel: Bootable<'_>, session: &Session) -> Result<Accel> {
    let (accel, reason) = match choice {
        Choice::Kvm => (Accel::Kvm, "kvm: as asked".into()),
        Choice::Tcg => (Accel::Tcg, "tcg: as asked".into()),
        Choice::Auto => match kvm_is_there() {
            Err(why) => (Accel::Tcg, format!("tcg: {why}")),
            Ok(()) => {
                let times = times(kernel, session)?;
                (times.accel(), times.sentence())
            }
        },
    };
    session.events.note(format!("accelerator {reason}"));
    Ok(accel)
}

/// What was found out in earlier runs and still holds, by the version of the kernel.
pub fn cached(layout: &Layout, qemu: &str) -> BTreeMap<String, Times> {
    known(layout, qemu).map_or_else(|_| BTreeMap::new(), |known| known.times)
}

/// Whether this process may use KVM at all; if not, why, and what to do about it.
pub fn kvm_is_there() -> std::result::Result<(), String> {
    openable().map_err(|error| not_openable(&error, &Access::of_this_user()))
}

fn openable() -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    options.read(true).write(true).open(KVM).map(drop)
}

/// That an accelerator which was asked for can be had, as far as that can be told at once.
///
/// # Errors
/// [`Kind::Usage`] if this machine has no KVM, [`Kind::Machinery`] if it may not be used.
pub fn is_there(choice: Choice) -> Result<()> {
    if choice != Choice::Kvm {
        return Ok(());
    }
    let kind = match Utf8Path::new(KVM).exists() {
        true => Kind::Machinery,
        false => Kind::Usage,
    };
    kvm_is_there().map_err(|why| kind.error(format!("--accel kvm: {why}")))
}

/// The same by QEMU's word, which does not need a kernel for it.
pub fn starts(choice: Choice, stop: &Stop) -> Result<()> {
    is_there(choice)?;
    if choice != Choice::Kvm {
        return Ok(());
    }
    // A processor that is set up, and never runs.
    let qemu = cmd!(
        PLAIN,
        "{QEMU} -accel kvm -cpu host -machine q35 -S -nodefaults -display none -monitor stdio"
    );
    let output = proc::output(qemu, b"quit\n", stop)?;
    if output.status.success() {
        return Ok(());
    }
    let said = output.stderr();
    let first = said.lines().find(|line| !line.trim().is_empty());
    Err(Kind::Machinery.error(format!(
        "--accel kvm: QEMU does not start with it ({}): {}",
        output.status,
        first.unwrap_or("it says nothing")
    )))
}

/// Who may open a device, and who wants to.
#[derive(Debug)]
struct Access {
    user: String,
    /// The device's group, and whether its mode lets that group in.
    group: String,
    group_may: bool,
    /// By the system's files: in a session that began before, it is of no use yet.
    member: bool,
}

impl Access {
    fn of_this_user() -> Self {
        let user = User::from_uid(geteuid()).ok().flatten();
        let user = user.map_or_else(|| geteuid().to_string(), |user| user.name);
        let device = fs_err::metadata(KVM).ok();
        let group = device
            .as_ref()
            .and_then(|device| Group::from_gid(device.gid().into()).ok().flatten());
        Self {
            group_may: device.is_some_and(|device| device.mode() & 0o060 == 0o060),
            member: group
                .as_ref()
                .is_some_and(|group| group.mem.contains(&user)),
            group: group.map(|group| group.name).unwrap_or_default(),
            user,
        }
    }
}

fn not_openable(error: &std::io::Error, access: &Access) -> String {
    let Access { user, group, .. } = access;
    match error.kind() {
        ErrorKind::NotFound => {
            format!("there is no {KVM}: no virtualisation here, or its module is not loaded")
        }
        ErrorKind::PermissionDenied if access.member => format!(
            "{KVM} may not be opened: {user} is in the group {group}, but not yet in this session; log in again"
        ),
        ErrorKind::PermissionDenied
            if access.group_may && !matches!(group.as_str(), "" | "root") =>
        {
            format!(
                "{KVM} may not be opened by {user}; run: sudo adduser {user} {group}, and log in again"
            )
        }
        ErrorKind::PermissionDenied => format!(
            "{KVM} may not be opened by {user}: its mode lets in no group; on Debian it is group kvm, mode 660"
        ),
        _ => format!("{KVM} cannot be opened ({error})"),
    }
}

fn cache(layout: &Layout) -> Utf8PathBuf {
    layout.work("accel.json")
}

fn known(layout: &Layout, qemu: &str) -> Result<Known> {
    let host_boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned();
    let now = Known {
        host_boot,
        qemu: qemu.to_owned(),
        times: BTreeMap::new(),
    };
    let before = files::recall::<Known>(&cache(layout));
    let still = before.filter(|it| (&it.host_boot, &it.qemu) == (&now.host_boot, &now.qemu));
    Ok(still.unwrap_or(now))
}

fn times(kernel: Bootable<'_>, session: &Session) -> Result<Times> {
    let mut known = known(&session.layout, kernel.qemu)?;
    if let Some(times) = known.times.get(kernel.version) {
        return Ok(times.clone());
    }
    let times = phase(&session.events, "measuring KVM against TCG", || {
        let times = measure(kernel, &session.stop)?;
        let outcome = times.accel().to_string();
        Ok((times, outcome))
    })?;
    // That it booted with neither says nothing of the accelerators.
    if (times.tcg, times.kvm) != (None, None) {
        known.times.insert(kernel.version.to_owned(), times.clone());
        files::remember(&cache(&session.layout), &known)?;
    }
    Ok(times)
}

fn measure(kernel: Bootable<'_>, stop: &Stop) -> Result<Times> {
    let on = |accel| command::Kernel {
        image: kernel.image,
        accel,
        single_thread: kernel.single_thread,
    };
    let tcg = boot(on(Accel::Tcg), LIMIT, stop)?;
    // Past the time that emulation needs, KVM has lost.
    let kvm = boot(on(Accel::Kvm), tcg.unwrap_or(LIMIT), stop)?;
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f32());
    Ok(Times {
        tcg: seconds(tcg),
        kvm: seconds(kvm),
    })
}

/// The time a kernel takes to find out that it has no root, which makes it panic and QEMU end; none if it does not get there.
fn boot(kernel: command::Kernel<'_>, limit: Duration, stop: &Stop) -> Result<Option<Duration>> {
    let outcome = bare::boot(kernel, None, "Kernel panic", limit, stop)?;
    Ok(match outcome {
        Outcome::Booted(times) => Some(times.ended),
        Outcome::Failed(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_about_kvm() {
        let access = |group: &str, group_may, member| Access {
            user: "ada".into(),
            group: group.into(),
            group_may,
            member,
        };
        let denied = ErrorKind::PermissionDenied;
        for (error, access, wanted) in [
            (
                denied,
                access("kvm", true, false),
                "sudo adduser ada kvm, and log in again",
            ),
            (
                denied,
                access("kvm", true, true),
                "not yet in this session; log in again",
            ),
            (denied, access("root", true, false), "lets in no group"),
            (denied, access("kvm", false, false), "lets in no group"),
            (denied, access("", true, false), "lets in no group"),
            (
                ErrorKind::NotFound,
                access("", false, false),
                "there is no /dev/kvm",
            ),
            (
                ErrorKind::ResourceBusy,
                access("kvm", true, true),
                "cannot be opened (resource busy)",
            ),
        ] {
            let said = not_openable(&error.into(), &access);
            assert!(said.contains(wanted), "{said}");
        }
    }

    #[test]
    fn kvm_must_be_faster() {
        let table = [
            (Some(1.9), None, Accel::Tcg),
            (Some(1.9), Some(0.8), Accel::Kvm),
            (Some(1.9), Some(1.9), Accel::Tcg),
            (None, Some(30.0), Accel::Kvm),
            (None, None, Accel::Tcg),
        ];
        for (tcg, kvm, wanted) in table {
            assert_eq!(
                Times { tcg, kvm }.accel(),
                wanted,
                "tcg {tcg:?}, kvm {kvm:?}"
            );
        }
    }
}
