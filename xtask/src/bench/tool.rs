//! This program against plain virtme-ng: to build a kernel, to build it again, to start a guest.
//!
//! The builds are made in folders of their own, so that nobody's are lost: of the checkout only the sources are shared.

use std::fmt;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;
use fastrand::Rng;
use harness::case::Filesystem;
use serde::{Deserialize, Serialize};

use super::bare::Bare;
use super::format;
use super::machine::Machine as Described;
use super::plot::{self, Axis, Mark, Plot};
use super::stats::{Groups, Spread, interval, ratio};
use super::table::Table;
use crate::event::{CaseId, Event, Events, Verdict};
use crate::failure::{Kind, Result};
use crate::kernel::{self, Request, files, lock};
use crate::layout::Layout;
use crate::proc::{self, Stop};
use crate::report::model::KernelFacts;
use crate::vm::accel::Accel;
use crate::vm::claim::Scratch;
use crate::vm::supervisor::Limits;
use crate::vm::{self, Machine};

/// What is edited for a warm build: a file that the patches touch, and that few others depend on.
const EDITED: &str = "fs/super.c";
/// A measurement that takes no time, so that a guest is little more than its start.
const SHORT: &str = "getppid";
/// Seconds after which a guest counts as hung.
const HUNG: &str = "300";
/// How often a guest is started until one start goes well.
const ATTEMPTS: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Quantity {
    /// From the patched tree to an image, with no object and an empty compiler cache
    ColdBuild,
    /// The same after an edit of fs/super.c
    WarmBuild,
    /// The same after nothing
    NoChange,
    /// From the command to the end of a guest that has nothing to do
    GuestStart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// This program.
    Xtask,
    /// virtme-ng with its defaults.
    Vng,
    /// QEMU, the kernel, and an init that powers off at once.
    Bare,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    pub round: u32,
    pub quantity: Quantity,
    pub side: Side,
    pub seconds: f64,
}

/// What `bench.json` of `bench tool` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub machine: Described,
    pub kernel: KernelFacts,
    /// Local time with offset.
    pub started: String,
    pub took: Duration,
    /// Of the order, and of the bootstrap.
    pub seed: u64,
    /// In the order in which they were taken.
    pub taken: Vec<Taken>,
    /// What did not work at once, in one line each.
    pub problems: Vec<String>,
}

/// What is measured, how often, on what.
#[derive(Debug)]
pub struct Plan<'a> {
    pub chosen: Vec<Quantity>,
    pub rounds: u32,
    /// Guests of each kind in a round.
    pub starts: u32,
    pub request: &'a Request,
    pub machine: Machine<'a>,
    pub layout: &'a Layout,
    pub stop: &'a Stop,
}

