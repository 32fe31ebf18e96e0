//! What QEMU itself knows of a machine's troubles and end, by the QEMU Machine Protocol: its exit status is 0 for a
//! power-off, a reset, a panic and a SIGTERM alike (docs/interop/qmp-spec.rst, `ShutdownCause` in qapi/run-state.json,
//! `BLOCK_IO_ERROR` in qapi/block-core.json).

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;

use serde::Deserialize;

/// Names the socket.
pub const NAME: &str = "qmp";

/// Before it has been told so, QEMU reports no events.
const READY: &[u8] = b"{\"execute\": \"qmp_capabilities\"}\n";

/// Has QEMU report what happens from now on, a line for each event.
pub fn listen(mut monitor: UnixStream) -> io::Result<UnixStream> {
    monitor.write_all(READY)?;
    Ok(monitor)
}

#[derive(Deserialize)]
struct Message {
    event: Option<String>,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Data {
    reason: Option<String>,
    device: Option<String>,
}

/// An event that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The machine ends, for this reason.
    Shutdown(String),
    /// The host cannot read or write one of the guest's disks; when it is full, QEMU halts the guest.
    DiskError(String),
}

/// Reads a line.
pub fn news(line: &str) -> Option<News> {
    let message: Message = serde_json::from_str(line).ok()?;
    let Data { reason, device } = message.data;
    match message.event.as_deref()? {
        "SHUTDOWN" => reason.map(News::Shutdown),
        "BLOCK_IO_ERROR" => Some(News::DiskError(format!(
            "the host fails at the guest's disk {}: {}",
            device.unwrap_or_default(),
            reason.unwrap_or_default()
        ))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_an_end_is_found() {
        let shutdown_by = |reason: &str| {
            format!(
                r#"{{"timestamp": {{"seconds": 1, "microseconds": 2}}, "event": "SHUTDOWN", "data": {{"guest": true, "reason": "{reason}"}}}}"#
            )
        };
        let reset = News::Shutdown("guest-reset".into());
        assert_eq!(news(&shutdown_by("guest-reset")), Some(reset));
        let full = r#"{"event": "BLOCK_IO_ERROR", "data": {"device": "scratch0", "nospace": true, "reason": "No space left on device", "operation": "write", "action": "stop"}}"#;
        let words = "the host fails at the guest's disk scratch0: No space left on device";
        assert_eq!(news(full), Some(News::DiskError(words.into())));
        for line in [
            r#"{"QMP": {"version": {}, "capabilities": []}}"#,
            r#"{"return": {}}"#,
            r#"{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}"#,
            r#"{"event": "NIC_RX_FILTER_CHANGED", "data": {"path": "/machine"}}"#,
            r#"{"event": "POWERDOWN"}"#,
            "SHUTDOWN",
            "",
        ] {
            assert_eq!(news(line), None, "{line}");
        }
    }
}
