//! What goes on at the moment, and since when, as far as events tell: what all displays are made from.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::terminal;
use crate::event::{CaseId, Event, GuestId};
use crate::words::{self, clock, count, left};

/// A phase that is younger says nothing about how long it will take.
const YOUNG: Duration = Duration::from_secs(5);
/// For how long the times of earlier runs count for more than those of this one.
const TRUST: Duration = Duration::from_secs(30);

/// Who does something that takes time; in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// By depth, as phases may be part of others.
    Phase(usize),
    Cases,
    Guest(GuestId),
}

/// A line of what goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub who: Who,
    pub since: Instant,
    pub text: String,
}

#[derive(Debug, Default)]
pub struct Progress {
    phases: Vec<Phase>,
    cases: Option<Cases>,
    guests: BTreeMap<GuestId, Activity>,
}

#[derive(Debug)]
struct Phase {
    what: String,
    since: Instant,
    /// How much is done, and of what it was at last.
    done: Option<(u64, String)>,
    total: Option<u64>,
    unit: &'static str,
}

#[derive(Debug)]
struct Activity {
    what: String,
    since: Instant,
    /// What it said last.
    said: Option<String>,
}

/// All cases of a run.
#[derive(Debug)]
struct Cases {
    since: Instant,
    guests: usize,
    total: usize,
    failed: usize,
    /// Those without a result, and how long they were thought to take.
    open: HashMap<CaseId, Duration>,
    /// What that is for all of them, and what it was for the others.
    to_do: Duration,
    done: Duration,
}

impl Progress {
    pub fn see(&mut self, event: &Event, now: Instant) {
        match event {
            Event::PhaseStarted { what } => self.phases.push(Phase {
                what: what.clone(),
                since: now,
                done: None,
                total: None,
                unit: "",
            }),
            Event::Progress {
                done,
                total,
                unit,
                item,
            } => {
                if let Some(phase) = self.phases.last_mut() {
                    phase.done = Some((*done, item.clone()));
                    phase.total = *total;
                    phase.unit = unit;
                }
            }
            Event::PhaseEnded { what, .. } => {
                let ended = self.phases.iter().rposition(|phase| phase.what == *what);
                ended.map(|at| self.phases.remove(at));
            }
            Event::CasesStarted { expected, guests } => {
                self.guests.clear();
                self.cases = Some(Cases::of(expected, *guests, now));
            }
            Event::GuestStarted { guest, .. } => self.busy(*guest, "booting the guest".into(), now),
            Event::CaseStarted { guest, case } => self.busy(*guest, terminal::name(case), now),
            Event::Diagnostic { guest, case, line } => {
                let activity = self.guests.get_mut(guest);
                if let Some(activity) = activity.filter(|it| it.what == terminal::name(case)) {
                    activity.said = Some(words::short(line));
                }
            }
            Event::CaseEnded(result) => {
                if let Some(cases) = &mut self.cases {
                    cases.ended(&result.id, result.verdict.is_failure());
                }
            }
            Event::GuestEnded { guest, .. } => drop(self.guests.remove(guest)),
            Event::Note(_) | Event::Warning(_) | Event::Console { .. } => {}
        }
    }

    fn busy(&mut self, guest: GuestId, what: String, since: Instant) {
        let said = None;
        self.guests.insert(guest, Activity { what, since, said });
    }

    pub fn rows(&self, now: Instant) -> Vec<Row> {
        let phases = self.phases.iter().enumerate().map(|(depth, phase)| Row {
            who: Who::Phase(depth),
            since: phase.since,
            text: phase.text(now),
        });
        let open = self.cases.iter().filter(|cases| !cases.open.is_empty());
        let cases = open.map(|cases| Row {
            who: Who::Cases,
            since: cases.since,
            text: cases.text(now),
        });
        let guests = self.guests.iter().map(|(guest, activity)| Row {
            who: Who::Guest(*guest),
            since: activity.since,
            text: activity.text(),
        });
        phases.chain(cases).chain(guests).collect()
    }

    /// All of it in one line, if anything goes on.
    pub fn line(&self, now: Instant) -> Option<String> {
        let rows = self.rows(now);
        let timed = rows
            .iter()
            .map(|row| format!("{} ({})", row.text, clock(now - row.since)));
        let timed: Vec<_> = timed.collect();
        (!timed.is_empty()).then(|| timed.join("; "))
    }
}

