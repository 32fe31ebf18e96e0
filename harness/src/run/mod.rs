//! The coordinator: runs each case in a process of its own and reports it.

mod autopsy;
mod execution;
mod output;

use std::fs;
use std::io::Write;
use std::slice;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::linux::console;
use crate::linux::kmsg::{Complaints, Kmsg};
use crate::wire::ktap::{Ktap, Outcome, Verdict};
use crate::wire::marks::{COMPLAINT, Ending, MARK};
use crate::wire::plan::{Plan, Subtest, Work};
use crate::wire::{Feature, Filesystem};
use crate::{absent, cases, measure};
use execution::{Execution, Guest};

/// How many complaints of the kernel are passed on at once: the rest follows from the first.
const COMPLAINTS: usize = 20;
/// Said when the kernel logs faster than anybody reads.
const OVERRUN: &str = "the kernel log has overwritten records before they were read";

/// Runs the plan up to its end or to the first case that spoils the guest.
///
/// # Errors
/// When the results cannot be written.
pub fn run<W: Write>(plan: &Plan, ktap: &mut Ktap<W>) -> Result<Ending> {
    ktap.begin(plan.subtests.len())?;
    let ending = run_all(plan, ktap)?;
    ktap.end(ending)?;
    Ok(ending)
}

fn run_all<W: Write>(plan: &Plan, ktap: &mut Ktap<W>) -> Result<Ending> {
    let mut log = Kmsg::mark()?;
    let mut marks = plan.secrets.marks.iter();
    let mut absent = Vec::new();
    for (number, subtest) in (1..).zip(&plan.subtests) {
        match run_subtest(subtest, plan, &mut marks, &mut absent, &mut log, ktap)? {
            Some(passed) => ktap.end_subtest(number, subtest.filesystem, passed)?,
            None => return Ok(Ending::Spoilt),
        }
    }
    Ok(Ending::Complete)
}

/// Whether all cases passed; `None` after one that spoils the guest.
fn run_subtest<W: Write>(
    subtest: &Subtest,
    plan: &Plan,
    marks: &mut slice::Iter<'_, String>,
    absent: &mut Vec<Feature>,
    log: &mut Kmsg,
    ktap: &mut Ktap<W>,
) -> Result<Option<bool>> {
    ktap.begin_subtest(subtest.filesystem, subtest.cases.len())?;
    let mut passed = true;
    for (number, case) in (1..).zip(&subtest.cases) {
        mark(subtest.filesystem, case, marks.next());
        ktap.start(case)?;
        let (outcome, guest) = match attempt(subtest.filesystem, case, plan, absent, ktap)? {
            Attempt::Over(outcome, guest) => (outcome, guest),
            Attempt::NotStarted(reason) => {
                ktap.cannot_start(case, &reason)?;
                return Ok(None);
            }
        };
        pass_on(case, &log.complaints()?, ktap)?;
        ktap.result(number, &outcome)?;
        if guest == Guest::Spoilt {
            return Ok(None);
        }
        passed &= outcome.verdict.is_ok();
        reap_orphans();
        // What came late is the case's own still.
        pass_on(case, &log.complaints()?, ktap)?;
    }
    Ok(Some(passed))
}

/// Runs the case in a process. If the kernel need not have what it needs, it is asked whether it has it all the same
/// (`harness absent`), but only until it says no: `absent` is what it said so of.
fn attempt<W: Write>(
    filesystem: Filesystem,
    case: &str,
    plan: &Plan,
    absent: &mut Vec<Feature>,
    ktap: &mut Ktap<W>,
) -> Result<Attempt> {
    let lacking = lacking(plan, case);
    let known = |feature: &Feature| {
        absent.contains(feature) || plan.work != Work::Cases || !feature.can_be_asked_for()
    };
    if let Some(feature) = lacking.filter(known) {
        let skipped = Verdict::Skipped(absent::is_not_provided(feature));
        return Ok(Attempt::Over(Outcome::new(case, skipped), Guest::Good));
    }
    let arguments = match lacking {
        None => plan.work.arguments(filesystem, case, plan.deadline),
        Some(feature) => {
            let seconds = plan.deadline.as_secs_f64().to_string();
            ["absent", feature.name(), &seconds]
                .map(str::to_owned)
                .to_vec()
        }
    };
    let (outcome, guest) = match Execution::start(case, plan, &arguments) {
        Ok(execution) => execution.watch(ktap)?,
        Err(error) => return Ok(Attempt::NotStarted(format!("{error:#}"))),
    };
    if let Verdict::Skipped(_) = outcome.verdict {
        absent.extend(lacking);
    }
    Ok(Attempt::Over(outcome, guest))
}

