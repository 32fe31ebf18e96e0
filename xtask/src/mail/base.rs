//! The public commit that a series is sent against. Whoever gets the mails has it, or can fetch it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use super::Tested;
use crate::event::Event;
use crate::failure::{Kind, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::phase::phase;
use crate::host::proc::Stop;
use crate::host::session::Session;
use crate::words::count;

const MAINLINE: &str = "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git";
const STABLE: &str = "https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git";

/// How the user's own repository is asked for a commit without its files, though its configuration does not foresee it.
const UPLOAD_PACK: &str = "git -c safe.directory=* -c uploadpack.allowFilter=true \
    -c uploadpack.allowAnySHA1InWant=true upload-pack";
/// Git takes a path or a URL for no promisor of the files that it leaves out, only a name.
const REMOTE: &str = "public";

/// Where public commits come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// A clone, a work tree, a shallow clone: read, and never written to.
    Path(Utf8PathBuf),
    Url(String),
}

impl Upstream {
    /// Where the kernel of this version was published.
    pub fn of_version(version: &str) -> Self {
        let plain = tag_of_version(version);
        let stable = plain.matches('.').count() > 1 && !plain.contains("-rc");
        Self::Url(if stable { STABLE } else { MAINLINE }.to_owned())
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "--upstream {path}"),
            Self::Url(url) => write!(f, "--upstream-url {url}"),
        }
    }
}

/// The tag of a kernel, by the version that its Makefile sets: `v7.3-rc7` of `7.3.0-rc7`.
pub fn tag_of_version(version: &str) -> String {
    let (numbers, extra) = match version.find('-') {
        Some(at) => version.split_at(at),
        None => (version, ""),
    };
    let zero = numbers.matches('.').count() == 2 && numbers.ends_with(".0");
    let numbers = if zero {
        &numbers[..numbers.len() - 2]
    } else {
        numbers
    };
    format!("v{numbers}{extra}")
}

/// A commit that others have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// 40 hexadecimal digits.
    pub commit: String,
    /// A repository of ours that has the commit and its trees; no files, and no parents.
    pub repository: Utf8PathBuf,
}

/// Finds the commit of a revision, and fetches it without its files unless that was done before.
pub fn find(upstream: &Upstream, revision: &str, session: &Session) -> Result<Base> {
    let asked = match upstream {
        Upstream::Path(path) => in_clone(path, revision, session)?,
        Upstream::Url(url) => at_url(url, revision, session)?,
    };
    let (object, from) = asked;
    let bases = session.layout.work("mail/bases");
    let of = |commit: &str| bases.join(format!("{commit}.git"));
    if !of(&object).exists() {
        let what = format!("fetching {revision} of {upstream}");
        let commit = phase(&session.events, what, || {
            let (_guard, new) = files::temporary(&bases)?;
            let commit = fetch(&new, &from, &object, upstream, session)?;
            publish(&new, &of(&commit))?;
            Ok((commit.clone(), format!("commit {}", &commit[..12])))
        })?;
        return Ok(Base {
            repository: of(&commit),
            commit,
        });
    }
    Ok(Base {
        repository: of(&object),
        commit: object,
    })
}

/// Gives a repository that is whole its name. Another run may have been faster.
fn publish(new: &Utf8Path, name: &Utf8Path) -> Result<()> {
    match fs_err::rename(new, name) {
        Err(_) if name.exists() => Ok(()),
        renamed => Ok(renamed?),
    }
}

/// The object and the address of a revision in a repository of the user's.
fn in_clone(path: &Utf8Path, revision: &str, session: &Session) -> Result<(String, String)> {
    let wrong = |why: String| Kind::Usage.error(format!("--upstream {path}: {why}"));
    let path = path
        .canonicalize_utf8()
        .map_err(|error| wrong(error.to_string()))?;
    let git = Git::at(&path, &session.stop);
    let common = cmd!(git, "git rev-parse --path-format=absolute --git-common-dir");
    let common = git.read(common).map_err(|error| {
        let what = format!("--upstream {path} is no git repository");
        error.or(Kind::Usage).context(what)
    })?;
    let Some(commit) = git.resolve(&format!("{revision}^{{commit}}"))? else {
        return Err(wrong(format!(
            "it has no commit {revision}: fetch it there (git -C {path} fetch --tags), or name another with --onto"
        )));
    };
    if !is_published(&git, &commit)? {
        session.events.send(Event::Warning(format!(
            "no tag and no remote branch in {path} has {commit}: make sure that others can get it"
        )));
    }
    Ok((commit, common))
}