impl Phase {
    /// `building 6.12.117: 930 of about 1760, fs/super.o, about 2 min left`
    fn text(&self, now: Instant) -> String {
        let Some((done, item)) = &self.done else {
            return self.what.clone();
        };
        // An estimate that was passed is none.
        let total = self.total.filter(|total| done <= total);
        let mut text = format!("{}: {done}", self.what);
        if let Some(total) = total {
            text += &format!(" of about {total}");
        }
        if !self.unit.is_empty() {
            text += &format!(" {}", self.unit);
        }
        if !item.is_empty() {
            text += &format!(", {}", words::short(item));
        }
        let elapsed = now - self.since;
        if let Some(total) = total
            && (1..total).contains(done)
            && elapsed >= YOUNG
        {
            #[expect(clippy::cast_precision_loss, reason = "it is a guess")]
            let to_do = (total - done) as f64 / *done as f64;
            text += &format!(", {}", left(times(elapsed, to_do)));
        }
        text
    }
}

impl Activity {
    fn text(&self) -> String {
        let Self { what, said, .. } = self;
        match said {
            Some(said) => format!("{what}: {said}"),
            None => what.clone(),
        }
    }
}

impl Cases {
    fn of(expected: &[(CaseId, Duration)], guests: usize, now: Instant) -> Self {
        Self {
            since: now,
            guests,
            total: expected.len(),
            failed: 0,
            open: expected.iter().cloned().collect(),
            to_do: words::sum(expected.iter().map(|(_, time)| *time)),
            done: Duration::ZERO,
        }
    }

    fn ended(&mut self, id: &CaseId, failed: bool) {
        if let Some(expected) = self.open.remove(id) {
            self.to_do = self.to_do.saturating_sub(expected);
            self.done = self.done.saturating_add(expected);
            self.failed += usize::from(failed);
        }
    }

    /// `42 of 130 cases, 1 failed, about 2 min left`
    fn text(&self, now: Instant) -> String {
        let ended = self.total - self.open.len();
        let mut text = format!("{ended} of {}", count(self.total, "case"));
        if self.failed > 0 {
            text += &format!(", {} failed", self.failed);
        }
        format!("{text}, {}", left(self.left(now - self.since)))
    }

    /// By the times of earlier runs, spread over the guests, and more and more by how far those have proved right.
    fn left(&self, elapsed: Duration) -> Duration {
        let at_once = self.guests.clamp(1, self.open.len().max(1));
        #[expect(clippy::cast_precision_loss, reason = "it is a guess")]
        let trusted = TRUST.as_secs_f64() * at_once as f64;
        let pace = (elapsed + TRUST).as_secs_f64() / (self.done.as_secs_f64() + trusted);
        times(self.to_do, pace)
    }
}

