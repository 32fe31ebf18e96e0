//! The guest's init: the harness binary, built with this binary's own profile.

use std::panic::resume_unwind;
use std::process::Command;
use std::thread;

use camino::Utf8PathBuf;
use serde::Deserialize;
use xshell::cmd;

use crate::event::{Event, Events};
use crate::failure::{Kind, Result};
use crate::host::environment::{self, CARGO};
use crate::host::phase::phase;
use crate::host::proc;
use crate::host::session::Session;

/// The guest's. It is named, as a flag then holds for what is to run there only, and not for what cargo runs to build it.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Static: emulated, the dynamic loader takes some 40 ms of the time to the first case.
const FLAG: &str = "-Ctarget-feature=+crt-static";

/// Of cargo's JSON messages, what we read.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<Utf8PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds it, if need be, while `work` is done, and returns its path with what came of that.
///
/// # Errors
/// Those of `work`, and [`Kind::Machinery`]: that the harness does not compile says nothing about a kernel.
pub fn beside<T>(work: impl FnOnce() -> Result<T>, session: &Session) -> Result<(T, Utf8PathBuf)> {
    thread::scope(|scope| {
        let cargo = scope.spawn(|| told_at_once(cargo_build(session), &session.events));
        let done = work();
        let path = phase(&session.events, "waiting for the harness", || {
            let built = cargo.join().unwrap_or_else(|panic| resume_unwind(panic));
            Ok((built?, "ready".into()))
        });
        Ok((done?, path?))
    })
}

/// Nobody need wait for a kernel to learn that it will not be used.
fn told_at_once(built: Result<Utf8PathBuf>, events: &Events) -> Result<Utf8PathBuf> {
    if let Err(failure) = &built
        && failure.kind != Kind::Interrupted
    {
        events.send(Event::Warning(format!(
            "the harness cannot be built: {failure}"
        )));
    }
    built
}

fn cargo_build(session: &Session) -> Result<Utf8PathBuf> {
    let cargo = environment::cargo_program();
    let release = (!cfg!(debug_assertions)).then_some("--release");
    let mut build = Command::from(cmd!(
        CARGO,
        "{cargo} build --package harness --message-format=json-render-diagnostics --target {TARGET} {release...}"
    ));
    // In the place of whatever flags the settings in the user's home say.
    build.env("CARGO_ENCODED_RUSTFLAGS", FLAG);
    build.current_dir(session.layout.root());
    let messages = proc::read(&mut build, &session.stop)?;
    executable(&messages)
        .ok_or_else(|| Kind::Machinery.error("cargo built the harness but named no executable"))
}

fn executable(messages: &str) -> Option<Utf8PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| {
            message
                .target
                .as_ref()
                .is_some_and(|target| target.name == "harness")
        })
        .find_map(|message| message.executable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;

    #[test]
    fn a_harness_that_does_not_build_is_no_fault_of_the_kernel() {
        let empty = tempfile::tempdir().unwrap();
        let layout = Layout::at(Utf8PathBuf::try_from(empty.path().to_owned()).unwrap());
        let failure = cargo_build(&Session::new(layout, Stop::default())).unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery, "{failure}");
        assert!(failure.to_string().contains("Cargo.toml"), "{failure}");
    }

    #[test]
    fn the_harness_is_found_among_the_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"anyhow"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"harness"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"harness"},"executable":"/t/debug/harness"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some("/t/debug/harness".into()));
        assert_eq!(executable("no JSON"), None);
    }
}
