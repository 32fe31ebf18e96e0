//! Work trees: one for each source and choice of series, so that going back and forth between
//! stock and patched rewrites no file and hence rebuilds nothing.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use xshell::{Cmd, cmd};

use super::advice::Advice;
use super::apply::apply;
use super::carried::{self, Commit, Notes};
use super::moving::Moving;
use super::refs::{BASE_REF, BISECT, WANTED_REF};
use super::source::Source;
use super::standing::{Edits, edits, is_ancestor, operation};
use crate::diff::{excerpt, unified};
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::layout::Layout;
use crate::host::phase::phase;
use crate::host::proc::{self, Stop, Stream};
use crate::host::session::Session;
use crate::series::{self, Series};
use crate::words::count;

/// A work tree that holds what was asked for, or a developer's edits on top of it.
#[derive(Clone, Debug)]
pub struct Tree {
    pub path: Utf8PathBuf,
    /// Id of the git tree object that equals the files, edits included: what a build depends on.
    pub content: String,
    pub edited: bool,
    /// What it stands on if that is not the source: `series rebase` brought it there, and no patch file knows.
    pub ground: Option<String>,
}

/// What the last run made of a work tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// Of the source, all patches that led to `tip`, and the `series` files.
    pub key: String,
    pub tip: String,
    /// False while files are written: a run that died there left the tree for us to repair.
    pub settled: bool,
    /// The patch files as they were when the commits were made of them, or written from them: see [`carried::keep`].
    #[serde(default)]
    pub files: Option<String>,
    /// Since `series rebase` began.
    #[serde(default)]
    pub moving: Option<Moving>,
    /// Since `series rebase` ended, until `series refresh` writes the patch files for that base: the way from where they are.
    #[serde(default)]
    pub moved: Option<Moving>,
}

impl State {
    /// Why the commits are not where this has them; `None` if they are.
    pub fn obstacle(&self, git: &Git) -> Result<Option<Failure>> {
        let on_the_way = self.moving.as_ref().map(|moving| moving.obstacle(git));
        if let Some(obstacle) = on_the_way.transpose()?.flatten() {
            return Ok(Some(obstacle));
        }
        match &self.moved {
            Some(moved) if !is_ancestor(git, &moved.onto.commit, "HEAD")? => {
                Ok(Some(moved.left(git)))
            }
            _ => Ok(None),
        }
    }
}

pub(super) fn key(base: &str, series: &[Series]) -> String {
    let texts = series.iter().flat_map(|series| {
        let patches = series.patches.iter().map(|patch| patch.text.as_slice());
        patches.chain([series.index.as_bytes()])
    });
    files::digest(std::iter::once(base.as_bytes()).chain(texts))
}

pub(super) fn memory(name: &str, layout: &Layout) -> Utf8PathBuf {
    layout.trees().join(format!("{name}.json"))
}

/// Folder names of the tree and, with more after it, of its builds.
pub fn name(source: &str, series: &[String]) -> String {
    let series = if series.is_empty() {
        "stock".to_owned()
    } else {
        series.join("+")
    };
    format!("{source}-{series}")
}

/// What chooses such a tree on a command line: ` --base x --series s`.
pub fn flags<'a>(base: &str, series: impl IntoIterator<Item = &'a String>) -> String {
    let series = series.into_iter().map(|name| format!(" --series {name}"));
    format!(" --base {base}{}", series.collect::<String>())
}

/// Brings the tree of this name to the source with the patches on top, touching only files that differ.
///
/// A tree with edits is taken as it is while source and patches stay the same, and an error once they do not.
pub fn provide(name: &str, source: &Source, series: &[Series], session: &Session) -> Result<Tree> {
    let path = session.layout.trees().join(name);
    let place = Place {
        git: Git::at(&path, &session.stop),
        memory: memory(name, &session.layout),
        known: session.layout.patches().join(&source.name).is_dir(),
        source,
        series,
        session,
    };
    let key = key(&source.commit, series);
    let state = place.repaired()?;
    if let Some(state) = &state
        && let Some(tree) = place.moved(state)?
    {
        return Ok(tree);
    }
    let wanted = match &state {
        Some(state) if state.key == key => state.tip.clone(),
        _ => match apply(source, series, &session.stop) {
            Ok(tip) => tip,
            Err(failure) => return Err(place.with_way_out(failure, state.as_ref())?),
        },
    };
    let edited = match &state {
        None => {
            place.create(&key, &wanted)?;
            false
        }
        Some(state) => place.update(state, &key, &wanted)?,
    };
    let content = if edited {
        place.content()?
    } else {
        let git = &place.git;
        git.read(cmd!(git, "git rev-parse 'HEAD^{tree}'"))?
    };
    Ok(Tree {
        path,
        content,
        edited,
        ground: None,
    })
}

