//! What the user gets to see and to keep of a run. Nothing here decides anything.

pub mod checks;
pub mod differences;
mod display;
pub mod inputs;
pub mod junit;
pub mod ktap;
pub mod markdown;
pub mod merge;
pub mod model;
pub mod mutants;
pub mod output;
pub mod programs;
mod progress;
pub mod store;
pub mod terminal;
pub mod times;

use std::sync::mpsc::RecvTimeoutError;
use std::thread;

use crate::event::Events;
use crate::host::session::Session;
use display::Display;
use store::Recorder;

/// Does some work while its events are shown, and recorded if there is a recorder.
pub fn watched<T>(
    session: &Session,
    recorder: Option<&mut Recorder>,
    work: impl FnOnce(&Session) -> T,
) -> T {
    seen(session, Display::new(), recorder, work)
}

/// The same on standard error, where standard output is for the one thing that was asked for.
pub fn watched_aside<T>(session: &Session, work: impl FnOnce(&Session) -> T) -> T {
    seen(session, Display::aside(), None, work)
}

/// Does some work while its events are recorded, and shown by whoever watches already.
pub fn recorded<T>(
    session: &Session,
    recorder: &mut Recorder,
    work: impl FnOnce(&Session) -> T,
) -> T {
    let (events, receiver) = Events::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for event in receiver {
                recorder.see(&event);
                session.events.send(event);
            }
        });
        let session = session.told_to(events);
        work(&session)
    })
}

fn seen<T>(
    session: &Session,
    mut display: Display,
    mut recorder: Option<&mut Recorder>,
    work: impl FnOnce(&Session) -> T,
) -> T {
    let (events, receiver) = Events::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                match receiver.recv_timeout(Display::TICK) {
                    Ok(event) => {
                        display.see(&event);
                        if let Some(recorder) = &mut recorder {
                            recorder.see(&event);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => display.tick(),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        // Given away, so that the watcher ends with the work.
        let session = session.told_to(events);
        work(&session)
    })
}
