//! From flags to the cases that are wanted.

use harness::case::{Case, Filesystem};
use regex::Regex;

use super::options::CaseOptions;
use crate::event::CaseId;
use crate::failure::{Kind, OrFail, Result};

/// How like a case's name a filter must be to be taken for a misspelling (Jaro-Winkler, 1 is equal).
const NEAR: f64 = 0.75;

/// A case and those of its filesystems that are wanted.
pub type Choice = (&'static Case, Vec<Filesystem>);

/// The cases that the flags choose, in the order of [`harness::cases::all`].
///
/// # Errors
/// [`Kind::Usage`] if that is none: a run of nothing would look like a pass.
pub fn choose(options: &CaseOptions) -> Result<Vec<Choice>> {
    select(harness::cases::all(), options)
}

fn select(all: &'static [Case], options: &CaseOptions) -> Result<Vec<Choice>> {
    let filter = options.filter.as_deref().unwrap_or_default();
    let regex = Regex::new(filter).or_fail(Kind::Usage)?;
    let wanted = |fs: &Filesystem| options.fs.is_empty() || options.fs.contains(fs);
    let named: Vec<_> = all
        .iter()
        .filter(|case| regex.is_match(case.name))
        .collect();
    if named.is_empty() {
        return Err(Kind::Usage.error(format!(
            "--filter {filter:?} matches no case; {}",
            hint(all, filter)
        )));
    }
    let chosen: Vec<Choice> = named
        .into_iter()
        .map(|case| {
            (
                case,
                case.filesystems
                    .iter()
                    .copied()
                    .filter(wanted)
                    .collect::<Vec<_>>(),
            )
        })
        .filter(|(_, filesystems)| !filesystems.is_empty())
        .collect();
    if chosen.is_empty() {
        return Err(Kind::Usage
            .error("none of these cases is for the filesystems of --fs; --list shows which are"));
    }
    Ok(chosen)
}

/// Every run of every case, filesystem by filesystem, as often as asked.
pub fn runs(chosen: &[Choice], repeat: u32) -> Vec<CaseId> {
    let mut runs = Vec::new();
    for repeat in 0..repeat {
        for filesystem in Filesystem::ALL {
            let cases = chosen
                .iter()
                .filter(|(_, filesystems)| filesystems.contains(filesystem));
            runs.extend(cases.map(|(case, _)| CaseId {
                filesystem: *filesystem,
                case: case.name.into(),
                repeat,
            }));
        }
    }
    runs
}

/// Of these, what is among the runs.
pub fn only(chosen: Vec<Choice>, runs: &[CaseId]) -> Vec<Choice> {
    let among = |case: &Case, fs: Filesystem| {
        runs.iter()
            .any(|id| id.case == case.name && id.filesystem == fs)
    };
    let kept = chosen.into_iter().map(|(case, mut filesystems)| {
        filesystems.retain(|fs| among(case, *fs));
        (case, filesystems)
    });
    kept.filter(|(_, filesystems)| !filesystems.is_empty())
        .collect()
}

fn hint(all: &[Case], filter: &str) -> String {
    let mut near: Vec<_> = all
        .iter()
        .map(|case| (strsim::jaro_winkler(case.name, filter), case.name))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    match near.as_slice() {
        [] => "--list names all".into(),
        near => format!(
            "near it: {}",
            near.iter()
                .take(5)
                .map(|(_, name)| *name)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use harness::case::Filesystem::{Ext3, Xfs};

    use super::*;

    const fn case(name: &'static str, filesystems: &'static [Filesystem]) -> Case {
        Case {
            name,
            about: "",
            filesystems,
            needs: None,
            complaints: &[],
            run: |_| Ok(()),
        }
    }

    static ALL: [Case; 3] = [
        case("writes_stop", Filesystem::ALL),
        case("nesting", Filesystem::ALL),
        case("ioctl_numbers", &[Xfs]),
    ];

    fn options(filter: &str, fs: &[Filesystem]) -> CaseOptions {
        CaseOptions {
            fs: fs.to_vec(),
            filter: Some(filter.into()),
            list: false,
            repeat: 1,
            shard: None,
            timeout: None,
        }
    }

    #[test]
    fn choices() {
        let table: &[(&str, &[Filesystem], &[&str])] = &[
            (
                "",
                &[],
                &[
                    "ext3 writes_stop",
                    "ext3 nesting",
                    "xfs writes_stop",
                    "xfs nesting",
                    "xfs ioctl_numbers",
                ],
            ),
            ("^n|i", &[Ext3], &["ext3 writes_stop", "ext3 nesting"]),
            ("numbers", &[Ext3, Xfs], &["xfs ioctl_numbers"]),
        ];
        for (filter, fs, wanted) in table {
            let chosen = select(&ALL, &options(filter, fs)).unwrap();
            let names: Vec<_> = runs(&chosen, 1)
                .iter()
                .map(|id| format!("{} {}", id.filesystem, id.case))
                .collect();
            assert_eq!(&names, wanted, "{filter:?} on {fs:?}");
        }
    }

    #[test]
    fn the_list_of_a_shard() {
        let chosen = select(&ALL, &options("", &[])).unwrap();
        let runs = runs(&chosen, 1);
        let listed: Vec<_> = only(chosen, &runs[2..])
            .into_iter()
            .map(|(case, filesystems)| (case.name, filesystems))
            .collect();
        let names = ["writes_stop", "nesting", "ioctl_numbers"];
        assert_eq!(listed, names.map(|name| (name, vec![Xfs])));
    }

    #[test]
    fn repeats_run_the_whole_list_again() {
        let chosen = select(&ALL, &options("nesting", &[])).unwrap();
        let runs: Vec<_> = runs(&chosen, 2)
            .iter()
            .map(|id| (id.repeat, id.filesystem))
            .collect();
        assert_eq!(runs, [(0, Ext3), (0, Xfs), (1, Ext3), (1, Xfs)]);
    }

    #[test]
    fn nothing_is_an_error_that_helps() {
        let table: &[(&str, &[Filesystem], &str)] = &[
            ("nestign", &[], "near it: nesting"),
            ("zzz", &[], "--list names all"),
            ("(", &[], "unclosed group"),
            ("numbers", &[Ext3], "filesystems of --fs"),
        ];
        for (filter, fs, wanted) in table {
            let failure = select(&ALL, &options(filter, fs)).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage);
            assert!(failure.to_string().contains(wanted), "{failure}");
        }
    }
}
