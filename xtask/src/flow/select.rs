//! From flags to the cases that are wanted.

use harness::case::Case;
use harness::wire::Filesystem;
use regex::{Regex, RegexBuilder};

use crate::event::CaseId;
use crate::failure::{Kind, OrFail, Result};

/// How like a case's name a filter must be to be taken for a misspelling (Jaro-Winkler, 1 is equal).
const NEAR: f64 = 0.75;

/// A case and those of its filesystems that are wanted.
pub type Chosen = (&'static Case, Vec<Filesystem>);

/// The cases that the flags choose, in the order of [`harness::cases::all`].
///
/// # Errors
/// [`Kind::Usage`] if that is none: a run of nothing would look like a pass.
pub fn choose(fs: &[Filesystem], filters: &[String]) -> Result<Vec<Chosen>> {
    select(harness::cases::all(), fs, filters)
}

fn select(all: &'static [Case], fs: &[Filesystem], filters: &[String]) -> Result<Vec<Chosen>> {
    let filesystems = Filesystem::wanted(fs);
    let on_filesystems = |case: &'static Case| -> Chosen {
        let wanted = |it: &Filesystem| filesystems.contains(it);
        (
            case,
            case.filesystems.iter().copied().filter(wanted).collect(),
        )
    };
    let mut chosen: Vec<Chosen> = all.iter().map(on_filesystems).collect();
    let there = chosen.iter().map(|(case, on)| (case.name, !on.is_empty()));
    let filter = Filter::of(filters, "case", &there.collect::<Vec<_>>())?;
    chosen.retain(|(case, on)| !on.is_empty() && filter.is_match(case.name));
    Ok(chosen)
}

/// `--filter`, given any number of times.
#[derive(Debug)]
pub struct Filter(Vec<Regex>);

impl Filter {
    /// Of the names that there are, each with whether `--fs` leaves something of it; `kind` is what they are names of.
    ///
    /// # Errors
    /// [`Kind::Usage`] if one of the expressions chooses nothing, whatever the others choose: it is misspelt.
    pub fn of(filters: &[String], kind: &str, there: &[(&str, bool)]) -> Result<Self> {
        let everything = [String::new()];
        let filters = match filters {
            [] => &everything,
            filters => filters,
        };
        let regexes = filters.iter().map(|filter| matching(filter, kind, there));
        regexes.collect::<Result<_>>().map(Self)
    }

    pub fn is_match(&self, name: &str) -> bool {
        self.0.iter().any(|regex| regex.is_match(name))
    }
}

fn matching(filter: &str, kind: &str, there: &[(&str, bool)]) -> Result<Regex> {
    let regex = Regex::new(filter).or_fail(Kind::Usage)?;
    let mut named = there
        .iter()
        .filter(|(name, _)| regex.is_match(name))
        .peekable();
    if named.peek().is_none() {
        return Err(Kind::Usage.error(format!(
            "--filter {filter:?} matches no {kind}; {}",
            hint(there, filter)
        )));
    }
    if !named.any(|(_, left)| *left) {
        return Err(Kind::Usage.error(format!(
            "--filter {filter:?} matches no {kind} for the filesystems of --fs; --list shows which are"
        )));
    }
    Ok(regex)
}

/// Every run of every case, filesystem by filesystem, as often as asked.
pub fn runs(chosen: &[Chosen], repeat: u32) -> Vec<CaseId> {
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
pub fn only(chosen: Vec<Chosen>, runs: &[CaseId]) -> Vec<Chosen> {
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

/// What may have been meant.
fn hint(there: &[(&str, bool)], filter: &str) -> String {
    let names = || there.iter().map(|(name, _)| *name);
    let whatever_case = RegexBuilder::new(filter).case_insensitive(true).build();
    if let Ok(regex) = whatever_case
        && let Some(name) = names().find(|name| regex.is_match(name))
    {
        return format!("upper and lower case differ: {name} would match (?i){filter}");
    }
    let mut near: Vec<_> = names()
        .map(|name| (likeness(name, filter), name))
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

/// Of the word in a filter that is most like the name: what is no letter of a name belongs to the expression.
fn likeness(name: &str, filter: &str) -> f64 {
    let words = filter.split(|c: char| !c.is_alphanumeric() && c != '_');
    words
        .filter(|word| !word.is_empty())
        .map(|word| strsim::jaro_winkler(name, &word.to_lowercase()))
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::{Ext3, Xfs};

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

    fn select(filters: &[&str], fs: &[Filesystem]) -> Result<Vec<Chosen>> {
        let filters: Vec<_> = filters.iter().map(ToString::to_string).collect();
        super::select(&ALL, fs, &filters)
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
            let chosen = select(&[filter], fs).unwrap();
            let names: Vec<_> = runs(&chosen, 1)
                .iter()
                .map(|id| format!("{} {}", id.filesystem, id.case))
                .collect();
            assert_eq!(&names, wanted, "{filter:?} on {fs:?}");
        }
    }

    #[test]
    fn the_list_of_a_shard() {
        let chosen = select(&[""], &[]).unwrap();
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
        let chosen = select(&["nesting"], &[]).unwrap();
        let runs: Vec<_> = runs(&chosen, 2)
            .iter()
            .map(|id| (id.repeat, id.filesystem))
            .collect();
        assert_eq!(runs, [(0, Ext3), (0, Xfs), (1, Ext3), (1, Xfs)]);
    }

    #[test]
    fn several_filters_are_one_choice_and_each_must_match() {
        let names = |filters: &[&str]| -> Vec<_> {
            let chosen = select(filters, &[]).unwrap().into_iter();
            chosen.map(|(case, _)| case.name).collect()
        };
        assert_eq!(names(&[]), ["writes_stop", "nesting", "ioctl_numbers"]);
        assert_eq!(
            names(&["numbers", "^n", "nest"]),
            ["nesting", "ioctl_numbers"]
        );
        let failure = select(&["nesting", "zzz"], &[]).unwrap_err();
        assert!(
            failure.to_string().contains("\"zzz\" matches no case"),
            "{failure}"
        );
    }

    #[test]
    fn nothing_is_an_error_that_helps() {
        let table: &[(&str, &[Filesystem], &str)] = &[
            ("nestign", &[], "near it: nesting"),
            ("^nestign$|zzz", &[], "near it: nesting"),
            ("Nesting", &[], "nesting would match (?i)Nesting"),
            ("WRITES_STPO", &[], "near it: writes_stop"),
            ("zzz", &[], "--list names all"),
            ("(", &[], "unclosed group"),
            ("numbers", &[Ext3], "filesystems of --fs"),
        ];
        for (filter, fs, wanted) in table {
            let failure = select(&[filter], fs).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage);
            assert!(failure.to_string().contains(wanted), "{failure}");
        }
    }
}