/// Whether a tag or a branch of others has the commit; a commit of the user's own may have neither.
fn is_published(git: &Git, commit: &str) -> Result<bool> {
    // The first needs no look at the history.
    for how in ["--points-at", "--contains"] {
        let refs = cmd!(
            git,
            "git for-each-ref --count=1 {how} {commit} refs/tags refs/remotes"
        );
        if !git.read(refs)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The object and the address of a revision that a server has.
fn at_url(url: &str, revision: &str, session: &Session) -> Result<(String, String)> {
    if is_whole_id(revision) {
        return Ok((revision.to_ascii_lowercase(), url.to_owned()));
    }
    let git = Git::at(session.layout.root(), &session.stop).networked();
    let wanted = [
        format!("refs/tags/{revision}^{{}}"),
        format!("refs/tags/{revision}"),
        format!("refs/heads/{revision}"),
        revision.to_owned(),
    ];
    let said = git
        .read(cmd!(git, "git ls-remote {url}").args(&wanted))
        .map_err(|error| {
            error.or(Kind::Machinery).context(format!(
                "cannot ask {url}; give a clone of yours: --upstream PATH"
            ))
        })?;
    let said: BTreeMap<&str, &str> = said
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(id, name)| (name, id))
        .collect();
    let found = wanted.iter().find_map(|name| said.get(name.as_str()));
    match found {
        Some(id) => Ok(((*id).to_owned(), url.to_owned())),
        None => Err(Kind::Usage.error(format!(
            "{url} has neither a tag nor a branch {revision}: name one with --onto, or all 40 digits of a commit"
        ))),
    }
}

fn is_whole_id(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Makes a repository with one commit of a remote one: its trees, and neither files nor parents. Returns the commit.
fn fetch(
    new: &Utf8Path,
    from: &str,
    object: &str,
    upstream: &Upstream,
    session: &Session,
) -> Result<String> {
    let git = Git::at(new, &session.stop).networked();
    git.read(cmd!(git, "git init --quiet --bare {new}"))?;
    git.read(cmd!(git, "git config gc.auto 0"))?;
    git.read(cmd!(git, "git config maintenance.auto false"))?;
    let mut fetch = cmd!(git, "git -c remote.{REMOTE}.url={from}");
    if matches!(upstream, Upstream::Path(_)) {
        fetch = fetch
            .arg("-c")
            .arg(format!("remote.{REMOTE}.uploadpack={UPLOAD_PACK}"));
    }
    let fetch = fetch.args([
        "fetch",
        "--quiet",
        "--depth=1",
        "--filter=blob:none",
        "--no-tags",
        REMOTE,
        object,
    ]);
    git.read(fetch).map_err(|error| {
        error
            .or(Kind::Machinery)
            .context(format!("cannot fetch {object} of {upstream}"))
    })?;
    // With a promisor, git would later fetch each file that it misses. There is none if the server sent all files.
    let forget = cmd!(git, "git config --remove-section remote.{REMOTE}");
    git.output(forget, b"")?;
    let commit = git.resolve(&format!("{object}^{{commit}}"))?;
    let commit = commit
        .ok_or_else(|| Kind::Usage.error(format!("{object} of {upstream} is not a commit")))?;
    has_parents(&git, &commit, upstream)?;
    git.read(cmd!(git, "git update-ref refs/heads/base {commit}"))?;
    Ok(commit)
}

/// Refuses a commit that somebody has made of nothing but files, which is a commit that nobody else has.
fn has_parents(git: &Git, commit: &str, upstream: &Upstream) -> Result<()> {
    // As it was written: git tells of a shallow commit that it has none.
    let text = git.read(cmd!(git, "git cat-file commit {commit}"))?;
    let mut head = text.lines().take_while(|line| !line.is_empty());
    if head.any(|line| line.starts_with("parent ")) {
        return Ok(());
    }
    Err(Kind::Usage.error(format!(
        "{commit} of {upstream} is a commit without parents, as of an imported source: nobody else has it; name a public \
         commit with --onto"
    )))
}

/// That the files which a series touches are the same where it was tested and where it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    commit: String,
    files: usize,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commit, files } = self;
        let touched = match files {
            1 => "1 of 1 touched file is".to_owned(),
            files => format!("{files} of {files} touched files are"),
        };
        write!(f, "base {commit}: {touched} the same there")
    }
}

