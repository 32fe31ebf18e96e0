//! What a patch does, line by line.

use std::collections::BTreeMap;

use super::model::Kind;
use crate::series::Patch;

/// A line of a patch, and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub kind: Kind,
    pub text: String,
    /// The function before it.
    pub function: String,
    /// Which hunk of the file; what is in none has number 0.
    pub hunk: usize,
}

/// What makes a line the same as another; see [`Line::key`].
pub type Key<'a> = (Kind, &'a str, &'a str);

impl Line {
    /// A change without a word, such as a brace, is the same only in the same function: there are too many of them.
    pub fn key(&self) -> Key<'_> {
        let tells = !self.is_change() || self.text.contains(char::is_alphanumeric);
        let function = if tells { "" } else { name(&self.function) };
        (self.kind, &self.text, function)
    }

    pub fn is_change(&self) -> bool {
        self.kind != Kind::Context
    }
}

pub fn keys(lines: &[Line]) -> Vec<Key<'_>> {
    lines.iter().map(Line::key).collect()
}

pub fn text(text: &str) -> Vec<Line> {
    let lines = text.lines().map(|line| Line {
        kind: Kind::Text,
        text: line.to_owned(),
        function: String::new(),
        hunk: 0,
    });
    lines.collect()
}

#[derive(Debug, PartialEq, Eq)]
pub struct File {
    pub path: String,
    pub lines: Vec<Line>,
}

/// What a patch does to each file. Lines that only say where, or that follow from the rest, are left out.
pub fn files(patch: &Patch) -> Vec<File> {
    let mut files: Vec<File> = patch
        .changes
        .iter()
        .map(|change| File::new(&change.file))
        .collect();
    let hunks = patch.changes.iter().enumerate().flat_map(|(file, change)| {
        let hunks = change.hunks.iter();
        hunks.map(move |hunk| (hunk.line, (file, hunk.end)))
    });
    let hunks: BTreeMap<usize, (usize, usize)> = hunks.collect();
    let diff = String::from_utf8_lossy(&patch.diff);
    let lines: Vec<&str> = diff.split_terminator('\n').collect();
    // The file whose head this is; there is one between `diff --git` and the first hunk.
    let (mut head, mut begun) = (None, 0);
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        if let Some((file, end)) = hunks.get(&at) {
            files[*file].add_hunk(line, &lines[at..*end]);
            (head, begun) = (None, file + 1);
            at = *end;
        } else if line.starts_with("diff --git ") {
            (head, begun) = (Some(begun), begun + 1);
        } else if *line == "-- " {
            head = None;
        } else if let Some(file) = head.and_then(|head| files.get_mut(head))
            && says_what(line)
        {
            file.lines.extend(text(line));
        }
    }
    files
}

/// Whether a line of a file's head is about the change, and not about the versions of the file.
fn says_what(line: &str) -> bool {
    let follows = ["index ", "--- ", "+++ ", "similarity ", "dissimilarity "];
    !line.is_empty() && !follows.iter().any(|start| line.starts_with(start))
}

impl File {
    fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            lines: Vec::new(),
        }
    }

    fn add_hunk(&mut self, head: &str, lines: &[&str]) {
        let mut function = head.splitn(3, "@@").nth(2).unwrap_or_default().trim();
        let hunk = self.lines.last().map_or(1, |line| line.hunk + 1);
        let mut last = Kind::Context;
        for line in lines {
            let (kind, text) = match (line.chars().next(), line.get(1..)) {
                (Some('+'), Some(text)) => (Kind::Added, text),
                (Some('-'), Some(text)) => (Kind::Removed, text),
                // "No newline at end of file": of the line before it.
                (Some('\\'), _) => (last, *line),
                (_, text) => (Kind::Context, text.unwrap_or_default()),
            };
            last = kind;
            self.lines.push(Line {
                kind,
                text: text.to_owned(),
                function: function.to_owned(),
                hunk,
            });
            if self.is_c() && kind != Kind::Removed && begins_a_function(text) {
                function = text;
            }
        }
    }

    fn is_c(&self) -> bool {
        self.path.ends_with(".c") || self.path.ends_with(".h")
    }

    pub fn changes(&self) -> Vec<Key<'_>> {
        let lines = self.lines.iter().filter(|line| line.is_change());
        lines.map(Line::key).collect()
    }
}

/// The name of a function by the line that begins it: its arguments may be others on another base.
fn name(function: &str) -> &str {
    let before = function.split('(').next().unwrap_or_default();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    before.rsplit(|c| !is_part(c)).next().unwrap_or_default()
}

/// As git has it: a word at the begin of the line, and no label.
fn begins_a_function(line: &str) -> bool {
    line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !line.trim_end().ends_with([':', ';'])
}
