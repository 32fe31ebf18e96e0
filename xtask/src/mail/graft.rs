//! The commits of a series on top of a public commit, in a repository of their own where nothing else is.
//!
//! It has the trees of the public commit, and of its files only those that the series touches. As these are the same as
//! where the series was tested, no patch is applied again: each commit gets the tree of its parent with the files that
//! the tested commit has changed.

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use super::Tested;
use super::base::{Base, compare, touched};
use super::identity::Identity;
use crate::failure::{Kind, OrFail, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::proc::Stop;

/// The branch of what others have before the mails: the public commit, and the patches that the mailed ones depend on.
pub const BASE_BRANCH: &str = "base";
/// For git: an object that is not.
const NONE: &str = "0000000000000000000000000000000000000000";

/// A repository that has a series as a branch on top of [`BASE_BRANCH`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grafted {
    /// A work tree that is on the branch, and has no files checked out.
    pub repository: Utf8PathBuf,
    pub branch: String,
    /// The public commit.
    pub base: String,
    /// [`BASE_BRANCH`]: the commit that the mailed patches begin after.
    pub first: String,
    pub tip: String,
    pub identity: Identity,
}

/// Makes the repository anew. The commits keep author, date, message and changes.
///
/// # Errors
/// [`Kind::Usage`] if a touched file differs, the commits are no line, or none is to be mailed.
pub fn graft(
    tested: &Tested,
    base: &Base,
    (repository, branch): (&Utf8Path, &str),
    identity: &Identity,
    stop: &Stop,
) -> Result<Grafted> {
    compare(tested, base, &touched(tested, stop)?, stop)?;
    files::discard(repository, stop)?;
    fs_err::create_dir_all(repository)?;
    let git = open(repository, branch, base, identity, stop)?;
    let from = Git::at(&tested.repository, stop);
    let work = Work {
        from: &from,
        to: &git,
        identity,
    };
    let commit = &base.commit;
    git.read(cmd!(git, "git read-tree {commit}"))?;
    let (mut first, mut tip) = (commit.clone(), commit.clone());
    for commit in commits(tested, &from)? {
        tip = work.carry(&commit, &tip)?;
        if commit == tested.first {
            first.clone_from(&tip);
        }
    }
    git.read(cmd!(git, "git update-ref refs/heads/{BASE_BRANCH} {first}"))?;
    git.read(cmd!(git, "git update-ref refs/heads/{branch} {tip}"))?;
    // An index with all files, none of which is to be in the work tree: else git would miss them there.
    git.read(cmd!(git, "git read-tree -m -u HEAD"))?;
    Ok(Grafted {
        repository: repository.to_owned(),
        branch: branch.to_owned(),
        base: commit.clone(),
        first,
        tip,
        identity: identity.clone(),
    })
}

/// A repository that borrows the objects of the base.
fn open(
    repository: &Utf8Path,
    branch: &str,
    base: &Base,
    identity: &Identity,
    stop: &Stop,
) -> Result<Git> {
    let git = Git::at(repository, stop);
    git.read(cmd!(
        git,
        "git init --quiet --initial-branch={branch} {repository}"
    ))?;
    for (key, value) in [
        ("user.name", identity.name.as_str()),
        ("user.email", &identity.email),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        ("core.sparseCheckout", "true"),
    ] {
        git.read(cmd!(git, "git config {key} {value}"))?;
    }
    let own = repository.join(".git");
    let objects = format!("{}/objects\n", base.repository);
    files::write(&own.join("objects/info/alternates"), objects.as_bytes())?;
    files::write(&own.join("info/sparse-checkout"), b"/.nothing\n")?;
    let shallow = base.repository.join("shallow");
    if shallow.exists() {
        files::write(&own.join("shallow"), &fs_err::read(shallow)?)?;
    }
    Ok(git)
}

/// Those of the series, the first one first.
fn commits(tested: &Tested, from: &Git) -> Result<Vec<String>> {
    let Tested {
        base, first, tip, ..
    } = tested;
    let list = cmd!(from, "git rev-list --reverse --parents {base}..{tip}");
    let list = from.read(list)?;
    let mut parent = base.as_str();
    let mut commits = Vec::new();
    for line in list.lines() {
        match line.split_once(' ') {
            Some((commit, of)) if of == parent => {
                commits.push(commit.to_owned());
                parent = commit;
            }
            _ => {
                return Err(Kind::Usage.error(format!(
                    "{line}: the series is not one commit after the other; rebase it first (git -C {} rebase {base})",
                    tested.repository
                )));
            }
        }
    }
    if parent == first {
        return Err(Kind::Usage.error(format!("no patch is on top of {first}: nothing to send")));
    }
    if first != base && !commits.contains(first) {
        return Err(Kind::Machinery.error(format!(
            "{first}, after which the mailed patches are to begin, is not between {base} and {tip}"
        )));
    }
    Ok(commits)
}

