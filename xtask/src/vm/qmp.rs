//! What QEMU itself knows of the end of a machine, by the QEMU Machine Protocol: its exit status is 0 for a
//! power-off, a reset, a panic and a SIGTERM alike (docs/interop/qmp-spec.rst and `ShutdownCause` in qapi/run-state.json).

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;

use serde::Deserialize;

use super::ledger::End;

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
}

/// Why the machine ends, if the line says it.
pub fn shutdown(line: &str) -> Option<String> {
    let message: Message = serde_json::from_str(line).ok()?;
    let is_shutdown = message.event.as_deref() == Some("SHUTDOWN");
    message.data.reason.filter(|_| is_shutdown)
}

/// How a guest whose QEMU has exited has ended.
pub fn end(status: ExitStatus, reason: Option<&str>) -> End {
    if !status.success() {
        return End::Broken(format!("QEMU ended with {status}"));
    }
    match reason {
        Some("guest-shutdown") => End::PoweredOff,
        Some("guest-reset" | "guest-panic") => End::Reset,
        Some(other) => End::Broken(format!("QEMU was ended from outside ({other})")),
        None => End::Broken("QEMU ended without a word".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn the_reason_of_an_end_is_found() {
        let shutdown_by = |reason: &str| {
            format!(
                r#"{{"timestamp": {{"seconds": 1, "microseconds": 2}}, "event": "SHUTDOWN", "data": {{"guest": true, "reason": "{reason}"}}}}"#
            )
        };
        assert_eq!(
            shutdown(&shutdown_by("guest-reset")).as_deref(),
            Some("guest-reset")
        );
        for line in [
            r#"{"QMP": {"version": {}, "capabilities": []}}"#,
            r#"{"return": {}}"#,
            r#"{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}"#,
            r#"{"event": "NIC_RX_FILTER_CHANGED", "data": {"path": "/machine"}}"#,
            r#"{"event": "POWERDOWN"}"#,
            "SHUTDOWN",
            "",
        ] {
            assert_eq!(shutdown(line), None, "{line}");
        }
    }

    #[test]
    fn only_the_guest_ends_a_guest_in_order() {
        let [good, failed, killed] = [0, 1 << 8, 9].map(ExitStatus::from_raw);
        assert_eq!(end(good, Some("guest-shutdown")), End::PoweredOff);
        assert_eq!(end(good, Some("guest-reset")), End::Reset);
        assert_eq!(end(good, Some("guest-panic")), End::Reset);
        for (status, reason) in [
            (good, Some("host-signal")),
            (good, Some("host-error")),
            (good, None),
            (failed, None),
            (killed, None),
            (killed, Some("guest-shutdown")),
        ] {
            let end = end(status, reason);
            assert!(
                matches!(end, End::Broken(_)),
                "{status} {reason:?}: {end:?}"
            );
        }
    }
}
