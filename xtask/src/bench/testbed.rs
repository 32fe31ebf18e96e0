//! What the numbers were taken on. Nothing in here names a host, a user or a path.

use serde::Serialize;

use crate::failure::Result;
use crate::report::model::MachineFacts;
use crate::vm::qemu::machine;
use crate::words::count;

#[derive(Clone, Debug, Serialize)]
pub struct Testbed {
    /// As /proc/cpuinfo has it.
    pub cpu: String,
    pub guest_cpus: usize,
    #[serde(flatten)]
    pub facts: MachineFacts,
}

impl Testbed {
    pub fn this(facts: MachineFacts) -> Result<Self> {
        Ok(Self {
            cpu: cpu(&fs_err::read_to_string("/proc/cpuinfo")?),
            guest_cpus: machine::cpus(),
            facts,
        })
    }

    /// In one sentence.
    pub fn describe(&self) -> String {
        let Self {
            cpu,
            guest_cpus,
            facts,
        } = self;
        format!(
            "{cpu}, {}, Linux {}, {} with {}, guests with {}",
            count(facts.host_cpus, "core"),
            facts.host_kernel,
            facts.qemu,
            facts.accelerator,
            count(*guest_cpus, "processor")
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

#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::report;

    pub fn machine() -> Testbed {
        Testbed {
            cpu: "A & B Processor <3>".into(),
            guest_cpus: 2,
            facts: report::model::samples::run(&[], vec![]).machine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors() {
        assert_eq!(cpu("vendor_id\t: X\nmodel name\t: X Core 7\n"), "X Core 7");
        assert_eq!(cpu(""), "unknown processor");
    }
}
