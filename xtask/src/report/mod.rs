//! What the user gets to see and to keep of a run. Nothing here decides anything.

pub mod checks;
pub mod junit;
pub mod ktap;
pub mod markdown;
pub mod merge;
pub mod model;
pub mod programs;
pub mod store;
pub mod terminal;
pub mod times;

use std::thread;

use crate::event::Events;
use store::Recorder;
use terminal::Display;

/// Does some work while its events are shown, and recorded if there is a recorder.
pub fn watched<T>(mut recorder: Option<&mut Recorder>, work: impl FnOnce(&Events) -> T) -> T {
    let (events, receiver) = Events::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut display = Display::new();
            for event in receiver {
                display.see(&event);
                if let Some(recorder) = &mut recorder {
                    recorder.see(&event);
                }
            }
        });
        // Given away, so that the watcher ends with the work.
        let events = events;
        work(&events)
    })
}
