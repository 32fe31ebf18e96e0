//! The names of what is chosen by name.

use anyhow::{Context as _, Result};
use strum::VariantArray;

/// All names, as a list with this between them.
pub fn list<T>(all: &[T], between: &str) -> String
where
    T: Copy + Into<&'static str>,
{
    let names: Vec<&str> = all.iter().map(|it| (*it).into()).collect();
    names.join(between)
}

/// The one of this name.
///
/// # Errors
/// If there is none; names all that there are.
pub fn find<T>(what: &str, name: &str) -> Result<T>
where
    T: VariantArray + Copy + Into<&'static str>,
{
    let found = T::VARIANTS.iter().find(|it| (**it).into() == name);
    found.copied().with_context(|| {
        let known = list(T::VARIANTS, ", ");
        format!("unknown {what} {name:?}; known: {known}")
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::Effort;
    use super::super::{Feature, Filesystem};
    use super::*;

    #[test]
    fn who_gets_a_name_wrong_is_told_all() {
        let table = [
            (
                "nofs".parse::<Filesystem>().map(drop),
                "unknown filesystem \"nofs\"; known: ext3, xfs, ext4, f2fs, btrfs, gfs2, ext3-journal, xfs-log",
            ),
            (
                "Timeout".parse::<Feature>().map(drop),
                "unknown feature \"Timeout\"; known: sync_failure, read_only, resume, device_holds, emergency, nesting, \
                 hv_vss, timeout, chains, fdinfo, argument, ext3_ioctl, freeze_hold",
            ),
            (
                "".parse::<Effort>().map(drop),
                "unknown effort \"\"; known: quick, full",
            ),
        ];
        for (outcome, wanted) in table {
            assert_eq!(format!("{:#}", outcome.unwrap_err()), wanted);
        }
    }

    #[test]
    fn a_list_has_all_names() {
        assert_eq!(list(Filesystem::DEFAULT, ", "), "ext3, xfs");
        assert_eq!(list(Effort::ALL, "|"), "quick|full");
    }
}
