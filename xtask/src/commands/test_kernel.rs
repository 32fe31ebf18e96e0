//! `test-kernel`: source, patches, build, boot, cases, report.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use harness::case::Feature;
use harness::plan::Work;

use super::options::{CaseOptions, DepsOptions, GuestOptions, KernelOptions};
use crate::deps::versions::versions;
use crate::event::{CaseResult, Verdict};
use crate::failure::{FAILED, Failure, Kind, PASSED, Result};
use crate::flow::prepare::{Prepared, make_ready};
use crate::flow::select::{choose, only, runs};
use crate::host::layout::Layout;
use crate::host::session::Session;
use crate::kernel;
use crate::kernel::request::Request;
use crate::report::model::{Counts, KernelFacts, MachineFacts, Run};
use crate::report::store::{Finished, Recorder};
use crate::report::times::Times;
use crate::report::{markdown, output, terminal, watched};
use crate::shard::Wanted;
use crate::vm::boot::Machine;
use crate::vm::capacity;
use crate::vm::qemu::accel::Accel;
use crate::vm::qemu::{command, machine};
use crate::vm::run::run_cases;
use crate::vm::verdict::{self, Choice};
use crate::vm::watch::queue::Workload;
use crate::vm::watch::supervisor::Limits;
use crate::words::count;

const AFTER_HELP: &str = "\
Examples:
  cargo xtask test-kernel                              Debian's 6.12 with generic-freeze, every case
  cargo xtask test-kernel --filter '^dm_' --filter nest --fs xfs
  cargo xtask test-kernel --stock                      without the patches: see them fail
  cargo xtask test-kernel --compare stock              both, and a table of both
  cargo xtask test-kernel --tree ~/linux               what is committed in a kernel tree of yours
  cargo xtask test-kernel --series generic-freeze --series ext3-ioctl
  cargo xtask test-kernel --base all                   every base, one after the other
  cargo xtask test-kernel --list --filter timeout      the names of cases
  git bisect run sh -c 'cd ~/freeze || exit 128; cargo xtask test-kernel --bisect --tree ~/linux'

Exit codes:
  0 every case passed, or was skipped with a reason
  1 a case failed, hung, or killed the guest
  2 the command line, or a file that it names, is wrong
  3 a patch does not apply, an option got lost, or the kernel does not compile
  4 no verdict: no source, no tool, no space, no boot, or nothing ran   130 interrupted
With --bisect:
  0 and 1 as above   125 (skip) for 3, and for a kernel that does not boot or skips every case
  128 (stop) for 2 and all else of 4   130 interrupted";

#[derive(Clone, Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    #[command(flatten)]
    pub kernel: KernelOptions,
    #[command(flatten)]
    pub guest: GuestOptions,
    #[command(flatten)]
    pub cases: CaseOptions,

    /// Run the same cases on another kernel first, and print a table of both; how they end there does not count
    #[arg(long, value_enum, value_name = "WITH", conflicts_with = "stock")]
    pub compare: Option<Compare>,

    /// End with the exit codes that `git bisect run` takes: 0, 1 if a case failed, 125 (skip) if the kernel cannot be
    /// built or does not boot, 128 (stop) or more if nothing can be said of any kernel
    #[arg(long)]
    pub bisect: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Compare {
    /// The same base without the series
    Stock,
}

pub fn run(options: &Options, session: &Session) -> Result<u8> {
    let chosen = choose(&options.cases)?;
    let wanted = Wanted::of(runs(&chosen, options.cases.repeat), options.cases.shard)?;
    let requests = options.kernel.requests(session)?;
    if options.cases.list {
        terminal::cases(&only(chosen, &wanted.cases));
        return Ok(PASSED);
    }
    verdict::is_there(options.guest.accel.accel)?;
    match requests.as_slice() {
        [request] => one(request, &wanted, options, session),
        several => each(several, &wanted, options, session),
    }
}

/// One base after the other: what goes wrong with one does not keep the others from their verdict.
fn each(requests: &[Request], wanted: &Wanted, options: &Options, session: &Session) -> Result<u8> {
    let mut ends = Vec::new();
    for request in requests {
        terminal::text(&format!("base {}", request.base));
        let code = match one(request, wanted, options, session) {
            Err(failure) if failure.kind == Kind::Interrupted => return Err(failure),
            Err(failure) => {
                output::failure(&failure);
                failure.kind.exit_code()
            }
            Ok(code) => code,
        };
        ends.push((request.base.as_str(), code));
    }
    terminal::text(&endings(&ends));
    Ok(ends.iter().map(|(_, code)| *code).max().unwrap_or(PASSED))
}

fn endings(ends: &[(&str, u8)]) -> String {
    let words = ends.iter().map(|(base, code)| match *code {
        PASSED => format!("base {base}: passed"),
        FAILED => format!("base {base}: failed"),
        code => format!("base {base}: no verdict (exit code {code})"),
    });
    words.collect::<Vec<_>>().join("\n")
}

