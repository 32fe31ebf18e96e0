//! Many small filesystems on one disk, each on a device-mapper device of its
//! own: a superblock can meet one deadline a second, so many deadlines take
//! many superblocks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};

use super::dm::{self, Dm};
use super::mount::{self, Mount};
use super::{disk, filesystem};
use crate::wire::Filesystem;

/// As many as let a case end in time on a slow machine; fewer if no more fit on the disk.
const SIZE: u64 = 16;

/// To check all would take longer than the case.
const CHECKED: usize = 3;

/// A filesystem of the herd; nothing of it is open.
#[derive(Clone, Debug)]
pub struct Member {
    pub dm: Dm,
    filesystem: Filesystem,
    root: PathBuf,
}

impl Member {
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn open(&self) -> Result<Mount> {
        Mount::new(self.root.clone(), MsFlags::empty())
    }

    pub fn mount(&self) -> Result<()> {
        // All are copies of one.
        let copy = self.filesystem.entry().copy.as_ref();
        let options = copy.context("it cannot be copied")?.beside;
        let (node, kind) = (self.dm.node(), Some(self.filesystem.kind()));
        mount(
            Some(&node),
            &self.root,
            kind,
            MsFlags::empty(),
            Some(options),
        )
        .with_context(|| format!("failed to mount {}", node.display()))
    }

    /// Whether it was mounted.
    fn unmount(&self) -> Result<bool> {
        match umount(&self.root) {
            Ok(()) => Ok(true),
            Err(Errno::EINVAL) => Ok(false),
            Err(errno) => {
                Err(errno).with_context(|| format!("failed to unmount {}", self.root.display()))
            }
        }
    }
}

/// The size of a device, the smallest that the filesystem can have.
pub const fn sectors(filesystem: Filesystem) -> u64 {
    (filesystem.entry().smallest << 20) / 512
}

/// How many fit on the disk, and of which size.
pub fn size(filesystem: Filesystem, disk: &Path) -> Result<(u64, u64)> {
    let sectors = sectors(filesystem);
    Ok((SIZE.min(disk::sectors(disk)? / sectors), sectors))
}

/// Divides the disk into so many devices; the filesystems are still to be made.
pub fn devices(
    filesystem: Filesystem,
    disk: &Path,
    mounts: &Path,
    (count, sectors): (u64, u64),
) -> Result<Vec<Member>> {
    let mut tables = Vec::new();
    for nth in 0..count {
        let name = format!("herd{nth}");
        mount::point(mounts, &name)?;
        tables.push((name, dm::slice(sectors, disk, nth * sectors)));
    }
    let member = |dm: Dm| Member {
        root: mounts.join(dm.name()),
        dm,
        filesystem,
    };
    Ok(Dm::create_all(&tables)?.into_iter().map(member).collect())
}

/// Makes one filesystem, copies it to all, and mounts them.
pub fn populate(herd: &[Member], mkfs: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let (first, others) = herd.split_first().context("a herd has members")?;
    mkfs(&first.dm.node())?;
    let nodes: Vec<_> = others.iter().map(|member| member.dm.node()).collect();
    disk::copy_to_zeros(&first.dm.node(), &nodes)?;
    herd.iter().try_for_each(Member::mount)
}

/// Unmounts what is mounted, and says what some of them looked like; waits no longer
/// than `patience` for the end of each.
pub fn take_down(herd: &[Member], patience: Duration) -> Result<Result<()>> {
    let mut mounted = Vec::new();
    for member in herd {
        if member.unmount()? {
            mounted.push(member);
        }
        disk::until_unused(&member.dm.node(), patience)?;
    }
    let mut sample = mounted.iter().step_by(herd.len().div_ceil(CHECKED));
    let check =
        sample.try_for_each(|member| filesystem::check(member.filesystem, &member.dm.node()));
    Dm::remove_all(herd.iter().map(|member| &member.dm))?;
    Ok(check)
}
