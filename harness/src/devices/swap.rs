//! Swap space, and the memory pressure that makes the kernel use it.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

use super::tools;
use crate::linux::program;
use crate::linux::sysctl::Setting;

/// What swap space takes, of all [`tools`].
const PROGRAMS: [&str; 3] = ["mkswap", "swapon", "swapoff"];

// Documentation/admin-guide/sysctl/vm.rst.
const SWAPPINESS: &str = "/proc/sys/vm/swappiness";
const MIN_FREE: &str = "/proc/sys/vm/min_free_kbytes";

/// Anonymous memory goes first, programs and libraries last: 9p is slow.
const EAGER: &str = "200";

/// Bytes that can be had without swapping, however large the guest is: to fill all of it takes minutes with KASAN,
/// and leaves the kernel nothing to swap with.
const LEFT: usize = 128 << 20;

/// Kibibytes that a kernel needs to swap at all, and more than it keeps in a small guest by itself.
const LEAST_FREE: usize = 8 << 10;

/// A page of x86-64; nowhere is one smaller.
const PAGE: usize = 4096;

/// The first of the programs that is not installed.
pub fn missing_program() -> Option<&'static str> {
    PROGRAMS.into_iter().find(|name| !tools::exists(name))
}

/// A device that the kernel swaps to, soon.
#[derive(Debug)]
pub struct Swap {
    device: PathBuf,
    _settings: [Setting; 2],
}

impl Swap {
    pub fn on(device: &Path) -> Result<Swap> {
        program::run(Command::new("mkswap").arg(device))?;
        let settings = [
            Setting::change(SWAPPINESS, EAGER)?,
            Setting::change(MIN_FREE, &min_free(available()?).to_string())?,
        ];
        program::run(Command::new("swapon").arg(device))?;
        Ok(Swap {
            device: device.to_owned(),
            _settings: settings,
        })
    }

    pub fn off(self) -> Result<()> {
        program::run(Command::new("swapoff").arg(&self.device)).map(drop)
    }
}

/// Kibibytes that the kernel is to keep free so that no more than [`LEFT`] of so many bytes are for others:
/// it swaps when less than one and a half of that is free (`__setup_per_zone_wmarks` in mm/page_alloc.c).
fn min_free(available: usize) -> usize {
    ((available.saturating_sub(LEFT) / 3 * 2) >> 10).max(LEAST_FREE)
}

/// So many bytes, none of them in a page of zeros, which would need no swap space.
pub fn dirty_memory(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0; bytes];
    touch(&mut memory);
    memory
}

/// Writes to every page.
pub fn touch(memory: &mut [u8]) {
    for byte in memory.iter_mut().step_by(PAGE) {
        *byte = black_box(byte.wrapping_add(1).max(1));
    }
}

/// Makes this process the one that the OOM killer ends first (proc_pid_oom_score_adj(5)).
pub fn volunteer_for_oom() -> std::io::Result<()> {
    fs::write("/proc/self/oom_score_adj", "1000")
}

/// Lets all memory of the process look unused, so that it is the first to be swapped out
/// (proc_pid_clear_refs(5)); it needs `CONFIG_PROC_PAGE_MONITOR`, which is on unless switched off.
pub fn seems_unused(process: Pid) -> Result<()> {
    let path = format!("/proc/{process}/clear_refs");
    fs::write(&path, "1").with_context(|| format!("failed to write {path}"))
}

/// Bytes of the process that are in swap space (`VmSwap` of proc_pid_status(5)).
pub fn swapped_out(process: Pid) -> Result<usize> {
    kibibytes(&format!("/proc/{process}/status"), "VmSwap")
}

/// Bytes that can be had without swapping (`MemAvailable` of proc_meminfo(5)).
pub fn available() -> Result<usize> {
    kibibytes("/proc/meminfo", "MemAvailable")
}

/// A number in a file of /proc, in bytes.
fn kibibytes(path: &str, name: &str) -> Result<usize> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?;
    field(&text, name).with_context(|| format!("{path} has no {name}"))
}

/// From lines such as `VmSwap:      120 kB`.
fn field(text: &str, name: &str) -> Option<usize> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let number = value.trim().strip_suffix("kB")?.trim_end();
    Some(number.parse::<usize>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc() {
        let text = "Name:\tharness\nVmSwap:\t     120 kB\nVmSwapped:\t1 kB\nThreads:\t1\n";
        assert_eq!(field(text, "VmSwap"), Some(120 << 10));
        assert_eq!(field(text, "Threads"), None, "no size");
        assert_eq!(field(text, "Vm"), None);
    }

    #[test]
    fn some_memory_is_available() {
        assert!(available().unwrap() > 0);
    }

    #[test]
    fn what_is_kept_free_leaves_the_rest() {
        assert_eq!(min_free(LEFT), LEAST_FREE);
        assert_eq!(min_free(LEFT + (300 << 20)), 200 << 10);
        assert_eq!(min_free(0), LEAST_FREE);
    }

    #[test]
    fn memory_is_dirty_and_stays_so() {
        let mut memory = dirty_memory(2 * PAGE);
        for _ in 0..300 {
            touch(&mut memory);
            assert!(memory[0] != 0 && memory[PAGE] != 0);
        }
    }
}
