//! The lines of two patches beside each other.

use similar::{Algorithm, DiffTag, capture_diff_slices};

use super::lines::{Key, Line, keys};
use super::model::{Block, Row, Side};

/// How many lines are shown before and after a difference.
const AROUND: usize = 3;

/// A row, and where it is from.
#[derive(Clone, Debug)]
pub struct Placed {
    pub row: Row,
    function: String,
    /// The old and the new hunk.
    hunks: [Option<usize>; 2],
}

/// All lines of both sides. What is changed is matched first, and the context fills in between: a context that is
/// another must not tear apart changes that are the same.
pub fn rows(old: &[Line], new: &[Line]) -> Vec<Placed> {
    let changed = |lines: &[Line]| -> Vec<usize> {
        let lines = lines.iter().enumerate();
        lines
            .filter(|(_, line)| line.is_change())
            .map(|(at, _)| at)
            .collect()
    };
    let (olds, news) = (changed(old), changed(new));
    let one: Vec<Key<'_>> = olds.iter().map(|at| old[*at].key()).collect();
    let other: Vec<Key<'_>> = news.iter().map(|at| new[*at].key()).collect();
    let mut rows = Vec::new();
    let (mut from, mut to) = (0, 0);
    for (one, other) in matches(&one, &other) {
        let (one, other) = (olds[one], news[other]);
        between(&old[from..one], &new[to..other], &mut rows);
        rows.push(Placed::both(&old[one], &new[other]));
        (from, to) = (one + 1, other + 1);
    }
    between(&old[from..], &new[to..], &mut rows);
    rows
}

/// Which lines are the same, by their places on both sides.
fn matches(one: &[Key<'_>], other: &[Key<'_>]) -> Vec<(usize, usize)> {
    // Next to what is the same, and where all is, a brace may be of another function.
    let same = |at: usize, to: usize| (one[at].0, one[at].1) == (other[to].0, other[to].1);
    if one.len() == other.len() && (0..one.len()).all(|at| same(at, at)) {
        return (0..one.len()).map(|at| (at, at)).collect();
    }
    let ops = capture_diff_slices(Algorithm::Histogram, one, other);
    let equal = ops.iter().filter(|op| op.tag() == DiffTag::Equal);
    let pairs = equal.flat_map(|op| op.old_range().zip(op.new_range()));
    let mut pairs: Vec<(usize, usize)> = pairs.collect();
    let mut at = 0;
    while let Some((from, to)) = pairs.get(at).copied() {
        at += 1;
        let (end, stop) = pairs.get(at).copied().unwrap_or((one.len(), other.len()));
        if from + 1 < end && to + 1 < stop && same(from + 1, to + 1) {
            pairs.insert(at, (from + 1, to + 1));
        }
    }
    let mut at = 0;
    while let Some((from, to)) = pairs.get(at).copied() {
        let before = at.checked_sub(1).map(|before| pairs[before]);
        let (begin, start) = before.map_or((0, 0), |(from, to)| (from + 1, to + 1));
        if begin < from && start < to && same(from - 1, to - 1) {
            pairs.insert(at, (from - 1, to - 1));
        } else {
            at += 1;
        }
    }
    pairs
}

fn between(old: &[Line], new: &[Line], rows: &mut Vec<Placed>) {
    for op in capture_diff_slices(Algorithm::Myers, &keys(old), &keys(new)) {
        let (from, to) = (op.old_range(), op.new_range());
        if op.tag() == DiffTag::Equal {
            let both = old[from].iter().zip(&new[to]);
            rows.extend(both.map(|(old, new)| Placed::both(old, new)));
        } else {
            rows.extend(old[from].iter().map(|line| Placed::of(Side::Old, line)));
            rows.extend(new[to].iter().map(|line| Placed::of(Side::New, line)));
        }
    }
}

impl Placed {
    fn of(side: Side, line: &Line) -> Self {
        let row = Row {
            side,
            kind: line.kind,
            text: line.text.clone(),
        };
        let hunk = Some(line.hunk);
        Self {
            row,
            function: line.function.clone(),
            hunks: match side {
                Side::Old => [hunk, None],
                Side::New => [None, hunk],
                Side::Both => [hunk, hunk],
            },
        }
    }

    fn both(old: &Line, new: &Line) -> Self {
        Self {
            hunks: [Some(old.hunk), Some(new.hunk)],
            ..Self::of(Side::Both, new)
        }
    }

    /// Whether it goes on where the row before it ends; `hunks` are the last that were seen of either side.
    fn follows(&self, before: &Self, hunks: [Option<usize>; 2]) -> bool {
        let both = hunks.iter().zip(&self.hunks);
        let mut known = both
            .filter(|(was, is)| was.is_some() && is.is_some())
            .peekable();
        match known.peek() {
            None => self.function == before.function,
            Some(_) => known.any(|(was, is)| was == is),
        }
    }
}

/// The differences, with some lines around each.
pub fn blocks(rows: &[Placed]) -> Vec<Block> {
    let helps = |row: &Row, difference: &Row| {
        row.side == Side::Both || row.side == difference.side || row.counts()
    };
    let near = |at: usize| {
        let around = at.saturating_sub(AROUND)..(at + AROUND + 1).min(rows.len());
        let mut around = rows[around].iter().map(|placed| &placed.row);
        around.any(|other| other.counts() && helps(&rows[at].row, other))
    };
    let mut blocks: Vec<Block> = Vec::new();
    let mut hunks = [None, None];
    for (at, placed) in rows.iter().enumerate().filter(|(at, _)| near(*at)) {
        let before = at.checked_sub(1).filter(|before| near(*before));
        if !before.is_some_and(|before| placed.follows(&rows[before], hunks)) {
            blocks.push(Block {
                function: placed.function.clone(),
                rows: Vec::new(),
            });
            hunks = [None, None];
        }
        for (was, is) in hunks.iter_mut().zip(placed.hunks) {
            *was = is.or(*was);
        }
        blocks
            .last_mut()
            .expect("one was begun")
            .rows
            .push(placed.row.clone());
    }
    // A hunk that only borders on a difference has none.
    blocks.retain(|block| block.rows.iter().any(Row::counts));
    blocks
}
