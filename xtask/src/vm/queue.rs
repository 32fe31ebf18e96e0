//! The cases that wait for a guest, shared by all that watch one.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::deal;
use super::ledger::Left;
use crate::event::{CaseId, GuestId};
use crate::failure::{self, Failure, Kind};
use crate::proc::Stop;
use crate::report::times::Times;

/// How soon a stop is noticed by those that wait.
const TICK: Duration = Duration::from_millis(200);

/// How often a case may fail for reasons that are not its own; then they may be.
const TRIES: u32 = 3;

/// The cases of a run, and over how many guests they are spread.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Each once; results are in this order.
    pub cases: Vec<CaseId>,
    pub times: Times,
    /// How many run at once, 1 or more.
    pub guests: usize,
}

impl Workload {
    /// For one guest after the other, of which nothing is known.
    pub fn of_one_guest(cases: Vec<CaseId>) -> Self {
        Self {
            cases,
            times: Times::default(),
            guests: 1,
        }
    }
}

#[derive(Debug)]
pub struct Queue<'a> {
    workload: &'a Workload,
    stop: &'a Stop,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// In the order of the workload.
    waiting: Vec<CaseId>,
    reported: Vec<CaseId>,
    /// How often each was run in vain.
    tries: HashMap<CaseId, u32>,
    /// How many guests run; what they leave comes back.
    running: usize,
    last: GuestId,
    /// The first that went wrong: it ends the run.
    failure: Option<Failure>,
}