/// A file as a commit changes it: modes and objects, before and after.
#[derive(Debug, PartialEq, Eq)]
struct Change<'a> {
    before: &'a str,
    mode: &'a str,
    after: &'a str,
    name: &'a [u8],
}

struct Work<'a> {
    from: &'a Git,
    to: &'a Git,
    identity: &'a Identity,
}

impl Work<'_> {
    /// Makes the commit anew on top of `parent`, to whose files the index is set.
    fn carry(&self, commit: &str, parent: &str) -> Result<String> {
        let Self { from, to, .. } = self;
        let diff = cmd!(
            from,
            "git diff-tree -r -z --no-renames --full-index {commit}^ {commit}"
        );
        let diff = from.output(diff, b"")?.stdout;
        let changes = changes(&diff)?;
        self.copy(&changes)?;
        let update = cmd!(to, "git update-index -z --index-info");
        to.pipe(update, &index_info(&changes))?;
        // The files that are not touched are not here.
        let tree = to.read(cmd!(to, "git write-tree --missing-ok"))?;
        let text = cmd!(from, "git cat-file commit {commit}");
        let text = from.output(text, b"")?.stdout;
        let committer = self.committer(commit)?;
        let text = on_top(&text, &tree, parent, &committer);
        Ok(to.pipe(cmd!(to, "git hash-object -t commit -w --stdin"), &text)?)
    }

    /// Takes over what the files were, and what they are.
    fn copy(&self, changes: &[Change<'_>]) -> Result<()> {
        let Self { from, to, .. } = self;
        let objects = changes.iter().flat_map(|it| [it.before, it.after]);
        copy(from, to, objects.filter(|object| *object != NONE))
    }

    /// The sender, at the time that the author's line has: the same series makes the same commits.
    fn committer(&self, commit: &str) -> Result<String> {
        let Self { from, to, identity } = self;
        let date = from.read(cmd!(
            from,
            "git show --no-patch --format=%ad --date=raw {commit}"
        ))?;
        let committer = cmd!(to, "git var GIT_COMMITTER_IDENT")
            .env("GIT_COMMITTER_NAME", &identity.name)
            .env("GIT_COMMITTER_EMAIL", &identity.email)
            // Without the mark, git takes a date before 1973 for something else.
            .env("GIT_COMMITTER_DATE", format!("@{date}"));
        Ok(to.read(committer)?)
    }
}

/// Copies objects from one repository to another.
///
/// # Errors
/// [`Kind::Machinery`] if the first does not have them all.
pub fn copy<'a>(from: &Git, to: &Git, objects: impl Iterator<Item = &'a str>) -> Result<()> {
    let list: String = objects.map(|object| format!("{object}\n")).collect();
    let pack = cmd!(from, "git pack-objects --quiet --stdout");
    let pack = from.output(pack, list.as_bytes())?;
    if !pack.status.success() {
        return Err(Kind::Machinery.error(format!(
            "cannot read the touched files in {}: {}",
            from.dir(),
            pack.stderr().trim_end()
        )));
    }
    to.pipe(cmd!(to, "git unpack-objects -q"), &pack.stdout)?;
    Ok(())
}

/// Reads what `git diff-tree -z` says.
fn changes(diff: &[u8]) -> Result<Vec<Change<'_>>> {
    let strange = || Kind::Machinery.error("git diff-tree says what it never said before");
    let mut parts = diff
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty());
    let mut changes = Vec::new();
    while let (Some(entry), Some(name)) = (parts.next(), parts.next()) {
        let entry = std::str::from_utf8(entry).or_fail(Kind::Machinery)?;
        let words: Vec<&str> = entry.split(' ').collect();
        let [_, mode, before, after, _] = words[..] else {
            return Err(strange());
        };
        changes.push(Change {
            before,
            mode,
            after,
            name,
        });
    }
    Ok(changes)
}

/// What `git update-index --index-info` reads; mode 0 removes a file.
fn index_info(changes: &[Change<'_>]) -> Vec<u8> {
    let line = |change: &Change<'_>| {
        let entry = format!("{} {}\t", change.mode, change.after);
        [entry.as_bytes(), change.name, b"\0"].concat()
    };
    changes.iter().flat_map(line).collect()
}

