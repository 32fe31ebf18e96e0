//! The cases that wait for a guest, shared by all that watch one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::deal;
use super::ledger::Left;
use crate::event::{CaseId, GuestId};
use crate::failure::{self, Failure, Kind};
use crate::host::proc::Stop;
use crate::report::times::Times;
use crate::words::count;

/// How soon a stop is noticed by those that wait.
const TICK: Duration = Duration::from_millis(200);

/// About how many cases a guest gets at most: its plan has to reach it before it is given up, and a guest that has run for
/// long is another one than the first.
const HAND: usize = 200;

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
    /// Whether the first failure ends the run.
    pub fail_fast: bool,
}

impl Workload {
    /// For one guest after the other, of which nothing is known.
    pub fn of_one_guest(cases: Vec<CaseId>) -> Self {
        Self {
            cases,
            times: Times::default(),
            guests: 1,
            fail_fast: false,
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

/// The cases are named by their places in the workload, and looked at as their turn comes: there may be millions.
#[derive(Debug, Default)]
struct State {
    /// From here on all wait.
    fresh: usize,
    /// Those before that wait, too.
    waiting: BTreeSet<usize>,
    /// Those that a guest has.
    dealt: HashMap<CaseId, usize>,
    /// How many have their result.
    reported: usize,
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
        Self {
            workload,
            stop,
            state: Mutex::default(),
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
        while self.none_waits(&state) && state.running > 0 {
            self.may_go_on(&state)?;
            let waited = self.changed.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.may_go_on(&state)?;
        if self.none_waits(&state) {
            return Ok(None);
        }
        let free = self.workload.guests.saturating_sub(state.running);
        let hand = self.deal(&mut state, free);
        state.running += 1;
        state.last += 1;
        Ok(Some((state.last, hand)))
    }

    fn none_waits(&self, state: &State) -> bool {
        state.waiting.is_empty() && state.fresh == self.workload.cases.len()
    }

    /// One of so many hands from the next cases, of [`HAND`] each on average, as all take equally long.
    fn deal(&self, state: &mut State, hands: usize) -> Vec<CaseId> {
        let Workload { cases, times, .. } = self.workload;
        let most = hands.max(1) * HAND;
        let more = most.saturating_sub(state.waiting.len());
        let end = cases.len().min(state.fresh + more);
        state.waiting.extend(state.fresh..end);
        state.fresh = end;
        let mut next: Vec<_> = state.waiting.iter().copied().take(most).collect();
        let hand = deal::take(&mut next, hands, |&place| times.expected(&cases[place]));
        for place in &hand {
            state.waiting.remove(place);
            state.dealt.insert(cases[*place].clone(), *place);
        }
        hand.into_iter().map(|place| cases[place].clone()).collect()
    }

    /// A guest is over: takes what it leaves.
    ///
    /// # Errors
    /// [`Kind::Machinery`] if a case has been run in vain too often.
    pub fn settle(&self, left: Left) -> failure::Result<()> {
        let mut state = self.lock();
        state.running -= 1;
        for id in left.reported {
            state.reported += usize::from(state.take_back(&id).is_some());
        }
        for (id, why) in &left.in_vain {
            let tries = state.tries.entry(id.clone()).or_default();
            *tries += 1;
            if *tries == TRIES {
                return Err(no_verdict(id, why));
            }
        }
        let again = left.in_vain.into_iter().map(|(id, _)| id);
        for id in left.waiting.into_iter().chain(again) {
            let place = state.take_back(&id);
            state.waiting.extend(place);
        }
        self.changed.notify_all();
        Ok(())
    }

    /// A case has failed, which ends the run if that was wanted.
    pub fn case_failed(&self) {
        if self.workload.fail_fast {
            self.fail(Kind::Failed.error("ended at the first failure (--fail-fast)"));
        }
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
        let wanted = self.workload.cases.len();
        match state.failure {
            // The last one: the run has come to its end.
            Some(failure) if failure.kind == Kind::Failed && state.reported == wanted => Ok(()),
            Some(failure) => Err(failure),
            None => account(wanted, state.reported),
        }
    }

    /// Nothing panics in the middle of a change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The place of a case that a guest has had. What it has not, it can neither report nor leave.
    fn take_back(&mut self, id: &CaseId) -> Option<usize> {
        let place = self.dealt.remove(id);
        if place.is_none() {
            let CaseId {
                filesystem, case, ..
            } = id;
            self.failure.get_or_insert_with(|| {
                Kind::Machinery.error(format!(
                    "a bug of xtask: {filesystem} {case} comes from a guest that has not got it"
                ))
            });
        }
        place
    }
}

fn no_verdict(id: &CaseId, why: &str) -> Failure {
    Kind::Machinery.error(format!(
        "no verdict on {} {}: it ran {TRIES} times, and each time something else than the case went wrong; \
         at last: {why}; is this machine overloaded, or short of memory?",
        id.filesystem, id.case
    ))
}

/// Every wanted case must have been reported, once as no guest has it any more.
fn account(wanted: usize, reported: usize) -> failure::Result<()> {
    if wanted == reported {
        return Ok(());
    }
    Err(Kind::Machinery.error(format!(
        "a bug of xtask: {} wanted, and {reported} reported",
        count(wanted, "case")
    )))
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::Ext3;

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
            fail_fast: false,
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

    /// `--repeat 10000`: the time a first guest waits for its hand does not depend on what comes after it.
    #[test]
    fn of_millions_of_cases_a_guest_gets_a_hand() {
        let id = |number: u32| CaseId {
            filesystem: Ext3,
            case: format!("case_{}", number % 130),
            repeat: number / 130,
        };
        let workload = Workload {
            cases: (0..1_300_000).map(id).collect(),
            times: Times::default(),
            guests: 2,
            fail_fast: false,
        };
        let stop = Stop::default();
        let begun = std::time::Instant::now();
        let queue = Queue::new(&workload, &stop);
        let [first, second] = [(); 2].map(|()| queue.take().unwrap().unwrap().1);
        assert_eq!((first.len(), second.len()), (HAND, HAND));
        queue.settle(left(&first[..50], &first[50..])).unwrap();
        let (_, third) = queue.take().unwrap().unwrap();
        assert_eq!(third[0], first[50], "what was left comes first");
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(500), "{took:?}");
    }

    #[test]
    fn a_case_that_fails_ends_the_run_if_that_is_wanted() {
        for (fail_fast, reported, wanted) in [
            (false, 4, None),
            (true, 4, None),
            (true, 2, Some(Kind::Failed)),
        ] {
            let (stop, whole) = (Stop::default(), workload(1));
            let workload = Workload { fail_fast, ..whole };
            let queue = Queue::new(&workload, &stop);
            queue.take().unwrap();
            let (reported, waiting) = workload.cases.split_at(reported);
            queue.settle(left(reported, waiting)).unwrap();
            queue.case_failed();
            assert_eq!(queue.check().is_err(), fail_fast);
            assert_eq!(queue.close().err().map(|failure| failure.kind), wanted);
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
