//! What happens during a run, as data. Producers send, the display, the logs
//! and the report consume; no other module prints.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use harness::case::Filesystem;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug)]
pub enum Event {
    /// A long step begins; `what` completes the sentence "now …", e.g. "building 6.12.117".
    PhaseStarted {
        what: String,
    },
    /// How far the current phase is; `total` is an estimate where it is known at all.
    Progress {
        done: u64,
        total: Option<u64>,
        item: String,
    },
    /// The current phase is over; `outcome` is for the reader, e.g. "1187 files in 212 s".
    PhaseEnded {
        outcome: String,
        took: Duration,
    },
    /// A fact worth a line of its own, e.g. which accelerator was chosen and why.
    Note(String),
    Warning(String),
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseResult {
    pub id: CaseId,
    pub verdict: Verdict,
    pub took: Duration,
    /// What the case said, and for a failure why and with which stacks.
    pub diagnostics: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "reason")]
pub enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
    /// Past its deadline; its tasks may be unkillable.
    Hung(String),
    /// The guest died or fell silent while the case ran.
    KilledGuest(String),
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