impl Plan<'_> {
    /// Takes all numbers into `run`: what it has when a step fails, or the user has enough, is worth being kept.
    pub fn take(&self, run: &mut Run, events: &Events) -> Result<()> {
        let mut rng = Rng::with_seed(run.seed);
        if self.chosen.iter().any(|it| *it != Quantity::GuestStart) {
            // Nobody else is to build meanwhile, and the sources are theirs, too.
            let _lock = lock::hold(&self.layout.work("lock"), events, self.stop)?;
            let workshop = Workshop::set_up(self, events)?;
            let outcome = self.builds(&workshop, run, &mut rng);
            workshop.take_down()?;
            outcome?;
        }
        if self.chosen.contains(&Quantity::GuestStart) {
            self.starts(run, &mut rng, events)?;
        }
        Ok(())
    }

    fn builds(&self, workshop: &Workshop<'_>, run: &mut Run, rng: &mut Rng) -> Result<()> {
        use Quantity::{ColdBuild, NoChange, WarmBuild};
        for round in 1..=self.rounds {
            for quantity in [ColdBuild, WarmBuild, NoChange] {
                // Without a first build there is nothing to build again.
                let needed = self.chosen.contains(&quantity) || (quantity, round) == (ColdBuild, 1);
                for side in shuffled([Side::Xtask, Side::Vng], rng) {
                    if needed {
                        workshop.prepare(quantity, side, round)?;
                        let seconds = seconds(|| workshop.build(side))?;
                        record(
                            run,
                            workshop.events,
                            Taken {
                                round,
                                quantity,
                                side,
                                seconds,
                            },
                        );
                    }
                }
            }
        }
        Ok(())
    }

    fn starts(&self, run: &mut Run, rng: &mut Rng, events: &Events) -> Result<()> {
        let bare = Bare::build(&self.layout.work("scratch"), self.stop)?;
        for round in 1..=self.rounds * self.starts {
            for side in shuffled([Side::Xtask, Side::Vng, Side::Bare], rng) {
                let seconds = self.start(side, &bare, run, events)?;
                let quantity = Quantity::GuestStart;
                let taken = Taken {
                    round,
                    quantity,
                    side,
                    seconds,
                };
                record(run, events, taken);
            }
        }
        Ok(())
    }

    /// The time of a start that goes well: on a busy host, QEMU has been seen to die in others.
    fn start(&self, side: Side, bare: &Bare, run: &mut Run, events: &Events) -> Result<f64> {
        for _ in 1..ATTEMPTS {
            match self.try_start(side, bare) {
                Err(failure) if failure.kind != Kind::Interrupted => {
                    let problem = format!("a guest start with {side} failed");
                    events.send(Event::Warning(format!("{problem}: {failure}")));
                    run.problems.push(problem);
                }
                outcome => return outcome,
            }
        }
        self.try_start(side, bare)
    }

    fn try_start(&self, side: Side, bare: &Bare) -> Result<f64> {
        seconds(|| match side {
            Side::Xtask => self.start_ours(),
            Side::Vng => self.start_vng(),
            Side::Bare => bare.boot(&self.machine, HUNG, self.stop),
        })
    }

    fn start_ours(&self) -> Result<()> {
        let wanted = CaseId {
            filesystem: Filesystem::Ext3,
            case: SHORT.into(),
            repeat: 0,
        };
        let (events, receiver) = Events::channel();
        let limits = Limits::new(self.machine.accel, None);
        vm::run_cases(
            &self.machine,
            vec![wanted],
            &limits,
            self.layout,
            &events,
            self.stop,
        )?;
        drop(events);
        let passed = |event: Event| matches!(event, Event::CaseEnded(result) if result.verdict == Verdict::Passed);
        match receiver.into_iter().any(passed) {
            true => Ok(()),
            false => Err(Kind::Machinery.error("the guest measured nothing")),
        }
    }

    fn start_vng(&self) -> Result<()> {
        let mut vng = Command::new("timeout");
        vng.args(["--kill-after=5", HUNG])
            .arg(vng_program(self.machine.virtme_run));
        vng.args((self.machine.accel == Accel::Tcg).then_some("--disable-kvm"));
        vng.args(["--run", self.machine.image.as_str(), "--", "true"]);
        let output = proc::output(
            with_virtme(&mut vng, self.machine.virtme_run),
            b"",
            self.stop,
        )?;
        match has_run(output.status.code(), &output.stderr()) {
            true => Ok(()),
            false => Err(Kind::Machinery.error(format!("{}: {}", output.status, output.stderr()))),
        }
    }
}

/// Where the host has no udev, virtme-ng's guest runs the script without its ports, and ends with 255 for want of a
/// result (virtme-ng 1.42). When QEMU dies it says why.
fn has_run(code: Option<i32>, stderr: &str) -> bool {
    code == Some(0) || (code == Some(255) && stderr.trim().is_empty())
}

fn record(run: &mut Run, events: &Events, taken: Taken) {
    let Taken {
        round,
        quantity,
        side,
        seconds,
    } = &taken;
    events.note(format!(
        "round {round}: {quantity} with {side}: {seconds:.1} s"
    ));
    run.taken.push(taken);
}

fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}

fn shuffled<const N: usize>(mut sides: [Side; N], rng: &mut Rng) -> [Side; N] {
    rng.shuffle(&mut sides);
    sides
}

fn vng_program(virtme_run: &Utf8Path) -> Utf8PathBuf {
    virtme_run.with_file_name("vng")
}

/// virtme-ng calls its other programs by name.
fn with_virtme<'a>(command: &'a mut Command, virtme_run: &Utf8Path) -> &'a mut Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let own = virtme_run.parent().unwrap_or(virtme_run);
    command.env("PATH", format!("{own}:{path}"))
}

/// Two trees of one commit, one for each side to build in.
struct Workshop<'a> {
    plan: &'a Plan<'a>,
    events: &'a Events,
    dir: Scratch,
    layout: Layout,
    ours: Utf8PathBuf,
    vng: Utf8PathBuf,
}

impl<'a> Workshop<'a> {
    fn set_up(plan: &'a Plan<'a>, events: &'a Events) -> Result<Self> {
        let parent = plan.layout.work("scratch");
        fs_err::create_dir_all(&parent)?;
        let dir = Scratch::new(&parent, "builds-")?;
        let layout = Layout::at(dir.path());
        fs_err::create_dir_all(layout.work(""))?;
        for (there, here) in [
            (plan.layout.patches(), layout.patches()),
            (plan.layout.configs(), layout.configs()),
            (plan.layout.sources(), layout.sources()),
            (plan.layout.work("apt"), layout.work("apt")),
        ] {
            symlink(&there, &here).with_context(|| format!("failed to link {here} to {there}"))?;
        }
        let tree = kernel::tree::name(&plan.request.base, &plan.request.series);
        Ok(Self {
            ours: layout.trees().join(tree),
            vng: dir.path().join("vng"),
            plan,
            events,
            dir,
            layout,
        })
    }

