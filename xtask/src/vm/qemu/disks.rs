//! Scratch disks: images in a folder that goes with the guest.

use anyhow::Result;
use camino::Utf8PathBuf;
use harness::wire::storage::{SCRATCH, SECOND};

use crate::host::claim::Scratch;
use crate::host::layout::Layout;

/// The serial numbers of a guest's disks, and their bytes; the images are sparse.
pub const DISKS: [(&str, u64); 3] = [
    (SCRATCH[0], 512 << 20),
    (SCRATCH[1], 512 << 20),
    (SECOND, 256 << 20),
];

/// Begins the names of the folders that have a guest's scratch disks.
pub const FOLDERS: &str = "disks-";

/// Empty images, one for each of [`DISKS`], gone with the folder.
pub fn scratch_disks(layout: &Layout) -> Result<(Scratch, Vec<Utf8PathBuf>)> {
    let dir = Scratch::new(&scratch(layout)?, FOLDERS)?;
    let mut images = Vec::new();
    for (serial, size) in DISKS {
        let image = dir.path().join(format!("{serial}.img"));
        fs_err::File::create(&image)?.set_len(size)?;
        images.push(image);
    }
    Ok((dir, images))
}

/// The folder for what is gone after a run.
pub fn scratch(layout: &Layout) -> Result<Utf8PathBuf> {
    let folder = layout.work("scratch");
    fs_err::create_dir_all(&folder)?;
    Ok(folder)
}
