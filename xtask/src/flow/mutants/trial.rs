//! Whether a case notices a mutant. Knows neither kernels nor guests.

use std::collections::BTreeMap;

use crate::event::{CaseId, CaseResult};
use crate::failure::Result;
use crate::report::mutants::Outcome;
use crate::series::mutants::Mutant;

/// The two kernels that cases are run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The one that was built last.
    Mutant,
    /// The one that nothing is wrong with.
    Sound,
}

/// How a run ended that ends at the first failure.
#[derive(Clone, Debug)]
pub enum End {
    Failed(CaseResult),
    /// So many cases passed, and no other failed.
    Passed(usize),
    NoBoot,
}

/// Builds mutants, and runs cases on them.
pub trait Lab {
    /// Makes the kernel of a mutant; the inner error is why it is none.
    fn build(&mut self, mutant: &Mutant) -> Result<std::result::Result<(), String>>;

    fn run(&mut self, on: On, name: &str, cases: Vec<CaseId>) -> Result<End>;

    /// As many of these cases as the budget allows.
    fn afforded(&self, cases: Vec<CaseId>) -> Vec<CaseId>;

    fn warn(&self, text: String);
}

/// The trials of one mutant after the other.
#[derive(Debug)]
pub struct Trials<L> {
    pub lab: L,
    wanted: Vec<CaseId>,
    /// What failed on a mutant was run on the sound kernel, and whether it passed there.
    sound: BTreeMap<CaseId, bool>,
}

impl<L: Lab> Trials<L> {
    pub fn new(lab: L, wanted: Vec<CaseId>) -> Self {
        Self {
            lab,
            wanted,
            sound: BTreeMap::new(),
        }
    }

    /// Runs the likely cases first, and then the others.
    ///
    /// # Errors
    /// What says nothing about the mutant.
    pub fn run(&mut self, mutant: &Mutant) -> Result<Outcome> {
        loop {
            match self.end(mutant)? {
                End::NoBoot => return Ok(Outcome::NoBoot),
                End::Passed(ran) => {
                    let of = self.wanted.len();
                    return Ok(Outcome::Survived { ran, of });
                }
                End::Failed(result) if self.is_sound(&result.id)? => {
                    let (by, why) = (result.id, result.verdict.reason().to_owned());
                    return Ok(Outcome::Killed { by, why });
                }
                // Once more without it.
                End::Failed(_) => {}
            }
        }
    }

    fn end(&mut self, mutant: &Mutant) -> Result<End> {
        let trusted = self.wanted.iter();
        let trusted = trusted.filter(|id| self.sound.get(id) != Some(&false));
        let (likely, others): (Vec<_>, Vec<_>) =
            (trusted.cloned()).partition(|id| mutant.likely.contains(&id.case));
        let mut ran = 0;
        for cases in [likely, self.lab.afforded(others)] {
            if cases.is_empty() {
                continue;
            }
            match self.lab.run(On::Mutant, &mutant.name, cases)? {
                End::Passed(passed) => ran += passed,
                end => return Ok(end),
            }
        }
        Ok(End::Passed(ran))
    }