    /// Brings a side to where a build of this kind begins; not part of the time.
    fn prepare(&self, quantity: Quantity, side: Side, round: u32) -> Result<()> {
        match (quantity, side) {
            (Quantity::ColdBuild, Side::Xtask) => self.forget_ours(),
            (Quantity::ColdBuild, _) => self.forget_vng(),
            (Quantity::WarmBuild, side) => edit(&self.tree(side).join(EDITED), round),
            _ => Ok(()),
        }
    }

    fn tree(&self, side: Side) -> &Utf8Path {
        match side {
            Side::Xtask => &self.ours,
            Side::Vng | Side::Bare => &self.vng,
        }
    }

    fn forget_ours(&self) -> Result<()> {
        if !self.ours.exists() {
            kernel::provide_tree(self.plan.request, &self.layout, self.events, self.plan.stop)?;
        }
        self.git(&self.ours, &["checkout", "--quiet", "--", "."])?;
        files::discard(&self.layout.builds(), self.plan.stop)?;
        files::discard(&self.layout.work("ccache"), self.plan.stop)
    }

    fn forget_vng(&self) -> Result<()> {
        if !self.ours.exists() {
            kernel::provide_tree(self.plan.request, &self.layout, self.events, self.plan.stop)?;
        }
        if self.vng.exists() {
            self.git(&self.vng, &["checkout", "--quiet", "--", "."])?;
            return self.git(&self.vng, &["clean", "-ffdxq"]);
        }
        self.git(
            &self.ours,
            &[
                "worktree",
                "add",
                "--quiet",
                "--detach",
                self.vng.as_str(),
                "HEAD",
            ],
        )
    }

    fn git(&self, tree: &Utf8Path, arguments: &[&str]) -> Result<()> {
        kernel::git::Git::at(tree, self.plan.stop).read(arguments)?;
        Ok(())
    }

    fn build(&self, side: Side) -> Result<()> {
        let stop = self.plan.stop;
        match side {
            Side::Xtask => {
                kernel::prepare(self.plan.request, &self.layout, self.events, stop).map(drop)
            }
            Side::Vng | Side::Bare => {
                let virtme_run = self.plan.machine.virtme_run;
                let mut vng = Command::new(vng_program(virtme_run));
                vng.arg("--build").current_dir(&self.vng);
                let log = self.dir.path().join("vng.log");
                let outcome = proc::stream(
                    with_virtme(&mut vng, virtme_run),
                    &log,
                    stop,
                    &mut |_, _| {},
                );
                outcome.map_err(|error| error.or(Kind::Build))
            }
        }
    }

    /// Takes the trees out of the repository that they share with others.
    fn take_down(&self) -> Result<()> {
        for tree in [&self.vng, &self.ours] {
            if tree.exists() {
                self.git(
                    tree,
                    &["worktree", "remove", "--force", "--force", tree.as_str()],
                )?;
            }
        }
        Ok(())
    }
}

/// Changes what the file compiles to, each time in another way: a compiler cache must not help.
fn edit(file: &Utf8Path, round: u32) -> Result<()> {
    let mut text = fs_err::read_to_string(file)?;
    text += &format!("static const int __used freeze_bench_{round} = {round};\n");
    Ok(fs_err::write(file, text)?)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantity::ColdBuild => "cold build",
            Quantity::WarmBuild => "warm build",
            Quantity::NoChange => "no change",
            Quantity::GuestStart => "guest start",
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Xtask => "xtask",
            Side::Vng => "virtme-ng",
            Side::Bare => "bare boot",
        })
    }
}

