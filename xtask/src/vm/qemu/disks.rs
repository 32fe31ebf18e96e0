//! Scratch disks: images in a folder that goes with the guest.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::host::claim::Scratch;
use crate::host::layout::Layout;

/// Bytes of a scratch disk; the image is sparse.
pub const DISK: u64 = 512 << 20;

/// Begins the names of the folders that have a guest's scratch disks.
pub const FOLDERS: &str = "disks-";

/// Empty images, one for each of [`harness::wire::storage::SCRATCH`], gone with the folder.
pub fn scratch_disks(layout: &Layout) -> Result<(Scratch, Vec<Utf8PathBuf>)> {
    let dir = Scratch::new(&scratch(layout)?, FOLDERS)?;
    let images: Vec<_> = harness::wire::storage::SCRATCH
        .iter()
        .map(|serial| dir.path().join(format!("{serial}.img")))
        .collect();
    for image in &images {
        fs_err::File::create(image)?.set_len(DISK)?;
    }
    Ok((dir, images))
}

/// The folder for what is gone after a run.
pub fn scratch(layout: &Layout) -> Result<Utf8PathBuf> {
    let folder = layout.work("scratch");
    fs_err::create_dir_all(&folder)?;
    Ok(folder)
}