    /// Whether the case passes where nothing is wrong. One that does not kills nothing.
    fn is_sound(&mut self, id: &CaseId) -> Result<bool> {
        if let Some(sound) = self.sound.get(id) {
            return Ok(*sound);
        }
        let end = self.lab.run(On::Sound, "sound", vec![id.clone()])?;
        let sound = matches!(end, End::Passed(_));
        if !sound {
            self.lab.warn(format!(
                "{} {} fails without a mutant, too: it is left out",
                id.filesystem, id.case
            ));
        }
        self.sound.insert(id.clone(), sound);
        Ok(sound)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use camino::Utf8Path;
    use harness::wire::Filesystem::Xfs;

    use super::*;
    use crate::event::Verdict;
    use crate::report::model::samples;
    use crate::series;

    fn id(case: &str) -> CaseId {
        samples::result(Xfs, case, 0, Verdict::Passed).id
    }

    /// Knows which cases fail on a mutant, and which on any kernel.
    #[derive(Debug, Default)]
    struct Paper {
        notice: &'static str,
        flaky: &'static str,
        broken: bool,
        boots: bool,
        asked: RefCell<Vec<String>>,
    }

    impl Lab for Paper {
        fn build(&mut self, _: &Mutant) -> Result<std::result::Result<(), String>> {
            Ok(if self.broken {
                Err("hunk 1".into())
            } else {
                Ok(())
            })
        }

        fn run(&mut self, on: On, name: &str, cases: Vec<CaseId>) -> Result<End> {
            let letters: String = cases.iter().map(|id| id.case.as_str()).collect();
            self.asked.borrow_mut().push(format!("{name} {letters}"));
            if !self.boots {
                return Ok(End::NoBoot);
            }
            let fails = |id: &&CaseId| {
                let noticed = on == On::Mutant && self.notice.contains(&id.case);
                noticed || self.flaky.contains(&id.case)
            };
            let failed = cases
                .iter()
                .find(fails)
                .map(|id| samples::result(Xfs, &id.case, 0, Verdict::Failed("no".into())));
            Ok(failed.map_or(End::Passed(cases.len()), End::Failed))
        }

        fn afforded(&self, mut cases: Vec<CaseId>) -> Vec<CaseId> {
            cases.truncate(2);
            cases
        }

        fn warn(&self, text: String) {
            self.asked.borrow_mut().push(text);
        }
    }

    fn mutant() -> Mutant {
        let mail = b"From: a <a@b>\nDate: Mon, 2 Nov 2026 10:00:00 +0100\nSubject: wrong\n\n---\n \
                     a | 2 +-\n 1 file changed\n\ndiff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-b\n+c\n";
        Mutant {
            name: "m".into(),
            class: "x".into(),
            likely: vec!["c".into()],
            patch: series::parse(Utf8Path::new("m.patch"), mail).unwrap(),
        }
    }

    #[test]
    fn likely_cases_first_then_as_many_as_there_is_time_for() {
        let wanted = || ["a", "b", "c", "d"].map(id).to_vec();
        let killed = |case| Outcome::Killed {
            by: id(case),
            why: "no".into(),
        };
        let survived = |ran| Outcome::Survived { ran, of: 4 };
        let left_out = "xfs c fails without a mutant, too: it is left out";
        let table: &[(&str, &str, bool, Outcome, &[&str])] = &[
            ("c", "", true, killed("c"), &["m c", "sound c"]),
            ("b", "", true, killed("b"), &["m c", "m ab", "sound b"]),
            ("d", "", true, survived(3), &["m c", "m ab"]),
            ("", "", true, survived(3), &["m c", "m ab"]),
            ("", "", false, Outcome::NoBoot, &["m c"]),
            (
                "b",
                "c",
                true,
                killed("b"),
                &["m c", "sound c", left_out, "m ab", "sound b"],
            ),
        ];
        for (notice, flaky, boots, outcome, asked) in table {
            let lab = Paper {
                notice,
                flaky,
                boots: *boots,
                ..Paper::default()
            };
            let mut trials = Trials::new(lab, wanted());
            assert_eq!(trials.run(&mutant()).unwrap(), *outcome, "{notice:?}");
            assert_eq!(trials.lab.asked.borrow().as_slice(), *asked, "{notice:?}");
        }
        // What is known is not asked again.
        let lab = Paper {
            notice: "c",
            boots: true,
            ..Paper::default()
        };
        let mut trials = Trials::new(lab, wanted());
        for _ in 0..2 {
            assert_eq!(trials.run(&mutant()).unwrap(), killed("c"));
        }
        assert_eq!(*trials.lab.asked.borrow(), ["m c", "sound c", "m c"]);
    }
}
