//! What happens, as it happens: lines that move on a terminal, plain ones in a file or a CI log.

use std::collections::HashMap;
use std::fmt;
use std::io::{IsTerminal, stderr, stdout};
use std::time::{Duration, Instant};

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::output::{aside, say};
use super::progress::{Progress, Row, Who};
use super::terminal::case_line;
use crate::event::Event;
use crate::words::{clock, count, seconds};

/// How soon a log without a terminal hears that something goes on, and then how often.
const FIRST_SIGN: Duration = Duration::from_secs(10);
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// How often a moving line is drawn, whatever happens.
const FRAME: Duration = Duration::from_millis(100);

/// Shows events as they come: what has ended as lines, what goes on below them or from time to time.
#[derive(Debug)]
pub struct Display {
    progress: Progress,
    face: Face,
    /// Writes a line that stays.
    say: fn(&str),
}

#[derive(Debug)]
enum Face {
    Moving(Bars),
    Plain(Pulse),
}

impl Display {
    /// How often [`Display::tick`] is to be called when nothing happens.
    pub const TICK: Duration = Duration::from_secs(1);

    pub fn new() -> Self {
        Self {
            progress: Progress::default(),
            face: match stdout().is_terminal() {
                true => Face::Moving(Bars::on(ProgressDrawTarget::stdout())),
                false => Face::Plain(Pulse::default()),
            },
            say,
        }
    }

    /// On standard error.
    pub fn aside() -> Self {
        Self {
            progress: Progress::default(),
            face: match stderr().is_terminal() {
                true => Face::Moving(Bars::on(ProgressDrawTarget::stderr())),
                false => Face::Plain(Pulse::default()),
            },
            say: aside,
        }
    }

    pub fn see(&mut self, event: &Event) {
        let (now, say) = (Instant::now(), self.say);
        self.progress.see(event, now);
        match &mut self.face {
            Face::Moving(bars) => {
                if let Some(line) = lasting(event) {
                    bars.all.suspend(|| say(&line));
                }
                if !matches!(event, Event::Console { .. }) {
                    bars.show(&self.progress.rows(now));
                }
            }
            Face::Plain(pulse) => pulse
                .lines(event, &self.progress, now)
                .iter()
                .for_each(|line| say(line)),
        }
    }

    /// Time has passed, and maybe nothing else.
    pub fn tick(&mut self) {
        let (now, say) = (Instant::now(), self.say);
        match &mut self.face {
            Face::Moving(bars) => bars.show(&self.progress.rows(now)),
            Face::Plain(pulse) => pulse
                .sign(&self.progress, now)
                .iter()
                .for_each(|line| say(line)),
        }
    }
}

/// The line that stays of an event.
fn lasting(event: &Event) -> Option<String> {
    match event {
        Event::PhaseEnded {
            what,
            outcome,
            took,
        } => Some(format!("{what}: {outcome} ({})", seconds(*took))),
        Event::Note(line) => Some(line.clone()),
        Event::Warning(line) => Some(format!("{} {line}", style("warning:").yellow())),
        Event::GuestStarted { guest, cases } => Some(format!(
            "guest {guest} boots, for {}",
            count(*cases, "case")
        )),
        Event::CaseEnded(result) => Some(case_line(result)),
        _ => None,
    }
}

/// When a log heard of something that goes on.
#[derive(Debug, Default)]
struct Pulse {
    next: Option<Instant>,
}

impl Pulse {
    fn lines(&mut self, event: &Event, progress: &Progress, now: Instant) -> Vec<String> {
        let begun = match event {
            Event::PhaseStarted { what } => Some(Some(format!("{what} …"))),
            Event::CasesStarted { .. } => Some(None),
            _ => None,
        };
        match begun {
            Some(line) => {
                self.next = Some(now + FIRST_SIGN);
                line.into_iter().collect()
            }
            None => lasting(event)
                .into_iter()
                .chain(self.sign(progress, now))
                .collect(),
        }
    }

    /// At bounded intervals, whether anything was heard or not.
    fn sign(&mut self, progress: &Progress, now: Instant) -> Option<String> {
        if self.next.is_none_or(|next| now < next) {
            return None;
        }
        self.next = Some(now + SIGN_OF_LIFE);
        progress.line(now)
    }
}