/// All files that the patches of a series touch, by old names and new ones.
pub fn touched(tested: &Tested, stop: &Stop) -> Result<BTreeSet<String>> {
    let git = Git::at(&tested.repository, stop);
    let Tested { base, tip, .. } = tested;
    let names = cmd!(
        git,
        "git log --format= --name-only -z --no-renames {base}..{tip}"
    );
    let names = git.read(names)?;
    let names = names.split('\0').map(|name| name.trim_start_matches('\n'));
    Ok(names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// Whether the base has the same in these files as the source that was tested, a file that neither has included.
///
/// # Errors
/// With those that differ.
pub fn compare(
    tested: &Tested,
    base: &Base,
    touched: &BTreeSet<String>,
    stop: &Stop,
) -> Result<Comparison> {
    let here = entries(&Git::at(&tested.repository, stop), &tested.base, touched)?;
    let there = entries(&Git::at(&base.repository, stop), &base.commit, touched)?;
    let differ: Vec<_> = touched
        .iter()
        .filter(|file| here.get(*file) != there.get(*file))
        .collect();
    if differ.is_empty() {
        return Ok(Comparison {
            commit: base.commit.clone(),
            files: touched.len(),
        });
    }
    let lines: String = differ
        .iter()
        .map(|file| {
            let how = match (here.get(*file), there.get(*file)) {
                (None, _) => " (only there)",
                (_, None) => " (not there)",
                _ => "",
            };
            format!("\n    {file}{how}")
        })
        .collect();
    Err(Kind::Usage.error(format!(
        "base {}: {} of {} not the same there as in the tree that was tested:{lines}\n\
         test the series on that commit (test-kernel --tree), or name another with --onto",
        base.commit,
        differ.len(),
        count(touched.len(), "touched file"),
    )))
}

/// Mode, type and id by name.
fn entries(git: &Git, commit: &str, files: &BTreeSet<String>) -> Result<BTreeMap<String, String>> {
    if files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let list = cmd!(
        git,
        "git --literal-pathspecs ls-tree -r -z --full-tree {commit} -- {files...}"
    );
    let list = git.read(list)?;
    let entries = list.split('\0').filter_map(|line| line.split_once('\t'));
    Ok(entries
        .map(|(entry, name)| (name.to_owned(), entry.to_owned()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;
    use crate::mail::fixture::Fixture;

    #[test]
    fn tags_and_addresses_of_versions() {
        for (version, tag, url) in [
            ("6.12.117", "v6.12.117", STABLE),
            ("6.12.0", "v6.12", MAINLINE),
            ("6.12", "v6.12", MAINLINE),
            ("7.3.0-rc7", "v7.3-rc7", MAINLINE),
            ("7.3-rc7", "v7.3-rc7", MAINLINE),
        ] {
            assert_eq!(tag_of_version(version), tag);
            assert_eq!(Upstream::of_version(version), Upstream::Url(url.into()));
        }
    }

    #[test]
    fn a_base_is_found_in_repositories_of_many_kinds_which_are_left_as_they_are() {
        let fixture = Fixture::new();
        let (dir, commit) = (&fixture.dir, &fixture.public);
        let upstream = fixture.upstream();
        fixture.git(
            dir,
            &format!("clone --quiet --depth=1 file://{upstream} shallow"),
        );
        fixture.git(&upstream, "worktree add --quiet --detach ../worktree v2");
        let blobless =
            format!("clone --quiet --no-checkout --filter=blob:none file://{upstream} blobless");
        fixture.git(&upstream, "config uploadpack.allowFilter true");
        fixture.git(dir, &blobless);
        fixture.git(&upstream, "config --unset uploadpack.allowFilter");
        let state = |path: &Utf8Path| {
            let files = walkdir::WalkDir::new(path).sort_by_file_name();
            let files = files.into_iter().map(|entry| entry.unwrap());
            let files = files.map(|entry| {
                (
                    entry.path().to_owned(),
                    entry.metadata().unwrap().modified().unwrap(),
                )
            });
            files.collect::<Vec<_>>()
        };
        for (name, revision) in [
            ("upstream", "v2"),
            ("upstream", "v2^{commit}"),
            ("upstream", commit.as_str()),
            ("upstream", "HEAD"),
            ("worktree", "HEAD"),
            ("shallow", "HEAD"),
            ("blobless", "HEAD"),
            ("upstream/.git", "v2"),
        ] {
            let path = dir.join(name);
            let before = state(&path);
            let session = fixture.session();
            let base = find(&Upstream::Path(path.clone()), revision, &session).unwrap();
            assert_eq!(&base.commit, commit, "{name} {revision}");
            assert!(state(&path) == before, "{name} was written to");
            fixture.has_trees_only(&base);
            // Known by now: nothing is fetched.
            assert_eq!(
                find(&Upstream::Path(path), revision, &session).unwrap(),
                base
            );
            fs_err::remove_dir_all(session.layout.work("mail")).unwrap();
        }
    }

    #[test]
    fn a_base_is_found_at_an_address() {
        let fixture = Fixture::new();
        let url = Upstream::Url(format!("file://{}", fixture.upstream()));
        let tag = fixture.git(&fixture.upstream(), "rev-parse v2");
        assert_ne!(tag, fixture.public);
        for filter in ["false", "true"] {
            fixture.git(
                &fixture.upstream(),
                &format!("config uploadpack.allowFilter {filter}"),
            );
            for revision in ["v2", "main", &fixture.public, &tag] {
                let base = find(&url, revision, &fixture.session()).unwrap();
                assert_eq!(base.commit, fixture.public, "{revision}");
                fs_err::remove_dir_all(fixture.session().layout.work("mail")).unwrap();
            }
        }
        let failure = find(&url, "v9", &fixture.session()).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(
            failure
                .to_string()
                .contains("neither a tag nor a branch v9"),
            "{failure}"
        );
    }

    #[test]
    fn what_nobody_else_has_is_no_base() {
        let fixture = Fixture::new();
        for path in [fixture.tested.repository.clone(), fixture.upstream()] {
            let root = fixture.git(&path, "rev-list --max-parents=0 HEAD");
            for upstream in [
                Upstream::Path(path.clone()),
                Upstream::Url(format!("file://{path}")),
            ] {
                let failure = find(&upstream, &root, &fixture.session()).unwrap_err();
                assert_eq!(failure.kind, Kind::Usage);
                assert!(failure.to_string().contains("without parents"), "{failure}");
            }
        }
        let nowhere = Upstream::Path(fixture.dir.join("nowhere"));
        assert_eq!(
            find(&nowhere, "v2", &fixture.session()).unwrap_err().kind,
            Kind::Usage
        );
        let failure = find(
            &Upstream::Path(fixture.upstream()),
            "v9",
            &fixture.session(),
        )
        .unwrap_err();
        assert!(
            failure.to_string().contains("has no commit v9"),
            "{failure}"
        );
    }

    #[test]
    fn a_commit_that_only_the_user_has_is_warned_of() {
        let fixture = Fixture::new();
        let upstream = fixture.upstream();
        fixture.git(&upstream, "commit --quiet --allow-empty -m own");
        for (revision, wanted) in [("v2", 0), ("HEAD", 1)] {
            let (events, seen) = Events::channel();
            let session = fixture.session().told_to(events);
            find(&Upstream::Path(upstream.clone()), revision, &session).unwrap();
            drop(session);
            let warned = seen
                .iter()
                .filter(|event| matches!(event, Event::Warning(_)));
            assert_eq!(warned.count(), wanted, "{revision}");
        }
    }

    #[test]
    fn touched_files_are_compared() {
        let fixture = Fixture::new();
        let stop = Stop::default();
        let upstream = Upstream::Path(fixture.upstream());
        let touched = touched(&fixture.tested, &stop).unwrap();
        let names: Vec<&str> = touched.iter().map(String::as_str).collect();
        assert_eq!(names, ["fs/a.c", "fs/b.c", "fs/new file.c", "fs/old.c"]);
        let base = find(&upstream, "v2", &fixture.session()).unwrap();
        let same = compare(&fixture.tested, &base, &touched, &stop).unwrap();
        let said = format!(
            "base {}: 4 of 4 touched files are the same there",
            base.commit
        );
        assert_eq!(same.to_string(), said);
        fixture.upstream_moves_on();
        let base = find(&upstream, "main", &fixture.session()).unwrap();
        let failure = compare(&fixture.tested, &base, &touched, &stop).unwrap_err();
        let said = failure.to_string();
        assert!(said.contains("3 of 4 touched files not the same"), "{said}");
        let listed = "\n    fs/b.c\n    fs/new file.c (only there)\n    fs/old.c (not there)\n";
        assert!(said.contains(listed), "{said}");
    }
}
