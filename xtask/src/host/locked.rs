//! A file with a lock that this process has taken on it.

use std::fs::File;

/// Let go of when dropped.
#[derive(Debug)]
pub struct Locked(File);

impl Locked {
    /// A file that is locked already.
    pub fn of(file: File) -> Self {
        Self(file)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // To close the file would not do: a child has it open until it runs its program, or for as long as it lives
        // where it is to inherit the lock.
        let _ = self.0.unlock();
    }
}
