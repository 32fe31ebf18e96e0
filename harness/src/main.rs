//! The binary `harness`: init of the guest, and the process of one case.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use harness::actors::process::set_own_name;
use harness::fixture::{Fixture, Skip, skip};
use harness::measure::{self, Probe};
use harness::wire::samples::Effort;
use harness::wire::{Feature, Filesystem, marks, names};
use harness::{absent, cases, faults, init};

/// Seconds for a case that is run by hand.
const DEADLINE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    if std::process::id() == 1 {
        init::main();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(marks::FAILED)
        }
    }
}

fn usage() -> String {
    let (filesystems, efforts) = (Filesystem::choice(), names::list(Effort::ALL, "|"));
    format!(
        "\
usage: harness                          as PID 1: run the plan of the host, end the machine
       harness list                     list the cases
       harness case FS NAME [SECONDS]   run one case on FS ({filesystems}) in the guest;
                                        exit code 0: passed, 1: failed, 4: skipped,
                                        5: failed and not cleaned up
       harness absent FEATURE SECONDS   exit code 4 if the kernel lacks FEATURE, 1 if it has it
       harness measure FS NAME SECONDS {efforts}
                                        take one measurement, likewise"
    )
}

fn dispatch(arguments: &[String]) -> Result<u8> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list"] => {
            for case in cases::all() {
                println!("{:32} {}", case.name, case.about);
            }
            Ok(marks::PASSED)
        }
        ["case", filesystem, name] => run_case(filesystem, name, DEADLINE),
        ["case", filesystem, name, seconds] => run_case(filesystem, name, parse_seconds(seconds)?),
        ["absent", name, seconds] => ask(name.parse()?, parse_seconds(seconds)?),
        ["measure", filesystem, name, seconds, effort] => {
            take_measurement(filesystem, name, parse_seconds(seconds)?, effort.parse()?)
        }
        // Of no use by hand.
        ["fault", _, name, _] => {
            let fault = faults::find(name).with_context(|| format!("no fault is {name:?}"))?;
            Ok(report(fault()))
        }
        _ => bail!(usage()),
    }
}

fn parse_seconds(text: &str) -> Result<Duration> {
    let parse = || -> Result<_> { Ok(Duration::try_from_secs_f64(text.parse()?)?) };
    parse().with_context(|| format!("no time: {text}"))
}

fn run_case(filesystem: &str, name: &str, deadline: Duration) -> Result<u8> {
    let case = cases::find(name)
        .with_context(|| format!("no case is named {name:?}; `harness list` names all"))?;
    let fixture = Fixture::new(case.complaints, filesystem.parse()?, deadline)?;
    on(fixture, name, |fixture| {
        match fixture.filesystem().cannot(name) {
            Some(reason) => skip(reason),
            None => (case.run)(fixture),
        }
    })
}

fn ask(feature: Feature, deadline: Duration) -> Result<u8> {
    let fixture = Fixture::new(&[], absent::FILESYSTEM, deadline)?;
    on(fixture, feature.name(), |fixture| {
        absent::must_be_absent(feature, fixture)
    })
}

fn take_measurement(
    filesystem: &str,
    name: &str,
    deadline: Duration,
    effort: Effort,
) -> Result<u8> {
    let measurement = measure::find(name).with_context(|| format!("nothing measures {name:?}"))?;
    let fixture = Fixture::new(&[], filesystem.parse()?, deadline)?;
    on(fixture, name, |fixture| {
        (measurement.run)(&Probe::new(fixture, effort))
    })
}

/// Works with the fixture, which is taken down whatever happens.
fn on(fixture: Fixture, name: &str, work: impl FnOnce(&Fixture) -> Result<()>) -> Result<u8> {
    set_own_name(name);
    let outcome = work(&fixture);
    let passed = outcome.is_ok();
    // Before the cleanup, which may hang.
    let code = report(outcome);
    if let Err(problems) = fixture.finish(passed) {
        problems.found.iter().for_each(|it| eprintln!("{it:#}"));
        return Ok(if problems.dirty {
            marks::DIRTY
        } else {
            marks::FAILED
        });
    }
    Ok(code)
}

/// Says why a case did not pass, and returns the exit code.
fn report(outcome: Result<()>) -> u8 {
    let Err(error) = outcome else {
        return marks::PASSED;
    };
    match error.downcast() {
        Ok(Skip(reason)) => {
            println!("{}{reason}", marks::SKIP);
            marks::SKIPPED
        }
        Err(error) => {
            eprintln!("{error:#}");
            marks::FAILED
        }
    }
}
