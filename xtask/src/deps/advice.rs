//! What a person is told to do about missing packages.

use std::collections::BTreeSet;

use nix::unistd::geteuid;

use super::need::{Missing, program};

/// How this machine gets packages, as far as that changes the line to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Root,
    Sudo,
    Su,
    /// There is no apt-get.
    Other,
}

/// What to run to have all of it, or none if there is nothing to do: it ends a sentence.
pub fn to_have(missing: &[Missing]) -> Option<String> {
    line(missing, way())
}

/// One line that a person can paste.
pub fn by_hand(packages: &[&str]) -> String {
    pasted(packages, way())
}

fn way() -> Way {
    match program("apt-get") {
        None => Way::Other,
        Some(_) if geteuid().is_root() => Way::Root,
        Some(_) if program("sudo").is_some() => Way::Sudo,
        Some(_) => Way::Su,
    }
}

fn line(missing: &[Missing], way: Way) -> Option<String> {
    let packages: BTreeSet<&str> = missing.iter().map(|it| it.package.as_str()).collect();
    let packages: Vec<&str> = packages.into_iter().collect();
    (!packages.is_empty()).then(|| pasted(&packages, way))
}

/// Indexes are fetched first: those of a fresh machine are old, or not there.
fn pasted(packages: &[&str], way: Way) -> String {
    let packages = packages.join(" ");
    let install = format!("apt-get install --no-install-recommends {packages}");
    match way {
        Way::Root => format!("apt-get update && {install}"),
        Way::Sudo => format!("sudo apt-get update && sudo {install}"),
        Way::Su => format!("su -c 'apt-get update && {install}'"),
        Way::Other => {
            format!("your system's own package manager, for what Debian has in: {packages}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_to_paste() {
        let missing = [
            ("flex", "flex"),
            ("gelf.h", "libelf-dev"),
            ("libelf.h", "libelf-dev"),
        ];
        let missing = missing.map(|(what, package)| Missing {
            what: what.into(),
            package: package.into(),
        });
        let install = "apt-get install --no-install-recommends flex libelf-dev";
        for (way, wanted) in [
            (Way::Root, format!("apt-get update && {install}")),
            (Way::Sudo, format!("sudo apt-get update && sudo {install}")),
            (Way::Su, format!("su -c 'apt-get update && {install}'")),
        ] {
            assert_eq!(line(&missing, way), Some(wanted));
            assert_eq!(line(&[], way), None);
        }
        let other = line(&missing, Way::Other).unwrap();
        assert!(
            other.ends_with("flex libelf-dev") && !other.contains("apt-get"),
            "{other}"
        );
    }
}