struct Place<'a> {
    git: Git,
    memory: Utf8PathBuf,
    source: &'a Source,
    series: &'a [Series],
    /// Whether the source is a base's own, so that `series refresh` finds the tree.
    known: bool,
    session: &'a Session,
}

impl Place<'_> {
    /// What the last run left, after the end of what it was interrupted at; `None` if there is no tree.
    fn repaired(&self) -> Result<Option<State>> {
        let state: Option<State> = files::recall(&self.memory);
        match state {
            Some(_) if !self.exists()? => Ok(None),
            Some(state) if !state.settled => self.repair(state),
            other => Ok(other),
        }
    }

    fn repair(&self, state: State) -> Result<Option<State>> {
        let index = self.index()?;
        if !Utf8Path::new(&index).exists() {
            // The very first checkout did not end. Git is much faster in an empty folder than among files it does not know.
            return Ok(None);
        }
        files::remove(Utf8Path::new(&format!("{index}.lock")))?;
        self.checkout(&state.key, &state.tip)?;
        let state = State {
            settled: true,
            files: None,
            ..state
        };
        files::remember(&self.memory, &state)?;
        Ok(Some(state))
    }

    /// Whether there is a work tree of the source's repository, and not just a folder.
    fn exists(&self) -> Result<bool> {
        Ok(self.has_git() && self.adopt()? && self.git.resolve("HEAD")?.is_some())
    }

    /// Makes work tree and repository name each other as they are now, after a move or a copy of the checkout.
    ///
    /// Git writes absolute paths. The tree's is made relative, so that whoever calls git in a copy does not work on the
    /// original. `git worktree repair` would take a copy's word for the original's. False if the repository has no
    /// such work tree.
    fn adopt(&self) -> Result<bool> {
        let link = self.git.dir().join(".git");
        let text = fs_err::read_to_string(&link)?;
        let named = text.trim_end().strip_prefix("gitdir: ").map(Utf8Path::new);
        let Some(name) = named.and_then(Utf8Path::file_name) else {
            return Ok(false);
        };
        let place = self.source.repository.join("worktrees").join(name);
        if !place.is_dir() {
            return Ok(false);
        }
        let relative = pathdiff::diff_utf8_paths(&place, self.git.dir());
        let to_place = format!("gitdir: {}\n", relative.as_ref().unwrap_or(&place));
        let to_tree = format!("{link}\n");
        for (file, wanted) in [(&link, to_place), (&place.join("gitdir"), to_tree)] {
            if fs_err::read_to_string(file).ok().as_ref() != Some(&wanted) {
                files::write(file, wanted.as_bytes())?;
            }
        }
        Ok(true)
    }

    fn has_git(&self) -> bool {
        self.git.dir().join(".git").exists()
    }

    fn repository(&self) -> Git {
        Git::at(&self.source.repository, &self.session.stop)
    }

    fn create(&self, key: &str, tip: &str) -> Result<()> {
        self.make_room()?;
        self.remember(key, tip, false, None)?;
        // Force, twice, takes over what git still knows of a tree that is gone, even if its creation was cut short.
        // To prune instead would lose the other trees of a checkout that was moved.
        let (repository, path) = (self.repository(), self.git.dir());
        repository.read(cmd!(
            repository,
            "git worktree add --force --force --quiet --no-checkout --detach {path} {tip}"
        ))?;
        self.adopt()?;
        self.checkout(key, tip)?;
        self.record(key, tip)
    }

    /// Removes what is in the way, unless it may hold a developer's work.
    fn make_room(&self) -> Result<()> {
        let path = self.git.dir();
        if path.exists() && !self.memory.exists() {
            return Err(Kind::Machinery.error(format!(
                "{path} is in the way and was not made by this program; move it away"
            )));
        }
        let state: Option<State> = files::recall(&self.memory);
        if self.has_git() && state.is_none_or(|state| state.settled) {
            return Err(Kind::Usage.error(format!("{path} belongs to another place; move it away")));
        }
        files::discard(path, &self.session.stop)
    }

    /// The tree as it is if it was rebased, and its patch files are still those for another base.
    fn moved(&self, state: &State) -> Result<Option<Tree>> {
        if let Some(obstacle) = state.obstacle(&self.git)? {
            return Err(obstacle);
        }
        let Some(moved) = &state.moved else {
            return Ok(None);
        };
        let label = &moved.onto.label;
        if !self.changed(state)?.0.is_empty() {
            let head = self.git.read(cmd!(self.git, "git rev-parse HEAD"))?;
            return Err(self.would_lose(state, &edits(&self.git)?, &head, None)?);
        }
        self.session.events.note(format!(
            "{} was rebased onto {label}: it is built as it is; {} writes its patch files",
            self.git.dir(),
            self.refresh()
        ));
        Ok(Some(Tree {
            path: self.git.dir().to_owned(),
            content: self.content()?,
            edited: true,
            ground: Some(label.clone()),
        }))
    }

    /// Patches that do not apply since the source is another, and they are not, can be carried there by git.
    fn with_way_out(&self, failure: Failure, state: Option<&State>) -> Result<Failure> {
        let (Kind::Build, true, Some(state)) = (failure.kind, self.known, state) else {
            return Ok(failure);
        };
        if !self.changed(state)?.0.is_empty() {
            return Ok(failure);
        }
        let version = self.source.label.rsplit(' ').next().unwrap_or_default();
        Ok(Kind::Build.error(format!(
            "{failure}\nto carry the commits of {} there: cargo xtask series rebase --onto {version}{}",
            self.git.dir(),
            self.flags()
        )))
    }

    /// Goes from one tip to another unless that would lose edits; says whether there are some.
    fn update(&self, state: &State, key: &str, wanted: &str) -> Result<bool> {
        let edits = edits(&self.git)?;
        let head = self.git.read(cmd!(self.git, "git rev-parse HEAD"))?;
        let committed = edits.files().is_none();
        if key == state.key {
            let untouched = committed && head == state.tip;
            match (untouched, &state.files) {
                (true, None) => self.record(key, wanted)?,
                (true, Some(_)) => {}
                (false, _) => self.tell(&edits),
            }
            return Ok(!untouched);
        }
        if let Some(operation) = operation(&self.git)? {
            return Err(Kind::Usage.error(format!(
                "{} is in the middle of {operation}, and source or patches have changed since it was made; end that there \
                 first",
                self.git.dir()
            )));
        }
        if committed && self.loses_nothing(state, &head, wanted)? {
            if head != wanted {
                self.checkout(key, wanted)?;
            }
            self.record(key, wanted)?;
            return Ok(false);
        }
        if self.is_below(state, wanted, &head)? {
            self.record(key, wanted)?;
        } else if wanted == state.tip {
            // The commits are no longer those that notes could be attached to: `series refresh` finds that the files
            // are not what it knows.
            self.remember(key, wanted, true, state.files.clone())?;
        } else {
            return Err(self.would_lose(state, &edits, &head, Some(wanted))?);
        }
        self.tell(&edits);
        Ok(true)
    }

    /// True if nobody worked here, or if what was done here is in the patches by now.
    fn loses_nothing(&self, state: &State, head: &str, wanted: &str) -> Result<bool> {
        if head == state.tip {
            return self.has_own_notes(state);
        }
        let ours = carried::commits(&self.git, BASE_REF, head)?;
        let theirs = carried::commits(&self.git, &self.source.commit, wanted)?;
        Ok(ours.len() == theirs.len() && carried::difference(&ours, &theirs).is_none())
    }

    /// Whether the edits are commits on top of what the patches are now, as they were or after a rebase.
    fn is_below(&self, state: &State, wanted: &str, head: &str) -> Result<bool> {
        if !is_ancestor(&self.git, wanted, head)? {
            return Ok(false);
        }
        if wanted == state.tip {
            return self.has_own_notes(state);
        }
        // Fewer patches than before: what is missing would look like edits.
        Ok(!is_ancestor(&self.git, wanted, &state.tip)?)
    }

    /// Whether the notes at the commits are those of the patch files, and no edits.
    fn has_own_notes(&self, state: &State) -> Result<bool> {
        let Some(kept) = &state.files else {
            return Ok(true);
        };
        let notes = Notes::of(&self.git)?;
        let kept = carried::kept(&self.git, kept)?;
        let commits = carried::commits(&self.git, BASE_REF, &state.tip)?;
        let (texts, origins) = (notes.texts(&commits)?, notes.origins(&commits)?);
        let same = commits.iter().all(|commit| {
            let text = texts.get(&commit.id).map_or("", String::as_str);
            let origin = origins.get(&commit.id);
            let file = origin.and_then(|origin| kept.get_key_value(origin));
            file.is_none_or(|(name, mail)| series::notes_in(name, mail) == text)
        });
        Ok(same)
    }

    fn tell(&self, edits: &Edits) {
        let (path, what) = (self.git.dir(), edits.words());
        self.session
            .events
            .note(format!("{path} has edits ({what}): they are built, too"));
    }

    fn would_lose(
        &self,
        state: &State,
        edits: &Edits,
        head: &str,
        wanted: Option<&str>,
    ) -> Result<Failure> {
        let (changed, diff) = self.changed(state)?;
        let git = &self.git;
        let on_top = wanted.is_some() && is_ancestor(git, &state.tip, head)?;
        if let Some(wanted) = wanted {
            git.read(cmd!(git, "git update-ref {WANTED_REF} {wanted}"))?;
        }
        let refresh = self.known.then(|| self.refresh());
        let advice = Advice {
            path: git.dir(),
            tip: &state.tip,
            refresh: refresh.as_deref(),
            changed: &changed,
            uncommitted: edits.files().is_some(),
            on_top,
        };
        let (path, what) = (git.dir(), edits.words());
        let changed = match changed.as_slice() {
            [] => "its source has".to_owned(),
            [one] => format!("{one} has"),
            several => format!("{} have", several.join(", ")),
        };
        Ok(Kind::Usage.error(format!(
            "{path} has edits ({what}), but {changed} changed since it was made, and to follow that would lose the edits.\n{}{}",
            advice.text(),
            match diff.as_str() {
                "" => String::new(),
                diff => format!("\nWhat has changed:{}", excerpt(diff)),
            }
        )))
    }

    /// The command that writes the commits of this tree as patch files, if there are any.
    fn refresh(&self) -> String {
        format!("cargo xtask series refresh{}", self.flags())
    }

    fn flags(&self) -> String {
        let names = self.series.iter().map(|series| &series.name);
        flags(&self.source.name, names)
    }

    /// The patch files that are not what the tree was made from, and how they have changed as a diff.
    fn changed(&self, state: &State) -> Result<(Vec<String>, String)> {
        let Some(kept) = &state.files else {
            let unknown = "its source, or a patch file,";
            return Ok((vec![unknown.to_owned()], String::new()));
        };
        let kept = carried::kept(&self.git, kept)?;
        let now = carried::files(self.series);
        let diffs = carried::changed(&kept, &now).into_iter().map(|name| {
            let sides = [&kept, &now].map(|files| files.get(name).map(Vec::as_slice));
            let labels = [" as the tree was made from it", " as it is now"];
            (name.to_owned(), unified(name, sides, labels))
        });
        Ok(diffs.unzip())
    }

    /// Ends with [`Self::record`].
    fn checkout(&self, key: &str, tip: &str) -> Result<()> {
        self.remember(key, tip, false, None)?;
        phase(
            &self.session.events,
            format!("checking out {}", self.git.dir()),
            || {
                let mut files = 0;
                let log = self.memory.with_extension("log");
                files::remove(&log)?;
                proc::stream(
                    cmd!(self.git, "git checkout --progress --force --detach {tip}"),
                    &log,
                    &self.session.stop,
                    &mut |stream, line| {
                        if let (Stream::Err, Some((done, total))) = (stream, counted(line)) {
                            files = done;
                            self.session.events.send(Event::Progress {
                                done,
                                total: Some(total),
                                unit: "files written",
                                item: String::new(),
                            });
                        }
                    },
                )?;
                Ok((
                    (),
                    if files == 0 {
                        "a few files written".to_owned()
                    } else {
                        format!("{} written", count(files, "file"))
                    },
                ))
            },
        )
    }

    /// The tip is that of the patch files: what git does not have of them is kept beside.
    fn record(&self, key: &str, tip: &str) -> Result<()> {
        let (git, base) = (&self.git, &self.source.commit);
        git.read(cmd!(git, "git update-ref {BASE_REF} {base}"))?;
        carried::configure(git)?;
        let commits = carried::commits(git, base, tip)?;
        let kept = carry(git, &commits, self.series)?;
        self.remember(key, tip, true, Some(kept))
    }

    fn remember(&self, key: &str, tip: &str, settled: bool, files: Option<String>) -> Result<()> {
        let state = State {
            key: key.to_owned(),
            tip: tip.to_owned(),
            settled,
            files,
            moving: None,
            moved: None,
        };
        Ok(files::remember(&self.memory, &state)?)
    }

    /// The files as they are, as a tree object; the developer's own index is left alone.
    fn content(&self) -> Result<String> {
        let scratch = tempfile::tempdir()?;
        let copy = scratch.path().join("index");
        fs_err::copy(self.index()?, &copy)?;
        let ours = |line: Cmd<'_>| self.git.read(line.env("GIT_INDEX_FILE", &copy));
        ours(cmd!(self.git, "git add --all"))?;
        Ok(ours(cmd!(self.git, "git write-tree --missing-ok"))?)
    }

    fn index(&self) -> Result<String> {
        let git = &self.git;
        let index = cmd!(git, "git rev-parse --path-format=absolute --git-path index");
        Ok(git.read(index)?)
    }
}

