//! What the numbers were taken on. Nothing in here names a host, a user or a path.

use serde::{Deserialize, Serialize};

use crate::failure::Result;
use crate::proc::Stop;
use crate::report::model::MachineFacts;
use crate::vm::{self, accel::Accel};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// As /proc/cpuinfo has it.
    pub cpu: String,
    pub guest_cpus: usize,
    #[serde(flatten)]
    pub facts: MachineFacts,
}

impl Machine {
    pub fn this(accel: Accel, stop: &Stop) -> Result<Self> {
        let cpuinfo = fs_err::read_to_string("/proc/cpuinfo")?;
        let host_kernel = fs_err::read_to_string("/proc/sys/kernel/osrelease")?;
        Ok(Self {
            cpu: cpu(&cpuinfo),
            guest_cpus: vm::cpus(),
            facts: MachineFacts {
                accelerator: accel.name().into(),
                qemu: version(&vm::qemu_version(stop)?),
                host_kernel: host_kernel.trim().into(),
                host_cpus: vm::host_cpus(),
                guests: 1,
            },
        })
    }

    /// In one sentence.
    pub fn describe(&self) -> String {
        let MachineFacts {
            accelerator,
            qemu,
            host_kernel,
            host_cpus,
            ..
        } = &self.facts;
        format!(
            "{}, {host_cpus} cores, Linux {host_kernel}, QEMU {qemu} with {accelerator}, guests with {} processors",
            self.cpu, self.guest_cpus
        )
    }
}

fn cpu(cpuinfo: &str) -> String {
    let field = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = field.and_then(|field| field.split_once(':'));
    name.map_or("unknown processor".into(), |(_, name)| name.trim().into())
}

/// `10.0.2` of `QEMU emulator version 10.0.2 (Debian …)`.
fn version(line: &str) -> String {
    let rest = line.split_once("version ").map_or(line, |(_, rest)| rest);
    rest.split(' ').next().unwrap_or(rest).into()
}

#[cfg(test)]
pub mod samples {
    use super::*;

    pub fn machine() -> Machine {
        Machine {
            cpu: "A & B Processor <3>".into(),
            guest_cpus: 2,
            facts: MachineFacts {
                accelerator: "tcg".into(),
                qemu: "10.0.2".into(),
                host_kernel: "6.18.5".into(),
                host_cpus: 2,
                guests: 1,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        assert_eq!(cpu("vendor_id\t: X\nmodel name\t: X Core 7\n"), "X Core 7");
        assert_eq!(cpu(""), "unknown processor");
        assert_eq!(
            version("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"),
            "10.0.2"
        );
        assert_eq!(version("7"), "7");
    }
}
