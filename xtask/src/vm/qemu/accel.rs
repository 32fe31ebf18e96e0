//! What runs the guest's instructions: the processor itself, or an emulation.

use serde::{Deserialize, Serialize};
use strum::Display;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Accel {
    Kvm,
    Tcg,
}

impl Accel {
    /// The value of QEMU's `-accel`.
    pub fn qemu(self, single_thread: bool) -> &'static str {
        match (self, single_thread) {
            (Accel::Kvm, _) => "kvm",
            (Accel::Tcg, false) => "tcg,thread=multi",
            (Accel::Tcg, true) => "tcg,thread=single",
        }
    }
}

/// Whether a kernel of this `.config` is to be emulated in one thread: with jump labels, which change
/// code while it runs, kernels were seen to die when each processor had a thread of its own.
pub fn needs_single_thread(config: &str) -> bool {
    config.lines().any(|line| line == "CONFIG_JUMP_LABEL=y")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jump_labels_need_a_single_thread() {
        let table = [
            ("CONFIG_JUMP_LABEL=y\n", "tcg,thread=single"),
            ("CONFIG_HAVE_JUMP_LABEL=y\n", "tcg,thread=multi"),
            ("# CONFIG_JUMP_LABEL is not set\n", "tcg,thread=multi"),
            ("CONFIG_JUMP_LABEL_HACK=y\n", "tcg,thread=multi"),
        ];
        for (config, wanted) in table {
            let single = needs_single_thread(config);
            assert_eq!(Accel::Tcg.qemu(single), wanted, "{config}");
            assert_eq!(Accel::Kvm.qemu(single), "kvm");
        }
    }
}
