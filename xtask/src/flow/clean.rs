//! `clean`: what is under `target/freeze`, what it costs, and its removal.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;
use indicatif::DecimalBytes;
use walkdir::WalkDir;
use xshell::cmd;

use super::usage::{self, LOCKS};
use crate::event::Event;
use crate::failure::{Kind, PASSED, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::phase::phase;
use crate::host::proc::Stop;
use crate::host::session::Session;
use crate::kernel::tree;
use crate::report::{terminal, watched};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// Reports of test-kernel
    Runs,
    /// Tables, numbers and plots of bench
    Benchmarks,
    /// Reports of bisect, with the logs of each commit, and what it takes to go on
    Bisections,
    /// Reports of mutants, with the logs of each
    Mutants,
    /// Kernels, and what it takes to build them again quickly
    Builds,
    /// Work trees with the patches applied
    Trees,
    /// Kernel sources, as git repositories; the work trees are made from them
    Sources,
    /// apt's indexes of the suites that have kernel sources
    Apt,
    /// Roots of guests
    Initramfs,
    /// virtme-ng, b4 and typos
    Venv,
    /// What series mail makes mails in: public commits, and a repository for each series
    Mail,
    /// Scratch disks of guests that are gone
    Scratch,
    /// All else, such as what was measured of accelerators
    Other,
}

/// What is to go; only a list of what there is if that is nothing.
#[derive(Debug)]
pub struct Order {
    pub parts: Vec<Part>,
    /// Say what would go, and remove nothing.
    pub dry_run: bool,
    /// Remove work trees with edits, and sources with branches, too.
    pub force: bool,
}

/// What there is of a part.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    paths: Vec<Utf8PathBuf>,
    /// On the disk.
    bytes: u64,
}

type Inventory = BTreeMap<Part, Found>;

pub fn run(order: &Order, session: &Session) -> Result<u8> {
    let wanted = &order.parts;
    let removes = !wanted.is_empty() && !order.dry_run;
    let _alone = removes.then(|| usage::alone(&session.layout)).transpose()?;
    let mut there = watched(session, None, |session| {
        phase(&session.events, "looking through target/freeze", || {
            let there = inventory(&session.layout.work(""), &session.stop)?;
            let bytes = there.values().map(|found| found.bytes).sum();
            Ok((there, DecimalBytes(bytes).to_string()))
        })
    })?;
    if wanted.is_empty() {
        terminal::text(&list(&there));
        return Ok(PASSED);
    }
    there.retain(|part, _| wanted.contains(part));
    if !order.force {
        nothing_is_lost(&there, session)?;
    }
    if order.dry_run {
        terminal::text(&format!("would remove\n{}", list(&there)));
        return Ok(PASSED);
    }
    remove(&there, session)?;
    terminal::text(&format!("removed\n{}", list(&there)));
    Ok(PASSED)
}

impl Part {
    /// Whose a file or folder of this name is, right under `target/freeze`.
    fn of(name: &str) -> Self {
        // apt.log is apt's, initramfs.json the initramfs's.
        let stem = name.split('.').next().unwrap_or(name);
        let named = Part::value_variants().iter().copied();
        named
            .filter(|part| *part != Part::Other)
            .find(|part| part.name() == stem)
            .unwrap_or(Part::Other)
    }

    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn about(self) -> String {
        let value = self.to_possible_value();
        let help = value.and_then(|value| value.get_help().map(ToString::to_string));
        help.unwrap_or_default()
    }
}

fn inventory(folder: &Utf8Path, stop: &Stop) -> Result<Inventory> {
    let mut there = Inventory::new();
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        if LOCKS.contains(&entry.file_name()) {
            continue;
        }
        let found = there.entry(Part::of(entry.file_name())).or_default();
        found.bytes += size(entry.path(), stop)?;
        found.paths.push(entry.into_path());
    }
    Ok(there)
}

/// Bytes on the disk; a file with several names counts once, and links lead nowhere.
fn size(path: &Utf8Path, stop: &Stop) -> Result<u64> {
    let mut seen = HashSet::new();
    let mut bytes = 0;
    // What goes away meanwhile costs nothing.
    for entry in WalkDir::new(path).into_iter().flatten() {
        stop.check()?;
        let Ok(found) = entry.metadata() else {
            continue;
        };
        if found.nlink() == 1 || seen.insert((found.dev(), found.ino())) {
            bytes += found.blocks() * 512;
        }
    }
    Ok(bytes)
}

fn list(there: &Inventory) -> String {
    let lines = there.iter().map(|(part, found)| {
        let size = DecimalBytes(found.bytes).to_string();
        format!("  {:11} {size:>10}  {}", part.name(), part.about())
    });
    let lines: Vec<String> = lines.collect();
    match lines.as_slice() {
        [] => "  nothing".into(),
        lines => lines.join("\n"),
    }
}