/// What a work tree has and its patches do not: files, or commits; `None` if there is nothing of the kind.
///
/// One that git cannot read counts as edited: nobody can tell. Nobody edits those of bisections.
pub fn unsaved(path: &Utf8Path, stop: &Stop) -> Result<Option<String>> {
    if path.as_str().ends_with(BISECT) {
        return Ok(None);
    }
    let memory = format!("{path}.json");
    let state: Option<State> = files::recall(Utf8Path::new(&memory));
    if state.as_ref().is_some_and(|state| !state.settled) {
        // Its very files were still being written.
        return Ok(None);
    }
    stop.check()?;
    let git = Git::at(path, stop);
    let found = || -> Result<Option<String>> {
        let edits = edits(&git)?;
        let head = git.read(cmd!(git, "git rev-parse --verify HEAD"))?;
        let ours = state.as_ref().is_some_and(|state| state.tip == head);
        Ok((edits.files().is_some() || !ours).then(|| edits.words()))
    };
    Ok(found().unwrap_or_else(|error| Some(format!("cannot tell: {error}"))))
}

/// Notes which patch file each commit is of, and keeps the files.
pub(super) fn carry(git: &Git, commits: &[Commit], series: &[Series]) -> Result<String> {
    let patches = series.iter().flat_map(|series| {
        let patches = series.patches.iter();
        patches.map(|patch| (carried::origin(series, patch), patch.notes.as_str()))
    });
    let patches: Vec<_> = patches.collect();
    Notes::of(git)?.attach(commits, &patches)?;
    carried::keep(git, &carried::files(series))
}

