//! One series on two bases: in what a patch and its counterpart differ. Where a change stands in its file, and what
//! surrounds it there, is the base's affair; what a patch adds, removes and says is its own.

mod lines;
mod model;
mod rows;

use std::collections::BTreeSet;

use lines::{File, Line, files, text};
use regex::Regex;
use similar::{Algorithm, DiffTag, capture_diff_slices, diff_ratio};

use crate::failure::{self, OrFail, Result};
use crate::series::{Patch, Series};
pub use model::{Block, Entry, Kind, Pair, Part, Row, Side, Title};
use rows::{blocks, rows};

/// How much of the changed lines a file must share with another to be taken for the same one, moved.
const MOVED: f32 = 0.5;

/// Which patches are wanted, by their subjects; none given means all.
#[derive(Debug)]
pub struct Subjects(Vec<Regex>);

impl Subjects {
    /// # Errors
    /// [`Usage`](crate::failure::Kind::Usage) if one of the expressions matches no patch: it is misspelt.
    pub fn of<'a>(
        filters: &[String],
        series: impl IntoIterator<Item = &'a Series>,
    ) -> Result<Self> {
        let patches = series.into_iter().flat_map(|series| &series.patches);
        let subjects: BTreeSet<&str> = patches.map(|patch| patch.subject.as_str()).collect();
        let regexes = filters.iter().map(|filter| {
            let regex = Regex::new(filter).or_fail(failure::Kind::Usage)?;
            if subjects.iter().any(|subject| regex.is_match(subject)) {
                return Ok(regex);
            }
            let known: Vec<&str> = subjects.iter().copied().collect();
            Err(failure::Kind::Usage.error(format!(
                "--filter {filter:?} matches no patch; there are:\n  {}",
                known.join("\n  ")
            )))
        });
        regexes.collect::<Result<_>>().map(Self)
    }

    fn wants(&self, subject: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|regex| regex.is_match(subject))
    }
}

/// Compares the patches that are wanted, in the order of the new series; those that are gone come last.
pub fn compare(old: &Series, new: &Series, filter: &Subjects) -> Vec<Entry> {
    let (old, new) = (&old.patches, &new.patches);
    let partners = partners(old, new);
    let pairs: Vec<(usize, usize)> = partners
        .iter()
        .enumerate()
        .filter_map(|(new, old)| old.map(|old| (old, new)))
        .collect();
    let stay = stay(&pairs);
    let title = |patches: &[Patch], at: usize| Title {
        place: at + 1,
        subject: patches[at].subject.clone(),
    };
    let entry = |(at, partner): (usize, &Option<usize>)| match *partner {
        None => Entry::Come(title(new, at)),
        Some(from) => Entry::Pair(Pair {
            old: title(old, from),
            new: title(new, at),
            moved: !stay.contains(&from),
            parts: parts(&old[from], &new[at]),
        }),
    };
    let kept = partners.iter().enumerate().map(entry);
    let gone = (0..old.len())
        .filter(|at| !partners.contains(&Some(*at)))
        .map(|at| Entry::Gone(title(old, at)));
    let mut entries: Vec<Entry> = kept.chain(gone).collect();
    entries.retain(|entry| match entry {
        Entry::Gone(title) | Entry::Come(title) => filter.wants(&title.subject),
        Entry::Pair(pair) => [&pair.old, &pair.new]
            .iter()
            .any(|title| filter.wants(&title.subject)),
    });
    entries
}

/// Of each new patch the old one: that of the same subject, else the one that follows the same patch, if the two have
/// a file in common.
fn partners(old: &[Patch], new: &[Patch]) -> Vec<Option<usize>> {
    let mut partners: Vec<Option<usize>> = vec![None; new.len()];
    for (at, patch) in new.iter().enumerate() {
        partners[at] = (0..old.len())
            .find(|from| old[*from].subject == patch.subject && !partners.contains(&Some(*from)));
    }
    for at in 0..new.len() {
        let next = match at.checked_sub(1) {
            None => Some(0),
            Some(before) => partners[before].map(|from| from + 1),
        };
        let free = next.filter(|from| *from < old.len() && !partners.contains(&Some(*from)));
        if let (None, Some(from)) = (partners[at], free)
            && !old[from].files().is_disjoint(&new[at].files())
        {
            partners[at] = free;
        }
    }
    partners
}

/// The most old patches that can be left where they are when the series is brought into its new order.
fn stay(pairs: &[(usize, usize)]) -> Vec<usize> {
    let now: Vec<usize> = pairs.iter().map(|(old, _)| *old).collect();
    let mut was = now.clone();
    was.sort_unstable();
    let ops = capture_diff_slices(Algorithm::Lcs, &was, &now);
    let equal = ops.iter().filter(|op| op.tag() == DiffTag::Equal);
    equal.flat_map(|op| was[op.old_range()].to_vec()).collect()
}

fn parts(old: &Patch, new: &Patch) -> Vec<Part> {
    let author = |patch: &Patch| {
        let (name, email) = (patch.author.display(), patch.email.display());
        format!("{name} <{email}>")
    };
    let message = |patch: &Patch| String::from_utf8_lossy(&patch.message).into_owned();
    let texts = [
        ("author", author(old), author(new)),
        ("message", message(old), message(new)),
        ("notes", old.notes.clone(), new.notes.clone()),
    ];
    let texts = texts.map(|(name, old, new)| (name.to_owned(), text(&old), text(&new)));
    let parts = texts
        .into_iter()
        .chain(paired(files(old), files(new)))
        .map(|(name, old, new)| Part {
            name,
            blocks: blocks(&rows(&old, &new)),
        });
    parts.filter(|part| !part.blocks.is_empty()).collect()
}

/// Files of one path, and files that are much the same under another; each with its name and its lines on both sides.
fn paired(mut old: Vec<File>, new: Vec<File>) -> Vec<(String, Vec<Line>, Vec<Line>)> {
    let moved = moved(&old, &new);
    let mut pairs = Vec::new();
    for file in new {
        let from = moved.iter().find(|(_, to)| *to == file.path);
        let from = from.map_or(&file.path, |(from, _)| from);
        let at = old.iter().position(|old| old.path == *from);
        let old = at.map(|at| old.remove(at));
        let name = match &old {
            Some(old) if old.path != file.path => format!("{} -> {}", old.path, file.path),
            _ => file.path,
        };
        let lines = old.map_or(Vec::new(), |old| old.lines);
        pairs.push((name, lines, file.lines));
    }
    let gone = old.into_iter();
    pairs.extend(gone.map(|file| (file.path, file.lines, Vec::new())));
    pairs
}

/// Which files that only the old patch has are which of those that only the new one has: the most alike first.
fn moved(old: &[File], new: &[File]) -> Vec<(String, String)> {
    let among = |files: &[File], path: &str| files.iter().any(|file| file.path == path);
    let mut alike = Vec::new();
    for from in old.iter().filter(|file| !among(new, &file.path)) {
        for to in new.iter().filter(|file| !among(old, &file.path)) {
            let (one, other) = (from.changes(), to.changes());
            let ops = capture_diff_slices(Algorithm::Lcs, &one, &other);
            let ratio = diff_ratio(&ops, one.len(), other.len());
            alike.push((ratio, &from.path, &to.path));
        }
    }
    alike.retain(|(ratio, ..)| *ratio >= MOVED);
    alike.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut moved: Vec<(String, String)> = Vec::new();
    for (_, from, to) in alike {
        if !moved.iter().any(|taken| taken.0 == *from || taken.1 == *to) {
            moved.push((from.clone(), to.clone()));
        }
    }
    moved
}

#[cfg(test)]
mod tests;