/// # Errors
/// [`Kind::Usage`] if a removal would take what nobody could make again.
fn nothing_is_lost(doomed: &Inventory, session: &Session) -> Result<()> {
    let (trees, sources) = (
        doomed.contains_key(&Part::Trees),
        doomed.contains_key(&Part::Sources),
    );
    let mut lost = Vec::new();
    if trees {
        for tree in folders(&session.layout.trees()) {
            let edits = tree::unsaved(&tree, &session.stop)?;
            lost.extend(edits.map(|what| format!("{tree} has edits ({what})")));
        }
    }
    if sources {
        if !trees && !folders(&session.layout.trees()).is_empty() {
            return Err(Kind::Usage.error(
                "the work trees are made from the sources and useless without them; name both: trees sources",
            ));
        }
        for repository in folders(&session.layout.sources()) {
            let own = own_refs(&repository, &session.stop);
            lost.extend(own.map(|what| format!("{repository} has {what}")));
        }
    }
    match lost.as_slice() {
        [] => Ok(()),
        lost => Err(Kind::Usage.error(format!(
            "nothing was removed:\n  {}\nsave that elsewhere (series refresh writes commits back as patches), or add --force",
            lost.join("\n  ")
        ))),
    }
}

/// Those with a name of their own: temporary ones are what an interrupted run left.
fn folders(parent: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = parent.read_dir_utf8().into_iter().flatten().flatten();
    let folders =
        entries.filter(|entry| entry.path().is_dir() && !entry.file_name().starts_with('.'));
    folders.map(camino::Utf8DirEntry::into_path).collect()
}

