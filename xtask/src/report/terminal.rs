//! The only place that prints. Live on a terminal; plain lines in a file or a CI log.

use std::collections::HashMap;
use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use comfy_table::{Table, presets};
use console::{StyledObject, style};
use harness::case::{Case, Filesystem};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::{CaseId, CaseResult, Event, GuestId, Verdict};
use crate::failure::{Failure, Kind};
use crate::report::model::{Counts, Run, case_names, cell};
use crate::report::programs::in_short;

/// How often a log without a terminal hears that a long phase goes on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// Shows events as they come: what has ended as lines, what goes on below them, a line each.
#[derive(Debug)]
pub struct Display {
    /// Only on a terminal.
    bars: Option<Bars>,
    phase: String,
    last_sign: Instant,
}

impl Display {
    pub fn new() -> Self {
        Self {
            bars: stdout().is_terminal().then(Bars::new),
            phase: String::new(),
            last_sign: Instant::now(),
        }
    }

    pub fn see(&mut self, event: &Event) {
        match event {
            Event::PhaseStarted { what } => self.phase_started(what),
            Event::Progress { done, total, item } => self.progress(*done, *total, item),
            Event::PhaseEnded { outcome, took } => {
                let line = format!("{}: {outcome} ({})", self.phase, seconds(*took));
                self.idle(Who::Phase);
                self.line(&line);
            }
            Event::Note(line) => self.line(line),
            Event::Warning(line) => self.line(&format!("{} {line}", style("warning:").yellow())),
            Event::GuestStarted { guest, cases } => {
                self.line(&format!("guest {guest} boots, for {}", count(*cases)));
                self.busy(Who::Guest(*guest), "booting the guest");
            }
            Event::CaseStarted { guest, case } => self.busy(Who::Guest(*guest), &name(case)),
            Event::Diagnostic { guest, case, line } => {
                self.busy(Who::Guest(*guest), &format!("{}: {line}", name(case)));
            }
            Event::CaseEnded(result) => self.line(&case_line(result)),
            Event::Console { .. } => {}
            Event::GuestEnded { guest, .. } => self.idle(Who::Guest(*guest)),
        }
    }

    fn phase_started(&mut self, what: &str) {
        self.phase = what.into();
        self.last_sign = Instant::now();
        match &self.bars {
            Some(_) => self.busy(Who::Phase, what),
            None => say(&format!("{what} …")),
        }
    }

    fn progress(&mut self, done: u64, total: Option<u64>, item: &str) {
        let text = match total {
            Some(total) => format!("{}: {done} of about {total}, {item}", self.phase),
            None => format!("{}: {done}, {item}", self.phase),
        };
        match &mut self.bars {
            Some(bars) => bars.of(Who::Phase).set_message(text),
            None if self.last_sign.elapsed() > SIGN_OF_LIFE => {
                self.last_sign = Instant::now();
                say(&text);
            }
            None => {}
        }
    }

    fn busy(&mut self, who: Who, what: &str) {
        if let Some(bars) = &mut self.bars {
            let bar = bars.of(who);
            bar.reset_elapsed();
            bar.set_message(what.to_owned());
        }
    }

    fn idle(&mut self, who: Who) {
        if let Some(bars) = &mut self.bars {
            bars.end(who);
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| say(text)),
            None => say(text),
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bars) = &self.bars {
            // Ours was the last line: if it cannot be removed it stays.
            let _ = bars.all.clear();
        }
    }
}

/// Who does something that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Phase,
    Guest(GuestId),
}

/// A moving line for each that is at work.
#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    of: HashMap<Who, ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        Self {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()),
            of: HashMap::new(),
        }
    }

    fn of(&mut self, who: Who) -> &ProgressBar {
        self.of.entry(who).or_insert_with(|| {
            let bar = self
                .all
                .add(ProgressBar::new_spinner().with_style(moving()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        })
    }

    fn end(&mut self, who: Who) {
        if let Some(bar) = self.of.remove(&who) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}

fn moving() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}")
        .expect("the template is constant and good")
}

fn count(cases: usize) -> String {
    match cases {
        1 => "1 case".into(),
        cases => format!("{cases} cases"),
    }
}

/// `ext3  nesting  ok  0.8 s`
fn case_line(result: &CaseResult) -> String {
    let reason = result.verdict.reason();
    let reason = if reason.is_empty() {
        String::new()
    } else {
        format!("  {reason}")
    };
    format!(
        "{:5} {:32} {:12} {:>7}{reason}",
        result.id.filesystem.name(),
        repeat_name(&result.id),
        coloured(&result.verdict),
        seconds(result.took),
    )
}

fn coloured(verdict: &Verdict) -> StyledObject<&'static str> {
    let word = style(verdict.word());
    match verdict {
        Verdict::Passed => word.green(),
        Verdict::Skipped(_) => word.yellow(),
        _ => word.red(),
    }
}

