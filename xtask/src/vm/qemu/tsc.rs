//! The frequency of the time stamp counter, which an emulated guest is told.
//!
//! QEMU's emulation hands the host's counter through, and says nothing of its frequency (under KVM, kvmclock does). The
//! kernel compares it with a timer of the emulated PC, which goes wrong when the emulator does not get a processor at
//! the right moment. `tsc_early_khz=` replaces that, takes no time, and the kernel's later refinement stays within 1 %
//! of it (Documentation/admin-guide/kernel-parameters.txt, since 5.8).

use std::sync::OnceLock;

use super::accel::Accel;

/// The kernel argument for a guest, if it needs one.
pub fn argument(accel: Accel) -> Option<String> {
    match accel {
        Accel::Kvm => None,
        Accel::Tcg => khz().map(|khz| format!("tsc_early_khz={khz}")),
    }
}

/// In kHz; measured once. None on a host whose processor has no such counter.
fn khz() -> Option<u64> {
    static KHZ: OnceLock<Option<u64>> = OnceLock::new();
    *KHZ.get_or_init(counter::khz)
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::arch::x86_64::_rdtsc;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    /// Long against what the clock is read late: 1 µs of it is 0.01 %.
    const SPAN: Duration = Duration::from_millis(10);
    /// The reading that took the shortest time was not interrupted.
    const READINGS: usize = 20;

    pub fn khz() -> Option<u64> {
        let (first, begun) = read()?;
        sleep(SPAN);
        let (last, ended) = read()?;
        let microseconds = (ended - begun).as_nanos() as f64 / 1e3;
        let khz = last.wrapping_sub(first) as f64 / microseconds * 1e3;
        Some(khz.round() as u64)
    }

    /// The counter, and the time in the middle of which it was read.
    fn read() -> Option<(u64, Instant)> {
        let readings = (0..READINGS).map(|_| {
            let before = Instant::now();
            // SAFETY: every processor of this architecture has the instruction.
            let counter = unsafe { _rdtsc() };
            let took = before.elapsed();
            (took, counter, before + took / 2)
        });
        let (_, counter, time) = readings.min_by_key(|(took, ..)| *took)?;
        Some((counter, time))
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub fn khz() -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_measured_the_same_each_time() {
        let (Some(one), Some(other)) = (counter::khz(), counter::khz()) else {
            return; // no such counter here
        };
        assert!(one.abs_diff(other) < one / 500, "{one} and {other} kHz");
        let argument = argument(Accel::Tcg).unwrap();
        assert!(argument.starts_with("tsc_early_khz="), "{argument}");
        assert_eq!(super::argument(Accel::Kvm), None);
    }
}
