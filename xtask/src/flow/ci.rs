//! What a merge needs, stopping at the first step that fails, and how long each took.

use std::process::Command;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use xshell::cmd;

use super::prepare::provide_deps;
use crate::deps::need::Need;
use crate::failure::{FAILED, Kind, PASSED, Result};
use crate::host::environment::{self, PLAIN};
use crate::host::session::Session;
use crate::host::{foreground, proc};
use crate::report::{output, terminal, watched};
use crate::{deps, words};

/// A command of a merge's checks.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Cargo(&'static [&'static str]),
    /// The same with a variable in its environment.
    CargoWith((&'static str, &'static str), &'static [&'static str]),
    /// The one of [`deps::typos`].
    Typos,
    /// Arguments in groups.
    TestKernel(&'static [&'static [&'static str]]),
}

use Step::{Cargo, CargoWith, TestKernel, Typos};

/// What is cheap comes first.
const CHECKS: &[Step] = &[
    Cargo(&["fmt", "--all", "--check"]),
    Typos,
    Cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]),
    CargoWith(
        ("RUSTDOCFLAGS", "-Dwarnings"),
        &[
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ],
    ),
    // Those as well that are ignored since they take tools, but not a kernel.
    Cargo(&[
        "test",
        "--workspace",
        "--",
        "--include-ignored",
        "--skip",
        WITH_KERNEL,
        "--skip",
        BISECTION,
    ]),
];

/// Where the tests are that boot a kernel which was built before.
const WITH_KERNEL: &str = "vm::faults";
/// And those that build kernels of some commits more, with what was compiled before.
const BISECTION: &str = "bisection::proof";
const CHECKS_WITH_KERNEL: &[Step] = &[
    Cargo(&["test", "--package", "xtask", "--", "--ignored", WITH_KERNEL]),
    Cargo(&["test", "--package", "xtask", "--", "--ignored", BISECTION]),
];

/// Parts of a toolchain that rustup installs apart, and the cargo commands that take them.
const COMPONENTS: &[(&str, &str)] = &[("rustfmt", "fmt"), ("clippy", "clippy")];

/// The series that each base has.
const SERIES: &[&str] = &[
    "--series",
    "generic-freeze",
    "--series",
    "freeze-arg",
    "--series",
    "ext3-ioctl",
];
/// And what it has beside them if it is not old.
const FREEZE_HOLD: &[&str] = &["--series", "freeze-hold"];

/// Every base once, with all its series; one as a kernel that looks for what cases cannot see.
pub const KERNELS: &[Step] = &[
    TestKernel(&[&["--base", "6.12"], SERIES, FREEZE_HOLD]),
    TestKernel(&[&["--base", "6.1"], SERIES]),
    TestKernel(&[
        &["--base", "mainline", "--config", "debug"],
        // The test that the kernel tree has of freezing takes two minutes there.
        &["--timeout", "240"],
        SERIES,
        FREEZE_HOLD,
    ]),
];

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Whether tools that are missing are installed.
    pub install: bool,
    /// Leave out all that takes a kernel.
    pub no_kernel: bool,
}

/// Runs `test-kernel` with these arguments, for its exit code.
pub type RunKernel<'a> = &'a dyn Fn(&[&str]) -> Result<u8>;

/// Does all of it, for the exit code.
pub fn run(order: Order, test_kernel: RunKernel<'_>, session: &Session) -> Result<u8> {
    let mut times = Times::default();
    if let Some(took) = since_start() {
        times.add("cargo build --package xtask", took, &Ok(PASSED));
    }
    let end = merge(order, test_kernel, session, &mut times);
    terminal::text(&times.text());
    end
}

fn merge(
    order: Order,
    test_kernel: RunKernel<'_>,
    session: &Session,
    times: &mut Times,
) -> Result<u8> {
    times.of("looking for tools", || tools(order, session))?;
    let mut run = |step: &Step| times.of(&step.words(), || step.run(test_kernel, session));
    let code = all(CHECKS, &mut run)?;
    if code != PASSED || order.no_kernel {
        return Ok(code);
    }
    match each(KERNELS, &mut run)? {
        PASSED => all(CHECKS_WITH_KERNEL, &mut run),
        code => Ok(code),
    }
}

fn tools(order: Order, session: &Session) -> Result<u8> {
    components(|name| {
        let mut cargo = cargo(&[name, "--version"], session);
        let output = proc::output(&mut cargo, b"", &session.stop)?;
        Ok(output.status.success())
    })?;
    watched(session, None, |session| {
        provide_deps(order.install, needs(order), session)?;
        // From the Python package index, the first time.
        deps::typos(session)
    })?;
    Ok(PASSED)
}

/// One after the other, up to the first that is no pass.
fn all(steps: &[Step], mut run: impl FnMut(&Step) -> Result<u8>) -> Result<u8> {
    for step in steps {
        let code = run(step)?;
        if code != PASSED {
            return Ok(code);
        }
    }
    Ok(PASSED)
}

