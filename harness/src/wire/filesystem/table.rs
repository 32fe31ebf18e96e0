//! The filesystems under test. To add one is to add an entry here.

use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};

use super::entry::{Clean, Copied, Entry, PLAIN, Second, Shutdown};

/// Makes an enum of the names, and each name's entry a constant.
macro_rules! filesystems {
    ($($(#[$about:meta])* $name:ident = $entry:expr;)*) => {
        /// A filesystem under test, by its name in lower case.
        #[derive(
            Clone,
            Copy,
            Debug,
            PartialEq,
            Eq,
            Hash,
            PartialOrd,
            Ord,
            Serialize,
            Deserialize,
            Display,
            IntoStaticStr,
            VariantArray,
        )]
        #[serde(rename_all = "kebab-case")]
        #[strum(serialize_all = "kebab-case")]
        pub enum Filesystem {
            $($(#[$about])* $name,)*
        }

        impl Filesystem {
            /// What is particular to it.
            pub const fn entry(self) -> &'static Entry {
                match self {
                    $(Filesystem::$name => {
                        const ENTRY: Entry = $entry;
                        &ENTRY
                    })*
                }
            }
        }
    };
}

filesystems! {
    /// Served by the ext4 driver on every base (fs/ext4/super.c registers the name).
    Ext3 = EXT3;

    Xfs = XFS;

    Ext4 = Entry {
        kind: "ext4",
        // By default the kernel goes on to write inode tables once it is mounted.
        mkfs: &["mkfs.ext4", "-q", "-F", "-Elazy_itable_init=0,lazy_journal_init=0", "-Jsize=4"],
        other_type: None,
        ..EXT3
    };

    F2fs = Entry {
        kind: "f2fs",
        driver: "f2fs",
        package: "f2fs-tools",
        mkfs: &["mkfs.f2fs", "-q", "-f"],
        check: &["fsck.f2fs", "--dry-run", "-f"],
        kernel: "CONFIG_F2FS_FS=y\n",
        smallest: 64,
        complaints: &[
            &["F2FS-fs (", "Inconsistent"],
            &["F2FS-fs (", "inconsistent"],
            &["F2FS-fs (", "corrupt"],
            &["F2FS-fs (", "access invalid"],
            &["F2FS-fs (", "Stopped filesystem"],
        ],
        ..PLAIN
    };

    /// On two devices, with its metadata on both.
    Btrfs = Entry {
        kind: "btrfs",
        driver: "btrfs",
        package: "btrfs-progs",
        version: "--version",
        mkfs: &["mkfs.btrfs", "-q", "-f"],
        check: &["btrfs", "check", "--readonly"],
        // It looks for the devices itself, and may come upon the disk below a mapped one, which is in use.
        unchecked: Some("Device or resource busy"),
        // To measure which way of computing parity is the fastest takes seconds of each boot under emulation.
        kernel: "CONFIG_BTRFS_FS=y\n# CONFIG_RAID6_PQ_BENCHMARK is not set\n",
        smallest: 128,
        second: Some(Second {
            prepare: &[],
            mkfs: &["-draid0", "-mraid1"],
            behind: &["{}"],
            check: &[],
            mount: "device={}",
        }),
        is_on_two: true,
        // It knows its devices by their identity, and takes a copy for one of them.
        copy: None,
        // Until Linux 6.17 the block layer did not know whose its devices are.
        follows_devices: false,
        mixes_mounts: true,
        complaints: &[
            &["BTRFS error"],
            &["BTRFS critical"],
            &["BTRFS warning"],
            &["BTRFS: error"],
            &["BTRFS: Transaction aborted"],
        ],
        ..PLAIN
    };

    /// As a cluster of one.
    Gfs2 = Entry {
        kind: "gfs2",
        driver: "gfs2",
        package: "gfs2-utils",
        // One journal, the smallest.
        mkfs: &["mkfs.gfs2", "-q", "-O", "-K", "-plock_nolock", "-j1", "-J8"],
        check: &["fsck.gfs2", "-n"],
        // Each node counts for itself until it unmounts.
        clean: Clean::Except(&[
            "The statfs file is wrong:",
            "Current statfs values:",
            "Calculated statfs values:",
            "blocks:",
            "free:",
            "dinodes:",
            "The statfs file was not fixed.",
        ]),
        kernel: "CONFIG_GFS2_FS=y\n",
        smallest: 32,
        cannot: &[
            (
                "device_sync_failure",
                "gfs2 reads its journal at a freeze, and cannot be frozen any more once that has failed",
            ),
            (
                "timeout_failed_sync",
                "gfs2 that withdraws as it writes its log dies at the unmount: BUG_ON() in gfs2_jindex_free()",
            ),
        ],
        complaints: &[
            &["gfs2: fsid=", "fatal"],
            &["gfs2: fsid=", "withdraw"],
            &["gfs2: fsid=", "Error"],
            &["gfs2: fsid=", "error"],
        ],
        ..PLAIN
    };

    /// With its journal on a device of its own.
    Ext3Journal = Entry {
        mkfs: &["mkfs.ext3", "-q", "-F"],
        is_on_two: true,
        copy: None,
        ..EXT3
    };

    /// With its log on a device of its own.
    XfsLog = Entry {
        is_on_two: true,
        copy: None,
        cannot: &[(
            "timeout_failed_sync",
            "XFS tries for ever to write to its device as long as its log works, and so does a freeze",
        )],
        ..XFS
    };
}

const EXT3: Entry = Entry {
    kind: "ext3",
    driver: "ext4",
    package: "e2fsprogs",
    // The smallest journal: writing it takes most of the time.
    mkfs: &["mkfs.ext3", "-q", "-F", "-Jsize=4"],
    check: &["e2fsck", "-fn"],
    clean: Clean::E2fs,
    second: Some(Second {
        // Both with blocks of one size, whatever size they have themselves.
        prepare: &["mke2fs", "-q", "-F", "-b4096", "-Ojournal_dev"],
        mkfs: &["-b4096", "-Jdevice={}"],
        behind: &[],
        check: &["-j{}"],
        mount: "journal_path={}",
    }),
    copy: Some(Copied {
        beside: "",
        unrecovered: "noload",
    }),
    thaw_writes: true,
    shuts_down: Some(Shutdown::ClosesFiles),
    other_type: Some("ext4"),
    complaints: &[
        &["EXT4-fs error"],
        &["EXT4-fs warning"],
        &["EXT4-fs (", "error count since last fsck"],
        &["EXT4-fs (", "mounting fs with errors"],
        &["EXT4-fs (", "Data will be lost"],
        &["EXT4-fs (", "Remounting filesystem read-only"],
        &["EXT4-fs (", "shut down requested"],
        &["Aborting journal"],
        &["JBD2:", "IO error"],
        &["JBD2:", "Error"],
        &["JBD2:", "corrupt"],
        &["JBD2: Spotted dirty metadata"],
    ],
    ..PLAIN
};

const XFS: Entry = Entry {
    kind: "xfs",
    driver: "xfs",
    package: "xfsprogs",
    mkfs: &["mkfs.xfs", "-q", "-f"],
    // The features that Linux 6.1 has, the oldest base: by itself, a newer mkfs makes filesystems that 6.1 cannot
    // mount. Early versions of the file are refused by the program that they come with, which has no more features.
    mkfs_newer: &["-coptions=/usr/share/xfsprogs/mkfs/lts_6.1.conf"],
    // Less than 300 MB are made for nobody but fstests (mkfs/xfs_mkfs.c).
    mkfs_environment: &["TEST_DIR", "TEST_DEV", "QA_CHECK_FS"],
    // The smallest filesystems have no second superblock to compare with.
    check: &["xfs_repair", "-n", "-o", "force_geometry"],
    clean: Clean::Xfs,
    programs: &["xfs_logprint"],
    configuration: &["/usr/share/xfsprogs/mkfs/lts_6.1.conf"],
    second: Some(Second {
        prepare: &[],
        mkfs: &["-llogdev={},size=64m"],
        behind: &[],
        check: &["-l{}"],
        mount: "logdev={}",
    }),
    // It refuses two filesystems with one UUID.
    copy: Some(Copied {
        beside: "nouuid",
        unrecovered: "norecovery,nouuid",
    }),
    shuts_down: Some(Shutdown::ClosesRoot),
    complaints: &[
        &["XFS: Assertion failed"],
        &["XFS (", "Assertion failed"],
        &["XFS (", "corrupt"],
        &["XFS (", "Corrupt"],
        &["XFS (", "CORRUPT"],
        &["XFS (", "CRC "],
        &["XFS (", "Shutting down"],
        &["XFS (", "shutting down"],
        &["XFS (", "shut down"],
        &["XFS (", "shutdown"],
        &["XFS (", "Please unmount"],
        &["XFS (", "reservation ran out"],
    ],
    ..PLAIN
};
