//! Versions of kernels, as their makefiles have them.

use std::sync::LazyLock;

use camino::Utf8Path;
use regex::Regex;

use crate::failure::{Kind, Result};

/// The first two numbers of a version: `6.12` of `6.12.117`.
pub fn series_of(version: &str) -> &str {
    let second = version.match_indices(['.', '-']).nth(1);
    &version[..second.map_or(version.len(), |(at, _)| at)]
}

pub fn version(tree: &Utf8Path) -> Result<String> {
    let makefile = tree.join("Makefile");
    let text = fs_err::read_to_string(&makefile)?;
    version_of(&text)
        .ok_or_else(|| Kind::Machinery.error(format!("{makefile} names no kernel version")))
}

/// Reads the version that the first lines of the kernel's Makefile set.
pub fn version_of(makefile: &str) -> Option<String> {
    static SET: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m)^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)")
            .expect("valid")
    });
    let part = |name: &str| {
        SET.captures_iter(makefile)
            .find(|set| &set[1] == name)
            .map(|set| set[2].to_owned())
    };
    let numbers = [
        part("VERSION")?,
        part("PATCHLEVEL")?,
        part("SUBLEVEL").unwrap_or_default(),
    ];
    let numbers: Vec<&str> = numbers
        .iter()
        .map(String::as_str)
        .filter(|number| !number.is_empty())
        .collect();
    Some(numbers.join(".") + &part("EXTRAVERSION").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions() {
        for (makefile, expected) in [
            (
                "# x\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\nNAME = y\n",
                Some("6.12.117"),
            ),
            (
                "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\nEXTRAVERSION = -rc7\n",
                Some("7.3.0-rc7"),
            ),
            ("all:\n\techo VERSION\n", None),
        ] {
            assert_eq!(version_of(makefile).as_deref(), expected);
        }
        for (version, expected) in [
            ("6.12.117", "6.12"),
            ("7.3.0-rc7", "7.3"),
            ("7.3-rc7", "7.3"),
            ("6.1", "6.1"),
        ] {
            assert_eq!(series_of(version), expected);
        }
    }
}