/// No product is too much for it.
fn times(time: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::Ext3;

    use super::*;
    use crate::event::Verdict;
    use crate::report::model::samples::result;

    /// An event, and how many seconds after the begin.
    type Timed = (u64, Event);

    /// What is told then, after these.
    fn told(events: &[Timed], at: u64) -> Option<String> {
        let (begun, mut progress) = (Instant::now(), Progress::default());
        let after = |seconds| begun + Duration::from_secs(seconds);
        for (seconds, event) in events {
            progress.see(event, after(*seconds));
        }
        progress.line(after(at))
    }

    fn begins(what: &str) -> Event {
        Event::PhaseStarted { what: what.into() }
    }

    fn ends(what: &str) -> Event {
        Event::PhaseEnded {
            what: what.into(),
            outcome: "done".into(),
            took: Duration::ZERO,
        }
    }

    fn step(done: u64, total: impl Into<Option<u64>>) -> Event {
        Event::Progress {
            done,
            total: total.into(),
            unit: "",
            item: "a.o".into(),
        }
    }

    fn amount(done: u64, total: Option<u64>, item: &str) -> Event {
        Event::Progress {
            done,
            total,
            unit: "MB",
            item: item.into(),
        }
    }

    #[test]
    fn phases() {
        let table: &[(&[Timed], u64, Option<&str>)] = &[
            (&[], 9, None),
            (&[(0, begins("x"))], 90, Some("x (1m30s)")),
            (
                &[(0, begins("x")), (3, step(3, None))],
                4,
                Some("x: 3, a.o (4s)"),
            ),
            (
                &[(0, begins("x")), (60, step(500, 1000))],
                60,
                Some("x: 500 of about 1000, a.o, about 60 s left (1m00s)"),
            ),
            (
                &[(0, begins("x")), (2, step(500, 1000))],
                2,
                Some("x: 500 of about 1000, a.o (2s)"),
            ),
            (
                &[(0, begins("x")), (60, step(1930, 1760))],
                60,
                Some("x: 1930, a.o (1m00s)"),
            ),
            (
                &[(0, begins("x")), (60, step(0, 0))],
                60,
                Some("x: 0 of about 0, a.o (1m00s)"),
            ),
            (
                &[(0, begins("x")), (9, step(1, u64::MAX))],
                9,
                Some(
                    "x: 1 of about 18446744073709551615, a.o, about 5124095576030431 h 00 min left (9s)",
                ),
            ),
            (&[(0, begins("x")), (1, ends("x"))], 2, None),
            (
                &[(0, begins("x")), (1, begins("y")), (2, ends("y"))],
                3,
                Some("x (3s)"),
            ),
            (
                &[(0, begins("x")), (1, begins("y")), (2, ends("x"))],
                3,
                Some("y (2s)"),
            ),
            (&[(0, step(1, 2)), (0, ends("z"))], 3, None),
            (
                &[(0, begins("x")), (2, amount(62, Some(138), "39 files"))],
                2,
                Some("x: 62 of about 138 MB, 39 files (2s)"),
            ),
            (
                &[(0, begins("x")), (2, amount(62, None, ""))],
                2,
                Some("x: 62 MB (2s)"),
            ),
        ];
        for (events, at, wanted) in table {
            assert_eq!(told(events, *at).as_deref(), *wanted, "{events:?}");
        }
    }

    /// A run of ten cases, of which each took so long before.
    fn cases(each: Duration, guests: usize) -> Event {
        let id = |number| result(Ext3, &format!("c{number}"), 0, Verdict::Passed).id;
        Event::CasesStarted {
            expected: (0..10).map(|number| (id(number), each)).collect(),
            guests,
        }
    }

    fn ended(number: u32, verdict: Verdict) -> Event {
        Event::CaseEnded(result(Ext3, &format!("c{number}"), 0, verdict))
    }

    #[test]
    fn cases_by_the_times_of_earlier_runs() {
        let minute = Duration::from_secs(60);
        let table = [
            (1, 0, 0, "0 of 10 cases, about 10 min left (0s)"),
            (2, 0, 0, "0 of 10 cases, about 5 min left (0s)"),
            (1, 5, 300, "5 of 10 cases, about 5 min left (5m00s)"),
            // This machine is twice as slow as that of the earlier runs.
            (1, 9, 1080, "9 of 10 cases, about 2 min left (18m00s)"),
            (1, 10, 1200, ""),
        ];
        for (guests, done, at, wanted) in table {
            let mut events = vec![(0, cases(minute, guests))];
            events.extend((0..done).map(|number| (at, ended(number, Verdict::Passed))));
            let said = told(&events, at).unwrap_or_default();
            assert_eq!(said, wanted, "{done} by {guests}");
        }
    }

    #[test]
    fn a_guest_is_shown_beside_its_cases() {
        let events = [
            (0, cases(Duration::MAX, usize::MAX)),
            (0, ended(1, Verdict::Hung("x".into()))),
            (0, ended(1, Verdict::Passed)),
            (
                7,
                Event::CaseStarted {
                    guest: 3,
                    case: result(Ext3, "c2", 0, Verdict::Passed).id,
                },
            ),
            (
                9,
                Event::Diagnostic {
                    guest: 3,
                    case: result(Ext3, "c2", 0, Verdict::Passed).id,
                    line: "step: thaw".into(),
                },
            ),
        ];
        let said = told(&events, 107).unwrap();
        assert!(
            said.starts_with("1 of 10 cases, 1 failed, about "),
            "{said}"
        );
        assert!(said.ends_with("; ext3 c2: step: thaw (1m40s)"), "{said}");
    }
}
