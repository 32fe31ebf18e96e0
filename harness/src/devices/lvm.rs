//! LVM on the scratch disks, by the real `lvm`, in a guest without udev and
//! without the configuration of any machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::disk;
use crate::linux::program;

/// No udev, no daemons, no metadata backups (lvm.conf(5)).
const CONFIG: &str = "\
activation { udev_sync=0 udev_rules=0 monitoring=0 verify_udev_operations=1 } \
backup { backup=0 archive=0 } \
devices { obtain_device_list_from_udev=0 external_device_info_source=\"none\" use_devicesfile=0 } \
global { event_activation=0 use_lvmpolld=0 }";

/// A volume group on whole disks.
#[derive(Clone, Debug)]
pub struct VolumeGroup {
    name: String,
}

impl VolumeGroup {
    pub fn create(name: &str, disks: &[PathBuf]) -> Result<VolumeGroup> {
        for disk in disks {
            disk::wipe(disk)?;
        }
        // vgcreate makes the physical volumes as pvcreate would, with one exec less.
        lvm(Command::new("vgcreate")
            .args(["-qq", "-y", "-ff", name])
            .args(disks))?;
        Ok(VolumeGroup {
            name: name.to_owned(),
        })
    }

    /// Creates a logical volume of `mebibytes` and returns its node.
    pub fn volume(&self, name: &str, mebibytes: u32) -> Result<PathBuf> {
        let size = format!("{mebibytes}m");
        lvm(Command::new("lvcreate")
            .args(["-qq", "-y", "-Wn", "-L", &size, "-n", name, &self.name]))?;
        Ok(self.node(name))
    }

    /// Takes a snapshot of `origin` with room for `mebibytes` of changes and returns its node.
    pub fn snapshot(&self, origin: &str, name: &str, mebibytes: u32) -> Result<PathBuf> {
        let origin = format!("{}/{origin}", self.name);
        let size = format!("{mebibytes}m");
        lvm(Command::new("lvcreate").args(["-qq", "-y", "-s", "-L", &size, "-n", name, &origin]))?;
        Ok(self.node(name))
    }

    /// Removes the group and all volumes in it.
    pub fn remove(&self) -> Result<()> {
        lvm(Command::new("vgremove").args(["-qq", "-y", "-ff", &self.name]))
    }

    /// Not below /dev/GROUP: those are links that udev makes.
    fn node(&self, volume: &str) -> PathBuf {
        Path::new("/dev/mapper").join(format!("{}-{volume}", self.name))
    }
}

fn lvm(command: &mut Command) -> Result<()> {
    command
        .args(["--config", CONFIG])
        .env("DM_DISABLE_UDEV", "1");
    program::run(command).map(drop)
}
