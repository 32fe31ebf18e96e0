//! Which patch of our own series breaks a case: each patch is a commit, and the good end is looked for.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use harness::wire::Feature;
use serde::{Deserialize, Serialize};

use super::judge::Trial;
use crate::bisect::state::Held;
use crate::bisect::{Build, Commit, Judge, Outcome, search};
use crate::event::Verdict;
use crate::failure::{Kind, Result};
use crate::host::files;
use crate::host::session::Session;
use crate::kernel::request::Request;
use crate::kernel::{self, SeriesCommits};

/// The patches of a base's series as commits.
pub struct Patches {
    pub repository: Utf8PathBuf,
    commits: SeriesCommits,
}

/// # Errors
/// [`Kind::Untested`] if one of them does not apply.
pub fn patches(request: &Request, names: &[String], session: &Session) -> Result<Patches> {
    let request = Request {
        series: names.to_vec(),
        ..request.clone()
    };
    let commits =
        kernel::commits_of_series(&request, session).map_err(|failure| match failure.kind {
            Kind::Build => Kind::Untested.error(failure),
            _ => failure,
        })?;
    Ok(Patches {
        repository: commits.repository.clone(),
        commits,
    })
}

impl Patches {
    /// The last patch.
    pub fn tip(&self) -> String {
        let last = self.commits.patches.last();
        last.map_or(self.commits.base.clone(), |(commit, _)| commit.clone())
    }

    /// The source, and each patch on top of it.
    fn all(&self) -> Vec<&str> {
        let patches = self.commits.patches.iter();
        let patches = patches.map(|(commit, _)| commit.as_str());
        std::iter::once(self.commits.base.as_str())
            .chain(patches)
            .collect()
    }

    /// Where the features of the cases are there for the first time.
    fn providing(&self, trial: &Trial) -> Result<usize> {
        let needs = trial.cases.iter().filter_map(|(case, _)| case.needs);
        let places = needs.map(|feature: Feature| {
            let mut patches = self.commits.patches.iter();
            let place = patches.position(|(_, provides)| provides.contains(&feature));
            place.map(|place| place + 1).ok_or_else(|| {
                Kind::Usage.error(format!(
                    "no patch of --series provides the {feature}, which the case needs"
                ))
            })
        });
        let places: Vec<usize> = places.collect::<Result<_>>()?;
        Ok(places.into_iter().max().unwrap_or(0))
    }
}

/// On which patches the cases passed when the good end was looked for: one that was tried is not tried again.
#[derive(Debug)]
pub struct Tried {
    path: Utf8PathBuf,
    known: Known,
}

#[derive(Debug, Serialize, Deserialize)]
struct Known {
    /// See [`crate::bisect::Plan::judged_by`].
    judged_by: Vec<String>,
    passes: BTreeMap<String, bool>,
}

impl Tried {
    /// Begins anew, or goes on with what is there.
    ///
    /// # Errors
    /// [`Kind::Usage`] if nothing is there that this search can go on with.
    pub fn open(
        held: &Held,
        resume: bool,
        judged_by: Vec<String>,
        session: &Session,
    ) -> Result<Self> {
        let path = Self::place(held);
        if resume {
            let known = files::recall(&path);
            let known = known.filter(|known: &Known| known.judged_by == judged_by);
            let known = known.ok_or_else(|| held.nothing())?;
            return Ok(Self { path, known });
        }
        files::remove(&path)?;
        // A stop before the search begins would leave it there, for a later `--resume` to go on with.
        held.set_aside(session)?;
        let passes = BTreeMap::new();
        Ok(Self {
            path,
            known: Known { judged_by, passes },
        })
    }

    pub fn is_in(held: &Held) -> bool {
        Self::place(held).exists()
    }

    fn place(held: &Held) -> Utf8PathBuf {
        held.folder().join("good.json")
    }

    fn keep(&self) -> Result<()> {
        Ok(files::remember(&self.path, &self.known)?)
    }

    fn or_try(&mut self, commit: &str, passes: impl FnOnce() -> Result<bool>) -> Result<bool> {
        if let Some(known) = self.known.passes.get(commit) {
            return Ok(*known);
        }
        let passes = passes()?;
        self.known.passes.insert(commit.to_owned(), passes);
        self.keep()?;
        Ok(passes)
    }
}