/// All of them, whatever becomes of the others; the worst end counts.
fn each(steps: &[Step], mut run: impl FnMut(&Step) -> Result<u8>) -> Result<u8> {
    let mut worst = PASSED;
    for step in steps {
        worst = worst.max(output::told_as_code(run(step))?);
    }
    Ok(worst)
}

/// Tools that are missing are told before anything is compiled.
fn needs(order: Order) -> &'static [Need] {
    match order.no_kernel {
        true => &[Need::Typos, Need::Mail, Need::Tests],
        false => &[Need::Typos, Need::Mail, Need::Tests, Need::Build, Need::Run],
    }
}

/// # Errors
/// [`Kind::Machinery`] with the line that installs what is missing.
fn components(works: impl Fn(&str) -> Result<bool>) -> Result<()> {
    let mut missing = Vec::new();
    for (component, command) in COMPONENTS {
        if !works(command)? {
            missing.push(*component);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Kind::Machinery.error(format!(
        "{} missing; run: rustup component add {}\n(without rustup, they are packages of their own, or part of cargo's)",
        missing.join(", "),
        missing.join(" ")
    )))
}

impl Step {
    /// As one would type it.
    fn words(&self) -> String {
        match self {
            Cargo(arguments) => format!("cargo {}", arguments.join(" ")),
            CargoWith((name, value), arguments) => {
                format!("{name}={value} {}", Cargo(arguments).words())
            }
            Typos => "typos".to_owned(),
            TestKernel(arguments) => {
                format!("cargo xtask test-kernel {}", arguments.concat().join(" "))
            }
        }
    }

    fn run(&self, test_kernel: RunKernel<'_>, session: &Session) -> Result<u8> {
        terminal::text(&format!("$ {}", self.words()));
        match self {
            Cargo(arguments) => run_cargo(&mut cargo(arguments, session), session),
            CargoWith((name, value), arguments) => {
                run_cargo(cargo(arguments, session).env(name, value), session)
            }
            Typos => spelling(session),
            TestKernel(arguments) => test_kernel(&arguments.concat()),
        }
    }
}

/// Of all that is not ignored by git, with `typos.toml`. The codes of its own that typos ends with say no more than ours.
fn spelling(session: &Session) -> Result<u8> {
    let typos = watched(session, None, deps::typos)?;
    let mut typos = Command::from(cmd!(PLAIN, "{typos}"));
    let status =
        foreground::run_with_children(typos.current_dir(session.layout.root()), &session.stop)?;
    Ok(if status.success() { PASSED } else { FAILED })
}

/// Runs it on our own terminal, for its exit code.
fn run_cargo(cargo: &mut Command, session: &Session) -> Result<u8> {
    let status = foreground::run_with_children(cargo, &session.stop)?;
    Ok(exit_code(status.code()))
}

fn cargo(arguments: &[&str], session: &Session) -> Command {
    let mut cargo = environment::cargo();
    cargo.current_dir(session.layout.root()).args(arguments);
    cargo
}

/// Cargo's own codes, such as 101, are not among those that we promise.
fn exit_code(code: Option<i32>) -> u8 {
    let kinds = [Kind::Usage, Kind::Build, Kind::Machinery, Kind::Interrupted];
    let mut ours = kinds.map(Kind::exit_code).into_iter().chain([PASSED]);
    ours.find(|ours| code == Some((*ours).into()))
        .unwrap_or(FAILED)
}

/// What was done, and how long it took.
#[derive(Debug, Default)]
struct Times(Vec<Row>);

#[derive(Debug)]
struct Row {
    what: String,
    took: Duration,
    end: &'static str,
}

impl Times {
    fn of(&mut self, what: &str, work: impl FnOnce() -> Result<u8>) -> Result<u8> {
        let begun = Instant::now();
        let end = work();
        self.add(what, begun.elapsed(), &end);
        end
    }

    fn add(&mut self, what: &str, took: Duration, end: &Result<u8>) {
        let end = match end {
            Ok(PASSED) => "ok",
            Err(failure) if failure.kind == Kind::Interrupted => "interrupted",
            Ok(_) | Err(_) => "FAILED",
        };
        let what = what.to_owned();
        self.0.push(Row { what, took, end });
    }

    fn text(&self) -> String {
        let total = words::sum(self.0.iter().map(|row| row.took));
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for Row { what, took, end } in &self.0 {
            table.add_row([what, &words::clock(*took), *end]);
        }
        table.add_row(["total", &words::clock(total), ""]);
        format!("\n{table}")
    }
}

/// How long ago this process began: as cargo, which compiled this program and then became it.
fn since_start() -> Option<Duration> {
    let stat = fs_err::read_to_string("/proc/self/stat").ok()?;
    let uptime = fs_err::read_to_string("/proc/uptime").ok()?;
    age(&stat, &uptime)
}

/// From the formats of proc(5).
fn age(stat: &str, uptime: &str) -> Option<Duration> {
    // The name, in parentheses, may have spaces and parentheses. After it, the start is the 20th field, in hundredths.
    let (_, fields) = stat.rsplit_once(") ")?;
    let begun: f64 = fields.split(' ').nth(19)?.parse().ok()?;
    let now: f64 = uptime.split(' ').next()?.parse().ok()?;
    Duration::try_from_secs_f64((now - begun / 100.0).max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_as_they_are_typed() {
        let words = |steps: &[Step]| steps.iter().map(Step::words).collect::<Vec<_>>();
        let checks = words(CHECKS);
        let doc =
            "RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --document-private-items";
        for wanted in ["cargo fmt --all --check", "typos", doc] {
            assert!(checks.contains(&wanted.to_owned()), "{checks:?}");
        }
        let kernels = words(KERNELS);
        let begin = "cargo xtask test-kernel --base ";
        assert!(
            kernels.iter().all(|words| words.starts_with(begin)),
            "{kernels:?}"
        );
    }

    #[test]
    fn all_that_was_done_is_told_with_its_time() {
        let mut times = Times::default();
        let seconds = Duration::from_secs;
        times.add("cargo fmt", seconds(1), &Ok(PASSED));
        times.add("cargo test", seconds(89), &Ok(FAILED));
        times.add("a", seconds(30), &Err(Kind::Interrupted.error("x")));
        times.add("b", seconds(3600), &Err(Kind::Build.error("x")));
        let text = times.text();
        let rows: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let wanted = [
            "",
            "cargo fmt 1s ok",
            "cargo test 1m29s FAILED",
            "a 30s interrupted",
            "b 1h00m FAILED",
            "total 1h02m",
        ];
        let wanted = wanted.map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(rows, wanted, "{text}");
    }

    #[test]
    fn a_step_takes_its_time_whatever_its_end() {
        let mut times = Times::default();
        let moment = Duration::from_millis(20);
        let failure = times.of("a", || {
            std::thread::sleep(moment);
            Err(Kind::Build.error("no"))
        });
        assert_eq!(failure.unwrap_err().kind, Kind::Build);
        let [Row { took, end, .. }] = times.0.as_slice() else {
            panic!("{times:?}")
        };
        assert!(*took >= moment && *end == "FAILED", "{times:?}");
    }

    #[test]
    fn a_process_has_an_age() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 9 9";
        assert_eq!(age(stat, "125.45 200.00\n"), Some(Duration::from_secs(2)));
        assert_eq!(age(stat, "1.00 2.00\n"), Some(Duration::ZERO));
        assert_eq!(age("7 (a) S", "1.00 2.00\n"), None);
        assert!(since_start().unwrap() < Duration::from_secs(24 * 3600));
    }

    #[test]
    fn missing_components_come_with_their_line() {
        assert!(components(|_| Ok(true)).is_ok());
        let failure = components(|command| Ok(command != "clippy")).unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery);
        let said = failure.to_string();
        assert!(said.contains("rustup component add clippy\n"), "{said}");
        let said = components(|_| Ok(false)).unwrap_err().to_string();
        assert!(
            said.contains("rustup component add rustfmt clippy\n"),
            "{said}"
        );
    }

    /// Runs a step for each of these ends, and says how many were run.
    fn run(
        order: impl FnOnce(&[Step], &mut dyn FnMut(&Step) -> Result<u8>) -> Result<u8>,
        ends: Vec<Result<u8>>,
    ) -> (usize, Result<u8>) {
        let steps = vec![Typos; ends.len()];
        let (mut ends, mut done) = (ends.into_iter(), 0);
        let end = order(&steps, &mut |_| {
            done += 1;
            ends.next().unwrap()
        });
        (done, end)
    }

    #[test]
    fn the_first_check_that_is_no_pass_is_the_last() {
        let (done, end) = run(|steps, run| all(steps, run), vec![Ok(0), Ok(0)]);
        assert_eq!((done, end.unwrap()), (2, PASSED));
        let (done, end) = run(|steps, run| all(steps, run), vec![Ok(0), Ok(3), Ok(1)]);
        assert_eq!((done, end.unwrap()), (2, 3));
    }

    #[test]
    fn a_kernel_that_fails_does_not_keep_others_from_their_verdict() {
        let build = || Err(Kind::Build.error("no"));
        let (done, end) = run(|steps, run| each(steps, run), vec![Ok(1), build(), Ok(0)]);
        assert_eq!((done, end.unwrap()), (3, 3));
        let stop = Err(Kind::Interrupted.error("x"));
        let (done, end) = run(|steps, run| each(steps, run), vec![Ok(1), stop, Ok(0)]);
        assert_eq!((done, end.unwrap_err().kind), (2, Kind::Interrupted));
    }

    #[test]
    fn exit_codes_are_ours() {
        let table = [
            (Some(0), PASSED),
            (Some(1), FAILED),
            (Some(3), 3),
            (Some(101), FAILED),
            (Some(130), 130),
            (None, FAILED),
        ];
        for (code, wanted) in table {
            assert_eq!(exit_code(code), wanted, "{code:?}");
        }
    }
}