/// What the kernel must provide for the work of this name.
fn needs(work: Work, name: &str) -> Option<Feature> {
    match work {
        Work::Cases => cases::find(name)?.needs,
        Work::Measurements(_) => measure::find(name)?.needs,
        Work::Faults => None,
    }
}

/// What the case needs and the kernel need not have. Whether it has it does not count:
/// a kernel that should have it, and has not, must fail, and so must a stock kernel whose fault the case shows.
fn lacking(plan: &Plan, case: &str) -> Option<Feature> {
    let runs =
        |need: &Feature| plan.provides.contains(need) || (plan.stock && !need.can_be_asked_for());
    needs(plan.work, case).filter(|need| !runs(need))
}

/// Tells the host what the kernel complained of, unless the case provokes it. The console has it, too, unless the
/// case has lowered its level, or it was too slow.
fn pass_on<W: Write>(case: &str, said: &Complaints, ktap: &mut Ktap<W>) -> Result<()> {
    // As it was, for the next case, and for the last words of a dying guest.
    console::show_all().context("failed to set the console's level")?;
    let expected = cases::find(case).map_or(&[][..], |case| case.complaints);
    for line in said.beside(expected).take(COMPLAINTS) {
        ktap.diagnostic(case, &format!("{COMPLAINT}{line}"))?;
    }
    if said.overrun {
        ktap.diagnostic(case, OVERRUN)?;
    }
    Ok(())
}

/// Tells the host which case the kernel's next messages belong to.
fn mark(filesystem: Filesystem, case: &str, secret: Option<&String>) {
    let secret = secret.map_or("", String::as_str);
    // Without it a complaint may be charged to the case before.
    let _ = fs::write("/dev/kmsg", format!("{MARK}{filesystem} {case} {secret}\n"));
}

/// What came of the wish to run a case.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    Over(Outcome, Guest),
    /// With the reason, for which the cases before are to blame.
    NotStarted(String),
}

/// Collects what lost its parent, which is init's duty.
fn reap_orphans() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
            Ok(_) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::samples::Effort;

    #[test]
    fn a_case_may_lack_what_it_needs() {
        let (timeout, nesting) = (Feature::Timeout, Feature::Nesting);
        let lacking = |work, stock, provides: &[Feature], name| {
            let plan = Plan {
                provides: provides.to_vec(),
                stock,
                work,
                ..Plan::default()
            };
            lacking(&plan, name)
        };
        let case = |stock, provides: &[Feature], name| lacking(Work::Cases, stock, provides, name);
        for (stock, provides, name, wanted) in [
            (false, &[][..], "timeout_thaws", Some(timeout)),
            (true, &[], "timeout_thaws", Some(timeout)),
            (false, &[nesting], "timeout_thaws", Some(timeout)),
            (false, &[timeout], "timeout_thaws", None),
            (false, &[], "concurrent_freezes", Some(nesting)),
            (false, &[nesting], "concurrent_freezes", None),
            (true, &[], "concurrent_freezes", None),
            (false, &[], "error_not_frozen", None),
            (false, &[], "no such case", None),
            (false, &[], "deadline_late", None),
        ] {
            assert_eq!(case(stock, provides, name), wanted, "{name} {provides:?}");
        }
        let measurement = Work::Measurements(Effort::Quick);
        let late = lacking(measurement, false, &[], "deadline_late");
        assert_eq!(late, Some(timeout));
    }

    #[test]
    fn what_is_known_to_be_lacking_is_skipped_without_a_process() {
        let mut ktap = Ktap::new(Vec::new(), "");
        let (plan, mut absent) = (Plan::default(), vec![Feature::Timeout]);
        let name = "timeout_thaws";
        let attempt = attempt(Filesystem::Xfs, name, &plan, &mut absent, &mut ktap).unwrap();
        let reason = "the kernel does not provide the timeout";
        let skipped = Verdict::Skipped(reason.to_owned());
        let outcome = Outcome::new(name, skipped);
        assert_eq!(attempt, Attempt::Over(outcome, Guest::Good));
    }
}
