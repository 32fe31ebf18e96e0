//! What a report says of the kernel and the machine.

use std::collections::BTreeMap;

use super::prepare::Prepared;
use crate::failure::Result;
use crate::kernel::request::Request;
use crate::report::model::{Content, KernelFacts, MachineFacts};
use crate::vm::qemu::machine;

pub fn kernel_facts(request: &Request, prepared: &Prepared) -> KernelFacts {
    let kernel = &prepared.kernel;
    KernelFacts {
        base: kernel.base.clone(),
        version: kernel.version.clone(),
        source: public_source(request, &kernel.source, kernel.tree.as_str()),
        series: kernel.series.clone(),
        patches: kernel.patches.clone(),
        provides: kernel.provides.clone(),
        configs: request.configs.clone(),
        fingerprint: kernel.fingerprint.clone(),
        content: Some(Content {
            source: kernel.source_tree.clone(),
            built: kernel.content.clone(),
            edited: kernel.edited,
            patches: kernel.digests.clone(),
        }),
    }
}

/// Paths are the user's own business: neither a tree's nor that of an edited work tree is kept.
fn public_source(request: &Request, source: &str, tree: &str) -> Option<String> {
    let source = source.replace(tree, "the work tree");
    request.tree.is_none().then_some(source)
}

/// The programs of the guest are left out: not all who ask run them.
pub fn machine_facts(prepared: &Prepared, guests: usize) -> Result<MachineFacts> {
    Ok(MachineFacts {
        accelerator: prepared.accel.to_string(),
        qemu: prepared.qemu.clone(),
        host_kernel: fs_err::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .into(),
        host_cpus: machine::host_cpus(),
        guests,
        programs: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_name_no_paths() {
        let mut request = Request {
            base: "6.12".into(),
            tree: None,
            series: vec![],
            configs: vec![],
            part: crate::kernel::request::Part::Whole,
            jobs: None,
        };
        let public = |request: &Request| public_source(request, "p 1 with edits in /h/t", "/h/t");
        let wanted = "p 1 with edits in the work tree";
        assert_eq!(public(&request).as_deref(), Some(wanted));
        request.tree = Some("/h/linux".into());
        assert_eq!(public(&request), None);
    }
}
