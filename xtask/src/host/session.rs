//! What all work is given: where things live, who is told, and whether to stop.

use super::layout::Layout;
use super::proc::Stop;
use crate::event::Events;

/// One run of a command. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Session {
    pub layout: Layout,
    /// Nobody listens until the work is watched.
    pub events: Events,
    /// Set by Ctrl-C, SIGTERM and SIGHUP.
    pub stop: Stop,
}

impl Session {
    pub fn new(layout: Layout, stop: Stop) -> Self {
        let (events, _) = Events::channel();
        Self {
            layout,
            events,
            stop,
        }
    }

    /// The same, with somebody who listens.
    pub fn told_to(&self, events: Events) -> Self {
        Self {
            events,
            ..self.clone()
        }
    }
}