/// The first patch from the one that provides what the cases need on which all of them pass, or the base's own source.
///
/// # Errors
/// [`Kind::Untested`] if they pass on none, or not before the last: then no patch has broken them.
pub fn first_good(
    patches: &Patches,
    trial: &Trial,
    judge: &mut dyn Judge,
    tried: &mut Tried,
) -> Result<String> {
    let from = patches.providing(trial)?;
    tried.keep()?;
    for id in &patches.all()[from..] {
        let passes = tried.or_try(id, || passes_on(id, judge));
        if passes.map_err(search::resumable)? {
            return match **id == patches.tip() {
                false => Ok((*id).to_owned()),
                true => Err(Kind::Untested.error(
                    "the cases pass with all patches of the series, and not with fewer: no patch has broken them",
                )),
            };
        }
    }
    Err(Kind::Untested.error(
        "the cases pass with no number of patches of the series: no patch has broken them, and test-kernel says how they fail",
    ))
}

fn passes_on(id: &str, judge: &mut dyn Judge) -> Result<bool> {
    let commit = Commit {
        id,
        picks: &[],
        revert: None,
    };
    match judge.build(&commit)? {
        Build::Image(_) => Ok(passes(&judge.test(&commit, 1)?)),
        Build::Untestable(_) => Ok(false),
    }
}

