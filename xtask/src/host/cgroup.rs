//! The memory limits of the control groups that this process is in, as in a container.

use camino::Utf8Path;

/// What a version of the kernel's interface calls things: Documentation/admin-guide/cgroup-v2.rst and
/// cgroup-v1/memory.rst.
struct Names {
    limit: &'static str,
    used: &'static str,
    /// Of memory.stat: what is used and would be given up before anything has to be killed.
    reclaimable: [&'static str; 2],
}

const V2: Names = Names {
    limit: "memory.max",
    used: "memory.current",
    reclaimable: ["inactive_file", "active_file"],
};
const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: ["total_inactive_file", "total_active_file"],
};

/// Bytes that may still be had, or none if nothing limits them.
pub fn memory() -> Option<u64> {
    let groups = fs_err::read_to_string("/proc/self/cgroup").ok()?;
    left(&groups, Utf8Path::new("/sys/fs/cgroup"))
}

/// The least that a group, or one around it, has left; `groups` is /proc/self/cgroup (cgroups(7)).
fn left(groups: &str, root: &Utf8Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (names, mount) = match controllers {
            "" => (&V2, root.to_owned()),
            _ if controllers.split(',').any(|name| name == "memory") => (&V1, root.join("memory")),
            _ => return None,
        };
        // In a container, the path may be the host's: then only the group that is mounted is there.
        let around = Utf8Path::new(path.trim_start_matches('/')).ancestors();
        around
            .filter_map(|group| names.left(&mount.join(group)))
            .min()
    });
    limits.min()
}

impl Names {
    /// None if this group has no limit, or is not there.
    fn left(&self, group: &Utf8Path) -> Option<u64> {
        let number = |name| {
            fs_err::read_to_string(group.join(name))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        let (limit, used): (u64, u64) = (number(self.limit)?, number(self.used)?);
        let stat = fs_err::read_to_string(group.join("memory.stat")).unwrap_or_default();
        Some(limit.saturating_sub(used.saturating_sub(self.reclaimable(&stat))))
    }

    fn reclaimable(&self, stat: &str) -> u64 {
        let lines = stat.lines().filter_map(|line| line.split_once(' '));
        let ours = lines.filter(|(name, _)| self.reclaimable.contains(name));
        ours.filter_map(|(_, bytes)| bytes.parse::<u64>().ok())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that stands for /sys/fs/cgroup.
    fn mounted(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = Utf8Path::from_path(dir.path()).unwrap().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        dir
    }

    #[test]
    fn the_tightest_limit_counts() {
        let v2 = mounted(&[
            ("a/memory.max", "1000\n"),
            ("a/memory.current", "700\n"),
            ("a/b/memory.max", "max\n"),
            ("a/b/memory.current", "300\n"),
            ("c/memory.max", "1000\n"),
            ("c/memory.current", "900\n"),
            (
                "c/memory.stat",
                "anon 600\nactive_file 100\ninactive_file 200\n",
            ),
            ("d/memory.max", "100\n"),
            ("d/memory.current", "150\n"),
        ]);
        let v1 = mounted(&[
            ("memory/memory.limit_in_bytes", "500\n"),
            ("memory/memory.usage_in_bytes", "400\n"),
            (
                "memory/memory.stat",
                "inactive_file 7\ntotal_inactive_file 50\n",
            ),
        ]);
        for (root, groups, wanted) in [
            (&v2, "0::/a/b\n", Some(300)),
            (&v2, "0::/c\n", Some(400)),
            (&v2, "0::/d\n", Some(0)),
            (&v2, "0::/\n", None),
            (&v2, "0::/gone\n", None),
            (&v2, "", None),
            (&v1, "5:cpu,memory:/docker/1\n4:pids:/x\n0::/\n", Some(150)),
            (&v1, "5:cpuset:/\n", None),
        ] {
            let root = Utf8Path::from_path(root.path()).unwrap();
            assert_eq!(left(groups, root), wanted, "{groups}");
        }
    }
}
