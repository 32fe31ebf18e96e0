//! How many guests this machine carries at once.

use std::time::Duration;

use anyhow::{Context, Result};

use super::accel::Accel;

/// Bytes of a guest's memory, and half as much for what QEMU needs beside it, most of it translated code.
const GUEST: u64 = 3 << 29;
/// How much work is worth a guest of its own, which takes seconds to boot under emulation.
const WORTH: Duration = Duration::from_secs(5);

/// What a host has to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    pub cpus: usize,
    /// Bytes that can be had without swapping.
    pub memory: u64,
}

impl Host {
    /// This one, by /proc/meminfo's MemAvailable (proc_meminfo(5)).
    pub fn this() -> Result<Self> {
        let meminfo = fs_err::read_to_string("/proc/meminfo")?;
        Ok(Self {
            cpus: super::host_cpus(),
            memory: available(&meminfo).context("/proc/meminfo has no MemAvailable")?,
        })
    }

    /// How many guests it has room for: 1 or more.
    ///
    /// A guest always has the same number of processors, as fewer would show fewer races. Under
    /// KVM they never outnumber the host's, lest RCU stall in a guest whose processor does not
    /// run. Emulated ones that are idle cost nothing: there, one guest a processor of the host.
    pub fn room(self, accel: Accel) -> usize {
        let by_cpus = match accel {
            Accel::Kvm => self.cpus / super::cpus_of(self.cpus),
            Accel::Tcg => self.cpus,
        };
        let by_memory = usize::try_from(self.memory / GUEST).unwrap_or(usize::MAX);
        by_cpus.min(by_memory).max(1)
    }
}

/// In bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// How many guests share work that one would need `expected` for: as many as were asked
/// for, or as are worth their boot, and never more than there is `room` for.
pub fn guests(asked: Option<usize>, room: usize, expected: Duration) -> usize {
    let worth = expected.as_secs() / WORTH.as_secs();
    let wanted = asked.unwrap_or(usize::try_from(worth).unwrap_or(usize::MAX));
    wanted.clamp(1, room)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn room() {
        let table = [
            (1, 64, Accel::Tcg, 1),
            (2, 64, Accel::Tcg, 2),
            (2, 64, Accel::Kvm, 1),
            (1, 64, Accel::Kvm, 1),
            (8, 64, Accel::Kvm, 4),
            (8, 64, Accel::Tcg, 8),
            (8, 4, Accel::Tcg, 2),
            (8, 4, Accel::Kvm, 2),
            (8, 0, Accel::Kvm, 1),
        ];
        for (cpus, gib, accel, wanted) in table {
            let memory = gib * GIB;
            let room = Host { cpus, memory }.room(accel);
            assert_eq!(room, wanted, "{cpus} processors, {gib} GiB, {accel:?}");
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
    fn meminfo() {
        let text = "MemTotal:       24684096 kB\nMemFree: 1 kB\nMemAvailable:       2048 kB\n";
        assert_eq!(available(text), Some(2 << 20));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert!(Host::this().unwrap().memory > 0);
    }
}
