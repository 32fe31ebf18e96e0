//! What an entry of the table says of its filesystem: data only, as the host reads it, too.

/// What is particular to a filesystem under test.
///
/// In arguments and options, [`PLACE`] stands for the second device.
#[derive(Debug)]
pub struct Entry {
    /// As `mount -t` takes it.
    pub kind: &'static str,
    /// The kernel's module.
    pub driver: &'static str,
    /// The Debian package that has all of its programs.
    pub package: &'static str,
    /// The option by which these say their version.
    pub version: &'static str,
    /// Makes an empty filesystem on the device to be appended, whatever was there before.
    pub mkfs: &'static [&'static str],
    /// Options that are tried first: an older mkfs may refuse them, and does not need them then.
    pub mkfs_newer: &'static [&'static str],
    /// Variables that it wants to be set.
    pub mkfs_environment: &'static [&'static str],
    /// Checks the device to be appended, and changes nothing.
    pub check: &'static [&'static str],
    /// What it says where it has not looked.
    pub unchecked: Option<&'static str>,
    /// Whether it is good as it is, before any journal is replayed.
    pub clean: Clean,
    /// Programs that it takes beside these.
    pub programs: &'static [&'static str],
    /// What the programs read if it is there.
    pub configuration: &'static [&'static str],
    /// Options of the kernel beside those of `configs/base.config`: its kernel is built only if it is asked for.
    pub kernel: &'static str,
    /// The smallest that mkfs makes, in MiB.
    pub smallest: u64,
    /// How it is made on two devices, if it can be.
    pub second: Option<Second>,
    /// It is on two devices in every case.
    pub is_on_two: bool,
    /// How a copy is mounted beside its original, if it can be.
    pub copy: Option<Copied>,
    /// To suspend its device freezes it on every base. Where it does not, a case that wants it has to be skipped.
    pub follows_devices: bool,
    /// The last thaw writes to the device, and the kernel complains if it cannot.
    pub thaw_writes: bool,
    /// It can be told to shut down while it is frozen.
    pub shuts_down: Option<Shutdown>,
    /// It can be mounted read-only and writable at once, on some kernels.
    pub mixes_mounts: bool,
    /// A type that the same device can be mounted as, too.
    pub other_type: Option<&'static str>,
    /// Cases that it cannot take, with or without patches, each with the reason.
    pub cannot: &'static [(&'static str, &'static str)],
    /// Words by which the kernel complains of it; several are apart from each other in a line.
    pub complaints: &'static [&'static [&'static str]],
}

/// The path of the second device, in an argument or an option.
pub const PLACE: &str = "{}";

/// A second device.
#[derive(Debug)]
pub struct Second {
    /// Prepares the device to be appended; nothing if there is nothing to do.
    pub prepare: &'static [&'static str],
    /// More options of mkfs.
    pub mkfs: &'static [&'static str],
    /// What stands behind the first device.
    pub behind: &'static [&'static str],
    /// More options of the check.
    pub check: &'static [&'static str],
    /// Options as in `mount -o`.
    pub mount: &'static str,
}

/// Mount options of copies.
#[derive(Debug)]
pub struct Copied {
    /// Beside the original.
    pub beside: &'static str,
    /// Read-only, and with the journal left alone, too.
    pub unrecovered: &'static str,
}

/// What it takes for a filesystem to be good as it is.
#[derive(Clone, Copy, Debug)]
pub enum Clean {
    /// Its check passes.
    Checked,
    /// Its check has nothing to say on standard error but lines that begin so.
    Except(&'static [&'static str]),
    /// The superblock of ext2 and its successors does not ask for recovery, either.
    E2fs,
    /// XFS has superblocks in its log while it is frozen.
    Xfs,
}

/// What comes of a shutdown.
#[derive(Debug)]
pub enum Shutdown {
    /// No file can be opened any more.
    ClosesFiles,
    /// Not even the root can.
    ClosesRoot,
}

/// What most have in common.
pub const PLAIN: Entry = Entry {
    kind: "",
    driver: "",
    package: "",
    version: "-V",
    mkfs: &[],
    mkfs_newer: &[],
    mkfs_environment: &[],
    check: &[],
    unchecked: None,
    clean: Clean::Checked,
    programs: &[],
    configuration: &[],
    kernel: "",
    smallest: 16,
    second: None,
    is_on_two: false,
    copy: Some(Copied {
        beside: "",
        unrecovered: "norecovery",
    }),
    follows_devices: true,
    thaw_writes: false,
    shuts_down: None,
    mixes_mounts: false,
    other_type: None,
    cannot: &[],
    complaints: &[],
};
