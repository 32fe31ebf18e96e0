//! A work tree as `series refresh` takes it: commits that are to become patch files.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use xshell::cmd;

use super::apply::apply;
use super::carried::{self, Commit, Files};
use super::moving::Moving;
use super::refs::BASE_REF;
use super::source::Source;
use super::tree::{State, carry, key, memory};
use crate::failure::{Kind, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::proc::Stop;
use crate::host::session::Session;
use crate::series::Series;

#[derive(Debug)]
pub struct Worked {
    pub git: Git,
    memory: Utf8PathBuf,
    state: Option<State>,
    repository: Utf8PathBuf,
    /// The commit without patches.
    pub base: String,
}

impl Worked {
    /// The tree of this name; a usage error if it is no tree of this checkout's, or a run died while it made it.
    pub fn open(name: &str, session: &Session) -> Result<Self> {
        let git = Git::at(session.layout.trees().join(name), &session.stop);
        let memory = memory(name, &session.layout);
        let state: Option<State> = files::recall(&memory);
        let again = |what: &str| {
            Kind::Usage.error(format!(
                "{} {what}; run test-kernel, which repairs it",
                git.dir()
            ))
        };
        if state.as_ref().is_some_and(|state| !state.settled) {
            return Err(again("was left half-way by a run that was interrupted"));
        }
        let common = cmd!(git, "git rev-parse --path-format=absolute --git-common-dir");
        let common = git.output(common, b"")?;
        let repository = String::from_utf8_lossy(&common.stdout).trim().to_owned();
        let sources = session
            .layout
            .sources()
            .canonicalize_utf8()
            .unwrap_or(session.layout.sources());
        let repository = Utf8PathBuf::from(repository);
        let found = repository.canonicalize_utf8().unwrap_or_default();
        if !common.status.success() || !found.starts_with(sources) {
            return Err(again("belongs to another checkout, or to none"));
        }
        let base = git.resolve(BASE_REF)?;
        let base = base.ok_or_else(|| again("does not know its base"))?;
        Ok(Self {
            git,
            memory,
            state,
            repository,
            base,
        })
    }

    /// The commit that the last run left it at.
    pub fn tip(&self) -> Option<&str> {
        self.state.as_ref().map(|state| state.tip.as_str())
    }

    /// The patch files that it was made from, or that were written from it; `None` if that was not noted.
    pub fn files(&self) -> Result<Option<Files>> {
        let kept = self.state.as_ref().and_then(|state| state.files.as_ref());
        kept.map(|kept| carried::kept(&self.git, kept)).transpose()
    }

    /// What becomes of patches on the tree's base.
    pub fn replay(&self, series: &[Series], stop: &Stop) -> Result<Vec<Commit>> {
        let source = Source {
            name: String::new(),
            label: format!("the base of {}", self.git.dir()),
            repository: self.repository.clone(),
            commit: self.base.clone(),
        };
        let tip = apply(&source, series, stop)?;
        carried::commits(&self.git, &self.base, &tip)
    }

    /// Gives commits other messages, each its own, and moves HEAD to the last. Files, authors, dates and notes stay.
    ///
    /// # Errors
    /// If somebody has moved HEAD meanwhile, among others; then it stays there.
    pub fn reword(&self, commits: &[Commit], messages: &[String]) -> Result<()> {
        let notes = carried::Notes::of(&self.git)?;
        let (origins, texts) = (notes.origins(commits)?, notes.texts(commits)?);
        let note = |of: &BTreeMap<String, String>, id| of.get(id).cloned().unwrap_or_default();
        let mut parent = self.base.clone();
        let (mut made, mut carried) = (Vec::new(), Vec::new());
        for (commit, message) in commits.iter().zip(messages) {
            parent = self.remade(commit, &parent, message)?;
            made.push(Commit {
                id: parent.clone(),
                ..commit.clone()
            });
            carried.push((note(&origins, &commit.id), note(&texts, &commit.id)));
        }
        let carried = carried.iter().map(|(of, text)| (of.clone(), text.as_str()));
        notes.attach(&made, &carried.collect::<Vec<_>>())?;
        let git = &self.git;
        let was = commits.last().map_or(&self.base, |commit| &commit.id);
        git.read(cmd!(git, "git update-ref -m reworded HEAD {parent} {was}"))?;
        Ok(())
    }

    fn remade(&self, commit: &Commit, parent: &str, message: &str) -> Result<String> {
        let (git, tree) = (&self.git, &commit.tree);
        let (name, email) = commit.author.rsplit_once(" <").unwrap_or_default();
        let make = cmd!(git, "git commit-tree -p {parent} -F - {tree}")
            .env("GIT_AUTHOR_NAME", name)
            .env("GIT_AUTHOR_EMAIL", email.trim_end_matches('>'))
            .env("GIT_AUTHOR_DATE", format!("@{}", commit.date));
        Ok(git.pipe(make, message.as_bytes())?)
    }

    /// These commits are those of these patches from now on: they are no edits any more.
    pub fn settle(&self, commits: &[Commit], series: &[Series]) -> Result<()> {
        carried::configure(&self.git)?;
        let files = Some(carry(&self.git, commits, series)?);
        let tip = commits.last().map_or(&self.base, |commit| &commit.id);
        let state = State {
            key: key(&self.base, series),
            tip: tip.clone(),
            settled: true,
            files,
            moving: None,
            moved: None,
        };
        Ok(files::remember(&self.memory, &state)?)
    }

    /// Where `series rebase` has brought it from where its patch files are.
    pub fn moved(&self) -> Option<&Moving> {
        self.state.as_ref().and_then(|state| state.moved.as_ref())
    }

    /// Where it goes, since `series rebase` began.
    pub fn moving(&self) -> Option<&Moving> {
        self.state.as_ref().and_then(|state| state.moving.as_ref())
    }

    /// Refuses a tree whose commits are not where its memory has them.
    pub fn require_still(&self) -> Result<()> {
        let state = self.state.as_ref();
        let obstacle = state.map(|state| state.obstacle(&self.git));
        obstacle.transpose()?.flatten().map_or(Ok(()), Err)
    }

    /// Notes where it is about to go.
    pub fn set_out(&mut self, moving: Moving) -> Result<()> {
        carried::configure(&self.git)?;
        self.remember(|state| state.moving = Some(moving))
    }

    /// It is where it came from.
    pub fn come_home(&mut self) -> Result<()> {
        let way = self.moving().or(self.moved()).cloned();
        if let Some(Moving { base, .. }) = way {
            self.stand_on(&base)?;
        }
        self.remember(|state| {
            if state.moving.take().is_none() {
                state.moved = None;
            }
        })
    }

    /// It is where it was to go, and its patch files are those of another base. A run that dies here is repeated.
    pub fn arrive(&mut self) -> Result<()> {
        let Some(moving) = self.moving().cloned() else {
            return Ok(());
        };
        self.stand_on(&moving.onto.commit)?;
        self.remember(|state| {
            let first = state.moved.take().unwrap_or(moving.clone());
            state.moving = None;
            state.moved = Some(Moving {
                onto: moving.onto,
                ..first
            });
        })
    }

    fn stand_on(&mut self, base: &str) -> Result<()> {
        let git = &self.git;
        git.read(cmd!(git, "git update-ref {BASE_REF} {base}"))?;
        base.clone_into(&mut self.base);
        Ok(())
    }

    fn remember(&mut self, change: impl FnOnce(&mut State)) -> Result<()> {
        let state = self.state.as_mut().ok_or_else(|| {
            Kind::Usage.error(format!(
                "{} was not made by this program; move it away",
                self.git.dir()
            ))
        })?;
        change(state);
        Ok(files::remember(&self.memory, state)?)
    }

    /// The repository that its objects are in.
    pub fn repository(&self) -> Git {
        self.git.elsewhere(&self.repository)
    }
}
