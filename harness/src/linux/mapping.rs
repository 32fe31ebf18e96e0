//! A shared file mapping, for stores that fault and memory that ends.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::ptr::NonNull;

use anyhow::{Context as _, Result};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MsFlags, ProtFlags, mmap, msync, munmap};

/// A page of x86-64; nowhere is one smaller.
const PAGE: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// An address at which no process can have anything (/proc/sys/vm/mmap_min_addr).
pub const WILD: u32 = 8;

/// The first bytes of a file, mapped shared and writable.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    length: NonZeroUsize,
}

impl Mapping {
    /// Maps `length` bytes, which the file must have: a fault beyond its end is `SIGBUS`.
    pub fn new(file: &File, length: NonZeroUsize) -> Result<Mapping> {
        Mapping::with(file, length, MapFlags::MAP_SHARED)
    }

    fn with(file: &File, length: NonZeroUsize, flags: MapFlags) -> Result<Mapping> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe { mmap(None, length, protection, flags, file, 0) }
            .context("failed to map the file")?;
        Ok(Mapping {
            start: start.cast(),
            length,
        })
    }

    /// Memory that ends with `bytes`, and their address: to read on after them
    /// faults, since the mapping goes on and its file does not. The address is
    /// below 2 GiB, where a program of 32 bits can point to (mmap(2), `MAP_32BIT`).
    pub fn ending_with(bytes: &[u8]) -> Result<(Mapping, usize)> {
        let file = File::from(memfd_create("edge", MFdFlags::empty()).context("memfd_create")?);
        let offset = PAGE.get() - bytes.len();
        file.write_all_at(bytes, offset.try_into()?)
            .context("failed to write to a memfd")?;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_32BIT;
        let mapping = Mapping::with(&file, PAGE.saturating_add(PAGE.get()), flags)?;
        let address = mapping.start.as_ptr().expose_provenance() + offset;
        Ok((mapping, address))
    }

    /// Stores `byte` everywhere; the first store to a clean page calls the
    /// filesystem's `page_mkwrite`.
    pub fn fill(&mut self, byte: u8) {
        for offset in 0..self.length.get() {
            // SAFETY: within the mapping, which lives as long as `self`.
            // Volatile, since the fault is what is wanted.
            unsafe { self.start.add(offset).write_volatile(byte) };
        }
    }

    /// Writes dirty pages to the disk and waits for it; clean pages are write-protected again.
    pub fn sync(&self) -> Result<()> {
        // SAFETY: the range is the mapping's own.
        unsafe { msync(self.start.cast(), self.length.get(), MsFlags::MS_SYNC) }
            .context("failed to sync the mapping")
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing refers into the mapping any more. Unmapping a whole mapping cannot fail.
        let _ = unsafe { munmap(self.start.cast(), self.length.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_reach_the_file() {
        let path = std::env::temp_dir().join(format!("harness-mapping-{}", std::process::id()));
        std::fs::write(&path, [b'o'; 4096]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut mapping = Mapping::new(&file, NonZeroUsize::new(4096).unwrap()).unwrap();
        mapping.fill(b'n');
        mapping.sync().unwrap();
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(content, [b'n'; 4096]);
    }
}