fn one(request: &Request, wanted: &Wanted, options: &Options, session: &Session) -> Result<u8> {
    let how = How {
        deps: options.kernel.deps(),
        guest: &options.guest,
        deadline: options.cases.deadline(),
        guests: options.kernel.jobs(),
    };
    match options.compare {
        None => verdict(&test(request, wanted, &how, session)?),
        Some(Compare::Stock) => {
            let stock = Request {
                series: Vec::new(),
                ..request.clone()
            };
            watched(session, None, |session| {
                kernel::require_stock(&stock, session)
            })?;
            let stock = test(&stock, wanted, &how, session)?;
            let patched = test(request, wanted, &how, session)?;
            terminal::text(&markdown::table(&[
                ("stock", &stock),
                ("patched", &patched),
            ]));
            terminal::text(&terminal::counts(&Counts::of(&patched.results)));
            verdict(&patched)
        }
    }
}

/// How cases are run, whatever the kernel.
#[derive(Debug)]
pub struct How<'a> {
    pub deps: DepsOptions,
    pub guest: &'a GuestOptions,
    /// For one case; the accelerator's own if `None`.
    pub deadline: Option<Duration>,
    /// At once; as many as save time if `None`.
    pub guests: Option<usize>,
}

/// Makes one kernel, runs the cases on it, writes and shows the report.
pub fn test(request: &Request, wanted: &Wanted, how: &How<'_>, session: &Session) -> Result<Run> {
    let (prepared, init) = watched(session, None, |session| {
        make_ready(request, how.deps, how.guest, session)
    })?;
    let machine = Machine {
        kernel: command::Kernel {
            image: &prepared.kernel.image,
            accel: prepared.accel,
            single_thread: prepared.single_thread,
        },
        way: how.guest.boot,
        init: &init,
        provides: &prepared.kernel.provides,
        work: Work::Cases,
    };
    let limits = Limits::new(prepared.accel, how.deadline);
    let workload = spread(wanted, prepared.accel, how.guests, &session.layout)?;
    let (kernel, host) = (
        kernel_facts(request, &prepared),
        MachineFacts {
            programs: versions(session)?,
            ..machine_facts(&prepared, workload.guests)?
        },
    );
    let mut recorder = Recorder::open(&session.layout.runs())?;
    let outcome = watched(session, Some(&mut recorder), |session| {
        run_cases(&machine, &workload, &limits, session)
    });
    let failure = outcome.as_ref().err().map(ToString::to_string);
    let Finished {
        run,
        folder,
        written,
    } = recorder.finish(kernel, host, wanted, failure);
    let outcome = outcome.map_err(|failure| of_accel(failure, how.guest.accel.accel));
    match &outcome {
        Err(_) if run.results.is_empty() => {
            terminal::text(&format!(
                "no case has run; what there is to read is in {folder}"
            ));
        }
        _ => terminal::summary(&run, &folder),
    }
    outcome?;
    written?;
    shows_all(&run, &prepared.kernel.provides)?;
    Ok(run)
}

/// An accelerator that was asked for is the first thing to doubt.
fn of_accel(failure: Failure, asked: Choice) -> Failure {
    match (failure.kind, asked) {
        (Kind::NoBoot, Choice::Kvm) => Failure {
            kind: Kind::Machinery,
            ..failure.context("--accel kvm, which --accel auto would have compared with emulation")
        },
        _ => failure,
    }
}

/// What the series provides was tested if any case of it was wanted: if all were skipped, nothing is known of it.
/// Unless something failed anyway.
fn shows_all(run: &Run, provides: &[Feature]) -> Result<()> {
    if Counts::of(&run.results).failed > 0 {
        return Ok(());
    }
    for feature in provides {
        let of = |result: &&CaseResult| Work::Cases.needs(&result.id.case) == Some(*feature);
        let (skipped, ran): (Vec<_>, Vec<_>) = (run.results.iter().filter(of))
            .partition(|result| matches!(result.verdict, Verdict::Skipped(_)));
        if ran.is_empty() && !skipped.is_empty() {
            return Err(Kind::Machinery.error(format!(
                "the series provides the {feature}, but every case of it was skipped ({}): that shows nothing of it",
                skipped.len()
            )));
        }
    }
    Ok(())
}

/// Over how many guests the cases are spread; fewer than asked for is told.
fn spread(
    wanted: &Wanted,
    accel: Accel,
    asked: Option<usize>,
    layout: &Layout,
) -> Result<Workload> {
    let times = Times::of_runs(&layout.runs());
    let expected = wanted.cases.iter().map(|id| times.expected(id)).sum();
    let room = capacity::host(layout)?.room(accel);
    let guests = capacity::guests(asked, room, expected).min(wanted.cases.len());
    if asked.is_some_and(|asked| asked > room) {
        terminal::text(&format!(
            "this machine has the processors, the memory and the disk space for {} at once",
            count(room, "guest")
        ));
    }
    Ok(Workload {
        cases: wanted.cases.clone(),
        times,
        guests,
    })
}

