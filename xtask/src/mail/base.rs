//! The public commit that a series is sent against. Whoever gets the mails has it, or can fetch it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Cmd, cmd};

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
const UPLOAD_PACK: &str = "GIT_ALLOW_PROTOCOL=none git -c safe.directory=* -c uploadpack.allowFilter=true \
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
    /// Whether others have it, as far as a clone can tell; a commit of the user's own may be as good as any other.
    pub published: bool,
}

/// Finds the commit of a revision, and fetches it without its files unless that was done before.
///
/// # Errors
/// [`Kind::Usage`] if the upstream has no such commit, or it is one that nobody else has.
pub fn find(upstream: &Upstream, revision: &str, session: &Session) -> Result<Base> {
    if revision.is_empty() || revision.starts_with(['-', '^']) {
        return Err(Kind::Usage.error(format!(
            "{revision:?} is no revision: name a tag, a branch or all 40 digits of a commit with --onto"
        )));
    }
    let Asked {
        object,
        from,
        published,
    } = match upstream {
        Upstream::Path(path) => in_clone(path, revision, session)?,
        Upstream::Url(url) => Asked {
            object: at_url(url, revision, session)?,
            from: url.clone(),
            published: true,
        },
    };
    let bases = session.layout.work("mail/bases");
    let known = Base {
        repository: bases.join(format!("{object}.git")),
        commit: object,
        published,
    };
    if is_whole(&known, &session.stop)? {
        return Ok(known);
    }
    phase(
        &session.events,
        format!("fetching {revision} of {upstream}"),
        || {
            let (_guard, new) = files::temporary(&bases)?;
            let commit = fetch(&new, &from, (&known.commit, revision), upstream, session)?;
            let base = Base {
                repository: bases.join(format!("{commit}.git")),
                commit,
                published,
            };
            publish(&new, &base, &session.stop)?;
            let said = format!("commit {}", &base.commit[..12]);
            Ok((base, said))
        },
    )
}

/// A revision of an upstream.
struct Asked {
    object: String,
    /// The address of the repository that has it.
    from: String,
    published: bool,
}

/// Whether all trees are there: a machine that lost its power may have left only some.
fn is_whole(base: &Base, stop: &Stop) -> Result<bool> {
    let Base {
        commit, repository, ..
    } = base;
    let git = Git::at("/", stop);
    // Without --git-dir, git would take a repository further up for one that is damaged.
    let list = cmd!(git, "git --git-dir={repository} ls-tree -r -d {commit}");
    Ok(git.output(list, b"")?.status.success())
}

/// Gives a repository that is whole its name. Another run may have been faster.
fn publish(new: &Utf8Path, base: &Base, stop: &Stop) -> Result<()> {
    if fs_err::rename(new, &base.repository).is_err() && !is_whole(base, stop)? {
        files::discard(&base.repository, stop)?;
        fs_err::rename(new, &base.repository)?;
    }
    Ok(())
}

/// A revision in a repository of the user's.
fn in_clone(path: &Utf8Path, revision: &str, session: &Session) -> Result<Asked> {
    let wrong = |why: String| Kind::Usage.error(format!("--upstream {path}: {why}"));
    let (git, common) = clone(path, &session.stop)?;
    let path = git.dir();
    let Some(commit) = git.resolve(&format!("{revision}^{{commit}}"))? else {
        return Err(wrong(match kind(&git, revision)? {
            Some(kind) => of_kind(revision, &kind),
            None => format!(
                "it has no commit {revision}: fetch it there (git -C {path} fetch --tags), or name another with --onto"
            ),
        }));
    };
    if !is_whole_id(&commit) {
        return Err(wrong(
            "its commits have sha256 ids, those of public kernels sha1 ids: nobody else has them"
                .into(),
        ));
    }
    let published = is_published(&git, &commit)?;
    if !published {
        session.events.send(Event::Warning(format!(
            "no tag and no remote branch in {path} has {commit}: make sure that others can get it"
        )));
    }
    Ok(Asked {
        object: commit,
        from: common,
        published,
    })
}

/// What a revision is, a tag of it followed; nothing if it is not there.
fn kind(git: &Git, revision: &str) -> Result<Option<String>> {
    // A path of a commit takes no suffix.
    let object = match git.resolve(&format!("{revision}^{{}}"))? {
        None => git.resolve(revision)?,
        found => found,
    };
    let Some(object) = object else {
        return Ok(None);
    };
    let kind = git.output(cmd!(git, "git cat-file -t {object}"), b"")?;
    let said = String::from_utf8_lossy(&kind.stdout).trim().to_owned();
    Ok((kind.status.success() && !said.is_empty()).then_some(said))
}

