//! The cases. A case asserts every return code, and shows that writers are
//! blocked by the state of their tasks, never by time.
//!
//! A case is a function and an entry in the table of its file. A file whose cases do not all follow each other has
//! more than one table.

mod agent;
mod argument;
mod asynchronous;
mod chains;
mod compat;
mod descriptor;
mod dm;
mod emergency;
mod errors;
mod ext3;
mod external;
mod f2fs;
mod failures;
mod fdinfo;
mod gfs2;
mod holds;
mod hyperv;
mod kept;
mod modules;
mod nesting;
mod operations;
mod power;
mod pressure;
mod programs;
mod quota;
mod races;
mod read_only;
mod scrub;
mod selftest;
mod shared;
mod slow;
mod snapshots;
mod timeout;
mod unplug;
mod writes;

use std::sync::LazyLock;

use crate::case::Case;

/// The tables of all files, in the order in which their cases run. It is public: shares of a run are taken from it.
const TABLES: &[&[Case]] = &[
    writes::CASES,
    operations::CASES,
    asynchronous::CASES,
    quota::CASES,
    nesting::CASES,
    descriptor::CASES,
    dm::CASES,
    emergency::CASES,
    external::CASES,
    shared::CASES,
    snapshots::CASES,
    errors::CASES,
    programs::CASES,
    agent::CASES,
    hyperv::CASES,
    holds::owners::CASES,
    holds::orders::CASES,
    holds::deadlines::CASES,
    read_only::CASES,
    fdinfo::CASES,
    chains::CASES,
    timeout::deadline::CASES,
    timeout::rescue::CASES,
    pressure::CASES,
    timeout::gone::CASES,
    timeout::refused::CASES,
    slow::CASES,
    timeout::crowd::CASES,
    timeout::failing::CASES,
    failures::CASES,
    unplug::CASES,
    power::CASES,
    f2fs::CASES,
    gfs2::CASES,
    scrub::CASES,
    modules::CASES,
    races::requests::CASES,
    races::unmount::CASES,
    races::device::CASES,
    argument::CASES,
    compat::CASES,
    ext3::CASES,
    compat::OF_EXT3,
    ext3::ELSEWHERE,
    kept::ends::CASES,
    kept::shared::CASES,
    kept::beside::CASES,
    kept::refused::CASES,
    selftest::CASES,
];

static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| TABLES.concat());

/// Every case, in the order in which they run.
pub fn all() -> &'static [Case] {
    &ALL
}

