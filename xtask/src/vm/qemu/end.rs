//! How a guest came to its end.

use std::process::ExitStatus;
use std::time::Duration;

/// Why a guest is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    PoweredOff,
    /// By reboot(2), a panic, or because nothing else was left to the processor.
    Reset,
    /// For a reason that is not the guest's: QEMU was killed, or had an error; the text says how.
    Broken(String),
    /// No case began or ended for this long; it has been killed.
    Silent(Duration),
    /// Its work is done but it did not power off; it has been killed.
    Lingered,
}

/// How a guest whose QEMU has exited has ended.
pub fn of_qemu(status: ExitStatus, reason: Option<&str>) -> End {
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
    fn only_the_guest_ends_a_guest_in_order() {
        let [good, failed, killed] = [0, 1 << 8, 9].map(ExitStatus::from_raw);
        assert_eq!(of_qemu(good, Some("guest-shutdown")), End::PoweredOff);
        assert_eq!(of_qemu(good, Some("guest-reset")), End::Reset);
        assert_eq!(of_qemu(good, Some("guest-panic")), End::Reset);
        for (status, reason) in [
            (good, Some("host-signal")),
            (good, Some("host-error")),
            (good, None),
            (failed, None),
            (killed, None),
            (killed, Some("guest-shutdown")),
        ] {
            let end = of_qemu(status, reason);
            assert!(
                matches!(end, End::Broken(_)),
                "{status} {reason:?}: {end:?}"
            );
        }
    }
}
