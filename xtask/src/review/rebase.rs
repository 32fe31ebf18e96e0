//! The commits of a work tree on another base, by git's own rebase in that tree: conflicts are left there, and so is all that
//! was before, by a ref.

use std::collections::BTreeSet;

use camino::Utf8Path;
use xshell::{Cmd, cmd};

use super::refresh::line;
use crate::failure::{Failure, Kind, Result};
use crate::host::git::Git;
use crate::host::proc::Output;
use crate::kernel::carried::{self, Commit, Notes};
use crate::kernel::moving::{Ground, Moving, Stage};
use crate::kernel::refs::{ABORTED_REFS, BEFORE_REFS};
use crate::kernel::standing::{edits, is_ancestor, operation};
use crate::kernel::worked::Worked;
use crate::series::{Series, notes};
use crate::words::count;

/// Lines of git's own words in a message.
const SAID: usize = 10;

/// Whatever git can be configured to do otherwise is fixed.
const FIXED: &[&str] = &[
    "--merge",
    "--empty=drop",
    "--keep-empty",
    "--no-fork-point",
    "--no-rebase-merges",
    "--no-autosquash",
    "--no-autostash",
    "--no-update-refs",
];

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// It stands on that base already.
    Nothing,
    Done(Done),
    /// Git could not go on by itself: what is to be done, and by which commands.
    Stopped(String),
}

/// All commits are on the new base.
#[derive(Debug)]
pub struct Done {
    pub commits: usize,
    pub onto: String,
    /// What no commit is any more, each in words.
    pub dropped: Vec<String>,
    /// Names the commits as they were.
    pub before: String,
}

/// Refuses a tree that is in no state to be carried anywhere.
pub fn require_ready(tree: &Worked, series: &[Series], flags: &str) -> Result<()> {
    line(tree)?;
    require_followed(tree, series, flags)
}

/// Has git carry the commits of a tree, which is as its patch files are or has edits on top, to another base.
///
/// # Errors
/// [`Kind::Usage`] for what makes no sense; then nothing has happened.
pub fn begin(tree: &mut Worked, series: &[Series], onto: Ground, flags: &str) -> Result<Outcome> {
    require_ready(tree, series, flags)?;
    if onto.commit == tree.base {
        return Ok(Outcome::Nothing);
    }
    let (base, head) = (tree.base.clone(), head(&tree.git)?);
    if is_ancestor(&tree.git, &base, &onto.commit)? && is_ancestor(&tree.git, &onto.commit, &head)?
    {
        return Err(Kind::Usage.error(format!(
            "{} is itself one of the commits of {}; take one without its patches",
            onto.label,
            tree.git.dir()
        )));
    }
    require_unlocked(&tree.git)?;
    let moving = Moving {
        onto,
        base,
        tip: head,
        flags: flags.to_owned(),
    };
    keep(&tree.git, BEFORE_REFS, &moving.tip)?;
    tree.set_out(moving.clone())?;
    let (onto, base) = (moving.onto.commit.as_str(), moving.base.as_str());
    let said = rebase(&tree.git, &[FIXED, &["--onto", onto, base]].concat())?;
    ended(tree, &moving, &said)
}

/// Goes on after a conflict, or makes a note of what git has ended.
pub fn go_on(tree: &mut Worked) -> Result<Outcome> {
    let moving = tree.moving().cloned();
    let moving = moving.map_or_else(|| nothing(tree, "continue"), Ok)?;
    match moving.stage(&tree.git)? {
        Stage::Home => {
            tree.come_home()?;
            Err(Kind::Usage.error(format!(
                "the rebase of {} onto {} was taken back, or has never begun; to begin: {}",
                tree.git.dir(),
                moving.onto.label,
                moving.command("--onto REV")
            )))
        }
        Stage::Halfway => {
            require_unlocked(&tree.git)?;
            require_stopped(tree, &moving)?;
            if let Some(left) = unresolved(&tree.git)? {
                return stopped(tree, &moving, &left).map(Outcome::Stopped);
            }
            let said = rebase(&tree.git, &["--continue"])?;
            ended(tree, &moving, &said)
        }
        Stage::There => finish(tree, &moving),
        Stage::Busy(_) | Stage::Astray => Err(obstacle(tree, &moving)?),
    }
}

