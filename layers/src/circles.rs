//! Files and subfolders of one folder that import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::Import;

/// What the file `mod.rs` of a folder is called among its files.
const OWN: &str = "mod.rs";

/// Each import that is part of a circle, with the names of all that are.
pub fn all(imports: &[Import]) -> Vec<(&Import, Vec<String>)> {
    let mut inside: BTreeMap<&[String], Vec<&Import>> = BTreeMap::new();
    for import in imports {
        // The folder that both ends are in; at the root the order of the layers counts.
        let common = common(&import.from.path, &import.to);
        if common > 0 {
            inside.entry(&import.to[..common]).or_default().push(import);
        }
    }
    inside
        .into_iter()
        .flat_map(|(folder, imports)| in_folder(folder, &imports))
        .collect()
}

/// How many names both paths begin with.
fn common(one: &[String], other: &[String]) -> usize {
    let pairs = one.iter().zip(other);
    pairs.take_while(|(one, other)| one == other).count()
}

fn in_folder<'a>(folder: &[String], imports: &[&'a Import]) -> Vec<(&'a Import, Vec<String>)> {
    let name = |path: &[String]| {
        path.get(folder.len())
            .map_or(OWN, String::as_str)
            .to_owned()
    };
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for import in imports {
        let to = arrows.entry(name(&import.from.path)).or_default();
        to.insert(name(&import.to));
    }
    let reached: BTreeMap<_, _> = arrows
        .keys()
        .map(|start| (start.clone(), reachable(start, &arrows)))
        .collect();
    let meets = |one: &str, other: &str| {
        let reaches = |a: &str, b: &str| reached.get(a).is_some_and(|all| all.contains(b));
        reaches(one, other) && reaches(other, one)
    };
    let in_circle = imports.iter().filter_map(|import| {
        let (from, to) = (name(&import.from.path), name(&import.to));
        let members = arrows.keys().filter(|it| meets(&from, it));
        meets(&from, &to).then(|| (*import, members.cloned().collect()))
    });
    in_circle.collect()
}

fn reachable(start: &str, arrows: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![start.to_owned()];
    while let Some(next) = waiting.pop() {
        for to in arrows.get(&next).into_iter().flatten() {
            if seen.insert(to.clone()) {
                waiting.push(to.clone());
            }
        }
    }
    seen
}