/// The text of a commit with another tree, parent and committer, and without a signature.
fn on_top(text: &[u8], tree: &str, parent: &str, committer: &str) -> Vec<u8> {
    let end = text.windows(2).position(|two| two == b"\n\n");
    let (head, body) = text.split_at(end.map_or(text.len(), |at| at + 1));
    let mut made = format!("tree {tree}\nparent {parent}\n").into_bytes();
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"author ") {
            made.extend_from_slice(line);
            made.extend_from_slice(format!("committer {committer}\n").as_bytes());
        } else if line.starts_with(b"encoding ") {
            made.extend_from_slice(line);
        }
    }
    made.extend_from_slice(body);
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::base::{Upstream, find};
    use crate::mail::fixture::Fixture;

    /// Subject, author, date, message and patch-id of each commit.
    fn told(dir: &Utf8Path, base: &str) -> String {
        let range = format!("{base}..");
        let git = Git::at(dir, &Stop::default());
        let log = git.read(cmd!(
            git,
            "git log --reverse --format=%an%n%ae%n%ad%n%B {range}"
        ));
        let patches = git.read(cmd!(git, "git format-patch --full-index --stdout {range}"));
        let ids = cmd!(git, "git patch-id --verbatim");
        let ids = git.pipe(ids, patches.unwrap().as_bytes()).unwrap();
        let ids = ids.lines().map(|line| line.split(' ').next().unwrap());
        log.unwrap() + &ids.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn commits_keep_what_they_say_and_do() {
        let fixture = Fixture::new();
        let grafted = fixture.grafted();
        let tested = &fixture.tested;
        let there = told(&grafted.repository, &grafted.base);
        assert_eq!(there, told(&tested.repository, &tested.base));
        assert!(
            there.contains("Zoë Thor") && there.contains("10:00:00 2026 +0100"),
            "{there}"
        );
        let parents = "log --first-parent --format=%H%x20%cn%x20%ce freeze";
        let parents = fixture.git(&grafted.repository, parents);
        let lines: Vec<&str> = parents.lines().collect();
        assert_eq!(lines.len(), 3, "{parents}");
        assert!(
            lines[0].ends_with("Jürgen Sender sender@example.org"),
            "{parents}"
        );
        assert!(lines[2].starts_with(&fixture.public), "{parents}");
        // The same series is the same commits, wherever and whenever.
        assert_eq!(fixture.grafted(), grafted);
    }

    #[test]
    fn what_the_series_depends_on_is_below_it() {
        let fixture = Fixture::new();
        let whole = fixture.grafted();
        let second = fixture.grafted_second();
        assert_eq!((&second.base, &second.tip), (&whole.base, &whole.tip));
        let repository = &second.repository;
        let below = format!("rev-list {}..{BASE_BRANCH}", second.base);
        assert_eq!(fixture.git(repository, &below), second.first);
        assert_eq!(
            fixture.git(repository, "rev-list --count base..freeze"),
            "1"
        );
    }

    #[test]
    fn the_work_tree_is_clean_though_no_file_is_there() {
        let fixture = Fixture::new();
        let grafted = fixture.grafted();
        let repository = &grafted.repository;
        assert_eq!(fixture.git(repository, "status --porcelain"), "");
        let names = repository
            .read_dir_utf8()
            .unwrap()
            .map(|it| it.unwrap().file_name().to_owned());
        assert_eq!(names.collect::<Vec<_>>(), [".git"]);
    }

    #[test]
    fn the_trees_are_those_of_the_public_commit_with_the_patches() {
        let fixture = Fixture::new();
        let grafted = fixture.grafted();
        let upstream = fixture.upstream();
        let patches = fixture.dir.join("patches.mbx");
        let git = Git::at(&grafted.repository, &Stop::default());
        let text = git.read(cmd!(
            git,
            "git format-patch --full-index --stdout base..freeze"
        ));
        fs_err::write(&patches, text.unwrap() + "\n").unwrap();
        fixture.git(&upstream, &format!("am --quiet {patches}"));
        let trees = "log --format=%T -3";
        assert_eq!(
            fixture.git(&upstream, trees),
            fixture.git(&grafted.repository, &format!("{trees} freeze"))
        );
    }

    #[test]
    fn what_cannot_be_grafted() {
        let fixture = Fixture::new();
        let base = find(
            &Upstream::Path(fixture.upstream()),
            "v2",
            &fixture.session(),
        )
        .unwrap();
        let into = fixture.dir.join("private");
        let graft = |tested: &Tested| {
            graft(
                tested,
                &base,
                (&into, "freeze"),
                &Fixture::identity(),
                &Stop::default(),
            )
        };
        let Tested {
            base: source, tip, ..
        } = &fixture.tested;
        for (first, tip, wrong) in [
            (source, source, "nothing to send"),
            (tip, tip, "nothing to send"),
            (&fixture.public, tip, "is not between"),
        ] {
            let failure = graft(&Tested {
                first: first.clone(),
                tip: tip.clone(),
                ..fixture.tested.clone()
            });
            let failure = failure.unwrap_err();
            assert!(failure.to_string().contains(wrong), "{failure}");
        }
        let path = &fixture.tested.repository;
        fixture.git(path, "checkout --quiet -b side HEAD~1");
        fixture.git(path, "commit --quiet --allow-empty -m side");
        fixture.git(
            path,
            &format!("merge --quiet -m merge {}", fixture.tested.tip),
        );
        let merged = Tested {
            tip: fixture.git(path, "rev-parse HEAD"),
            ..fixture.tested.clone()
        };
        let failure = graft(&merged).unwrap_err();
        assert!(
            failure
                .to_string()
                .contains("not one commit after the other"),
            "{failure}"
        );
    }
}
