//! What real guests make of work that misbehaves (`harness::faults`). It takes a minute, and a kernel that
//! `cargo xtask test-kernel` has built: `cargo test -p xtask -- --ignored vm::faults`.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::Filesystem::Ext3;
use harness::wire::plan::Work;

use super::boot::{Machine, Way};
use super::qemu::accel::Accel;
use super::qemu::command::Kernel;
use super::root::init;
use super::run::run_cases;
use super::watch::queue::Workload;
use super::watch::supervisor::Limits;
use crate::event::{CaseId, Event, Events};
use crate::failure::Result;
use crate::host::layout::Layout;
use crate::host::proc::Stop;
use crate::host::session::Session;

/// Each fault with the word for it. The last is seen after all else has been done.
const FAULTS: [(&str, &str); 10] = [
    ("panics", "KILLED GUEST"),
    ("resets", "KILLED GUEST"),
    ("powers_off", "KILLED GUEST"),
    ("forges", "FAILED"),
    ("floods", "HUNG"),
    ("floods_console", "HUNG"),
    ("exhausts", "FAILED"),
    ("silences", "FAILED"),
    ("holds_output", "HUNG"),
    ("panics_later", "KILLED GUEST"),
];

/// Each with a good case before it, which is to pass, as is one that follows it in the plan.
fn cases() -> Vec<CaseId> {
    let pairs = (0..).zip(FAULTS).flat_map(|(repeat, (fault, _))| {
        ["passes", fault].map(|case| CaseId {
            filesystem: Ext3,
            case: case.into(),
            repeat,
        })
    });
    pairs.collect()
}

/// The kernel of a build, if QEMU starts it: one with KASAN takes a loader.
fn image(out: &Utf8Path) -> Option<Utf8PathBuf> {
    let config = fs_err::read_to_string(out.join(".config")).ok()?;
    let starts = !config.lines().any(|line| line == "CONFIG_KASAN=y");
    Some(out.join("vmlinux")).filter(|image| starts && image.exists())
}

#[test]
#[ignore = "boots guests with a kernel that has been built"]
fn each_fault_is_seen_for_what_it_is() {
    let layout = Layout::of_this_checkout().unwrap();
    let mut builds = layout.builds().read_dir_utf8().unwrap().flatten();
    let image = builds
        .find_map(|build| image(&build.path().join("out")))
        .expect("a kernel has been built: cargo xtask test-kernel");
    let (events, receiver) = Events::channel();
    let session = Session::new(layout, Stop::default()).told_to(events);
    let run = || -> Result<()> {
        let ((), init) = init::beside(|| Ok(()), &session)?;
        let machine = Machine {
            kernel: Kernel {
                image: &image,
                accel: Accel::Tcg,
                single_thread: false,
            },
            way: Way::Initramfs,
            init: &init,
            programs: &[],
            provides: &[],
            stock: false,
            work: Work::Faults,
        };
        let limits = Limits::new(Accel::Tcg, Some(Duration::from_secs(10)));
        let workload = Workload::of_one_guest(cases());
        run_cases(&machine, &workload, &limits, &session)
    };
    let outcome = run();
    drop(session);
    let mut found = Vec::new();
    for event in receiver {
        match event {
            Event::CaseEnded(result) => found.push((result.id, result.verdict)),
            Event::Warning(text) => println!("{text}"),
            Event::Console { line, .. } => println!("{line:.200}"),
            _ => {}
        }
    }
    outcome.unwrap();
    let wanted = FAULTS.iter().flat_map(|(_, word)| ["ok", word]);
    for (((id, verdict), wanted_id), wanted) in found.iter().zip(cases()).zip(wanted) {
        println!("{} {} {}", id.case, verdict.word(), verdict.reason());
        assert_eq!((id, verdict.word()), (&wanted_id, wanted));
    }
    assert_eq!(found.len(), 2 * FAULTS.len());
}
