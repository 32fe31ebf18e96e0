//! Lines that a guest says, on whichever way.

use std::io::Read;
use std::sync::mpsc::SyncSender;
use std::thread;

use harness::wire::lines::Lines;

/// Something the guest, or the program that runs it, said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Console(String),
    Ktap(String),
    /// What QEMU says of the machine: see [`crate::vm::qemu::qmp`].
    Qmp(String),
    /// The host cannot do its part, for this reason.
    Failure(String),
}

/// Sends each line of `source`, in a thread that ends with it.
pub fn forward(
    source: impl Read + Send + 'static,
    kind: fn(String) -> Line,
    sender: SyncSender<Line>,
) {
    thread::spawn(move || {
        for line in Lines::new(source) {
            if sender.send(kind(readable(&line))).is_err() {
                return;
            }
        }
    });
}

/// Whatever a dying guest writes, as text without control characters.
fn readable(line: &str) -> String {
    line.chars()
        .filter(|c| !c.is_control() || *c == '\t')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_becomes_readable() {
        let table = [
            ("plain\r", "plain"),
            ("\x1b[2Jx\ty", "[2Jx\ty"),
            ("\u{fffd}\0a", "\u{fffd}a"),
        ];
        for (raw, wanted) in table {
            assert_eq!(readable(raw), wanted);
        }
    }
}