impl<'a> Queue<'a> {
    pub fn new(workload: &'a Workload, stop: &'a Stop) -> Self {
        let state = State {
            waiting: workload.cases.clone(),
            reported: Vec::new(),
            tries: HashMap::new(),
            running: 0,
            last: 0,
            failure: None,
        };
        Self {
            workload,
            stop,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// A number and cases for a new guest: its share, if all that could run beside it asked now.
    /// None if no case waits and none can come back.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] if the run has ended.
    pub fn take(&self) -> failure::Result<Option<(GuestId, Vec<CaseId>)>> {
        let mut state = self.lock();
        while state.waiting.is_empty() && state.running > 0 {
            self.may_go_on(&state)?;
            let waited = self.changed.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.may_go_on(&state)?;
        if state.waiting.is_empty() {
            return Ok(None);
        }
        let free = self.workload.guests.saturating_sub(state.running);
        let expected = |id: &CaseId| self.workload.times.expected(id);
        let hand = deal::take(&mut state.waiting, free, expected);
        state.running += 1;
        state.last += 1;
        Ok(Some((state.last, hand)))
    }

    /// A guest is over: takes what it leaves.
    ///
    /// # Errors
    /// [`Kind::Machinery`] if a case has been run in vain too often.
    pub fn settle(&self, left: Left) -> failure::Result<()> {
        let mut state = self.lock();
        state.running -= 1;
        state.reported.extend(left.reported);
        for (id, why) in &left.in_vain {
            let tries = state.tries.entry(id.clone()).or_default();
            *tries += 1;
            if *tries == TRIES {
                return Err(no_verdict(id, why));
            }
        }
        let again = left.in_vain.into_iter().map(|(id, _)| id);
        let waiting: HashSet<_> = (state.waiting.drain(..))
            .chain(left.waiting)
            .chain(again)
            .collect();
        let cases = self.workload.cases.iter();
        state.waiting = cases.filter(|id| waiting.contains(id)).cloned().collect();
        self.changed.notify_all();
        Ok(())
    }

    /// Ends the run; what failed first is why.
    pub fn fail(&self, failure: Failure) {
        self.lock().failure.get_or_insert(failure);
        self.changed.notify_all();
    }

    /// # Errors
    /// [`Kind::Interrupted`] if the run has ended, by Ctrl-C or by [`Queue::fail`].
    pub fn check(&self) -> failure::Result<()> {
        self.may_go_on(&self.lock())
    }

    fn may_go_on(&self, state: &State) -> failure::Result<()> {
        match state.failure {
            Some(_) => Err(Kind::Interrupted.error("another guest failed")),
            None => self.stop.check(),
        }
    }

    /// After the last guest.
    ///
    /// # Errors
    /// What ended the run, or [`Kind::Machinery`] if not every case was reported exactly once.
    pub fn close(self) -> failure::Result<()> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        match state.failure {
            Some(failure) => Err(failure),
            None => account(self.workload.cases.clone(), state.reported),
        }
    }

    /// Nothing panics in the middle of a change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_verdict(id: &CaseId, why: &str) -> Failure {
    Kind::Machinery.error(format!(
        "no verdict on {} {}: it ran {TRIES} times, and each time something else than the case went wrong; \
         at last: {why}; is this machine overloaded, or short of memory?",
        id.filesystem, id.case
    ))
}

/// Every wanted case must have been reported exactly once.
fn account(mut wanted: Vec<CaseId>, mut reported: Vec<CaseId>) -> failure::Result<()> {
    wanted.sort();
    reported.sort();
    if wanted == reported {
        return Ok(());
    }
    Err(Kind::Machinery.error(format!(
        "a bug of xtask: {} cases were wanted, {} reported, and they are not the same",
        wanted.len(),
        reported.len()
    )))
}

#[cfg(test)]
mod tests {
    use harness::case::Filesystem::Ext3;

    use super::*;

    fn workload(guests: usize) -> Workload {
        let id = |case: &str| CaseId {
            filesystem: Ext3,
            case: case.into(),
            repeat: 0,
        };
        Workload {
            cases: ["a", "b", "c", "d"].map(id).to_vec(),
            times: Times::default(),
            guests,
        }
    }

    fn take(queue: &Queue<'_>) -> Option<(GuestId, String)> {
        let (guest, hand) = queue.take().unwrap()?;
        Some((guest, hand.iter().map(|id| id.case.as_str()).collect()))
    }

    fn left(reported: &[CaseId], waiting: &[CaseId]) -> Left {
        Left {
            reported: reported.to_vec(),
            waiting: waiting.to_vec(),
            in_vain: Vec::new(),
        }
    }

    #[test]
    fn a_case_that_runs_in_vain_runs_again_but_not_for_ever() {
        let (workload, stop) = (workload(1), Stop::default());
        let queue = Queue::new(&workload, &stop);
        for dealt in ["abcd", "a", "a"] {
            assert_eq!(take(&queue).unwrap().1, dealt);
            let reported = if dealt == "a" { 4..4 } else { 1..4 };
            let left = Left {
                in_vain: vec![(workload.cases[0].clone(), "the clock".into())],
                ..left(&workload.cases[reported], &[])
            };
            let settled = queue.settle(left);
            if queue.lock().tries[&workload.cases[0]] < TRIES {
                settled.unwrap();
            } else {
                let failure = settled.unwrap_err();
                assert_eq!(failure.kind, Kind::Machinery);
                assert!(failure.to_string().contains("ext3 a"), "{failure}");
                assert!(failure.to_string().contains("the clock"), "{failure}");
            }
        }
    }

    #[test]
    fn what_is_left_is_dealt_again() {
        let (workload, stop) = (workload(2), Stop::default());
        let queue = Queue::new(&workload, &stop);
        let (_, first) = queue.take().unwrap().unwrap();
        assert_eq!(take(&queue), Some((2, "bd".into())));
        queue.settle(left(&[], &first)).unwrap();
        assert_eq!(take(&queue), Some((3, "ac".into())));
        let cases = &workload.cases;
        queue.settle(left(&cases[2..], &first[..1])).unwrap();
        queue.settle(left(&[], &cases[1..2])).unwrap();
        assert_eq!(take(&queue), Some((4, "a".into())));
        assert_eq!(take(&queue), Some((5, "b".into())));
        queue.settle(left(&cases[..1], &[])).unwrap();
        queue.settle(left(&cases[1..2], &[])).unwrap();
        assert_eq!(take(&queue), None);
        queue.close().unwrap();
    }

    #[test]
    fn a_case_that_is_lost_or_reported_twice_is_a_failure() {
        let (workload, stop) = (workload(1), Stop::default());
        let cases = &workload.cases;
        for reported in [&cases[1..], &[cases, &cases[..1]].concat()] {
            let queue = Queue::new(&workload, &stop);
            queue.take().unwrap();
            queue.settle(left(reported, &[])).unwrap();
            let failure = queue.close().unwrap_err();
            assert!(failure.to_string().contains("a bug of xtask"), "{failure}");
        }
    }

    #[test]
    fn the_first_failure_is_told_and_ends_all() {
        let (workload, stop) = (workload(2), Stop::default());
        let queue = Queue::new(&workload, &stop);
        queue.take().unwrap();
        queue.fail(Kind::Machinery.error("no boot"));
        queue.fail(queue.check().unwrap_err());
        assert_eq!(queue.take().unwrap_err().kind, Kind::Interrupted);
        assert_eq!(queue.close().unwrap_err().to_string(), "no boot");
    }
}
