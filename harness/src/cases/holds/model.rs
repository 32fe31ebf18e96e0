//! The rule for file holds, as Documentation/filesystems/freeze.rst has it: what a request must return, and which
//! holds it must leave.

use std::fmt;

use nix::errno::Errno;

use crate::actors::report::Outcome;

/// The open file that a request goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    A,
    B,
    /// Another one, opened for this request.
    Other,
}

/// What is done; times are in units that whoever does it chooses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Freeze(Through),
    FreezeFor(Through, i64),
    Reset(Through, i64),
    Thaw(Through),
    /// Closes the file for good, and opens another in its place.
    Reopen(Through),
}

/// When a hold ends by itself, if it does, and the step that has said so: of two that are the same, and of two that
/// never end, the one that was set first comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    never: bool,
    moment: i64,
    step: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    /// None once its file is closed.
    file: Option<Through>,
    end: End,
}

/// The file holds of one superblock.
#[derive(Clone, Debug, Default)]
pub struct Model {
    holds: Vec<Hold>,
    /// The files that have frozen, or released the hold of another, since they were opened.
    freezers: Vec<Through>,
    now: i64,
    steps: usize,
}

impl Model {
    pub fn is_frozen(&self) -> bool {
        !self.holds.is_empty()
    }

    /// What the step must return.
    pub fn take(&mut self, step: Step) -> Outcome {
        self.steps += 1;
        match step {
            Step::Freeze(file) => self.freeze(file, 0),
            Step::FreezeFor(file, time) => self.freeze(file, time),
            Step::Reset(file, time) => {
                // Those that get the same end keep their order.
                self.holds.sort_by_key(|hold| hold.end);
                let end = self.end(time);
                let holds = self.about(file)?;
                holds.iter().for_each(|&nth| self.holds[nth].end = end);
                self.sort();
            }
            Step::Thaw(file) => {
                let holds = self.about(file)?.into_iter();
                let earliest = holds.min_by_key(|&nth| self.holds[nth].end);
                earliest.map(|nth| self.holds.remove(nth));
                // Whoever has released a hold of another does so once.
                self.freezers
                    .extend(Some(file).filter(|it| *it != Through::Other));
            }
            Step::Reopen(file) => {
                let left = self.holds.iter_mut();
                left.filter(|hold| hold.file == Some(file))
                    .for_each(|hold| hold.file = None);
                self.freezers.retain(|freezer| *freezer != file);
            }
        }
        Ok(())
    }

    /// Time has come to this moment; whether that has ended a hold.
    pub fn expire(&mut self, now: i64) -> bool {
        let before = self.holds.len();
        self.now = now;
        self.holds
            .retain(|hold| hold.end.never || hold.end.moment > now);
        self.holds.len() < before
    }

    fn freeze(&mut self, file: Through, time: i64) {
        let end = self.end(time);
        self.freezers.push(file);
        self.holds.push(Hold {
            file: Some(file),
            end,
        });
        self.sort();
    }

    /// What is set anew by one step stays in the order that it had.
    fn sort(&mut self) {
        self.holds.sort_by_key(|hold| hold.end);
    }

    fn end(&self, time: i64) -> End {
        End {
            never: time == 0,
            moment: self.now + time,
            step: self.steps,
        }
    }

    /// The holds that a request through this file is about: its own, if it is one of the freezers; else those that
    /// closed files left behind, or, if there are none, all.
    fn about(&self, file: Through) -> Result<Vec<usize>, Errno> {
        let with = |wanted: Option<Through>| -> Vec<usize> {
            let holds = self.holds.iter().enumerate();
            holds
                .filter(|(_, hold)| hold.file == wanted)
                .map(|(nth, _)| nth)
                .collect()
        };
        let about = if self.freezers.contains(&file) {
            with(Some(file))
        } else if with(None).is_empty() {
            (0..self.holds.len()).collect()
        } else {
            with(None)
        };
        match about.is_empty() {
            true => Err(Errno::EINVAL),
            false => Ok(about),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Freeze(file) => write!(f, "{file:?} freeze"),
            Step::FreezeFor(file, time) => write!(f, "{file:?} freeze for {time}"),
            Step::Reset(file, time) => write!(f, "{file:?} reset to {time}"),
            Step::Thaw(file) => write!(f, "{file:?} thaw"),
            Step::Reopen(file) => write!(f, "{file:?} reopen"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Step::*;
    use super::Through::*;
    use super::*;

    /// What the steps return, one letter each (`E`: EINVAL), and how many holds are left.
    fn play(steps: &[Step]) -> (String, usize) {
        let mut model = Model::default();
        let outcome = |step: &Step| match model.take(*step) {
            Ok(()) => '0',
            Err(_) => 'E',
        };
        (steps.iter().map(outcome).collect(), model.holds.len())
    }

    #[test]
    fn requests_are_about_the_holds_of_their_file() {
        for (steps, wanted) in [
            (&[Thaw(A), Reset(Other, 1)][..], ("EE", 0)),
            (&[Freeze(A), Freeze(A), Thaw(A)], ("000", 1)),
            (&[Freeze(A), Freeze(B), Thaw(B), Thaw(B)], ("000E", 1)),
            (
                &[Freeze(A), FreezeFor(B, 1), Thaw(A), Reset(A, 0)],
                ("000E", 1),
            ),
            // Whoever never froze comes to the rescue, of what was left behind first.
            (&[Freeze(A), Thaw(Other), Thaw(A)], ("00E", 0)),
            (
                &[Freeze(A), Freeze(B), Reopen(A), Thaw(Other), Thaw(B)],
                ("00000", 0),
            ),
            (
                &[Freeze(A), Freeze(B), Reopen(A), Thaw(A), Thaw(B)],
                ("00000", 0),
            ),
            // It does so once.
            (
                &[Freeze(A), Freeze(A), Thaw(B), Thaw(B), Reset(B, 1)],
                ("000EE", 1),
            ),
            // The sooner one goes first.
            (
                &[Freeze(A), FreezeFor(B, 1), Thaw(Other), Thaw(B)],
                ("000E", 1),
            ),
            (
                &[
                    FreezeFor(A, 2),
                    FreezeFor(B, 1),
                    Reset(B, 3),
                    Thaw(Other),
                    Thaw(A),
                ],
                ("0000E", 1),
            ),
            (
                &[FreezeFor(A, 1), FreezeFor(B, 1), Thaw(Other), Thaw(A)],
                ("000E", 1),
            ),
        ] {
            let wanted = (wanted.0.to_owned(), wanted.1);
            assert_eq!(play(steps), wanted, "{steps:?}");
        }
    }

    #[test]
    fn a_deadline_ends_the_holds_whose_time_has_come() {
        let mut model = Model::default();
        for step in [FreezeFor(A, 1), FreezeFor(B, 3), Freeze(B), FreezeFor(A, 1)] {
            model.take(step).unwrap();
        }
        assert!(!model.expire(0));
        assert!(model.expire(1) && model.holds.len() == 2);
        assert!(!model.expire(2) && model.expire(3) && model.holds.len() == 1);
        assert_eq!(model.take(Reset(A, 1)), Err(Errno::EINVAL));
        assert_eq!(model.take(Reset(B, 1)), Ok(()));
        assert!(model.expire(4) && !model.is_frozen());
    }
}