fn passes(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Ran { results, control } => {
            let passed = |verdict: &Verdict| *verdict == Verdict::Passed;
            passed(control) && results.iter().all(|result| passed(&result.verdict))
        }
        Outcome::Untestable(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use camino::Utf8Path;
    use harness::wire::Feature::Timeout;
    use harness::wire::Filesystem::Xfs;

    use super::*;
    use crate::bisect::{Reason, Untestable};
    use crate::flow::prepare::Guests;
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;
    use crate::report::model::samples::result;
    use crate::vm::accelerator::Choice;
    use crate::vm::boot::Way;

    /// What becomes of each commit, by its name.
    struct Fake {
        passing: &'static [&'static str],
        asked: Vec<String>,
        /// How many are built before the disk is full.
        lives: usize,
    }

    impl Fake {
        fn of(passing: &'static [&'static str]) -> Self {
            Self {
                passing,
                asked: vec![],
                lives: usize::MAX,
            }
        }
    }

    impl Judge for Fake {
        fn build(&mut self, commit: &Commit<'_>) -> Result<Build> {
            if self.asked.len() == self.lives {
                return Err(Kind::Machinery.error("no space left on device"));
            }
            self.asked.push(commit.id.to_owned());
            Ok(match commit.id {
                "2" => Build::Untestable(Untestable {
                    reason: Reason::DoesNotCompile,
                    words: String::new(),
                }),
                id => Build::Image(id.to_owned()),
            })
        }

        fn test(&mut self, commit: &Commit<'_>, _: u32) -> Result<Outcome> {
            let passes = self.passing.contains(&commit.id);
            let verdict = match passes {
                true => Verdict::Passed,
                false => Verdict::Failed("no".into()),
            };
            Ok(Outcome::Ran {
                results: vec![result(Xfs, "a", 0, verdict)],
                control: Verdict::Passed,
            })
        }

        fn read(&mut self) -> Result<BTreeSet<String>> {
            Ok(BTreeSet::new())
        }
    }

    fn patches() -> Patches {
        let patch = |id: &str, provides: &[Feature]| (id.to_owned(), provides.to_vec());
        Patches {
            repository: "/r".into(),
            commits: SeriesCommits {
                repository: "/r".into(),
                base: "0".into(),
                patches: vec![
                    patch("1", &[]),
                    patch("2", &[]),
                    patch("3", &[Timeout]),
                    patch("4", &[]),
                    patch("5", &[]),
                ],
            },
        }
    }

    fn of(case: &str) -> Trial {
        let guests = Guests {
            accel: Choice::Tcg,
            way: Way::Initramfs,
        };
        let filters = [format!("^{case}$")];
        Trial::of((&filters, &[]), "error_not_frozen", guests, None).unwrap()
    }

    #[test]
    fn the_good_end_is_the_first_patch_on_which_the_case_passes() {
        for (case, passing, wanted, asked) in [
            ("writes_stop_write", &["0", "1"][..], Some("0"), &["0"][..]),
            (
                "writes_stop_write",
                &["3", "4"],
                Some("3"),
                &["0", "1", "2", "3"],
            ),
            ("timeout_thaws", &["0", "4"], Some("4"), &["3", "4"]),
            ("timeout_thaws", &["0", "1"], None, &["3", "4", "5"]),
            // There is nothing after it that could have broken them.
            (
                "writes_stop_write",
                &["5"],
                None,
                &["0", "1", "2", "3", "4", "5"],
            ),
        ] {
            let mut judge = Fake::of(passing);
            let folder = tempfile::tempdir().unwrap();
            let mut tried = tried(&folder, false).unwrap();
            let good = first_good(&patches(), &of(case), &mut judge, &mut tried);
            match wanted {
                Some(wanted) => assert_eq!(good.unwrap(), wanted),
                None => assert_eq!(good.unwrap_err().kind, Kind::Untested),
            }
            assert_eq!(judge.asked, asked, "{case}");
        }
    }

    #[test]
    fn a_feature_that_no_patch_provides_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let mut tried = tried(&folder, false).unwrap();
        let of = of("argument_honoured");
        let failure = first_good(&patches(), &of, &mut Fake::of(&[]), &mut tried).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{failure}");
        let held = Held::of(Utf8Path::from_path(folder.path()).unwrap()).unwrap();
        assert!(!Tried::is_in(&held), "a mistake begins nothing");
    }

    #[test]
    fn a_search_that_begins_anew_leaves_the_one_before_aside() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.json");
        tried(&folder, false).unwrap().keep().unwrap();
        fs_err::write(&state, "answers").unwrap();
        tried(&folder, true).unwrap();
        assert!(state.exists());
        tried(&folder, false).unwrap();
        assert!(!state.exists());
        assert!(folder.path().join("state.before.json").exists());
    }

    #[test]
    fn a_stop_before_the_first_patch_is_tried_can_be_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let mut judge = Fake::of(&["1"]);
        judge.lives = 0;
        let mut before = tried(&folder, false).unwrap();
        let failure = first_good(
            &patches(),
            &of("writes_stop_write"),
            &mut judge,
            &mut before,
        )
        .unwrap_err();
        assert!(failure.to_string().contains("--resume"), "{failure}");
        tried(&folder, true).unwrap();
        // What can only come to the same again is not said to be resumed.
        let mut before = tried(&folder, false).unwrap();
        let none = first_good(
            &patches(),
            &of("writes_stop_write"),
            &mut Fake::of(&[]),
            &mut before,
        );
        let failure = none.unwrap_err();
        assert!(!failure.to_string().contains("--resume"), "{failure}");
    }

    fn tried(folder: &tempfile::TempDir, resume: bool) -> Result<Tried> {
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let session = Session::new(Layout::at(folder), Stop::default());
        Tried::open(&Held::of(folder)?, resume, vec!["xfs a".into()], &session)
    }

    #[test]
    fn a_stop_while_the_good_end_is_looked_for_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(tried(&folder, true).unwrap_err().kind, Kind::Usage);
        let mut judge = Fake::of(&["3"]);
        judge.lives = 2;
        let of = of("writes_stop_write");
        let mut before = tried(&folder, false).unwrap();
        let failure = first_good(&patches(), &of, &mut judge, &mut before).unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery);

        let mut judge = Fake::of(&["3"]);
        let mut after = tried(&folder, true).unwrap();
        let good = first_good(&patches(), &of, &mut judge, &mut after).unwrap();
        assert_eq!(
            (good.as_str(), judge.asked),
            ("3", vec!["2".into(), "3".into()])
        );
        // What was tried with other cases says nothing.
        let held = Held::of(Utf8Path::from_path(folder.path()).unwrap()).unwrap();
        let session = Session::new(Layout::at(held.folder()), Stop::default());
        let other = Tried::open(&held, true, vec!["xfs b".into()], &session);
        assert_eq!(other.unwrap_err().kind, Kind::Usage);
    }
}