/// A pass is a run in which something passed and nothing failed.
pub fn verdict(run: &Run) -> Result<u8> {
    match Counts::of(&run.results) {
        Counts { failed: 1.., .. } => Ok(FAILED),
        Counts { passed: 0, .. } => {
            Err(Kind::Untested.error("every case was skipped: that shows nothing"))
        }
        _ => Ok(PASSED),
    }
}

pub(super) fn kernel_facts(request: &Request, prepared: &Prepared) -> KernelFacts {
    let kernel = &prepared.kernel;
    KernelFacts {
        base: kernel.base.clone(),
        version: kernel.version.clone(),
        source: public_source(request, &kernel.source, kernel.tree.as_str()),
        series: kernel.series.clone(),
        patches: kernel.patches.clone(),
        configs: request.configs.clone(),
        fingerprint: kernel.fingerprint.clone(),
    }
}

/// Paths are the user's own business: neither a tree's nor that of an edited work tree is kept.
fn public_source(request: &Request, source: &str, tree: &str) -> Option<String> {
    let source = source.replace(tree, "the work tree");
    request.tree.is_none().then_some(source)
}

/// The programs of the guest are left out: not all who ask run them.
pub(super) fn machine_facts(prepared: &Prepared, guests: usize) -> Result<MachineFacts> {
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
    use harness::case::Filesystem::Ext3;

    use super::*;
    use crate::report::model::samples;

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

    #[test]
    fn several_bases_end_in_a_line_each() {
        let wanted = "base a: passed\nbase b: failed\nbase c: no verdict (exit code 3)";
        assert_eq!(endings(&[("a", PASSED), ("b", FAILED), ("c", 3)]), wanted);
    }

    #[test]
    fn a_kernel_is_not_to_blame_for_an_accelerator() {
        let kind = |kind: Kind, asked| of_accel(kind.error("x"), asked).kind;
        assert_eq!(kind(Kind::NoBoot, Choice::Auto), Kind::NoBoot);
        assert_eq!(kind(Kind::NoBoot, Choice::Kvm), Kind::Machinery);
        assert_eq!(kind(Kind::Interrupted, Choice::Kvm), Kind::Interrupted);
        let said = of_accel(Kind::NoBoot.error("2 guests"), Choice::Kvm).to_string();
        assert!(
            said.starts_with("--accel kvm") && said.ends_with("2 guests"),
            "{said}"
        );
    }

    #[test]
    fn exit_codes() {
        let code = |verdicts: &[Verdict]| {
            let results = verdicts
                .iter()
                .map(|verdict| samples::result(Ext3, "a", 0, verdict.clone()));
            verdict(&samples::run(&[], results.collect())).map_err(|failure| failure.kind)
        };
        let skipped = || Verdict::Skipped(String::new());
        assert_eq!(code(&[Verdict::Passed, skipped()]), Ok(PASSED));
        assert_eq!(
            code(&[Verdict::Passed, Verdict::Hung(String::new())]),
            Ok(FAILED)
        );
        assert_eq!(
            code(&[skipped(), Verdict::KilledGuest(String::new())]),
            Ok(FAILED)
        );
        assert_eq!(code(&[skipped()]), Err(Kind::Untested));
        assert_eq!(code(&[]), Err(Kind::Untested));
    }

    #[test]
    fn a_feature_of_the_series_without_a_case_that_ran_is_no_pass() {
        use Feature::{Argument, Timeout};
        let skipped = || Verdict::Skipped("no tool".into());
        let shown = |provides: &[Feature], verdicts: &[(&str, Verdict)]| {
            let results = verdicts.iter();
            let results =
                results.map(|(case, verdict)| samples::result(Ext3, case, 0, verdict.clone()));
            shows_all(&samples::run(&[], results.collect()), provides)
                .map_err(|failure| failure.kind)
        };
        let (thaws, honoured, other) = ("timeout_thaws", "argument_honoured", "dm_case_a");
        let no = Err(Kind::Machinery);
        for (provides, verdicts, expected) in [
            (vec![], vec![(thaws, skipped())], Ok(())),
            (
                vec![Timeout],
                vec![(thaws, skipped()), (other, Verdict::Passed)],
                no,
            ),
            (
                vec![Timeout],
                vec![(other, skipped()), (thaws, Verdict::Passed)],
                Ok(()),
            ),
            (
                vec![Timeout],
                vec![(thaws, skipped()), ("timeout_values", Verdict::Passed)],
                Ok(()),
            ),
            (vec![Timeout], vec![(other, Verdict::Passed)], Ok(())),
            (
                vec![Timeout, Argument],
                vec![(thaws, Verdict::Passed), (honoured, skipped())],
                no,
            ),
            (
                vec![Timeout],
                vec![(thaws, skipped()), (other, Verdict::Failed("x".into()))],
                Ok(()),
            ),
        ] {
            assert_eq!(shown(&provides, &verdicts), expected, "{verdicts:?}");
        }
    }
}
