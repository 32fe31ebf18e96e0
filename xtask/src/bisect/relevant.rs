//! Which commits can change a kernel: those that touch what it is made of.
//!
//! Git is not told of this. With the 3,700 files of a build after `git bisect start --` that command took more than five
//! minutes in a tree of 79,000 files and 15,000 commits (without them, 0.1 s), as git compares each entry of each tree
//! with each of them; and skipping what cannot matter would leave "only skipped commits". So git bisects all commits, and
//! one that touches nothing which a build reads is not built: it has the verdict of the ancestor whose kernel is the same
//! (`Search::kernel_of`). Documentation is thus never built, `bisect.log` replays as it is, and
//! the steps that this adds take no time.
//!
//! What a build reads is known of the two ends only. A file that was there only between them is not in the list, and a
//! commit that touches no other is taken for its parent. That is found out in the end: the culprit's parents are tested
//! as they are, and where one is on the second side, too, the search goes on among all commits.

use std::collections::BTreeSet;

/// What steers a build without being compiled, by the beginning of its path: the tools that take part in it, their
/// libraries, and the programs that are made for the cases.
const FOLDERS: &[&str] = &[
    "scripts/",
    "tools/arch/",
    "tools/bpf/resolve_btfids/",
    "tools/build/",
    "tools/hv/",
    "tools/include/",
    "tools/lib/",
    "tools/objtool/",
    "tools/scripts/",
    "tools/testing/selftests/filesystems/freeze/",
    "tools/testing/selftests/kselftest",
    "tools/testing/selftests/lib.mk",
    "kernel/configs/",
    "arch/x86/configs/",
];
/// The same by the beginning of its name.
const NAMES: &[&str] = &["Makefile", "Kbuild", "Kconfig"];
/// The same by its end: linker scripts, tables and generators.
const ENDS: &[&str] = &[".lds", ".lds.S", ".tbl", ".sh", ".awk", ".pl"];
/// Other machines, programs and texts steer no build, but for what the list has of them.
const ASIDE: &[&str] = &["Documentation/", "arch/", "samples/", "tools/"];
const HERE: &str = "arch/x86/";

/// What the kernels of a range are made of.
#[derive(Clone, Debug, Default)]
pub struct Relevant(BTreeSet<String>);

impl Relevant {
    pub fn of(read: impl IntoIterator<Item = String>) -> Self {
        Self(read.into_iter().collect())
    }

    /// Whether a change of this file can change the kernel.
    pub fn has(&self, path: &str) -> bool {
        // Nobody knows what was read.
        self.0.is_empty() || self.0.contains(path) || steers(path)
    }
}

fn steers(path: &str) -> bool {
    if FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        return true;
    }
    if ASIDE.iter().any(|folder| path.starts_with(folder)) && !path.starts_with(HERE) {
        return false;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    NAMES.iter().any(|begin| name.starts_with(begin)) || ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_change_a_kernel() {
        let relevant = Relevant::of(["fs/super.c", "include/linux/fs.h"].map(str::to_owned));
        for (path, wanted) in [
            ("fs/super.c", true),
            ("include/linux/fs.h", true),
            ("fs/btrfs/super.c", false),
            ("fs/btrfs/Makefile", true),
            ("Makefile", true),
            ("Kbuild", true),
            ("arch/x86/Kconfig.debug", true),
            ("arch/arm/Kconfig", false),
            ("arch/x86/entry/syscalls/syscall_64.tbl", true),
            ("scripts/mod/modpost.c", true),
            ("tools/objtool/check.c", true),
            ("tools/hv/hv_vss_daemon.c", true),
            ("tools/testing/selftests/kselftest_harness.h", true),
            ("tools/testing/selftests/mm/x.sh", false),
            ("tools/testing/selftests/Makefile", false),
            ("Documentation/filesystems/freeze.rst", false),
            ("Documentation/Makefile", false),
            ("MAINTAINERS", false),
        ] {
            assert_eq!(relevant.has(path), wanted, "{path}");
        }
    }

    #[test]
    fn where_nobody_knows_what_was_read_all_counts() {
        assert!(Relevant::default().has("MAINTAINERS"));
    }
}
