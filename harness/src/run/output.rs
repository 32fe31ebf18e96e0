//! What a case prints, within bounds: its beginning as it comes, and its end, where the reason of a failure is.

use std::collections::VecDeque;
use std::mem::take;

/// Bytes of a case's output that are handed on as they come.
const HEAD: usize = 256 << 10;
/// Bytes of what follows that are kept for the end.
const TAIL: usize = 64 << 10;

#[derive(Debug, Default)]
pub struct Output {
    said: usize,
    tail: VecDeque<String>,
    /// Bytes in the tail.
    kept: usize,
    lines_lost: u64,
    bytes_lost: u64,
}

impl Output {
    /// Takes a line, and returns it if it is to be said now.
    pub fn take(&mut self, line: String) -> Option<String> {
        if self.said < HEAD {
            self.said += line.len() + 1;
            return Some(line);
        }
        self.kept += line.len() + 1;
        self.tail.push_back(line);
        while self.kept > TAIL && self.tail.len() > 1 {
            let lost = self.tail.pop_front().map_or(0, |line| line.len() + 1);
            self.kept -= lost;
            self.lines_lost += 1;
            self.bytes_lost += lost as u64;
        }
        None
    }

    /// What is still to be said once the case is over.
    pub fn rest(&mut self) -> impl Iterator<Item = String> + use<> {
        let Output {
            tail,
            lines_lost,
            bytes_lost,
            ..
        } = take(self);
        let gap = (lines_lost > 0).then(|| {
            format!("(the case printed too much: {lines_lost} lines, {bytes_lost} bytes are left out here)")
        });
        gap.into_iter().chain(tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_said_as_it_comes() {
        let mut output = Output::default();
        assert_eq!(output.take("a".to_owned()), Some("a".to_owned()));
        assert_eq!(output.rest().count(), 0);
    }

    #[test]
    fn of_much_the_beginning_and_the_end_are_said() {
        let mut output = Output::default();
        let many = 100_000;
        let mut said: Vec<_> = (0..many)
            .filter_map(|number| output.take(format!("line {number:05}")))
            .collect();
        assert_eq!(said.len(), HEAD.div_ceil(11));
        said.extend(output.rest());
        let bytes: usize = said.iter().map(String::len).sum();
        assert!(bytes < HEAD + TAIL + 200, "{bytes}");
        assert_eq!(said.last().unwrap(), "line 99999");
        let gap = &said[HEAD.div_ceil(11)];
        let lost = many - (said.len() - 1);
        let wanted = format!("{lost} lines, {} bytes are left out", lost * 11);
        assert!(gap.contains(&wanted), "{gap}");
    }

    #[test]
    fn a_last_line_that_is_too_long_is_said() {
        let mut output = Output::default();
        for line in ["x".repeat(HEAD), "y".repeat(2 * TAIL), "z".repeat(2 * TAIL)] {
            output.take(line);
        }
        let rest: Vec<_> = output.rest().collect();
        assert!(rest[0].contains("1 lines") && rest[1].starts_with('z') && rest.len() == 2);
    }
}
