//! What happens during a run, as data. Producers send, the display, the logs
//! and the report consume; no other module prints.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use harness::wire::{Filesystem, ktap};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

#[derive(Clone, Debug)]
pub enum Event {
    /// A long step begins; `what` completes the sentence "now …", e.g. "building 6.12.117".
    PhaseStarted {
        what: String,
    },
    /// How far the phase is that began last; `total` is an estimate where it is known at all, and may prove too low.
    Progress {
        done: u64,
        total: Option<u64>,
        /// Of the numbers, e.g. "MB"; empty where it is plain.
        unit: &'static str,
        /// What is at work.
        item: String,
    },
    /// The phase of this name is over; `outcome` is for the reader, e.g. "1187 files in 212 s".
    PhaseEnded {
        what: String,
        outcome: String,
        took: Duration,
    },
    /// A fact worth a line of its own, e.g. which accelerator was chosen and why.
    Note(String),
    Warning(String),
    /// Cases are about to run, in so many guests at once; how long each is thought to take.
    CasesStarted {
        expected: Vec<(CaseId, Duration)>,
        guests: usize,
    },
    /// A guest boots, for so many cases.
    GuestStarted {
        guest: GuestId,
        cases: usize,
    },
    CaseStarted {
        guest: GuestId,
        case: CaseId,
    },
    /// A diagnostic line of the running case.
    Diagnostic {
        guest: GuestId,
        case: CaseId,
        line: String,
    },
    CaseEnded(CaseResult),
    /// One line of the guest's serial console.
    Console {
        guest: GuestId,
        line: String,
    },
    GuestEnded {
        guest: GuestId,
        reason: String,
    },
}

/// Tells the guests of a run apart: the first to boot is 1, and none inherits the number of a dead one.
pub type GuestId = u32;

/// Names one run of one case. `repeat` starts at 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseId {
    pub filesystem: Filesystem,
    pub case: String,
    pub repeat: u32,
}

impl CaseId {
    /// The case, and which of its runs it is if that is not the first.
    pub fn name(&self) -> String {
        match self.repeat {
            0 => self.case.clone(),
            repeat => format!("{} (repeat {})", self.case, u64::from(repeat) + 1),
        }
    }
}

/// The line among the diagnostics of a case after which those are of the console.
pub const CONSOLE: &str = "the last lines of the console:";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseResult {
    pub id: CaseId,
    pub verdict: Verdict,
    pub took: Duration,
    /// What the case said, and for a failure why and with which stacks.
    pub diagnostics: Vec<String>,
}

/// As a string it is one word for tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "reason")]
pub enum Verdict {
    #[strum(to_string = "ok")]
    Passed,
    #[strum(to_string = "FAILED")]
    Failed(String),
    #[strum(to_string = "skipped")]
    Skipped(String),
    /// Past its deadline; its tasks may be unkillable.
    #[strum(to_string = "HUNG")]
    Hung(String),
    /// The guest died or fell silent while the case ran.
    #[strum(to_string = "KILLED GUEST")]
    KilledGuest(String),
}

/// As the guest says it.
impl From<ktap::Verdict> for Verdict {
    fn from(verdict: ktap::Verdict) -> Self {
        match verdict {
            ktap::Verdict::Passed => Verdict::Passed,
            ktap::Verdict::Failed(reason) => Verdict::Failed(reason),
            ktap::Verdict::Skipped(reason) => Verdict::Skipped(reason),
            ktap::Verdict::TimedOut(place) => Verdict::Hung(place),
        }
    }
}

/// The producers' end. Cloneable; a receiver that is gone is no error, the run just goes unseen.
#[derive(Clone, Debug)]
pub struct Events(Sender<Event>);

impl Events {
    pub fn channel() -> (Self, Receiver<Event>) {
        let (sender, receiver) = channel();
        (Self(sender), receiver)
    }

    pub fn send(&self, event: Event) {
        let _ = self.0.send(event);
    }

    pub fn note(&self, line: impl Into<String>) {
        self.send(Event::Note(line.into()));
    }
}