/// Takes it back, also after its end as long as the patch files are those from before, and says what it was.
pub fn take_back(tree: &mut Worked) -> Result<String> {
    let git = tree.git.clone();
    let moving = match (tree.moving(), tree.moved()) {
        (None, Some(moved)) if operation(&git)?.is_none() => moved.clone(),
        (moving, _) => moving.cloned().map_or_else(|| nothing(tree, "abort"), Ok)?,
    };
    let stage = moving.stage(&git)?;
    if let Stage::Busy(_) = stage {
        return Err(obstacle(tree, &moving)?);
    }
    require_unlocked(&git)?;
    let left = head(&git)?;
    if stage == Stage::Home && left != moving.tip {
        tree.come_home()?;
        return Ok(format!(
            "{} stays as it is: it is back from {} already, and has other commits since",
            git.dir(),
            moving.onto.label
        ));
    }
    let mut kept = String::new();
    if stage != Stage::Home && left != moving.onto.commit {
        let name = keep(&git, ABORTED_REFS, &left)?;
        kept = format!("; what was rebased so far: git -C {} log {name}", git.dir());
    }
    go_back(&git, &moving, &stage)?;
    tree.come_home()?;
    Ok(format!(
        "{} is as it was before the rebase onto {}{kept}",
        git.dir(),
        moving.onto.label
    ))
}

/// Makes HEAD the commit that it was.
fn go_back(git: &Git, moving: &Moving, stage: &Stage) -> Result<()> {
    let tip = &moving.tip;
    match stage {
        Stage::Halfway => abort(git, tip)?,
        Stage::There => {
            require_clean(git, "--abort", moving)?;
            // As git does it: a branch goes back, too.
            git.read(cmd!(git, "git reset --quiet --keep {tip}"))?;
        }
        Stage::Astray => {
            require_clean(git, "--abort", moving)?;
            git.read(cmd!(git, "git checkout --quiet --detach {tip}"))?;
        }
        Stage::Home | Stage::Busy(_) => {}
    }
    Ok(())
}

/// Git's own way back; it may not know where from if it was killed early.
fn abort(git: &Git, tip: &str) -> Result<()> {
    rebase(git, &["--abort"])?;
    restore(git, tip)?;
    // Last: as long as git is in the middle of it, this can be repeated. A pick of several commits that was begun on the
    // way is left by git's way back.
    for command in ["rebase", "cherry-pick"] {
        if operation(git)?.is_some() {
            git.output(cmd!(git, "git {command} --quit"), b"")?;
        }
    }
    match operation(git)? {
        Some(what) => Err(Kind::Machinery.error(format!(
            "{} is still in the middle of something: {what}; when that is over, the same command goes on",
            git.dir()
        ))),
        None => Ok(()),
    }
}

/// Makes files and HEAD those of a commit, whatever half-way state they are in.
fn restore(git: &Git, tip: &str) -> Result<()> {
    let same = git.output(cmd!(git, "git diff --quiet {tip}"), b"")?;
    if head(git)? != tip || !same.status.success() {
        git.read(cmd!(git, "git checkout --quiet --force --detach {tip}"))?;
    }
    Ok(())
}

/// The tree is in no rebase of ours.
fn nothing<T>(tree: &Worked, how: &str) -> Result<T> {
    let path = tree.git.dir();
    let own = operation(&tree.git)?.map(|operation| {
        format!("\nit is in the middle of {operation} that series rebase did not begin; end that by git itself, there")
    });
    Err(Kind::Usage.error(format!(
        "there is nothing to {how}: no series rebase is under way in {path}{}",
        own.unwrap_or_default()
    )))
}

fn obstacle(tree: &Worked, moving: &Moving) -> Result<Failure> {
    let found = moving.obstacle(&tree.git)?;
    Ok(
        found
            .unwrap_or_else(|| Kind::Usage.error("the work tree has changed meanwhile; try again")),
    )
}

/// Refuses patch files that were edited since the commits were made of them: the new ones would overwrite them.
fn require_followed(tree: &Worked, series: &[Series], flags: &str) -> Result<()> {
    let path = tree.git.dir();
    let Some(kept) = tree.files()? else {
        return Err(Kind::Usage.error(format!(
            "nobody noted which patch files {path} was made from; first: cargo xtask series refresh{flags}"
        )));
    };
    let now = carried::files(series);
    let changed = carried::changed(&kept, &now);
    if changed.is_empty() {
        return Ok(());
    }
    Err(Kind::Usage.error(format!(
        "patch files were edited since {path} was made or last written back ({}); first: cargo xtask series edit{flags}, which \
         has the tree follow them, or says how to keep the edits of both; to keep those of the tree alone: series \
         refresh{flags} --force",
        changed.join(", ")
    )))
}