fn name(id: &CaseId) -> String {
    format!("{} {}", id.filesystem, repeat_name(id))
}

fn repeat_name(id: &CaseId) -> String {
    match id.repeat {
        0 => id.case.clone(),
        repeat => format!("{} (repeat {})", id.case, repeat + 1),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f32())
}

/// The end of a run: table, failures, folder, and as the last line the counts.
pub fn summary(run: &Run, folder: &Utf8Path) {
    say(&format!("\n{}\n", verdicts(run)));
    for result in run
        .results
        .iter()
        .filter(|result| result.verdict.is_failure())
    {
        say(&failure_text(result));
    }
    let shard = run.part.as_ref().map(|part| part.shard);
    let shard = shard.map_or(String::new(), |shard| format!("shard {shard}: "));
    say(&format!(
        "{shard}kernel {} on {}, {}, {}; reports in {folder}",
        run.kernel.title(),
        run.machine.accelerator,
        guests(run.machine.guests),
        seconds(run.took)
    ));
    if !run.machine.programs.is_empty() {
        say(&format!("programs: {}", in_short(&run.machine.programs)));
    }
    if let Some(line) = not_run(run) {
        say(&line);
    }
    say(&counts(&Counts::of(&run.results)));
}

fn guests(at_once: usize) -> String {
    match at_once {
        1 => "1 guest at a time".into(),
        several => format!("{several} guests at once"),
    }
}

/// `17 did not run: interrupted`
fn not_run(run: &Run) -> Option<String> {
    let why = run.why().unwrap_or("nobody knows why");
    match run.not_run.len() {
        0 => None,
        count => Some(format!("{count} did not run: {why}")),
    }
}

/// A row a case, a column a filesystem.
fn verdicts(run: &Run) -> Table {
    let columns: Vec<_> = Filesystem::ALL
        .iter()
        .filter(|fs| {
            run.results
                .iter()
                .any(|result| result.id.filesystem == **fs)
        })
        .collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(std::iter::once("").chain(columns.iter().map(|fs| fs.name())));
    for case in case_names(&run.results) {
        let cells = columns.iter().map(|fs| cell(&run.results, **fs, case));
        table.add_row(std::iter::once(case.to_owned()).chain(cells));
    }
    table
}

fn failure_text(result: &CaseResult) -> String {
    let mut text = format!(
        "{} {}: {}\n",
        name(&result.id),
        coloured(&result.verdict),
        result.verdict.reason()
    );
    for line in &result.diagnostics {
        text += &format!("    {line}\n");
    }
    text
}

/// Programs read this line: its form does not change.
pub fn counts(counts: &Counts) -> String {
    let Counts {
        passed,
        failed,
        skipped,
    } = counts;
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}

/// For `--list`.
pub fn cases(cases: &[(&Case, Vec<Filesystem>)]) {
    for (case, filesystems) in cases {
        let names: Vec<_> = filesystems.iter().map(|fs| fs.name()).collect();
        say(&format!(
            "{:32} {:10} {}",
            case.name,
            names.join(","),
            case.about
        ));
    }
}

pub fn text(text: &str) {
    say(text);
}

pub fn failure(failure: &Failure) {
    let line = match failure.kind {
        Kind::Interrupted => style("interrupted").for_stderr().red().to_string(),
        Kind::Build => format!("{} {failure}", style("build failed:").for_stderr().red()),
        Kind::Usage | Kind::Machinery => {
            format!("{} {failure}", style("error:").for_stderr().red())
        }
    };
    // Nobody is left to tell if this cannot be written.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A reader that is gone (`| head`) does not end a run.
fn say(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use harness::case::Filesystem::{Ext3, Xfs};

    use super::*;
    use crate::report::model::samples::{aborted, result, run};

    #[test]
    fn the_last_line_is_stable() {
        let counts = super::counts(&Counts {
            passed: 12,
            failed: 1,
            skipped: 0,
        });
        assert_eq!(counts, "12 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn an_aborted_run_says_so() {
        let line = not_run(&aborted());
        assert_eq!(line.as_deref(), Some("2 did not run: interrupted"));
        assert_eq!(not_run(&run(&[], vec![])), None);
    }

    #[test]
    fn case_lines() {
        let hung = result(Ext3, "nesting", 1, Verdict::Hung("stuck".into()));
        let line = console::strip_ansi_codes(&case_line(&hung)).into_owned();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "ext3", "nesting", "(repeat", "2)", "HUNG", "0.8", "s", "stuck"
            ]
        );
    }

    #[test]
    fn the_table_has_the_filesystems_that_ran() {
        let run = run(
            &[],
            vec![
                result(Xfs, "a", 0, Verdict::Passed),
                result(Xfs, "b", 0, Verdict::Failed("x".into())),
            ],
        );
        let text = verdicts(&run).to_string();
        let rows: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows, [vec!["xfs"], vec!["a", "ok"], vec!["b", "FAILED"]]);
    }
}
