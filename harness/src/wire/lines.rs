//! The lines of a source that nobody trusts: without end, or with a line that has none.

use std::io::{BufRead as _, BufReader, ErrorKind, Read};

/// Bytes of a line that are kept. A measurement's samples, the longest that we write ourselves, are a tenth of it.
pub const LIMIT: usize = 128 << 10;

/// Lines without their newline, each cut after [`LIMIT`] bytes; ends with the source, or when it cannot be read.
#[derive(Debug)]
pub struct Lines<R> {
    source: BufReader<R>,
}

impl<R: Read> Lines<R> {
    pub fn new(source: R) -> Lines<R> {
        Lines {
            source: BufReader::new(source),
        }
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut length = 0;
        loop {
            let chunk = match self.source.fill_buf() {
                Ok([]) => return (length > 0).then(|| text(&line, length)),
                Ok(chunk) => chunk,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return None,
            };
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            line.extend(&part[..part.len().min(LIMIT - line.len())]);
            length += part.len();
            let used = part.len() + usize::from(end.is_some());
            self.source.consume(used);
            if end.is_some() {
                return Some(text(&line, length));
            }
        }
    }
}

fn text(kept: &[u8], length: usize) -> String {
    let text = String::from_utf8_lossy(kept).into_owned();
    match length - kept.len() {
        0 => text,
        more => format!("{text} (and {more} bytes more)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_and_cut() {
        let long = "x".repeat(3 * LIMIT);
        let source = format!("a\n\n{long}\nb\u{fffd}\nrest");
        let lines: Vec<_> = Lines::new(source.as_bytes()).collect();
        let cut = format!("{} (and {} bytes more)", &long[..LIMIT], 2 * LIMIT);
        assert_eq!(lines, ["a", "", &cut, "b\u{fffd}", "rest"]);
        assert_eq!(Lines::new(&b"\xff\n"[..]).next().unwrap(), "\u{fffd}");
        assert_eq!(Lines::new(&b""[..]).next(), None);
    }
}
