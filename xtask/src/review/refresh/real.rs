//! The patch files of this checkout: refresh would not change them. Their kernels need not be there, as of each touched file
//! what the hunks say of it is enough; only the ids of blobs in `index` lines are others then.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::tests::{NONE, refresh};
use crate::host::layout::Layout;
use crate::kernel::bases;
use crate::kernel::carried::origin;
use crate::kernel::shop::Shop;
use crate::series::{self, Series};

/// Each other series stands on this one.
const GROUND: &str = "generic-freeze";
/// More lines than any file has.
const LINES: usize = 50_000;
/// Lines below the last one that is known.
const REST: usize = 10;

#[test]
fn a_refresh_of_each_base_and_series_changes_nothing() {
    let layout = Layout::of_this_checkout().unwrap();
    for base in bases::load(&layout).unwrap() {
        let known = series::known(&layout, &base.name);
        assert!(known.iter().any(|name| name == GROUND), "{}", base.name);
        for name in &known {
            let names = [GROUND, name].into_iter();
            let stack = names
                .skip(usize::from(name == GROUND))
                .map(|name| series::load(&layout, &base.name, name).unwrap());
            check(&base.name, &stack.collect::<Vec<_>>());
        }
    }
}

/// Refreshes them on a base that is made up, twice.
fn check(base: &str, stack: &[Series]) {
    let mut shop = Shop::open();
    shop.stand_on(&made_up(stack));
    let names: Vec<&str> = stack.iter().map(|series| series.name.as_str()).collect();
    let patches = || {
        stack
            .iter()
            .flat_map(|series| series.patches.iter().map(move |patch| (series, patch)))
    };
    for series in stack {
        fs_err::create_dir_all(shop.file(&series.name)).unwrap();
        fs_err::write(shop.file(&series.name).join("series"), &series.index).unwrap();
    }
    for (series, patch) in patches() {
        fs_err::write(shop.file(&origin(series, patch)), &patch.text).unwrap();
    }
    shop.provide(&names).unwrap();
    let first = refresh(&shop, &names, NONE).unwrap();
    assert!(
        first.iter().all(|file| file.ends_with(".patch")),
        "{base}: {first:?}"
    );
    for (series, patch) in patches() {
        let path = shop.file(&origin(series, patch));
        let now = fs_err::read(&path).unwrap();
        similar_asserts::assert_eq!(
            without_ids(&now),
            without_ids(&patch.text),
            "{base}: {path}"
        );
    }
    assert_eq!(
        refresh(&shop, &names, NONE).unwrap(),
        Vec::<String>::new(),
        "{base}"
    );
}

fn without_ids(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter(|line| !line.starts_with("index "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A line of a file: one of the base, by its place there, or one that a patch has added.
#[derive(Clone, Debug)]
enum Line {
    Base(usize),
    Added(Rc<str>),
}

/// What patches say of a file.
#[derive(Debug, Default)]
struct Known {
    /// The lines of the base.
    base: BTreeMap<usize, Rc<str>>,
    /// How many lines the base has, if a hunk tells its end.
    end: Option<usize>,
    /// The lines as the patches so far leave them.
    now: Vec<Line>,
    /// For each hunk what stands after its `@@`, and the lines above it, the nearest first.
    headings: Vec<(String, Vec<Line>)>,
}

/// Files to which patches apply, and of which git makes the same hunks.
fn made_up(stack: &[Series]) -> BTreeMap<String, String> {
    let mut files: BTreeMap<&str, Known> = BTreeMap::new();
    for patch in stack.iter().flat_map(|series| &series.patches) {
        let text = String::from_utf8(patch.diff.clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for change in &patch.changes {
            let is_new = change.hunks[0].old_start == 0;
            let known = files.entry(&change.file).or_insert_with(|| Known {
                end: is_new.then_some(0),
                now: (0..if is_new { 0 } else { LINES })
                    .map(Line::Base)
                    .collect(),
                ..Known::default()
            });
            let before = known.now.clone();
            for hunk in &change.hunks {
                known.take(&before, &lines[hunk.line - 1..hunk.end]);
            }
        }
    }
    let attributes = (
        ".gitattributes".to_owned(),
        "*.c diff=cpp\n*.h diff=cpp\n".to_owned(),
    );
    let files = files
        .into_iter()
        .map(|(name, known)| (name.to_owned(), known.text()));
    files
        .filter(|(_, text)| !text.is_empty())
        .chain([attributes])
        .collect()
}

impl Known {
    /// Learns from a hunk, and applies it.
    fn take(&mut self, before: &[Line], hunk: &[&str]) {
        let (head, body) = hunk.split_first().unwrap();
        let mut parts = head.splitn(5, ' ').skip(1);
        let mut start = || {
            let range = parts.next().unwrap()[1..].split(',').next().unwrap();
            range.parse::<usize>().unwrap().saturating_sub(1)
        };
        let (old, mut at) = (start(), start());
        if let Some(heading) = parts.nth(1) {
            let above = before[..old].iter().rev().cloned().collect();
            self.headings.push((heading.to_owned(), above));
        }
        for line in body {
            let (mark, text) = line.split_at(1);
            match mark {
                "+" => {
                    self.now.insert(at, Line::Added(text.into()));
                    at += 1;
                }
                _ => {
                    self.learn(at, text);
                    match mark {
                        "-" => drop(self.now.remove(at)),
                        _ => at += 1,
                    }
                }
            }
        }
        let below = body
            .iter()
            .rev()
            .take_while(|line| line.starts_with(' '))
            .count();
        if below < 3 {
            if let Some(Line::Base(end)) = self.now.get(at) {
                self.end = Some(*end);
            }
            self.now.truncate(at);
        }
    }

    fn learn(&mut self, at: usize, text: &str) {
        let was = match &self.now[at] {
            Line::Base(place) => self.base.entry(*place).or_insert_with(|| text.into()),
            Line::Added(was) => was,
        };
        assert_eq!(&**was, text, "line {}", at + 1);
    }

    /// The base. What nobody knows begins with a space, lest git take it for the heading of a hunk.
    fn text(mut self) -> String {
        for (heading, above) in std::mem::take(&mut self.headings) {
            let text = |line: &Line| match line {
                Line::Base(place) => self.base.get(place).cloned(),
                Line::Added(text) => Some(text.clone()),
            };
            let is_heading = |text: &Rc<str>| {
                text.starts_with(|first: char| first.is_alphabetic() || "_$".contains(first))
                    && !text.ends_with(':')
            };
            let known = above.iter().filter_map(text).find(is_heading);
            let free = above.iter().find_map(|line| match line {
                Line::Base(place) if !self.base.contains_key(place) => Some(*place),
                _ => None,
            });
            if !known.is_some_and(|text| text.starts_with(&heading)) {
                self.base.insert(free.unwrap(), heading.as_str().into());
            }
        }
        let last = self
            .base
            .keys()
            .next_back()
            .map_or(0, |last| last + 1 + REST);
        let line = |place| {
            self.base
                .get(&place)
                .map_or(format!("  {place}"), |text| text.to_string())
        };
        (0..self.end.unwrap_or(last))
            .map(|place| line(place) + "\n")
            .collect()
    }
}
