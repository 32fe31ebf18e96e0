//! The QEMU guest agent, and its protocol: a JSON object a line (QEMU's
//! docs/interop/qemu-ga-ref).

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::bench::Bench;

pub const PROGRAM: &str = "qemu-ga";

/// /run is a tmpfs in the guest. The agent keeps here, too, that it has frozen.
const STATE: &str = "/run/qemu-ga";
const SOCKET: &str = "/run/qemu-ga/socket";

/// Empty, in place of the machine's own configuration, which may forbid requests or call a hook
/// (the variable is qemu-ga's, as in QEMU's qga/main.c).
const CONFIGURATION: (&str, &str) = ("QGA_CONF", "/run/qemu-ga/qemu-ga.conf");

/// The pause between two attempts to connect, since no event tells that the agent listens.
const PAUSE: Duration = Duration::from_millis(20);

/// A running agent and the connection to it; [`Bench`] ends it.
#[derive(Debug)]
pub struct Agent {
    stream: BufReader<UnixStream>,
}

/// What the agent answers; instead, it may have an `error`.
#[derive(Deserialize)]
struct Answer<T> {
    #[serde(rename = "return")]
    value: T,
}

impl Agent {
    pub fn start(bench: &Bench) -> Result<Agent> {
        bench.step("qemu-ga starts");
        let stream = listen_and_connect(bench)?;
        stream.set_read_timeout(Some(bench.patience()))?;
        let mut agent = Agent {
            stream: BufReader::new(stream),
        };
        let id = std::process::id();
        let echo: u32 = agent.call("guest-sync", json!({ "id": id }))?;
        ensure!(echo == id, "guest-sync: {echo}, not {id}");
        Ok(agent)
    }

    /// Freezes all that is mounted from a device. Returns how often `FIFREEZE` worked: for each
    /// mount of a filesystem, or for one of them.
    pub fn freeze(&mut self) -> Result<u32> {
        self.call("guest-fsfreeze-freeze", json!({}))
    }

    /// Repeats `FITHAW` on each of these mounts until it fails. Returns for how many it worked before.
    pub fn thaw(&mut self) -> Result<u32> {
        self.call("guest-fsfreeze-thaw", json!({}))
    }

    /// `frozen` or `thawed`: what the agent was asked for last, not what is.
    pub fn status(&mut self) -> Result<String> {
        self.call("guest-fsfreeze-status", json!({}))
    }

    fn call<T: DeserializeOwned>(&mut self, command: &str, arguments: Value) -> Result<T> {
        let request = json!({ "execute": command, "arguments": arguments });
        let mut answer = String::new();
        writeln!(self.stream.get_mut(), "{request}")
            .and_then(|()| self.stream.read_line(&mut answer))
            .with_context(|| format!("{command}: no answer"))?;
        let answer: Answer<T> =
            serde_json::from_str(&answer).with_context(|| format!("{command}: {answer:?}"))?;
        Ok(answer.value)
    }
}

fn listen_and_connect(bench: &Bench) -> Result<UnixStream> {
    if Path::new(STATE).exists() {
        fs::remove_dir_all(STATE).with_context(|| format!("failed to remove {STATE}"))?;
    }
    fs::create_dir(STATE).with_context(|| format!("failed to make {STATE}"))?;
    let (variable, path) = CONFIGURATION;
    fs::write(path, "").with_context(|| format!("failed to write {path}"))?;
    let mut command = Command::new(PROGRAM);
    command
        .args(["-m", "unix-listen", "-p", SOCKET, "-t", STATE])
        .env(variable, path);
    let program = bench.daemon(PROGRAM, &mut command)?;
    loop {
        match UnixStream::connect(SOCKET) {
            Err(error)
                if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind()) => {}
            outcome => return outcome.with_context(|| format!("failed to connect to {SOCKET}")),
        }
        program.is_alive()?;
        sleep(PAUSE);
    }
}