impl Run {
    fn quantities(&self) -> Vec<Quantity> {
        let mut all: Vec<_> = self.taken.iter().map(|taken| taken.quantity).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Nanoseconds, each a group of its own.
    fn times(&self, quantity: Quantity, side: Side) -> Vec<Vec<f64>> {
        let wanted = self
            .taken
            .iter()
            .filter(|taken| (taken.quantity, taken.side) == (quantity, side));
        wanted.map(|taken| vec![taken.seconds * 1e9]).collect()
    }

    fn spread(&self, quantity: Quantity, side: Side) -> Option<Spread> {
        Spread::of(&self.times(quantity, side).concat())
    }
}

/// None if nothing was measured.
pub fn table(run: &Run) -> Option<Table> {
    let mut rng = Rng::with_seed(run.seed);
    let row = |quantity: Quantity| {
        let cell = |side| {
            let spread = run.spread(quantity, side);
            spread.map_or("–".into(), |it| {
                format::spread(&it, harness::measure::Unit::Nanoseconds)
            })
        };
        let mut against = |side| {
            let (base, other) = (run.times(quantity, side), run.times(quantity, Side::Xtask));
            if base.is_empty() || other.is_empty() {
                return "–".into();
            }
            let interval = interval(&base, &other, Groups::Apart, &mut rng);
            format::ratio(ratio(&base, &other, Groups::Apart), interval)
        };
        vec![
            quantity.to_string(),
            cell(Side::Xtask),
            cell(Side::Vng),
            cell(Side::Bare),
            against(Side::Vng),
            against(Side::Bare),
        ]
    };
    let rows: Vec<_> = run.quantities().into_iter().map(row).collect();
    let header = [
        "time of",
        "xtask",
        "virtme-ng",
        "bare boot",
        "xtask : virtme-ng",
        "xtask : bare boot",
    ];
    let title = "Medians (quartiles); ratios with their 95 % interval";
    (!rows.is_empty()).then(|| Table::new(title, &header, rows))
}

pub fn plots(run: &Run) -> Result<Vec<Plot>> {
    let sides = [
        (Side::Xtask, plot::BLUE),
        (Side::Vng, plot::ORANGE),
        (Side::Bare, plot::GREEN),
    ];
    let marks = |quantity| -> Vec<Mark> {
        let mark = |(side, colour)| Some(plot::mark(&run.spread(quantity, side)?, 1e9, colour));
        sides.into_iter().filter_map(mark).collect()
    };
    let rows: Vec<_> = run
        .quantities()
        .into_iter()
        .map(|it| (it.to_string(), marks(it)))
        .collect();
    let axis = Axis {
        title: "Building a kernel and starting a guest",
        label: "seconds: median and quartiles",
        range: plot::around(&rows, 1.0..10.0, 1.2),
        good: None,
        legend: sides
            .map(|(side, colour)| (side.to_string(), colour))
            .to_vec(),
    };
    let svg = plot::rows_picture(&rows, &axis)?;
    let plot = svg.map(|svg| Plot {
        name: "tool.svg".into(),
        svg,
    });
    Ok(plot.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        let taken = |(quantity, side, seconds)| Taken {
            round: 1,
            quantity,
            side,
            seconds,
        };
        let all = [
            (Quantity::GuestStart, Side::Vng, 8.0),
            (Quantity::GuestStart, Side::Xtask, 4.0),
            (Quantity::GuestStart, Side::Bare, 2.0),
            (Quantity::ColdBuild, Side::Xtask, 600.0),
            (Quantity::ColdBuild, Side::Vng, 1200.0),
            (Quantity::NoChange, Side::Xtask, 0.4),
        ];
        Run {
            machine: super::super::machine::samples::machine(),
            kernel: crate::report::model::samples::run(&[], vec![]).kernel,
            started: "2026-11-21T01:00:00+00:00".into(),
            took: Duration::from_secs(9),
            seed: 7,
            taken: all.map(taken).to_vec(),
            problems: vec![],
        }
    }

    #[test]
    fn a_row_a_quantity() {
        let table = table(&run()).unwrap();
        assert_eq!(table.rows.len(), 3);
        assert_eq!(
            table.rows[0],
            [
                "cold build",
                "600 s",
                "1200 s",
                "–",
                "0.500 (0.500 to 0.500)",
                "–"
            ]
        );
        assert_eq!(table.rows[1][1], "400 ms");
        assert_eq!(table.rows[2][5], "2.000 (2.000 to 2.000)");
        let empty = Run {
            taken: vec![],
            ..run()
        };
        assert_eq!(super::table(&empty), None);
        assert_eq!(plots(&empty).unwrap(), []);
    }

    #[test]
    fn json_round_trip_and_plot() {
        let text = serde_json::to_string(&run()).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run());
        assert!(plots(&run()).unwrap()[0].svg.contains("guest start"));
    }

    #[test]
    fn virtme_ng_without_udev_has_run() {
        let table = [
            (Some(0), "", true),
            (Some(0), "a warning", true),
            (Some(255), "\n", true),
            (Some(255), "qemu-system-x86_64: Assertion failed", false),
            (Some(124), "", false),
            (None, "", false),
        ];
        for (code, stderr, wanted) in table {
            assert_eq!(has_run(code, stderr), wanted, "{code:?} {stderr}");
        }
    }

    #[test]
    fn edits_differ() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("super.c");
        fs_err::write(&file, "int x;\n").unwrap();
        edit(&file, 1).unwrap();
        edit(&file, 2).unwrap();
        let text = fs_err::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("int x;\n") && text.contains("freeze_bench_2"));
    }
}
