//! The virtio-serial ports that connect the guest with the host.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Where the plan comes from.
pub const PLAN: &str = "freeze.plan";
/// Where the results go.
pub const KTAP: &str = "freeze.ktap";
/// Where a case asks for what [`super::storage`] can do, and is answered.
pub const STORAGE: &str = "freeze.storage";
/// The ports that every guest of a run has.
pub const ALL: [&str; 3] = [PLAN, KTAP, STORAGE];

/// The pause while the host has not connected: the port then reads as ended
/// and polls as hung up, so there is no event to wait for.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the ports may take to get their names after the device is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens the port by its name in /sys/class/virtio-ports (never by its number), once it is there.
pub fn open(name: &str) -> Result<File> {
    let end = Instant::now() + PATIENCE;
    let mut found = find(name);
    while !matches!(found, Ok(Some(_))) && Instant::now() < end {
        sleep(PAUSE);
        found = find(name);
    }
    let node = found?.with_context(|| format!("no virtio-serial port is named {name:?}"))?;
    File::options()
        .read(true)
        .write(true)
        .open(&node)
        .with_context(|| format!("failed to open {} ({name})", node.display()))
}

/// Whether a host that runs a plan is there; where a case is run by hand, none is.
pub fn has_host() -> bool {
    matches!(find(PLAN), Ok(Some(_)))
}

fn find(name: &str) -> Result<Option<PathBuf>> {
    let class = "/sys/class/virtio-ports";
    for entry in fs::read_dir(class).with_context(|| format!("failed to read {class}"))? {
        let port = entry?;
        // A port without a name has no such file.
        let Ok(found) = fs::read_to_string(port.path().join("name")) else {
            continue;
        };
        if found.trim_end() == name {
            return Ok(Some(Path::new("/dev").join(port.file_name())));
        }
    }
    Ok(None)
}

/// Reads up to the first newline, however often the port seems to end before.
pub fn read_line(port: &mut File) -> Result<String> {
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let chunk = match port.read(&mut buffer) {
            Ok(0) => {
                sleep(PAUSE);
                continue;
            }
            Ok(length) => &buffer[..length],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("failed to read a line from the port"),
        };
        // Looked for in what is new: the plan of many repeats has megabytes.
        if let Some(end) = chunk.iter().position(|&byte| byte == b'\n') {
            line.extend(&chunk[..end]);
            return String::from_utf8(line).context("the line is not UTF-8");
        }
        line.extend(chunk);
    }
}
