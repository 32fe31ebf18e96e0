//! What in the kernel log counts as a complaint.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::wire::Filesystem;

/// What no healthy kernel logs, by the words that a line has; several are apart from each other in it.
/// What starts with a letter must start a word.
const COMPLAINTS: &[&[&str]] = &[
    // Any part of the kernel (WARN, lockdep, RCU's own checks, a BUG, what an exception ends in).
    &["WARNING:"],
    &["BUG:"],
    &["BUG "],
    &["Oops"],
    &[" [#"],
    &["general protection"],
    &["stack segment"],
    &["double fault"],
    &["Unable to handle kernel"],
    &["Corrupted page table"],
    &["Thread overran stack"],
    &["Fixing recursive fault"],
    &["unchecked MSR access"],
    &["kernel tried to execute"],
    &["Kernel panic"],
    // lib/, and what is compiled in to check.
    &["refcount_t:"],
    &["list_add corruption"],
    &["list_del corruption"],
    &["list_add double add"],
    &["percpu ref ("],
    &["percpu_ref underflow"],
    &["Kernel memory overwrite attempt"],
    &["Kernel memory exposure attempt"],
    &["detected buffer overflow"],
    &["KASAN"],
    &["KCSAN:"],
    &["KMSAN:"],
    &["KFENCE"],
    &["UBSAN"],
    &["ODEBUG:"],
    &["new suspected memory leaks"],
    &["cannot create duplicate filename"],
    &["huh, entered softirq"],
    // Locks and RCU.
    &["possible circular locking"],
    &["possible recursive locking"],
    &["inconsistent lock state"],
    &["Invalid wait context"],
    &["DEBUG_LOCKS_WARN_ON"],
    &["INFO: possible"],
    &["INFO: trying to register non-static key"],
    &["suspicious RCU usage"],
    &["INFO: rcu", "stall"],
    &["rcu", "kthread starved for"],
    // What does not get on.
    &["INFO: task", "blocked"],
    &["hard LOCKUP"],
    &["soft lockup"],
    &["workqueue lockup"],
    // Memory.
    &["page allocation failure"],
    &["invoked oom-killer"],
    &["Out of memory:"],
    &["out of memory:"],
    &["Bad page"],
    &["Bad swap"],
    &["SLUB: Unable to allocate memory"],
    // Filesystems and what is below them.
    &["Internal error"],
    &["I/O error"],
    &["I/O Error"],
    &["error, dev "],
    &["writeback error"],
    &["Write error at byte offset"],
    &["device-mapper:", "error"],
    &["device-mapper:", "Error"],
    &["device-mapper:", "failed"],
    &["device-mapper:", "Invalidating"],
    &["Busy inodes after unmount"],
    &["Filesystem freeze failed"],
    &["Filesystem thaw failed"],
    // This project's own (fs/super.c).
    &["freeze timed out, but thawing failed"],
];

/// The same, and what stands in the entries of filesystems, each once.
static ALL: LazyLock<Vec<&[&str]>> = LazyLock::new(|| {
    let of_filesystems = Filesystem::ALL.iter().flat_map(|it| it.entry().complaints);
    let mut all: Vec<_> = COMPLAINTS.iter().chain(of_filesystems).copied().collect();
    let mut seen = HashSet::new();
    all.retain(|words| seen.insert(*words));
    all
});

/// Whether a line of the kernel log reports a bug of the kernel, or an error of what is below it.
pub fn is_complaint(line: &str) -> bool {
    let has = |words: &&str| contains_from_word_start(line, words);
    ALL.iter().any(|words| words.iter().all(has))
}

/// `BUG:` must not be found in `DEBUG:`.
fn contains_from_word_start(line: &str, words: &str) -> bool {
    let of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = |at: usize| !words.starts_with(of_a_word) || !line[..at].ends_with(of_a_word);
    // The first half decides nearly always, and is much the faster one: consoles get flooded.
    line.contains(words) && line.match_indices(words).any(|(at, _)| starts(at))
}