/// Branches and stashes: this program makes none.
fn own_refs(repository: &Utf8Path, stop: &Stop) -> Option<String> {
    let git = Git::at(repository, stop);
    let refs = cmd!(
        git,
        "git for-each-ref --format=%(refname:short) refs/heads refs/stash"
    );
    // One that cannot be read holds nothing that could be saved.
    let names = git.read(refs).ok()?;
    let names: Vec<&str> = names.lines().collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn remove(doomed: &Inventory, session: &Session) -> Result<()> {
    watched(session, None, |session| {
        for (part, found) in doomed {
            phase(&session.events, format!("removing {}", part.name()), || {
                for (path, done) in found.paths.iter().zip(1..) {
                    files::discard(path, &session.stop)?;
                    session.events.send(Event::Progress {
                        done,
                        total: Some(found.paths.len() as u64),
                        unit: "",
                        item: path.to_string(),
                    });
                }
                Ok(((), DecimalBytes(found.bytes).to_string()))
            })?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::layout::Layout;

    /// A checkout with files of so many kilobytes.
    fn checkout(files: &[(&str, usize)]) -> (tempfile::TempDir, Session) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(Utf8Path::from_path(dir.path()).unwrap());
        for (name, kilobytes) in files {
            let path = layout.work(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, vec![1; kilobytes << 10]).unwrap();
        }
        (dir, Session::new(layout, Stop::default()))
    }

    fn clean(words: &[&str], session: &Session) -> Result<u8> {
        let named = words.iter().filter(|word| !word.starts_with("--"));
        let parts = named.map(|word| Part::from_str(word, false).unwrap());
        let order = Order {
            parts: match words.contains(&"--all") {
                true => Part::value_variants().to_vec(),
                false => parts.collect(),
            },
            dry_run: words.contains(&"--dry-run"),
            force: words.contains(&"--force"),
        };
        run(&order, session)
    }

    fn left(session: &Session) -> Vec<String> {
        let entries = session.layout.work("").read_dir_utf8().unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_owned())
            .filter(|name| !LOCKS.contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn whose_a_name_is() {
        for (name, part) in [
            ("runs", Part::Runs),
            ("mail", Part::Mail),
            ("venv.b4", Part::Venv),
            ("initramfs.json", Part::Initramfs),
            ("apt.log", Part::Apt),
            ("accel.json", Part::Other),
            (".tmp-trees", Part::Other),
            ("other", Part::Other),
        ] {
            assert_eq!(Part::of(name), part, "{name}");
        }
    }

    #[test]
    fn a_part_costs_what_it_takes_on_the_disk() {
        let (_dir, session) = checkout(&[("builds/a/vmlinux", 64), ("builds/b", 8), ("runs/x", 4)]);
        let layout = &session.layout;
        fs_err::hard_link(
            layout.work("builds/a/vmlinux"),
            layout.work("builds/a/image"),
        )
        .unwrap();
        let there = inventory(&layout.work(""), &session.stop).unwrap();
        let builds = there[&Part::Builds].bytes;
        assert!((72 << 10..120 << 10).contains(&builds), "{builds}");
        assert!(list(&there).contains("builds"), "{}", list(&there));
        assert_eq!(list(&Inventory::new()), "  nothing");
    }

    #[test]
    fn what_is_named_goes() {
        let there = [
            ("builds/a", 1),
            ("runs/x", 1),
            ("accel.json", 1),
            ("lock", 0),
        ];
        let table: &[(&[&str], &[&str])] = &[
            (&[], &["accel.json", "builds", "runs"]),
            (&["builds", "--dry-run"], &["accel.json", "builds", "runs"]),
            (&["builds"], &["accel.json", "runs"]),
            (&["builds", "runs", "venv"], &["accel.json"]),
            (&["--all"], &[]),
        ];
        for (words, wanted) in table {
            let (_dir, session) = checkout(&there);
            assert_eq!(clean(words, &session).unwrap(), PASSED);
            assert_eq!(left(&session), *wanted, "{words:?}");
            assert!(session.layout.work("lock").exists());
        }
    }

    #[test]
    fn a_link_goes_and_what_it_leads_to_stays() {
        let (_dir, session) = checkout(&[("runs/x", 1)]);
        let elsewhere = session.layout.root().join("elsewhere");
        fs_err::create_dir(&elsewhere).unwrap();
        fs_err::write(elsewhere.join("mine"), "").unwrap();
        fs_err::os::unix::fs::symlink(&elsewhere, session.layout.builds()).unwrap();
        clean(&["--all"], &session).unwrap();
        assert!(left(&session).is_empty() && elsewhere.join("mine").exists());
    }

    #[test]
    fn a_run_keeps_what_it_uses() {
        let (_dir, session) = checkout(&[("builds/a", 1)]);
        let run = usage::share(&session).unwrap();
        assert_eq!(
            clean(&["builds"], &session).unwrap_err().kind,
            Kind::Machinery
        );
        assert_eq!(clean(&["builds", "--dry-run"], &session).unwrap(), PASSED);
        assert_eq!(left(&session), ["builds"]);
        drop(run);
        clean(&["builds"], &session).unwrap();
        assert!(left(&session).is_empty());
    }

    fn git(place: &Utf8Path, words: &[&str]) {
        let git = Git::at(place, &Stop::default());
        let line = cmd!(git, "git -c user.name=x -c user.email=x {words...}");
        git.read(line).unwrap();
    }

    /// A repository and a work tree of it, as this program makes them.
    fn with_tree() -> (tempfile::TempDir, Session, Utf8PathBuf) {
        let (dir, session) = checkout(&[("trees/6.12-stock.json", 0), ("seed/file", 1)]);
        let layout = &session.layout;
        let (seed, repository) = (layout.work("seed"), layout.sources().join("6.12.git"));
        let tree = layout.trees().join("6.12-stock");
        git(&seed, &["init", "--quiet"]);
        git(&seed, &["add", "."]);
        git(&seed, &["commit", "--quiet", "--message", "all"]);
        let head = Git::at(&seed, &session.stop).resolve("HEAD");
        let head = head.unwrap().unwrap();
        fs_err::create_dir_all(&repository).unwrap();
        git(&repository, &["init", "--quiet", "--bare"]);
        git(&repository, &["fetch", "--quiet", seed.as_str(), "HEAD"]);
        git(
            &repository,
            &[
                "worktree",
                "add",
                "--quiet",
                "--detach",
                tree.as_str(),
                &head,
            ],
        );
        let state = format!(r#"{{"key": "k", "tip": "{head}", "settled": true}}"#);
        fs_err::write(layout.trees().join("6.12-stock.json"), state).unwrap();
        (dir, session, tree)
    }

    type Edit = fn(&Utf8Path);

    #[test]
    fn edits_are_kept_unless_forced() {
        let edits: &[(Edit, Option<&str>)] = &[
            (|_| {}, None),
            (
                |tree| fs_err::write(tree.join("file"), "edit").unwrap(),
                Some("file"),
            ),
            (
                |tree| fs_err::write(tree.join("new"), "edit").unwrap(),
                Some("new"),
            ),
            (
                |tree| {
                    git(
                        tree,
                        &["commit", "--quiet", "--allow-empty", "--message", "x"],
                    )
                },
                Some("commits"),
            ),
            // Whose repository is gone.
            (
                |tree| fs_err::write(tree.join(".git"), "gitdir: /nowhere\n").unwrap(),
                Some("cannot tell"),
            ),
        ];
        for (edit, wanted) in edits {
            let (_dir, session, tree) = with_tree();
            edit(&tree);
            let ended = clean(&["trees"], &session);
            assert_eq!(
                (ended.is_err(), tree.exists()),
                (wanted.is_some(), wanted.is_some())
            );
            if let (Err(failure), Some(words)) = (ended, wanted) {
                assert_eq!(failure.kind, Kind::Usage);
                assert!(failure.to_string().contains(words), "{failure}");
            }
        }
        for (edit, _) in edits {
            let (_dir, session, tree) = with_tree();
            edit(&tree);
            clean(&["trees", "--force"], &session).unwrap();
            assert!(!tree.exists());
        }
    }

    #[test]
    fn sources_go_with_their_trees_and_without_branches() {
        let (_dir, session, tree) = with_tree();
        let failure = clean(&["sources"], &session).unwrap_err();
        assert!(failure.to_string().contains("trees sources"), "{failure}");
        git(&tree, &["branch", "mine"]);
        let failure = clean(&["sources", "trees"], &session).unwrap_err();
        assert!(failure.to_string().contains("has mine"), "{failure}");
        git(&tree, &["branch", "--delete", "--force", "mine"]);
        clean(&["sources", "trees"], &session).unwrap();
        assert_eq!(left(&session), ["seed"]);
    }
}