/// The case of this name.
pub fn find(name: &str) -> Option<&'static Case> {
    all().iter().find(|case| case.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::wire::Filesystem;

    #[test]
    fn names_are_unique_and_snake_case() {
        let mut seen = HashSet::new();
        for case in all() {
            assert!(seen.insert(case.name), "{} is there twice", case.name);
            let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(case.name.chars().all(snake), "{}", case.name);
        }
    }

    /// In the order in which they ran from the start, new ones where they belong: shares of two checkouts (`--shard`)
    /// are the same only if this is.
    const ORDER: &[&str] = &[
        "writes_stop_write",
        "writes_stop_fsync",
        "writes_stop_create",
        "writes_stop_rename",
        "writes_stop_truncate",
        "writes_stop_mmap",
        "operations_that_write",
        "operations_that_read",
        "operations_that_may_wait",
        "operations_aio",
        "operations_io_uring",
        "operations_quota",
        "n_freezes_need_n_thaws",
        "concurrent_freezes",
        "freeze_read_only",
        "remount_while_frozen_is_busy",
        "emergency_thaw",
        "descriptor_outlives_unmount",
        "descriptor_outlives_shutdown",
        "dm_case_a",
        "dm_case_b",
        "dm_case_c",
        "dm_thaw_cannot_steal",
        "dm_hold_outlives_thaw",
        "dm_snapshot_while_frozen",
        "dm_emergency_thaw",
        "emergency_thaw_beside_suspend",
        "external_suspend_both",
        "external_emergency_thaw",
        "external_emergency_thaw_data_first",
        "external_emergency_thaw_races",
        "shared_suspend",
        "shared_emergency_thaw",
        "shared_sync_failure",
        "snapshot_outside",
        "snapshot_inside",
        "error_not_frozen",
        "error_no_capability",
        "error_cannot_freeze",
        "error_wrong_descriptor",
        "error_full_counter",
        "program_fsfreeze",
        "program_xfs_freeze",
        "program_lvcreate_snapshot",
        "program_qemu_ga",
        "program_qemu_ga_foreign_hold",
        "program_qemu_ga_device_hold",
        "program_hv_vss_daemon",
        "program_hv_vss_daemon_mounts",
        "program_hv_vss_daemon_fails",
        "owner_thaws_its_own",
        "owner_is_an_open_file",
        "owner_leaves_its_hold",
        "owner_is_rescued",
        "owner_resets_its_own",
        "owner_keeps_its_deadline",
        "owner_learns_of_its_end",
        "holds_in_all_orders",
        "holds_end_in_all_orders",
        "read_only_ext2",
        "read_only_ext3",
        "read_only_sysrq",
        "fdinfo_tells_who_holds",
        "fdinfo_of_holds_left_behind",
        "chains_let_writers_go_on",
        "chains_wait_their_turn",
        "chains_keep_early_holds",
        "chains_begun_by_a_device",
        "chains_give_up",
        "timeout_thaws",
        "timeout_reset_later",
        "timeout_reset_sooner",
        "timeout_reset_cancels",
        "timeout_last_thaw_cancels",
        "timeout_emergency_thaw_cancels",
        "timeout_never_shortens",
        "timeout_ends_each_hold",
        "timeout_ends_no_later_hold",
        "timeout_leaves_device_hold",
        "timeout_rescues_itself",
        "timeout_rescues_killed",
        "timeout_rescues_stopped",
        "timeout_rescues_swapped_out",
        "timeout_unmount_pending",
        "timeout_read_only_mount",
        "timeout_device_gone",
        "timeout_device_gone_writable",
        "timeout_values",
        "timeout_pointers",
        "timeout_permissions",
        "timeout_covers_the_sync",
        "timeout_covers_a_stuck_writer",
        "timeout_runs_from_the_call",
        "timeout_beside_one_in_flight",
        "chains_join_a_slow_freeze",
        "emergency_thaw_beside_a_freeze",
        "timeout_is_not_late",
        "timeout_beside_hung_thaws",
        "timeout_thaw_fails",
        "failed_thaw_keeps_the_hold",
        "device_sync_failure",
        "timeout_failed_freeze",
        "timeout_failed_sync",
        "timeout_not_inherited",
        "unplugged_while_frozen",
        "timeout_unplugged",
        "suspend_while_frozen",
        "suspend_across_a_deadline",
        "f2fs_resize_waits",
        "f2fs_resize_is_alone",
        "gfs2_whoever_thaws",
        "gfs2_deadline",
        "gfs2_nests",
        "gfs2_withdrawn",
        "scrub_beside_freezes",
        "module_is_released",
        "module_is_released_at_a_deadline",
        "timeout_races",
        "timeout_races_unmount",
        "timeout_races_suspend",
        "timeout_races_device_gone",
        "timeout_races_emergency_thaw",
        "argument_ignored_by_default",
        "argument_honoured",
        "argument_setting",
        "freeze_compat",
        "timeout_compat",
        "argument_compat",
        "hold_compat",
        "ext3_ioctl_freeze_and_thaw",
        "ext3_ioctl_timeout",
        "ext3_ioctl_errors",
        "ext3_ioctl_no_capability",
        "ext3_ioctl_device_hold",
        "ext3_ioctl_compat",
        "ext3_ioctl_elsewhere",
        "hold_close",
        "hold_killed",
        "hold_expires",
        "hold_rescues_itself",
        "hold_moves_its_deadline",
        "hold_forced",
        "hold_too_late",
        "hold_tells_first",
        "hold_duplicated",
        "hold_executed",
        "hold_sent",
        "hold_sent_to_itself",
        "hold_is_nobody_elses",
        "hold_beside_fifreeze",
        "hold_beside_suspend",
        "hold_unmounted",
        "hold_requests",
        "hold_permissions",
        "hold_is_no_other_file",
        "selftest",
    ];

    #[test]
    fn cases_stay_in_their_order() {
        let names: Vec<_> = all().iter().map(|case| case.name).collect();
        assert_eq!(names, ORDER);
    }

    #[test]
    fn what_a_filesystem_cannot_take_is_a_case() {
        for filesystem in Filesystem::ALL {
            for (name, reason) in filesystem.entry().cannot {
                assert!(find(name).is_some(), "{filesystem}: {name}");
                assert!(!reason.is_empty(), "{filesystem}: {name}");
            }
        }
    }

    #[test]
    fn every_case_says_what_it_is_and_runs_somewhere() {
        for case in all() {
            assert!(
                !case.about.is_empty() && !case.filesystems.is_empty(),
                "{}",
                case.name
            );
        }
    }
}