/// A moving line for each that is at work.
#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    of: HashMap<Who, (Instant, ProgressBar)>,
}

impl Bars {
    fn on(target: ProgressDrawTarget) -> Self {
        Self {
            all: MultiProgress::with_draw_target(target),
            of: HashMap::new(),
        }
    }

    fn show(&mut self, rows: &[Row]) {
        let gone = |who: &Who| !rows.iter().any(|row| row.who == *who);
        for (_, (_, bar)) in self.of.extract_if(|who, _| gone(who)) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        for row in rows {
            self.show_one(row);
        }
    }

    fn show_one(&mut self, row: &Row) {
        let (since, bar) = self.of.entry(row.who).or_insert_with(|| {
            let bar = ProgressBar::new_spinner().with_style(moving());
            let bar = self.all.add(bar.with_elapsed(row.since.elapsed()));
            bar.enable_steady_tick(FRAME);
            (row.since, bar)
        });
        if *since != row.since {
            *since = row.since;
            bar.reset_elapsed();
        }
        if bar.message() != row.text {
            bar.set_message(row.text.clone());
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // Ours was the last line: if it cannot be removed it stays.
        let _ = self.all.clear();
    }
}

/// The clock is our own: that of indicatif is rounded, and stands still for a minute from 90 s on.
fn moving() -> ProgressStyle {
    let time = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A line that cannot be drawn is drawn again a moment later.
        let _ = out.write_str(&clock(state.elapsed()));
    };
    ProgressStyle::with_template("{spinner} {time:>6} {wide_msg}")
        .expect("the template is constant and good")
        .with_key("time", time)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// What a log hears, second by second, of events that come after so many seconds.
    fn log(events: &[(u64, Event)], until: u64) -> Vec<String> {
        let (begun, mut progress, mut pulse) =
            (Instant::now(), Progress::default(), Pulse::default());
        let mut heard = Vec::new();
        for second in 0..=until {
            let now = begun + Duration::from_secs(second);
            for (_, event) in events.iter().filter(|(at, _)| *at == second) {
                progress.see(event, now);
                heard.extend(pulse.lines(event, &progress, now));
            }
            heard.extend(pulse.sign(&progress, now));
        }
        heard
    }

    #[test]
    fn a_log_hears_of_a_silent_phase() {
        let begins = Event::PhaseStarted {
            what: "importing".into(),
        };
        let ends = Event::PhaseEnded {
            what: "importing".into(),
            outcome: "imported".into(),
            took: Duration::from_secs(75),
        };
        let wanted = [
            "importing …",
            "importing (10s)",
            "importing (40s)",
            "importing (1m10s)",
            "importing: imported (75.0 s)",
        ];
        assert_eq!(log(&[(0, begins), (75, ends)], 200), wanted);
    }

    #[test]
    fn a_log_hears_of_a_busy_phase_no_oftener() {
        let mut events = vec![(
            0,
            Event::PhaseStarted {
                what: "building".into(),
            },
        )];
        events.extend((1..=45).map(|second| {
            let step = Event::Progress {
                done: second,
                total: Some(40),
                unit: "",
                item: "a.o".into(),
            };
            (second, step)
        }));
        let wanted = [
            "building …",
            "building: 10 of about 40, a.o, about 30 s left (10s)",
            "building: 40 of about 40, a.o (40s)",
        ];
        assert_eq!(log(&events, 45), wanted);
    }

    /// A terminal that remembers all it was ever sent.
    #[derive(Clone, Debug, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_moving_clock_goes_on_by_itself() {
        let paper = Paper::default();
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(paper.clone()), 20);
        let mut bars = Bars::on(target);
        let since = Instant::now().checked_sub(Duration::from_secs(90));
        let row = Row {
            who: Who::Phase(0),
            since: since.expect("this machine is up for longer"),
            text: "importing".into(),
        };
        bars.show(&[row]);
        let patience = Instant::now() + Duration::from_secs(30);
        let seen = |words: &str| paper.0.lock().unwrap().contains(words);
        while !(seen(" 1m30s importing") && seen(" 1m32s importing")) {
            assert!(Instant::now() < patience, "{:?}", paper.0.lock().unwrap());
            std::thread::sleep(FRAME);
        }
    }
}