/// Whether the line has some of these words.
pub fn contains_any(line: &str, words: &[&str]) -> bool {
    words.iter().any(|words| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_recognised() {
        for line in [
            "WARNING: CPU: 1 PID: 71 at fs/super.c:2079 freeze_super+0x1e5/0x2a0",
            "WARNING: fs/super.c:2079 at freeze_super+0x1e5/0x2a0, CPU#1: fsfreeze/71",
            "WARNING: possible circular locking dependency detected",
            "WARNING: possible recursive locking detected",
            "WARNING: possible irq lock inversion dependency detected",
            "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
            "WARNING: inconsistent lock state",
            "WARNING: suspicious RCU usage",
            "WARNING: chain_key collision",
            "WARNING: lock held when returning to user space!",
            "INFO: possible recursive locking detected",
            "[ INFO: possible circular locking dependency detected ]",
            "INFO: trying to register non-static key.",
            "[ BUG: Invalid wait context ]",
            "DEBUG_LOCKS_WARN_ON(lock->magic != lock)",
            "BUG: unable to handle page fault for address: ffffffffffffffe8",
            "BUG: kernel NULL pointer dereference, address: 0000000000000008",
            "BUG: KASAN: slab-use-after-free in thaw_super+0x1/0x2",
            "BUG: KCSAN: data-race in freeze_super / thaw_super",
            "BUG: KMSAN: uninit-value in thaw_super+0x1/0x2",
            "BUG: KFENCE: use-after-free read in thaw_super+0x1/0x2",
            "BUG: sleeping function called from invalid context at fs/super.c:1",
            "BUG: scheduling while atomic: fsfreeze/71/0x00000002",
            "BUG: Bad page state in process fsfreeze  pfn:05a31",
            "BUG: Dentry 00000000a1b2c3d4{i=2,n=/}  still in use (1) [unmount of ext3 vda]",
            "BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 31s!",
            "BUG kmalloc-64 (Not tainted): Poison overwritten",
            "watchdog: BUG: soft lockup - CPU#0 stuck for 26s!",
            "watchdog: Watchdog detected hard LOCKUP on cpu 1",
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
            "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
            "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-...D } 2102 jiffies",
            "INFO: rcu_tasks detected stalls on tasks:",
            "rcu: rcu_preempt kthread starved for 5250 jiffies! g1037 f0x0 RCU_GP_WAIT_FQS(5) ->state=0x0 ->cpu=0",
            "kernel BUG at fs/super.c:1!",
            "Oops: 0000 [#1] PREEMPT SMP",
            "Oops: general protection fault, probably for non-canonical address",
            "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
            "divide error: 0000 [#2] SMP",
            "stack segment: 0000 [#1] SMP",
            "traps: PANIC: double fault, error_code: 0x0",
            "unchecked MSR access error: WRMSR to 0x10f (tried to write 0x0) at rIP: 0xffffffff81",
            "fsfreeze: Corrupted page table at address 7f12",
            "refcount_t: underflow; use-after-free.",
            "list_add corruption. next->prev should be prev (ffff), but was 0.",
            "list_del corruption, ffff888->next is LIST_POISON1 (dead000000000100)",
            "percpu ref (css_release) <= 0 (-1) after switching to atomic",
            "usercopy: Kernel memory overwrite attempt detected to SLUB object",
            "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
            "sysfs: cannot create duplicate filename '/devices/virtual/bdi/254:0'",
            "INFO: task writer:83 blocked for more than 120 seconds.",
            "INFO: task writer:83 blocked in I/O wait for more than 120 seconds.",
            "ODEBUG: free active (active state 0) object: 0 object type: timer_list",
            "UBSAN: shift-out-of-bounds in fs/super.c:1:2",
            "fsfreeze: page allocation failure: order:4, mode:0xcc0(GFP_KERNEL)",
            "fsfreeze invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
            "Out of memory: Killed process 71 (fsfreeze) total-vm:1kB",
            "Memory cgroup out of memory: Killed process 71 (fsfreeze)",
            "XFS: Assertion failed: 0, file: fs/xfs/xfs_log.c, line: 1",
            "XFS (vda): Assertion failed: ip->i_nblocks == 0, file: fs/xfs/xfs_inode.c, line: 1",
            "XFS (vda): Internal error !ino_ok at line 200",
            "XFS (vda): Metadata corruption detected at xfs_agf_verify+0x1/0x2, xfs_agf block 0x1",
            "XFS (vda): Metadata CRC error detected at xfs_sb_read_verify+0x1/0x2, xfs_sb block 0x0",
            "XFS (vda): Corruption detected. Unmount and run xfs_repair",
            "XFS (vda): Corruption of in-memory data (0x8) detected at xfs_trans_cancel (fs/xfs/xfs_trans.c:1).  Shutting down filesystem.",
            "XFS (vda): corrupt dquot ID 0x1 in memory at xfs_dquot+0x1",
            "XFS (vda): User initiated shutdown received.",
            "XFS (vda): Filesystem has been shut down due to log error (0x2).",
            "XFS (vda): Please unmount the filesystem and rectify the problem(s).",
            "XFS (vda): log I/O error -5",
            "XFS (vda): Log I/O Error (0x6) detected at xlog_ioend_work+0x1 (fs/xfs/xfs_log.c:1).",
            "XFS (vda): metadata I/O error in \"xfs_buf_ioend\" at daddr 0x1 len 1 error 5",
            "EXT4-fs error (device vda): ext4_lookup:1: inode #2: deleted inode referenced: 12",
            "EXT4-fs warning (device vda): ext4_end_bio:343: I/O error 10 writing to inode 12",
            "EXT4-fs (vda): Remounting filesystem read-only",
            "EXT4-fs (vda): shut down requested (1)",
            "EXT4-fs (vda): This should not happen!! Data will be lost",
            "EXT4-fs (vda): I/O error while writing superblock",
            "Aborting journal on device vda-8.",
            "JBD2: I/O error when updating journal superblock for vda-8.",
            "JBD2: Detected IO errors -5 while flushing file data on vda-8",
            "JBD2: Spotted dirty metadata buffer (dev = vda, blocknr = 1). There's a risk of filesystem corruption",
            "I/O error, dev vda, sector 8 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2",
            "blk_update_request: critical medium error, dev vda, sector 8",
            "Buffer I/O error on dev vda, logical block 1, lost async page write",
            "vda: writeback error on inode 131, offset 0, sector 96",
            "loop: Write error at byte offset 4096, length 4096.",
            "device-mapper: snapshots: Invalidating snapshot: Unable to allocate exception.",
            "device-mapper: table: 254:0: linear: Device lookup failed (-16)",
            "VFS: Busy inodes after unmount of vda (ext3)",
            "VFS:Filesystem freeze failed",
            "VFS: Filesystem thaw failed",
            "Kernel panic - not syncing: Attempted to kill init!",
            "VFS: vda (ext3): freeze timed out, but thawing failed (-5), trying again in 1 s",
        ] {
            assert!(is_complaint(line), "{line}");
        }
    }

    #[test]
    fn ordinary_lines_are_not_complaints() {
        for line in [
            "EXT4-fs (vda): mounting ext3 file system using the ext4 subsystem",
            "EXT4-fs (vda): mounted filesystem r/w with ordered data mode. Quota mode: disabled.",
            "EXT4-fs (vda): re-mounted 83ee7cf2-86a1-4f88-90db-58f8d6a0cbe2 ro.",
            "EXT4-fs (vda): recovery complete",
            "EXT4-fs (vda): unmounting filesystem 83ee7cf2-86a1-4f88-90db-58f8d6a0cbe2.",
            "EXT4-fs: 12 callbacks suppressed",
            "XFS (dm-0): Ending clean mount",
            "XFS (dm-0): Mounting V5 filesystem cbc1 in no-recovery mode. Filesystem will be inconsistent.",
            "XFS (dm-0): Starting recovery (logdev: internal)",
            "XFS (dm-0): Unmounting Filesystem 57ab6b1c-bad0-4dea-8bad-0dead0bad0aa",
            "Adding 65532k swap on /dev/vdb.  Priority:-2 extents:1 across:65532k ",
            "sysrq: Emergency Thaw of all frozen filesystems",
            "sysrq: Show Blocked State",
            "task:fsfreeze        state:D stack:0     pid:71    tgid:71    ppid:70     flags:0x00004006",
            " [<0>] oops_end+0x1/0x2",
            "Emergency Thaw on dm-0",
            "Emergency Thaw complete",
            "VFS: vda (ext3): freeze timed out, released all file holds",
            "INFO: task list follows",
            "DEBUG: nothing",
            "DEBUG_WARNING: nothing",
            "kasan: KernelAddressSanitizer initialized",
            "kfence: initialized - using 2097152 bytes for 255 objects",
            "rcu: Hierarchical RCU implementation.",
            "rcu: \tRCU debug extended QS entry/exit.",
            "rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.",
            "clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable",
            "hrtimer: interrupt took 9216812 ns",
            "workqueue: drain_vmap_area_work hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND",
            "device-mapper: ioctl: 4.48.0-ioctl (2023-03-01) initialised: dm-devel@lists.linux.dev",
            "#1 SMP PREEMPT_DYNAMIC",
            "",
        ] {
            assert!(!is_complaint(line), "{line}");
        }
    }
}
