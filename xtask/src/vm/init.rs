//! The guest's init: the harness binary, built with this binary's own profile.

use std::env;
use std::process::Command;
use std::thread::{self, JoinHandle};

use camino::Utf8PathBuf;
use serde::Deserialize;

use crate::event::Events;
use crate::failure::{Kind, Result};
use crate::kernel::phase::phase;
use crate::layout::Layout;
use crate::proc::{self, Stop};

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

/// The harness while cargo builds it, beside whatever else is made ready.
#[derive(Debug)]
pub struct Building(JoinHandle<Result<Utf8PathBuf>>);

impl Building {
    pub fn start(layout: &Layout, stop: &Stop) -> Self {
        let (layout, stop) = (layout.clone(), stop.clone());
        Self(thread::spawn(move || cargo_build(&layout, &stop)))
    }

    /// Waits for it, and returns its path.
    ///
    /// # Errors
    /// [`Kind::Machinery`]: that it does not compile says nothing about a kernel.
    pub fn finish(self, events: &Events) -> Result<Utf8PathBuf> {
        phase(events, "building the harness", || {
            let built = self.0.join();
            let path =
                built.map_err(|_| Kind::Machinery.error("a bug of xtask: a thread panicked"))??;
            Ok((path, "ready".into()))
        })
    }
}

fn cargo_build(layout: &Layout, stop: &Stop) -> Result<Utf8PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(layout.root()).args([
        "build",
        "--package",
        "harness",
        "--message-format=json-render-diagnostics",
    ]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let messages = proc::read(&mut cargo, stop)?;
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

    #[test]
    fn a_harness_that_does_not_build_is_no_fault_of_the_kernel() {
        let empty = tempfile::tempdir().unwrap();
        let layout = Layout::at(Utf8PathBuf::try_from(empty.path().to_owned()).unwrap());
        let failure = cargo_build(&layout, &Stop::default()).unwrap_err();
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