fn of_kind(revision: &str, kind: &str) -> String {
    format!("{revision} is a {kind}, not a commit; name a commit, or a tag of one, with --onto")
}

/// A repository of the user's, and the folder that has its objects.
fn clone(path: &Utf8Path, stop: &Stop) -> Result<(Git, String)> {
    let whole = path
        .canonicalize_utf8()
        .map_err(|error| Kind::Usage.error(format!("--upstream {path}: {error}")))?;
    let git = Git::at(whole, stop).untouched();
    let common = cmd!(git, "git rev-parse --path-format=absolute --git-common-dir");
    let common = git.read(common).map_err(|error| {
        let what = format!("--upstream {path} is no git repository");
        error.or(Kind::Usage).context(what)
    })?;
    Ok((git, common))
}

/// Whether a tag or a branch of others has the commit; a commit of the user's own may have neither. In a mirror the branches
/// are those of others, as they are in a bare repository, where nobody works.
fn is_published(git: &Git, commit: &str) -> Result<bool> {
    let bare = git.read(cmd!(git, "git rev-parse --is-bare-repository"))? == "true";
    let mirrors = cmd!(
        git,
        "git config --type=bool --get-regexp ^remote\\..*\\.mirror$"
    );
    let mirrors = git.output(mirrors, b"")?.stdout;
    let mirrors = String::from_utf8_lossy(&mirrors);
    let mut names = vec!["refs/tags", "refs/remotes"];
    if bare || mirrors.lines().any(|line| line.ends_with(" true")) {
        names.push("refs/heads");
    }
    // The first needs no look at the history.
    for how in ["--points-at", "--contains"] {
        let names = &names;
        let refs = cmd!(git, "git for-each-ref --count=1 {how} {commit} {names...}");
        if !git.read(refs)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The object of a revision that a server has.
fn at_url(url: &str, revision: &str, session: &Session) -> Result<String> {
    if has_secret(url) {
        return Err(Kind::Usage.error(
            "--upstream-url has a password or token in it, which progress and errors would show: leave it out, and put \
             it into ~/.netrc",
        ));
    }
    if is_whole_id(revision) {
        return Ok(revision.to_ascii_lowercase());
    }
    let git = Git::at(session.layout.root(), &session.stop).networked();
    let wanted = [
        format!("refs/tags/{revision}^{{}}"),
        format!("refs/tags/{revision}"),
        format!("refs/heads/{revision}"),
        revision.to_owned(),
    ];
    let said = git
        .read(cmd!(git, "git ls-remote -- {url}").args(&wanted))
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
        Some(id) => Ok((*id).to_owned()),
        None => Err(Kind::Usage.error(format!(
            "{url} has neither a tag nor a branch {revision}: name one with --onto, or all 40 digits of a commit"
        ))),
    }
}

/// Whether an address names more than a user, or a user to a web server, which may be a token.
fn has_secret(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or_default();
    let user = host.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || (scheme.starts_with("http") && !user.is_empty())
}

fn is_whole_id(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Makes a repository with one commit of a remote one: its trees, and neither files nor parents. Returns the commit.
fn fetch(
    new: &Utf8Path,
    from: &str,
    (object, revision): (&str, &str),
    upstream: &Upstream,
    session: &Session,
) -> Result<String> {
    let git = Git::at(new, &session.stop).networked();
    git.read(cmd!(git, "git init --quiet --bare {new}"))?;
    git.read(cmd!(git, "git config gc.auto 0"))?;
    git.read(cmd!(git, "git config maintenance.auto false"))?;
    let options = ["--depth=1", "--filter=blob:none"];
    let fetch = fetch_line(&git, from, upstream, &options).arg(object);
    git.read(fetch).map_err(|error| {
        error
            .or(Kind::Machinery)
            .context(format!("cannot fetch {object} of {upstream}"))
    })?;
    // With a promisor, git would later fetch each file that it misses. There is none if the server sent all files.
    let forget = cmd!(git, "git config --remove-section remote.{REMOTE}");
    git.output(forget, b"")?;
    let Some(commit) = git.resolve(&format!("{object}^{{commit}}"))? else {
        let kind = kind(&git, object)?;
        let kind = kind.as_deref().unwrap_or("thing that git does not know");
        let what = of_kind(revision, kind);
        return Err(Kind::Usage.error(format!("{upstream}: {what}")));
    };
    has_parents(&git, &commit, upstream)?;
    git.read(cmd!(git, "git update-ref refs/heads/base {commit}"))?;
    Ok(commit)
}

/// `git fetch OPTIONS REMOTE`, to which objects are added.
fn fetch_line(git: &Git, from: &str, upstream: &Upstream, options: &[&str]) -> Cmd<'static> {
    let mut line = cmd!(git, "git -c remote.{REMOTE}.url={from}");
    if matches!(upstream, Upstream::Path(_)) {
        line = line
            .arg("-c")
            .arg(format!("remote.{REMOTE}.uploadpack={UPLOAD_PACK}"));
    }
    line.args(["fetch", "--quiet", "--no-tags"])
        .args(options)
        .arg(REMOTE)
}

/// Fetches single files into a repository, by their ids.
///
/// # Errors
/// If one of them is not there.
pub fn fetch_files(into: &Utf8Path, upstream: &Upstream, ids: &[&str], stop: &Stop) -> Result<()> {
    let from = match upstream {
        Upstream::Path(path) => clone(path, stop)?.1,
        Upstream::Url(url) => url.clone(),
    };
    let git = Git::at(into, stop).networked();
    let options = ["--no-write-fetch-head"];
    git.read(fetch_line(&git, &from, upstream, &options).args(ids))?;
    Ok(())
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
///
/// # Errors
/// If git does not have the commits.
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

/// Mode, type and id by name, of those files that the commit has.
///
/// # Errors
/// If git does not have the commit.
pub fn entries(
    git: &Git,
    commit: &str,
    files: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>> {
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
        fixture.git(&fixture.dir, "clone --quiet --bare upstream bare");
        fixture.git(&fixture.dir, "clone --quiet upstream mirror");
        fixture.git(&fixture.dir, "clone --quiet upstream clone");
        for name in ["mirror", "clone"] {
            fixture.git(&fixture.dir.join(name), "remote remove origin");
        }
        fixture.git(&fixture.dir.join("mirror"), "config remote.x.mirror yes");
        fixture.git(&fixture.dir.join("clone"), "config remote.x.mirror no");
        let at = |name: &str| Upstream::Path(fixture.dir.join(name));
        let url = Upstream::Url(format!("file://{upstream}"));
        for (from, revision, wanted) in [
            (at("upstream"), "v2", 0),
            (at("upstream"), "HEAD", 1),
            (at("bare"), "main", 0),
            (at("mirror"), "main", 0),
            (at("clone"), "main", 1),
            (at("clone"), "main~1", 0),
            (url, "main", 0),
        ] {
            let (events, seen) = Events::channel();
            let session = fixture.session().told_to(events);
            let base = find(&from, revision, &session).unwrap();
            assert_eq!(base.published, wanted == 0, "{from} {revision}");
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

    #[test]
    fn revisions_of_all_kinds() {
        let fixture = Fixture::new();
        let upstream = fixture.upstream();
        fixture.git(&upstream, "tag -a -m again v2-again v2");
        fixture.git(&upstream, "tag -a -m tree v2-tree v2^{tree}");
        fixture.git(&upstream, "tag plain-tree v2^{tree}");
        fixture.git(&upstream, "tag blob v2:fs/a.c");
        let tree = fixture.git(&upstream, "rev-parse v2^{tree}");
        let whole = fixture.public.to_uppercase();
        let tag = fixture.git(&upstream, "rev-parse v2-again");
        let places = [
            Upstream::Path(upstream.clone()),
            Upstream::Url(format!("file://{upstream}")),
        ];
        let clone = find(&places[0], "v2:fs", &fixture.session()).unwrap_err();
        assert!(clone.to_string().contains("v2:fs is a tree"), "{clone}");
        for place in &places {
            for revision in ["v2-again", &whole, &tag, "HEAD"] {
                let found = find(place, revision, &fixture.session()).unwrap();
                assert_eq!(found.commit, fixture.public, "{place} {revision}");
            }
            for (revision, wanted) in [
                ("", "no revision"),
                ("-x", "no revision"),
                ("--all", "no revision"),
                ("^v2", "no revision"),
                ("v2..main", ""),
                ("v*", ""),
                ("v2-tree", "v2-tree is a tree"),
                ("plain-tree", "plain-tree is a tree"),
                ("blob", "blob is a blob"),
                (&tree, "is a tree"),
                ("v2:fs", ""),
                ("v2^{tree}", ""),
            ] {
                let failure = find(place, revision, &fixture.session()).unwrap_err();
                assert_eq!(failure.kind, Kind::Usage, "{place} {revision:?} {failure}");
                let said = failure.to_string();
                assert!(said.contains(wanted), "{place} {revision:?} {said}");
                if wanted.contains(" is a ") {
                    assert!(said.contains("name a commit"), "{said}");
                }
            }
        }
    }

    #[test]
    fn clones_in_odd_places() {
        let fixture = Fixture::new();
        let (dir, upstream) = (&fixture.dir, fixture.upstream());
        fs_err::rename(&upstream, dir.join("up stream's")).unwrap();
        let moved = dir.join("up stream's");
        let git = Git::at(dir, &Stop::default());
        git.read(cmd!(git, "git clone --quiet --bare {moved} bare.git"))
            .unwrap();
        for path in [moved.join("fs"), dir.join("bare.git")] {
            let found = find(&Upstream::Path(path.clone()), "v2", &fixture.session()).unwrap();
            assert_eq!(found.commit, fixture.public, "{path}");
            fs_err::remove_dir_all(fixture.session().layout.work("mail")).unwrap();
        }
        let other = dir.join("other format");
        git.read(cmd!(git, "git init --quiet --object-format=sha256 {other}"))
            .unwrap();
        fixture.git(&other, "commit --quiet --allow-empty -m one");
        fixture.git(&other, "commit --quiet --allow-empty -m two");
        let failure = find(&Upstream::Path(other), "HEAD", &fixture.session()).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.to_string().contains("sha256"), "{failure}");
    }

    #[test]
    fn a_partial_clone_fetches_nothing_for_us() {
        let fixture = Fixture::new();
        let upstream = fixture.upstream();
        fixture.git(&upstream, "config uploadpack.allowFilter true");
        fixture.git(&upstream, "config uploadpack.allowAnySHA1InWant true");
        let line =
            format!("clone --quiet --no-checkout --filter=blob:none file://{upstream} partial");
        fixture.git(&fixture.dir, &line);
        fixture.upstream_moves_on();
        let new = fixture.git(&upstream, "rev-parse HEAD");
        let partial = fixture.dir.join("partial");
        let all = "cat-file --batch-check --batch-all-objects";
        let before = fixture.git(&partial, all);
        let failure = find(&Upstream::Path(partial.clone()), &new, &fixture.session()).unwrap_err();
        assert!(failure.to_string().contains("has no commit"), "{failure}");
        assert_eq!(fixture.git(&partial, all), before);
    }

    #[test]
    fn a_damaged_repository_is_made_anew() {
        let fixture = Fixture::new();
        let upstream = Upstream::Path(fixture.upstream());
        let base = find(&upstream, "v2", &fixture.session()).unwrap();
        let tree = fixture.git(&base.repository, "rev-parse base:fs");
        for damaged in ["refs", "objects"] {
            fs_err::remove_dir_all(base.repository.join(damaged)).unwrap();
            let again = find(&upstream, "v2", &fixture.session()).unwrap();
            assert_eq!(again, base);
            assert_eq!(
                fixture.git(&base.repository, &format!("cat-file -t {tree}")),
                "tree"
            );
        }
        let bases = fixture.session().layout.work("mail/bases");
        assert_eq!(bases.read_dir_utf8().unwrap().count(), 1);
    }

    #[test]
    fn two_runs_at_once_and_one_that_is_stopped() {
        let fixture = Fixture::new();
        let upstream = Upstream::Path(fixture.upstream());
        let session = fixture.session();
        let stopped = fixture.session();
        stopped.stop.request();
        let failure = find(&upstream, "v2", &stopped).unwrap_err();
        assert_eq!(failure.kind, Kind::Interrupted);
        let found = std::thread::scope(|scope| {
            let run = || scope.spawn(|| find(&upstream, "v2", &session).unwrap());
            [run(), run(), run()].map(|run| run.join().unwrap())
        });
        assert!(found.iter().all(|base| *base == found[0]));
        fixture.has_trees_only(&found[0]);
        let bases = session.layout.work("mail/bases");
        assert_eq!(bases.read_dir_utf8().unwrap().count(), 1);
    }

    #[test]
    fn passwords_are_not_told() {
        let fixture = Fixture::new();
        for url in [
            "https://me:secret@localhost:1/linux.git",
            "https://secret@localhost:1/x",
        ] {
            for revision in ["v2", &fixture.public] {
                let failure = find(&Upstream::Url(url.into()), revision, &fixture.session());
                let said = format!("{:?}", failure.unwrap_err());
                assert!(!said.contains("secret"), "{said}");
            }
        }
    }
}
