//! KTAP version 1 in two levels, filesystem and case, as DESIGN.md shows it: written by the guest, read by the host.
//! Format: Documentation/dev-tools/ktap.rst.

mod outcome;
mod parser;
mod text;
mod writer;

pub use outcome::{Outcome, Verdict};
pub use parser::{Line, parse};
pub use writer::{CANNOT_START, END, Ktap, unseal};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::Filesystem;
    use crate::wire::marks::Ending;

    /// What the host reads of what a guest writes.
    fn read_back(write: impl FnOnce(&mut Ktap<&mut Vec<u8>>) -> std::io::Result<()>) -> Vec<Line> {
        let mut written = Vec::new();
        write(&mut Ktap::new(&mut written, "secret")).unwrap();
        let text = String::from_utf8(written).unwrap();
        let unsealed = text.lines().map(|line| unseal(line, "secret").unwrap());
        unsealed.map(|(_, line)| parse(line)).collect()
    }

    #[test]
    fn a_whole_run_reads_back() {
        let outcome = Outcome {
            name: "writes_stop".into(),
            verdict: Verdict::Passed,
            took: Some(Duration::from_millis(812)),
        };
        let whole = |name: &str, verdict| Outcome::new(name, verdict);
        let lines = read_back(|ktap| {
            ktap.begin(1)?;
            ktap.begin_subtest(Filesystem::Ext3, 1)?;
            ktap.start("writes_stop")?;
            ktap.diagnostic("writes_stop", "thaw took 12 ms\nok 7 # SKIP")?;
            ktap.result(1, &outcome)?;
            ktap.end_subtest(1, Filesystem::Ext3, true)?;
            ktap.end_subtest(2, Filesystem::Xfs, false)?;
            ktap.cannot_start("more", "no\nmemory")?;
            ktap.end(Ending::Spoilt)
        });
        let wanted = [
            Line::Other,
            Line::Other,
            Line::Other,
            Line::Subtest("ext3".into()),
            Line::Other,
            Line::Start("writes_stop".into()),
            Line::Diagnostic("writes_stop: thaw took 12 ms".into()),
            Line::Diagnostic("writes_stop: ok 7 # SKIP".into()),
            Line::Case(outcome.clone()),
            Line::Whole(whole("ext3", Verdict::Passed)),
            Line::Whole(whole("xfs", Verdict::Failed(String::new()))),
            Line::Diagnostic(format!("{CANNOT_START}more: no memory")),
            Line::Diagnostic(format!("{END}spoilt")),
        ];
        assert_eq!(lines, wanted);
    }

    /// All texts of up to so many of these characters, with no blanks at an end or beside each other.
    fn texts(characters: &[char], length: usize) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut longest = texts.clone();
        for _ in 0..length {
            let longer = |text: &String| {
                let with = |character| format!("{text}{character}");
                characters.iter().map(with).collect::<Vec<_>>()
            };
            longest = longest.iter().flat_map(longer).collect();
            texts.extend(longest.clone());
        }
        texts.retain(|text| *text == text::one_line(text));
        texts
    }

    #[test]
    fn every_outcome_reads_back() {
        let mut reasons = texts(&['\\', '#', 'a', ' '], 5);
        let words = [
            "Oops: 0000 [#1] PREEMPT SMP",
            "# SKIP",
            "SKIP",
            "time=3ms",
            "ok 1 a",
        ];
        reasons.extend(words.map(str::to_owned));
        let times = [None, Some(Duration::from_millis(3))];
        for reason in &reasons {
            for verdict in [
                Verdict::Passed,
                Verdict::Failed(reason.clone()),
                Verdict::Skipped(reason.clone()),
                Verdict::TimedOut(reason.clone()),
            ] {
                for took in times {
                    let name = "a".to_owned();
                    let verdict = verdict.clone();
                    let outcome = Outcome {
                        name,
                        verdict,
                        took,
                    };
                    let lines = read_back(|ktap| ktap.result(7, &outcome));
                    assert_eq!(lines, [Line::Case(as_read(outcome))], "{reason:?}");
                }
            }
        }
    }

    /// A failure whose reason looks like a directive is said to be a failure.
    fn as_read(mut outcome: Outcome) -> Outcome {
        if let Verdict::Failed(reason) = &mut outcome.verdict
            && ["SKIP", "time=3ms"].contains(&reason.as_str())
        {
            reason.insert_str(0, "failed: ");
        }
        outcome
    }
}