/// Git's rebase, with messages kept as they are: without an editor it would take lines with # for comments.
fn rebase(git: &Git, words: &[&str]) -> Result<Output> {
    let line: Cmd<'_> = cmd!(
        git,
        "git -c commit.cleanup=scissors -c core.editor=true -c sequence.editor=true -c commit.gpgSign=false
         -c rerere.enabled=false -c core.commentChar=# rebase {words...}"
    );
    Ok(git.output(line, b"")?)
}

/// What is there when git has come back.
fn ended(tree: &mut Worked, moving: &Moving, said: &Output) -> Result<Outcome> {
    match moving.stage(&tree.git)? {
        Stage::Halfway => stopped(tree, moving, &words(said)).map(Outcome::Stopped),
        Stage::There if said.status.success() => finish(tree, moving),
        Stage::Home => {
            // Git that cannot move HEAD leaves the files of the new base. All was committed when it began.
            restore(&tree.git, &moving.tip)?;
            tree.come_home()?;
            Err(Kind::Usage.error(format!(
                "git does not rebase {} onto {}, and all is as it was: {}",
                tree.git.dir(),
                moving.onto.label,
                words(said)
            )))
        }
        _ => Err(obstacle(tree, moving)?),
    }
}

/// Git's own words, without its progress and its advice.
fn words(said: &Output) -> String {
    let text = [&said.stdout, &said.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    let text = text.concat();
    let last = |line: &str| line.rsplit('\r').next().unwrap_or_default().to_owned();
    let lines = text.lines().map(last);
    let lines: Vec<String> = lines
        .filter(|line| {
            !line.is_empty() && !line.starts_with("hint: ") && !line.starts_with("Rebasing")
        })
        .collect();
    lines[lines.len().saturating_sub(SAID)..].join("\n")
}

/// What keeps git from going on.
fn stopped(tree: &Worked, moving: &Moving, said: &str) -> Result<String> {
    let (git, onto) = (&tree.git, &moving.onto.label);
    let files = git.read(cmd!(git, "git diff --name-only --diff-filter=U --relative"))?;
    let files: Vec<&str> = files.lines().collect();
    let what = match git.resolve("REBASE_HEAD")? {
        Some(id) => {
            let patch = at_work(tree, moving, &id)?;
            match files.as_slice() {
                [] => format!("{patch} cannot be carried to {onto}: {said}"),
                files => format!("{patch} is in conflict with {onto} in {}", files.join(", ")),
            }
        }
        None => format!("git waits on the way to {onto}: {said}"),
    };
    Ok(format!(
        "{what}\n{}\n  the commits as they were: git -C {} log {}",
        moving.ways(git),
        git.dir(),
        named(BEFORE_REFS, &moving.tip)
    ))
}

/// Which patch it is, by the commit that git is at.
fn at_work(tree: &Worked, moving: &Moving, id: &str) -> Result<String> {
    let old = carried::commits(&tree.git, &moving.base, &moving.tip)?;
    let Some(at) = old.iter().position(|commit| commit.id == id) else {
        return Ok(format!("commit {id}"));
    };
    let origins = Notes::of(&tree.git)?.origins(&old)?;
    Ok(format!(
        "patch {} of {}, {},",
        at + 1,
        old.len(),
        title(&old[at], origins.get(id))
    ))
}

/// Its patch file, or its id, and its subject.
fn title(commit: &Commit, origin: Option<&String>) -> String {
    match origin {
        Some(origin) => format!(
            "{} ({:?})",
            origin.lines().collect::<Vec<_>>().join(", "),
            commit.subject
        ),
        None => format!("commit {}", commit.title()),
    }
}

/// Whether files are in conflict, or what was added to them as mended has the marks of one.
fn unresolved(git: &Git) -> Result<Option<String>> {
    let files = git.read(cmd!(git, "git diff --name-only --diff-filter=U"))?;
    if !files.is_empty() {
        return Ok(Some(String::new()));
    }
    let diff = git.read(cmd!(
        git,
        "git diff --cached --unified=0 --no-color --no-ext-diff --no-textconv --src-prefix=a/ --dst-prefix=b/ HEAD"
    ))?;
    let mut file = "";
    let mut marked = BTreeSet::new();
    for line in diff.lines() {
        file = line.strip_prefix("+++ b/").unwrap_or(file);
        if line.starts_with("+<<<<<<< ") || line.starts_with("+>>>>>>> ") {
            marked.insert(file);
        }
    }
    let marked: Vec<&str> = marked.into_iter().collect();
    let said = || {
        format!(
            "{} still has the marks of a conflict (<<<<<<<)",
            marked.join(", ")
        )
    };
    Ok((!marked.is_empty()).then(said))
}

/// All commits are there: compares them with what they were, and has the tree know its new base.
fn finish(tree: &mut Worked, moving: &Moving) -> Result<Outcome> {
    let git = tree.git.clone();
    require_clean(&git, "--continue", moving)?;
    let old = carried::commits(&git, &moving.base, &moving.tip)?;
    let new = carried::commits(&git, &moving.onto.commit, "HEAD")?;
    if new.is_empty() {
        take_back(tree)?;
        return Err(Kind::Usage.error(format!(
            "nothing would be left: {} has all of {} already, or each was left out; {} is as it was",
            moving.onto.label,
            count(old.len(), "commit"),
            git.dir()
        )));
    }
    let notes = Notes::of(&git)?;
    part(&notes, &old, &new, &moving.onto.commit)?;
    let dropped = dropped(&notes, &old, &new)?;
    tree.arrive()?;
    Ok(Outcome::Done(Done {
        commits: new.len(),
        onto: moving.onto.label.clone(),
        dropped,
        before: named(BEFORE_REFS, &moving.tip),
    }))
}

/// Git gives the notes of a patch that it leaves out to the commit before it. Takes them off again.
fn part(notes: &Notes<'_>, old: &[Commit], new: &[Commit], onto: &str) -> Result<()> {
    notes.clear(onto)?;
    let (was, is) = (notes.origins(old)?, notes.origins(new)?);
    let (had, has) = (notes.texts(old)?, notes.texts(new)?);
    let text = |commit: &Commit| had.get(&commit.id).map_or("", String::as_str);
    for commit in new {
        let names: BTreeSet<&str> = is
            .get(&commit.id)
            .map_or("", String::as_str)
            .lines()
            .collect();
        let is_of = |old: &&Commit| {
            let origins = was.get(&old.id);
            origins.is_some_and(|origins| origins.lines().all(|name| names.contains(name)))
        };
        let several: Vec<&Commit> = old.iter().filter(is_of).collect();
        let itself = several.iter().find(|old| old.is_version_of(commit));
        let (Some(itself), true) = (itself.or(several.first()), several.len() > 1) else {
            continue;
        };
        let texts = several
            .iter()
            .map(|old| text(old))
            .filter(|text| !text.is_empty());
        let joined = texts.collect::<Vec<_>>().join("\n\n");
        let now = has.get(&commit.id).map_or("", String::as_str);
        // What somebody wrote there meanwhile stays.
        let right = if now == joined { text(itself) } else { now };
        let origin = was.get(&itself.id).cloned().unwrap_or_default();
        notes.attach(std::slice::from_ref(commit), &[(origin, right)])?;
    }
    Ok(())
}

/// What was a commit and is none any more, with what its notes say.
fn dropped(notes: &Notes<'_>, old: &[Commit], new: &[Commit]) -> Result<Vec<String>> {
    let (was, is) = (notes.origins(old)?, notes.origins(new)?);
    let texts = notes.texts(old)?;
    let kept: BTreeSet<&str> = is.values().flat_map(|names| names.lines()).collect();
    let anonymous = new.iter().filter(|commit| !is.contains_key(&commit.id));
    let subjects: BTreeSet<&str> = anonymous.map(|commit| commit.subject.as_str()).collect();
    let is_gone = |commit: &&Commit| {
        let names = was.get(&commit.id);
        let has_heir = names.is_some_and(|names| names.lines().all(|name| kept.contains(name)));
        !has_heir && !subjects.contains(commit.subject.as_str())
    };
    let words = |commit: &Commit| {
        let text = texts.get(&commit.id).map_or("", String::as_str);
        title(commit, was.get(&commit.id)) + &with_it(text)
    };
    Ok(old.iter().filter(is_gone).map(words).collect())
}

/// What goes with a patch that has these notes.
fn with_it(text: &str) -> String {
    let features = notes::provides(text).unwrap_or_default();
    let features: Vec<String> = features.iter().map(ToString::to_string).collect();
    match (features.as_slice(), text) {
        ([], "") => String::new(),
        ([], text) => format!(
            ", and with it its notes ({:?} …)",
            text.lines().next().unwrap_or_default()
        ),
        (features, _) => format!(
            ", and with it its notes, which say that it provides {}",
            features.join(", ")
        ),
    }
}

fn require_clean(git: &Git, how: &str, moving: &Moving) -> Result<()> {
    match edits(git)?.files() {
        None => Ok(()),
        Some(files) => Err(Kind::Usage.error(format!(
            "{} has changes that are in no commit ({files}); commit them, and then: {}",
            git.dir(),
            moving.command(how)
        ))),
    }
}

/// Git takes a patch off its list before it applies it, and the list before it goes to the new base: after it was killed,
/// it would go on without that patch, or where it was. Only where it stopped by itself it knows better.
fn require_stopped(tree: &Worked, moving: &Moving) -> Result<()> {
    let (git, onto) = (&tree.git, &moving.onto);
    if stopped_at_its_place(git)? && is_ancestor(git, &onto.commit, "HEAD")? {
        return Ok(());
    }
    Err(Kind::Usage.error(format!(
        "git was killed while it carried {} to {}, and would leave patches out if it went on; {}, and begin again",
        git.dir(),
        onto.label,
        moving.command("--abort")
    )))
}

/// Whether it stopped at the patch that it took last, or is to take next, or at a line that takes none.
fn stopped_at_its_place(git: &Git) -> Result<bool> {
    let names = ["stopped-sha", "done", "git-rebase-todo"];
    let names = names.map(|name| format!("rebase-merge/{name}"));
    let names = names.iter().flat_map(|name| ["--git-path", name]);
    let paths = cmd!(git, "git rev-parse --path-format=absolute {names...}");
    let paths = git.read(paths)?;
    let texts = paths
        .lines()
        .map(|path| fs_err::read_to_string(path).unwrap_or_default());
    let [stopped, done, todo] = &texts.collect::<Vec<_>>()[..] else {
        return Ok(false);
    };
    let stopped = stopped.trim();
    let is_it = |line: &str| {
        let id = line.split_whitespace().nth(1).unwrap_or_default();
        !stopped.is_empty()
            && !id.is_empty()
            && (id.starts_with(stopped) || stopped.starts_with(id))
    };
    let last = done.lines().rfind(|line| !line.trim().is_empty());
    let next = todo.lines().find(|line| !line.trim().is_empty());
    let takes_none = |line: &str| {
        let command = line.split_whitespace().next();
        command.is_some_and(|command| ["break", "b", "exec", "x"].contains(&command))
    };
    Ok(last.is_some_and(|line| is_it(line) || takes_none(line)) || next.is_some_and(is_it))
}

/// Git that was killed leaves its locks: of the index and of HEAD in the work tree's own folder, of the refs in the
/// repository's. The same files say that another one is at work.
fn require_unlocked(git: &Git) -> Result<()> {
    let folders = cmd!(
        git,
        "git rev-parse --path-format=absolute --git-dir --git-common-dir"
    );
    let folders = git.read(folders)?;
    let mut paths = Vec::new();
    for folder in folders.lines() {
        for entry in Utf8Path::new(folder).read_dir_utf8()? {
            paths.push(entry?.into_path());
        }
    }
    let lock = paths.iter().find(|path| path.extension() == Some("lock"));
    lock.map_or(Ok(()), |lock| {
        Err(Kind::Usage.error(format!(
            "another git command is at work in {}; if none is, one was killed: remove {lock}, and this again",
            git.dir()
        )))
    })
}

fn head(git: &Git) -> Result<String> {
    Ok(git.read(cmd!(git, "git rev-parse --verify HEAD"))?)
}

fn named(refs: &str, commit: &str) -> String {
    format!("{refs}/{}", &commit[..12.min(commit.len())])
}

/// Keeps a commit, and says by which ref.
fn keep(git: &Git, refs: &str, commit: &str) -> Result<String> {
    let name = named(refs, commit);
    git.read(cmd!(git, "git update-ref {name} {commit}"))?;
    Ok(name)
}

#[cfg(test)]
mod tests;
