//! Device-mapper devices, by the real `dmsetup`.
//!
//! `DM_DISABLE_UDEV` makes libdevmapper create the nodes below /dev/mapper
//! itself and not wait for a udev that the guest lacks (libdm, dmsetup(8)).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::libc;

use crate::linux::program;

/// A mapped device.
#[derive(Clone, Debug)]
pub struct Dm {
    name: String,
}

impl Dm {
    pub fn create(name: &str, table: &str) -> Result<Dm> {
        dmsetup(&["create", name, "--table", table])?;
        Ok(Dm {
            name: name.to_owned(),
        })
    }

    /// Creates devices of these names and tables: all, or none.
    pub fn create_all(devices: &[(String, String)]) -> Result<Vec<Dm>> {
        let concise: Vec<_> = devices
            .iter()
            .map(|(name, table)| format!("{name},,,rw,{table}"))
            .collect();
        let dm = |(name, _): &(String, String)| Dm { name: name.clone() };
        let all: Vec<_> = devices.iter().map(dm).collect();
        dmsetup(&["create", "--concise", &concise.join(";")]).inspect_err(|_| {
            // Those that are not there cannot be removed, and those before the error can.
            all.iter().for_each(|dm| drop(dm.remove()));
        })?;
        Ok(all)
    }

    pub fn remove_all<'a>(devices: impl Iterator<Item = &'a Dm>) -> Result<()> {
        let names: Vec<_> = devices.map(Dm::name).collect();
        dmsetup(&[&["remove"], &names[..]].concat())
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node below /dev/mapper.
    pub fn node(&self) -> PathBuf {
        Path::new("/dev/mapper").join(&self.name)
    }

    /// As sysfs calls it, such as `dm-0`.
    pub fn kernel_name(&self) -> Result<String> {
        let node = self.node();
        let number = fs::metadata(&node)
            .with_context(|| format!("no device {}", node.display()))?
            .rdev();
        Ok(format!("dm-{}", libc::minor(number)))
    }

    /// Freezes the filesystem on the device (a device hold) and stops its I/O.
    pub fn suspend(&self) -> Result<()> {
        dmsetup(&["suspend", &self.name])
    }

    /// Starts I/O again and releases the device hold.
    pub fn resume(&self) -> Result<()> {
        dmsetup(&["resume", &self.name])
    }

    /// Exchanges the table, without a word to the filesystem.
    pub fn replace(&self, table: &str) -> Result<()> {
        dmsetup(&["suspend", "--nolockfs", &self.name])?;
        dmsetup(&["load", &self.name, "--table", table])?;
        dmsetup(&["resume", &self.name])
    }

    /// Prepares a table, for `switch::Switch::exchange`.
    pub fn load(&self, table: &str) -> Result<()> {
        dmsetup(&["load", &self.name, "--table", table])
    }

    pub fn remove(&self) -> Result<()> {
        dmsetup(&["remove", &self.name])
    }
}

/// A table that maps `sectors` (of 512 bytes) one to one onto the start of `device`.
pub fn linear(sectors: u64, device: &Path) -> String {
    slice(sectors, device, 0)
}

/// A table that maps `sectors` (of 512 bytes) onto those of `device` from `start` on.
pub fn slice(sectors: u64, device: &Path, start: u64) -> String {
    format!("0 {sectors} linear {} {start}", device.display())
}

/// A table that fails every request.
pub fn error(sectors: u64) -> String {
    format!("0 {sectors} error")
}

/// A table that copies what is overwritten on `base` into its snapshots first.
pub fn snapshot_origin(sectors: u64, base: &Path) -> String {
    format!("0 {sectors} snapshot-origin {}", base.display())
}

/// A table that shows `base` as it is now; what changes is kept on `store`
/// until reboot (`N`: not persistent), in chunks of 8 sectors.
pub fn snapshot(sectors: u64, base: &Path, store: &Path) -> String {
    format!(
        "0 {sectors} snapshot {} {} N 8",
        base.display(),
        store.display()
    )
}

/// Resumes every suspended device and returns their names, from
/// /sys/block/dm-N/dm (Documentation/ABI/testing/sysfs-block-dm).
pub fn resume_all() -> Result<Vec<String>> {
    let mut resumed = Vec::new();
    for entry in fs::read_dir("/sys/block").context("failed to read /sys/block")? {
        let attributes = entry?.path().join("dm");
        let Ok(suspended) = fs::read_to_string(attributes.join("suspended")) else {
            continue; // no dm device
        };
        if suspended.trim_end() == "1" {
            let name = fs::read_to_string(attributes.join("name"))
                .context("failed to read the name of a dm device")?;
            let name = name.trim_end().to_owned();
            dmsetup(&["resume", &name])?;
            resumed.push(name);
        }
    }
    Ok(resumed)
}

fn dmsetup(arguments: &[&str]) -> Result<()> {
    program::run(
        Command::new("dmsetup")
            .args(arguments)
            .env("DM_DISABLE_UDEV", "1"),
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        let (base, store) = (Path::new("/dev/mapper/base"), Path::new("/dev/vdb"));
        assert_eq!(
            linear(1048576, Path::new("/dev/vda")),
            "0 1048576 linear /dev/vda 0"
        );
        assert_eq!(
            snapshot_origin(8, base),
            "0 8 snapshot-origin /dev/mapper/base"
        );
        assert_eq!(error(8), "0 8 error");
        assert_eq!(
            snapshot(8, base, store),
            "0 8 snapshot /dev/mapper/base /dev/vdb N 8"
        );
    }
}
