//! The versions of the guest's programs, in a report.

use std::collections::BTreeMap;

use harness::devices::tools;

use crate::deps::versions::number;

/// `e2fsprogs 1.47.0, xfsprogs 6.1.0, ...`: each package once, with all that its programs say.
pub fn in_short(programs: &BTreeMap<String, String>) -> String {
    let mut packages: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, package) in tools::all() {
        let Some(line) = programs.get(name) else {
            continue;
        };
        let version = number(line).unwrap_or(line);
        match packages.iter_mut().find(|(known, _)| *known == package) {
            Some((_, versions)) if versions.contains(&version) => {}
            Some((_, versions)) => versions.push(version),
            None => packages.push((package, vec![version])),
        }
    }
    let words = packages
        .iter()
        .map(|(package, versions)| format!("{package} {}", versions.join(" and ")));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_once() {
        let programs = [
            ("mkfs.xfs", "mkfs.xfs version 6.1.0"),
            ("xfs_repair", "xfs_repair version 6.1.0"),
            ("qemu-ga", "QEMU Guest Agent 10.0.2"),
            ("mkfs.ext3", "mke2fs 1.47.0 (5-Feb-2023)"),
            ("e2fsck", "e2fsck 1.46.2 (28-Feb-2021)"),
            ("dmsetup", "unknown"),
        ];
        let programs = programs.map(|(name, line)| (name.to_owned(), line.to_owned()));
        assert_eq!(
            in_short(&programs.into()),
            "e2fsprogs 1.47.0 and 1.46.2, xfsprogs 6.1.0, dmsetup unknown, qemu-guest-agent 10.0.2"
        );
        assert_eq!(in_short(&BTreeMap::new()), "");
    }
}
