//! A mounted filesystem and what a case does to it.

use std::fs::{self, File};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::mount::{MntFlags, MsFlags, umount, umount2};

use crate::freeze::holds::Holds;

/// Makes a folder of this name to mount something at.
pub fn point(parent: &Path, name: impl AsRef<Path>) -> Result<PathBuf> {
    let root = parent.join(name);
    fs::create_dir_all(&root).with_context(|| format!("failed to make {}", root.display()))?;
    Ok(root)
}

/// umount(2)
pub fn unmount(root: &Path) -> Result<()> {
    umount(root).with_context(|| format!("failed to unmount {}", root.display()))
}

/// umount2(2) with `MNT_DETACH`: works while files are open, and leaves them so.
pub fn unmount_lazily(root: &Path) -> Result<()> {
    umount2(root, MntFlags::MNT_DETACH)
        .with_context(|| format!("failed to unmount {}", root.display()))
}

/// A mounted filesystem. Dropping it closes the directory; the fixture unmounts.
#[derive(Debug)]
pub struct Mount {
    root: PathBuf,
    flags: MsFlags,
    /// What the ioctls go to, open so that no look-up can block while frozen.
    directory: File,
}

impl Mount {
    pub fn new(root: PathBuf, flags: MsFlags) -> Result<Mount> {
        let directory =
            File::open(&root).with_context(|| format!("failed to open {}", root.display()))?;
        Ok(Mount {
            root,
            flags,
            directory,
        })
    }

    /// The same, through an open file of its own.
    pub fn again(&self) -> Result<Mount> {
        Mount::new(self.root.clone(), self.flags)
    }

    /// Closes the file, and opens another.
    pub fn reopen(&mut self) -> Result<()> {
        // Closed first: the kernel may take the same memory for the new one.
        let path = Path::new("/");
        self.directory = File::open(path).context("failed to open the root")?;
        *self = self.again()?;
        Ok(())
    }

    /// One more descriptor of the same open file.
    pub fn duplicate(&self) -> Result<OwnedFd> {
        let copy = self.directory.as_fd().try_clone_to_owned();
        copy.context("failed to duplicate a descriptor")
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The root directory's descriptor, open as long as `self` lives.
    pub fn fd(&self) -> RawFd {
        self.directory.as_raw_fd()
    }

    fn file_holds(&self) -> Holds<'_> {
        Holds::of(self.directory.as_fd())
    }

    /// `FIFREEZE` on the root directory.
    pub fn freeze(&self) -> Result<(), Errno> {
        self.file_holds().take()
    }

    /// `FITHAW` on the root directory.
    pub fn thaw(&self) -> Result<(), Errno> {
        self.file_holds().release()
    }

    /// Releases all holds that were taken through this open file; returns how many there were.
    pub fn thaw_own(&self) -> Result<u32> {
        let holds = self.file_holds().release_all();
        holds.context("FITHAW until nothing is left")
    }

    /// Thaws until nothing is left to thaw; returns how many file holds there were. Each open file releases one hold
    /// that is not its own.
    pub fn thaw_fully(&self) -> Result<u32> {
        let mut holds = self.thaw_own()?;
        loop {
            match self.again()?.thaw_own()? {
                0 => return Ok(holds),
                more => holds += more,
            }
        }
    }

    /// `FIFREEZE_TIMEOUT` on the root directory.
    pub fn freeze_timeout(&self, seconds: i64) -> Result<(), Errno> {
        self.file_holds().take_for(seconds)
    }

    /// `FIFREEZE_RESET_TIMEOUT` on the root directory.
    pub fn reset_timeout(&self, seconds: i64) -> Result<(), Errno> {
        self.file_holds().reset(seconds)
    }

    /// Remounts with other flags; `EBUSY` while frozen (`reconfigure_super` in fs/super.c).
    pub fn remount(&self, flags: MsFlags) -> Result<(), Errno> {
        nix::mount::mount(
            None::<&str>,
            &self.root,
            None::<&str>,
            flags | MsFlags::MS_REMOUNT,
            None::<&str>,
        )
    }

    /// Whether the superblock is frozen, asked in a way that cannot block: a
    /// remount that changes nothing, which a frozen superblock refuses.
    pub fn is_frozen(&self) -> Result<bool> {
        match self.remount(self.flags) {
            Ok(()) => Ok(false),
            Err(Errno::EBUSY) => Ok(true),
            Err(errno) => Err(errno).context("failed to ask by remount whether it is frozen"),
        }
    }

    /// Creates or replaces a file, on disk before this returns.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<File> {
        let path = self.path(name);
        let write = || {
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&path)?;
            file.write_all_at(content, 0)?;
            file.sync_all()?;
            Ok::<_, std::io::Error>(file)
        };
        write().with_context(|| format!("failed to write {}", path.display()))
    }

    /// Fails unless the file has exactly this content, read from the disk as
    /// far as its pages are clean.
    pub fn holds(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.path(name);
        let read = || {
            let file = File::open(&path)?;
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
            fs::read(&path)
        };
        let found = read().with_context(|| format!("failed to read {}", path.display()))?;
        if found == content {
            return Ok(());
        }
        if let Some(at) = found
            .iter()
            .zip(content)
            .position(|(found, want)| found != want)
        {
            bail!(
                "{}: byte {at} is {:#x}, not {:#x}",
                path.display(),
                found[at],
                content[at]
            );
        }
        bail!(
            "{} has {} bytes, not {}",
            path.display(),
            found.len(),
            content.len()
        )
    }

    /// Fails if the name exists.
    pub fn lacks(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        let exists = path
            .try_exists()
            .with_context(|| format!("failed to look up {}", path.display()))?;
        ensure!(!exists, "{} exists", path.display());
        Ok(())
    }
}
