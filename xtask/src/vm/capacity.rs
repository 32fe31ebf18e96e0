//! How many guests this machine carries at once.

use std::time::Duration;

use camino::Utf8Path;

use super::qemu::accel::Accel;
use super::qemu::disks::{DISKS, FOLDERS, scratch};
use super::qemu::machine::{cpus_of, host_cpus};
use crate::failure::{Kind, Result};
use crate::host::layout::Layout;
use crate::host::{cgroup, claim, space};

/// [`crate::vm::qemu::machine::MEMORY`] in bytes.
const MEMORY: u64 = 1 << 30;
/// A guest's memory, and half as much for what QEMU needs beside it, most of it translated code.
const GUEST: u64 = MEMORY / 2 * 3;
/// Bytes that a guest's disks may grow to.
const GROWTH: u64 = {
    let (mut sum, mut disk) = (0, 0);
    while disk < DISKS.len() {
        sum += DISKS[disk].1;
        disk += 1;
    }
    sum
};
/// How much work is worth a guest of its own, which takes seconds to boot under emulation.
const WORTH: Duration = Duration::from_secs(5);

/// What a host has to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    pub cpus: usize,
    /// Bytes that can be had without swapping.
    pub memory: u64,
    /// Bytes that are free for disks.
    pub disk: u64,
}

impl Host {
    /// This one, by /proc/meminfo's MemAvailable (proc_meminfo(5)) and the limits of its control groups; disks are
    /// to be in `folder`.
    pub fn this(folder: &Utf8Path) -> Result<Self> {
        let available = harness::devices::swap::available()? as u64;
        Ok(Self {
            cpus: host_cpus(),
            memory: available.min(cgroup::memory().unwrap_or(u64::MAX)),
            disk: space::free(folder)?,
        })
    }

    /// How many guests it has room for: 1 or more.
    ///
    /// A guest always has the same number of processors, as fewer would show fewer races. Under
    /// KVM they never outnumber the host's, lest RCU stall in a guest whose processor does not
    /// run. Emulated ones that are idle cost nothing: there, one guest a processor of the host.
    pub fn room(self, accel: Accel) -> usize {
        let by_cpus = match accel {
            Accel::Kvm => self.cpus / cpus_of(self.cpus),
            Accel::Tcg => self.cpus,
        };
        let by_bytes = (self.memory / GUEST).min(self.disk / GROWTH);
        let by_bytes = usize::try_from(by_bytes).unwrap_or(usize::MAX);
        by_cpus.min(by_bytes).max(1)
    }

    /// Fails unless one guest has room: short of it, a guest dies or stands still, as if its case had failed.
    pub fn carries_one(self, folder: &Utf8Path) -> Result<()> {
        space::enough(self.disk, folder, GROWTH, "for the disks of a guest")?;
        match space::shortage("memory", self.memory, MEMORY) {
            None => Ok(()),
            Some(shortage) => Err(Kind::Machinery.error(format!(
                "{shortage}, on this machine or in its control group, for a guest"
            ))),
        }
    }
}

/// How many guests share work that one would need `expected` for: as many as were asked
/// for, or as are worth their boot, and never more than there is `room` for.
pub fn guests(asked: Option<usize>, room: usize, expected: Duration) -> usize {
    let worth = expected.as_secs() / WORTH.as_secs();
    let wanted = asked.unwrap_or(usize::try_from(worth).unwrap_or(usize::MAX));
    wanted.clamp(1, room)
}

/// What this machine has for guests.
///
/// # Errors
/// [`Kind::Machinery`] if that is not enough for one.
pub fn host(layout: &Layout) -> Result<Host> {
    let folder = scratch(layout)?;
    // What a killed run left there is no longer in the way.
    claim::sweep(&folder, FOLDERS);
    let host = Host::this(&folder)?;
    host.carries_one(&folder)?;
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn room() {
        let table = [
            (1, 64, 64, Accel::Tcg, 1),
            (2, 64, 64, Accel::Tcg, 2),
            (2, 64, 64, Accel::Kvm, 1),
            (1, 64, 64, Accel::Kvm, 1),
            (8, 64, 64, Accel::Kvm, 4),
            (8, 64, 64, Accel::Tcg, 8),
            (8, 4, 64, Accel::Tcg, 2),
            (8, 4, 64, Accel::Kvm, 2),
            (8, 0, 64, Accel::Kvm, 1),
            (8, 64, 4, Accel::Tcg, 3),
            (8, 64, 0, Accel::Tcg, 1),
        ];
        for (cpus, memory, disk, accel, wanted) in table {
            let host = host(cpus, memory, disk);
            assert_eq!(host.room(accel), wanted, "{host:?}, {accel:?}");
        }
    }

    fn host(cpus: usize, memory: u64, disk: u64) -> Host {
        Host {
            cpus,
            memory: memory * GIB,
            disk: disk * GIB,
        }
    }

    #[test]
    fn too_little_for_one_guest() {
        let check = |host: Host| host.carries_one(Utf8Path::new("/w"));
        check(host(1, 1, 2)).unwrap();
        for (host, wanted) in [
            (
                host(1, 1, 0),
                "1.2 GiB of disk space are needed and 0.0 GiB are free in /w for the disks of a guest",
            ),
            (
                host(1, 0, 2),
                "1.0 GiB of memory are needed and 0.0 GiB are free, on this machine",
            ),
        ] {
            let failure = check(host).unwrap_err();
            assert_eq!(failure.kind, Kind::Machinery);
            assert!(failure.to_string().starts_with(wanted), "{failure}");
        }
    }

    #[test]
    fn what_is_asked_for_and_what_pays() {
        let table = [
            (None, 4, 0, 1),
            (None, 4, 9, 1),
            (None, 4, 10, 2),
            (None, 4, 600, 4),
            (Some(1), 4, 600, 1),
            (Some(2), 4, 0, 2),
            (Some(9), 4, 600, 4),
        ];
        for (asked, room, seconds, wanted) in table {
            let guests = guests(asked, room, Duration::from_secs(seconds));
            assert_eq!(guests, wanted, "{asked:?} of {room}, {seconds} s");
        }
    }

    #[test]
    fn this_machine_has_memory_and_room() {
        let host = Host::this(Utf8Path::new("/")).unwrap();
        assert!(host.memory > 0 && host.disk > 0, "{host:?}");
    }
}