/// Reads `Updating files:  45% (39011/86691)`.
fn counted(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.strip_prefix("Updating files:")?.split_once('(')?;
    let (done, total) = counts.split_once(')')?.0.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::environment::PLAIN;

    #[test]
    fn progress_of_a_checkout() {
        for (line, expected) in [
            ("Updating files:  45% (39011/86691)", Some((39011, 86691))),
            (
                "Updating files: 100% (86691/86691), done.",
                Some((86691, 86691)),
            ),
            ("HEAD is now at 0114e3d x", None),
            ("Updating files: soon", None),
        ] {
            assert_eq!(counted(line), expected, "{line}");
        }
    }

    /// A repository with one commit of one file, under a layout's folder for sources.
    fn source(layout: &Layout) -> Source {
        let repository = layout.sources().join("x.git");
        fs_err::create_dir_all(&repository).unwrap();
        let git = Git::at(&repository, &Stop::default());
        git.read(cmd!(git, "git init --quiet --bare")).unwrap();
        let blob = git.pipe(cmd!(git, "git hash-object -w --stdin"), b"all:\n");
        let entry = format!("100644 blob {}\tMakefile\n", blob.unwrap());
        let tree = git.pipe(cmd!(git, "git mktree"), entry.as_bytes()).unwrap();
        let commit = git.read(cmd!(git, "git commit-tree -m x {tree}")).unwrap();
        Source {
            name: "x".into(),
            label: "x 1".into(),
            commit,
            repository,
        }
    }

    fn provide(source: &Source, layout: &Layout) -> Result<Tree> {
        let session = Session::new(layout.clone(), Stop::default());
        super::provide("x-stock", source, &[], &session)
    }

    #[test]
    fn edits_survive_a_move_of_the_checkout() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (old, new) = (Layout::at(dir.join("old")), Layout::at(dir.join("new")));
        let mut source = source(&old);
        let tree = provide(&source, &old).unwrap();
        assert!(!tree.edited);
        fs_err::write(tree.path.join("Makefile"), "none:\n").unwrap();

        fs_err::rename(old.root(), new.root()).unwrap();
        source.repository = new.sources().join("x.git");
        let tree = provide(&source, &new).unwrap();
        assert!(tree.edited && tree.path.starts_with(new.root()));

        fs_err::remove_dir_all(source.repository.join("worktrees")).unwrap();
        let failure = provide(&source, &new).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{failure}");
        assert!(failure.to_string().contains("another place"), "{failure}");
        let kept = fs_err::read_to_string(tree.path.join("Makefile")).unwrap();
        assert_eq!(kept, "none:\n");

        // Without a .git it is only what is left of a removed tree.
        fs_err::remove_file(tree.path.join(".git")).unwrap();
        assert!(!provide(&source, &new).unwrap().edited);
    }

    #[test]
    fn a_copy_of_the_checkout_leaves_the_original_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (old, new) = (Layout::at(dir.join("old")), Layout::at(dir.join("new")));
        let original = source(&old);
        let tree = provide(&original, &old).unwrap();
        let (from, to) = (old.root(), new.root());
        proc::read(cmd!(PLAIN, "cp -a {from} {to}"), &Stop::default()).unwrap();

        let copy = Source {
            repository: new.sources().join("x.git"),
            ..original.clone()
        };
        // Even git itself, before any run of ours in the copy.
        let in_copy = Git::at(new.trees().join("x-stock"), &Stop::default());
        let commit = cmd!(in_copy, "git commit --quiet --allow-empty -m mine");
        in_copy.read(commit).unwrap();
        let head = Git::at(&tree.path, &Stop::default()).resolve("HEAD");
        assert_eq!(head.unwrap().as_ref(), Some(&original.commit));
        let reset = cmd!(in_copy, "git reset --quiet --hard HEAD~");
        in_copy.read(reset).unwrap();

        let new_tree = provide(&copy, &new).unwrap();
        fs_err::write(new_tree.path.join("Makefile"), "none:\n").unwrap();
        for (path, repository) in [(&tree.path, &original), (&new_tree.path, &copy)] {
            let git = Git::at(path, &Stop::default());
            let common = cmd!(git, "git rev-parse --path-format=absolute --git-common-dir");
            assert_eq!(git.read(common).unwrap(), repository.repository);
        }
        assert!(provide(&copy, &new).unwrap().edited);
        assert!(!provide(&original, &old).unwrap().edited);
    }

    #[test]
    fn a_file_that_git_does_not_know_is_an_edit_whenever_it_comes() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(Utf8Path::from_path(dir.path()).unwrap());
        let source = source(&layout);
        let tree = provide(&source, &layout).unwrap();
        let folder = tree.path.join("fs");
        fs_err::create_dir(&folder).unwrap();
        for file in ["localversion-a", "fs/Kbuild"] {
            assert!(!provide(&source, &layout).unwrap().edited, "before {file}");
            let file = tree.path.join(file);
            fs_err::write(&file, "").unwrap();
            assert!(provide(&source, &layout).unwrap().edited, "{file}");
            fs_err::remove_file(file).unwrap();
        }
    }

    #[test]
    fn names() {
        assert_eq!(name("6.12", &[]), "6.12-stock");
        assert_eq!(
            name("6.12", &["generic-freeze".into(), "more".into()]),
            "6.12-generic-freeze+more"
        );
    }
}
