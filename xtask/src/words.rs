//! Numbers, times and long texts, as the user reads them.

use std::borrow::Cow;
use std::time::Duration;

pub use harness::words::count;
pub use harness::words::there;

/// How much of a reason is shown where a line is read, in characters; `results.json` has all of it.
pub const SHOWN: usize = 500;

/// The first `limit` characters, and how many there are more.
pub fn clip(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        None => text.into(),
        Some((end, _)) => {
            let more = text[end..].chars().count();
            let kept = text[..end].trim_end();
            format!(
                "{kept} … ({} more in results.json)",
                count(more, "character")
            )
            .into()
        }
    }
}

/// Control characters as `\u{1b}`, lest what a guest said steers the terminal; tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\t';
    if !text.contains(steers) {
        return text.into();
    }
    let shown = |c: char| match steers(c) {
        true => c.escape_unicode().to_string(),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// What others said, fit for one line: bounded, and without control characters.
pub fn short(text: &str) -> String {
    visible(&clip(text, SHOWN)).into_owned()
}

/// `0.8 s`
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Time that passes, to the second: `9s`, `1m30s`, `1h02m`.
pub fn clock(time: Duration) -> String {
    let (hours, minutes, seconds) = parts(time);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds:02}s"),
        _ => format!("{hours}h{minutes:02}m"),
    }
}

/// Time to come, no finer than it can be known: `about 40 s left`, `about 2 min left`.
pub fn left(time: Duration) -> String {
    let whole = time.as_secs();
    let minutes = whole.saturating_add(30) / 60;
    match whole {
        0..10 => format!("about {} s left", whole.max(1)),
        10..90 => format!("about {} s left", whole / 10 * 10),
        90..5400 => format!("about {minutes} min left"),
        _ => format!("about {} h {:02} min left", minutes / 60, minutes % 60),
    }
}

fn parts(time: Duration) -> (u64, u64, u64) {
    let whole = time.as_secs();
    (whole / 3600, whole / 60 % 60, whole % 60)
}

/// The sum of times that others wrote down, which may be any.
pub fn sum(times: impl IntoIterator<Item = Duration>) -> Duration {
    let times = times.into_iter();
    times.fold(Duration::ZERO, Duration::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        let table = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m00s"),
            (90, "1m30s"),
            (91, "1m31s"),
            (3599, "59m59s"),
            (3720, "1h02m"),
            (u64::MAX, "5124095576030431h00m"),
        ];
        for (seconds, words) in table {
            assert_eq!(clock(Duration::from_secs(seconds)), words, "{seconds}");
        }
    }

    #[test]
    fn what_is_left() {
        let table = [
            (0, "about 1 s left"),
            (9, "about 9 s left"),
            (47, "about 40 s left"),
            (95, "about 2 min left"),
            (3000, "about 50 min left"),
            (7200, "about 2 h 00 min left"),
            (u64::MAX, "about 5124095576030431 h 00 min left"),
        ];
        for (seconds, words) in table {
            assert_eq!(left(Duration::from_secs(seconds)), words, "{seconds}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöü", 2), "äö … (1 character more in results.json)");
        assert!(short(&"x".repeat(1_000_000)).len() < 600);
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(
            short("a\tb \u{1b}[31m\nc\u{9b}"),
            "a\tb \\u{1b}[31m\\u{a}c\\u{9b}"
        );
    }

    #[test]
    fn times_add_up_to_the_most_there_is() {
        let two = [Duration::MAX, Duration::from_secs(1)];
        assert_eq!(sum(two), Duration::MAX);
    }
}
