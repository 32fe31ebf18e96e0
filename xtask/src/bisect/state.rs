//! What a search has learned, on the disk: a search that was killed goes on where it was.
//!
//! A search asks questions, one after the other, and which comes next follows from the answers. So the answers are all
//! that is kept. To go on is to ask the same questions again from the first: those that were answered take no time, git's
//! bisection among them, which is made anew. What is lost is the question that was being answered.

use std::collections::BTreeSet;
use std::fs::TryLockError;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::signature::Ending;
use super::{Plan, Untestable};
use crate::failure::{Failure, Kind, Result};
use crate::host::files;
use crate::host::locked::Locked;
use crate::host::session::Session;

/// Of a commit, what becomes of the cases in so many runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub commit: String,
    pub revert: Option<String>,
    pub runs: u32,
}

/// What is known since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Names the image by its content, if there is one.
    pub image: Option<String>,
    pub came: Came,
    /// What the build read, if that was asked, too.
    pub read: BTreeSet<String>,
    pub took: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Came {
    Ran(Vec<Ending>),
    /// The image is that of a commit which was tested.
    SameAs(String),
    Untestable(Untestable),
}

/// The revisions of a plan, as commits: a branch may move while a search is interrupted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commits {
    pub old: String,
    pub new: String,
    pub picks: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    plan: Plan,
    commits: Commits,
    answers: Vec<(Question, Answer)>,
}

/// The folder of a search, which no other search has meanwhile.
#[derive(Debug)]
pub struct Held {
    folder: Utf8PathBuf,
    _lock: Locked,
}

impl Held {
    /// Makes it if it is not there.
    ///
    /// # Errors
    /// [`Kind::Usage`] if another search is at work there.
    pub fn of(folder: &Utf8Path) -> Result<Self> {
        fs_err::create_dir_all(folder)?;
        let (file, path) = fs_err::File::create(folder.join("lock"))?.into_parts();
        match file.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _lock: Locked::of(file),
            }),
            Err(TryLockError::WouldBlock) => Err(Kind::Usage.error(format!(
                "another search is at work in {folder}: wait for it, or write elsewhere with --report"
            ))),
            Err(TryLockError::Error(error)) => {
                Err(Kind::Machinery.error(format!("cannot lock {}: {error}", path.display())))
            }
        }
    }

    pub fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// Whether there is a search to go on with.
    pub fn has_begun(&self) -> bool {
        self.state().exists()
    }

    fn state(&self) -> Utf8PathBuf {
        self.folder.join("state.json")
    }

    /// Makes room for a search that begins anew. What is thrown away by mistake was hours of work; what has no answer yet
    /// was none.
    pub fn set_aside(&self, session: &Session) -> Result<()> {
        let path = self.state();
        if files::recall(&path).is_some_and(|state: State| state.answers.is_empty()) {
            files::remove(&path)?;
        }
        if path.exists() {
            let aside = path.with_file_name("state.before.json");
            fs_err::rename(&path, &aside)?;
            session.events.note(format!(
                "the search that was here before is kept in {aside}: --resume goes on with it once that is {path} again"
            ));
        }
        Ok(())
    }

    /// That there is nothing for `--resume`.
    pub fn nothing(&self) -> Failure {
        Kind::Usage.error(format!(
            "--resume: there is no search in {} that could go on; leave it out to begin one",
            self.folder
        ))
    }
}

/// A search's memory.
#[derive(Debug)]
pub struct Journal {
    path: Utf8PathBuf,
    state: State,
    /// How many of the answers were given in this run.
    given: usize,
}

impl Journal {
    /// Begins anew in this folder, or goes on with what is there.
    ///
    /// # Errors
    /// [`Kind::Usage`] if there is nothing to go on with, or if that is the memory of another plan.
    pub fn open(
        held: &Held,
        plan: &Plan,
        resume: bool,
        commits: impl FnOnce() -> Result<Commits>,
        session: &Session,
    ) -> Result<Self> {
        let folder = held.folder();
        files::sweep(folder, session)?;
        let path = held.state();
        let state = match (resume, files::recall::<State>(&path)) {
            (true, Some(state)) => same(state, plan, folder)?,
            (true, None) => return Err(held.nothing()),
            (false, _) => State {
                plan: plan.clone(),
                commits: commits()?,
                answers: Vec::new(),
            },
        };
        if !resume {
            held.set_aside(session)?;
            files::remember(&path, &state)?;
        }
        Ok(Self {
            path,
            state,
            given: 0,
        })
    }

    pub fn commits(&self) -> &Commits {
        &self.state.commits
    }

    /// How many answers are known that were not asked for in this run so far.
    pub fn waiting(&self) -> usize {
        self.state.answers.len() - self.given
    }

    /// The answer, if it was given before.
    ///
    /// # Errors
    /// If another question was asked then: the user's tree is not what it was.
    pub fn known(&mut self, question: &Question) -> Result<Option<Answer>> {
        let Some((asked, answer)) = self.state.answers.get(self.given) else {
            return Ok(None);
        };
        if asked != question {
            return Err(Kind::Usage.error(format!(
                "--resume: the search in {} tested {} here, and now {} is to be: its tree has other commits than then, or git \
                 is another; leave --resume out to begin anew",
                self.path, asked.commit, question.commit
            )));
        }
        self.given += 1;
        Ok(Some(answer.clone()))
    }

    /// Keeps an answer, so that it is not asked for again.
    pub fn keep(&mut self, question: Question, answer: &Answer) -> Result<()> {
        self.state.answers.push((question, answer.clone()));
        self.given += 1;
        Ok(files::remember(&self.path, &self.state)?)
    }
}

/// # Errors
/// [`Kind::Usage`] with what is different.
fn same(state: State, plan: &Plan, folder: &Utf8Path) -> Result<State> {
    if state.plan == *plan {
        return Ok(state);
    }
    let fields = |plan: &Plan| match serde_json::to_value(plan) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, now) = (fields(&state.plan), fields(plan));
    let differ = before
        .iter()
        .filter(|(name, value)| now.get(*name) != Some(value));
    let words: Vec<String> = differ
        .map(|(name, value)| format!("{name} was {value}"))
        .collect();
    Err(Kind::Usage.error(format!(
        "--resume: the search in {folder} is another one ({}); leave --resume out to begin anew",
        words.join(", ")
    )))
}
