//! Debian's `linux-source-X.Y`: the newest version that the mirror has, downloaded once.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use xshell::cmd;

use super::repository::{self, Source};
use super::unpack::Import;
use crate::deps::apt::Root;
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::host::git::Git;
use crate::host::phase::phase;
use crate::host::session::Session;
use crate::host::{files, proc, space};
use crate::kernel::bases::Base;
use crate::kernel::version::series_of;
use crate::words::count;

const MB: u64 = 1_000_000;
/// How often the size of a download is looked at.
const WATCH: Duration = Duration::from_millis(200);

pub struct Package<'a> {
    pub base: &'a Base,
    pub session: &'a Session,
}

/// What apt said last; kept from run to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Release {
    package: String,
    version: String,
    /// Of the package file, in bytes.
    size: u64,
}

impl Package<'_> {
    pub fn obtain(&self, fresh: Duration) -> Result<Source> {
        let repository = repository::open(&self.base.name, None, self.session)?;
        let memory = self
            .session
            .layout
            .sources()
            .join(format!("{}.json", self.base.name));
        let known: Option<Release> =
            files::recall(&memory).filter(|known: &Release| known.package == self.base.package);
        if let Some(known) = &known
            && files::age(&memory).is_some_and(|age| age < fresh)
            && let Some(source) = self.cached(&repository, known)?
        {
            return Ok(source);
        }
        let newest = match (self.newest(), &known) {
            (Ok(newest), _) => newest,
            (Err(failure), Some(known)) if failure.kind != Kind::Interrupted => {
                return self.offline(&repository, known, failure);
            }
            (Err(failure), _) => {
                let what = format!(
                    "cannot get {}; a kernel tree of your own will do instead: --tree PATH",
                    self.base.package
                );
                return Err(failure.context(what));
            }
        };
        let source = match self.cached(&repository, &newest)? {
            Some(source) => source,
            None => match (self.fetch(&repository, &newest), &known) {
                (Ok(source), _) => source,
                (Err(failure), Some(known)) if failure.kind != Kind::Interrupted => {
                    return self.offline(&repository, known, failure);
                }
                (Err(failure), _) => return Err(failure),
            },
        };
        files::remember(&memory, &newest)?;
        Ok(source)
    }

    /// A certain version: one that was imported before, else one that apt has.
    pub fn version(&self, wanted: &str) -> Result<Source> {
        let Base { name, package, .. } = self.base;
        let plain = wanted.replace('~', "-");
        let belongs = self
            .base
            .version()
            .is_none_or(|own| series_of(&plain) == own);
        if !belongs || !wanted.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(Kind::Usage.error(format!(
                "--onto {wanted}: {package}, the package of --base {name}, has no such version; a revision of a kernel \
                 tree of your own takes --tree PATH"
            )));
        }
        let repository = repository::open(name, None, self.session)?;
        let here = self.imported(&repository)?;
        if let Some(source) = here
            .iter()
            .find(|source| is_version(wanted, version(source)))
        {
            return Ok(source.clone());
        }
        let there = self.offered().map_err(|failure| {
            failure.context(format!("--onto {wanted} is not in {}", repository.dir()))
        })?;
        if let Some(release) = there
            .iter()
            .find(|there| is_version(wanted, &there.version))
        {
            let folder = self.session.layout.work("");
            space::require(&folder, space::SOURCE, "to import a kernel's source")?;
            return self.fetch(&repository, release);
        }
        let known = here.iter().map(version);
        let known = known.chain(there.iter().map(|release| release.version.as_str()));
        let known: BTreeSet<&str> = known.collect();
        Err(Kind::Usage.error(format!(
            "--onto {wanted}: neither is that version of {package} in {}, nor has apt got it; there is {}",
            repository.dir(),
            known.into_iter().collect::<Vec<_>>().join(", ")
        )))
    }

    /// All that were imported so far, the newest first.
    fn imported(&self, repository: &Git) -> Result<Vec<Source>> {
        let pattern = format!("refs/tags/{}_*", self.base.package);
        let list = cmd!(
            repository,
            "git for-each-ref --sort=-version:refname --format='%(objectname) %(contents:subject)' {pattern}"
        );
        let list = repository.read(list)?;
        let lines = list.lines().filter_map(|line| line.split_once(' '));
        let sources = lines.map(|(commit, label)| Source {
            name: self.base.name.clone(),
            label: label.to_owned(),
            repository: repository.dir().to_owned(),
            commit: commit.to_owned(),
        });
        Ok(sources.collect())
    }

    /// The source, if it was imported before.
    fn cached(&self, repository: &Git, release: &Release) -> Result<Option<Source>> {
        let commit = repository.resolve(&release.reference())?;
        Ok(commit.map(|commit| Source {
            name: self.base.name.clone(),
            label: release.to_string(),
            repository: repository.dir().to_owned(),
            commit,
        }))
    }

    /// A source of yesterday is better than none.
    fn offline(&self, repository: &Git, known: &Release, failure: Failure) -> Result<Source> {
        let Some(source) = self.cached(repository, known)? else {
            return Err(failure);
        };
        let why = format!("{failure}");
        let why = why
            .lines()
            .find(|line| line.starts_with("E: "))
            .unwrap_or(&why)
            .to_owned();
        self.session.events.send(Event::Warning(format!(
            "cannot get a newer source, using {known} from an earlier run: {why}"
        )));
        Ok(source)
    }

    fn apt(&self) -> Result<Root> {
        let name = self.base.suite.as_deref().unwrap_or("own");
        Root::at(
            self.session.layout.work("apt").join(name),
            self.base.suite.as_slice(),
            &self.session.stop,
        )
    }

    fn newest(&self) -> Result<Release> {
        let what = format!("asking apt for the newest {}", self.base.package);
        phase(&self.session.events, what, || {
            let shown = self.shown()?;
            let newest = newest(&shown).with_context(|| {
                let package = &self.base.package;
                format!("cannot read what apt says about {package}:\n{shown}")
            })?;
            let words = format!("{newest}");
            Ok((newest, words))
        })
    }

    /// All that apt has, the newest first.
    fn offered(&self) -> Result<Vec<Release>> {
        let what = format!("asking apt for all of {}", self.base.package);
        phase(&self.session.events, what, || {
            let releases = releases(&self.shown()?);
            let words = count(releases.len(), "version");
            Ok((releases, words))
        })
    }

    fn shown(&self) -> Result<String> {
        let Package { base, session, .. } = self;
        let root = self.apt()?;
        root.update(Duration::ZERO, session)?;
        let package = &base.package;
        proc::read(cmd!(root, "apt-cache show {package}"), &session.stop).map_err(|error| {
            error
                .or(Kind::Machinery)
                .context(format!("apt knows no package {package}"))
        })
    }

    fn fetch(&self, repository: &Git, release: &Release) -> Result<Source> {
        let (_guard, dir) = files::temporary(&self.session.layout.sources())?;
        let package = self.download(&dir, release)?;
        let import = Import {
            package: &package,
            member: format!("usr/src/{}.tar.xz", self.base.package),
            reference: release.reference(),
            message: release.to_string(),
            repository,
            session: self.session,
        };
        phase(
            &self.session.events,
            format!("importing {release} into git"),
            || {
                let files = import.run()?;
                Ok(((), count(files, "file")))
            },
        )?;
        self.cached(repository, release)?.ok_or_else(|| {
            Kind::Machinery.error(format!("git imported {release} and does not know it"))
        })
    }

    /// Fetches the package into `dir`; apt checks it against the signed index.
    fn download(&self, dir: &Utf8Path, release: &Release) -> Result<Utf8PathBuf> {
        phase(
            &self.session.events,
            format!("downloading {release}"),
            || {
                let exact = format!("{}={}", release.package, release.version);
                let root = self.apt()?;
                let mut download = Command::from(cmd!(root, "apt-get download -q {exact}"));
                download.current_dir(dir);
                let done = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    scope.spawn(|| self.watch(dir, release, &done));
                    let result = proc::read(&mut download, &self.session.stop);
                    done.store(true, Ordering::Relaxed);
                    result
                })?;
                let found = deb_in(dir)?.with_context(|| {
                    format!("apt-get download {exact} left no package in {dir}")
                })?;
                Ok((found, format!("{} MB", release.size / MB)))
            },
        )
    }

    fn watch(&self, dir: &Utf8Path, release: &Release, done: &AtomicBool) {
        while !done.load(Ordering::Relaxed) {
            let files = dir.read_dir_utf8().into_iter().flatten().flatten();
            let size: u64 = files
                .filter_map(|file| file.metadata().ok())
                .map(|found| found.len())
                .sum();
            self.session.events.send(Event::Progress {
                done: (size / MB).min(release.size / MB),
                total: Some(release.size / MB),
                unit: "MB",
                item: String::new(),
            });
            std::thread::sleep(WATCH);
        }
    }
}

impl Release {
    /// Versions have characters that references may not have.
    fn reference(&self) -> String {
        let plain = |char: char| {
            if char.is_ascii_alphanumeric() || ".+".contains(char) {
                char
            } else {
                '-'
            }
        };
        format!(
            "refs/tags/{}_{}",
            self.package,
            self.version.chars().map(plain).collect::<String>()
        )
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.package, self.version)
    }
}

/// The first of the versions that `apt-cache show` lists: it begins with the newest.
fn newest(shown: &str) -> Option<Release> {
    release(shown.split("\n\n").next()?)
}

fn releases(shown: &str) -> Vec<Release> {
    shown.split("\n\n").filter_map(release).collect()
}

/// Of a source that was imported.
fn version(source: &Source) -> &str {
    source.label.rsplit(' ').next().unwrap_or_default()
}

/// Whether a package's version is what somebody calls by this name: all of it, or without the parts that Debian adds.
fn is_version(wanted: &str, version: &str) -> bool {
    // `~` is before the version itself: 7.3~rc7 is no 7.3. After a revision it is Debian's own matter.
    let next = version.get(wanted.len()..).unwrap_or_default();
    let earlier = next.starts_with('~') && !wanted.contains('-');
    let [wanted, version] = [wanted, version].map(|version| version.replace('~', "-"));
    let rest = version.strip_prefix(&wanted);
    !wanted.is_empty()
        && rest.is_some_and(|rest| rest.is_empty() || !earlier && rest.starts_with(['-', '+']))
}

fn release(stanza: &str) -> Option<Release> {
    let field = |name: &str| {
        let mut lines = stanza.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim().to_owned())
    };
    Some(Release {
        package: field("Package")?,
        version: field("Version")?,
        size: field("Size")?.parse().ok()?,
    })
}

fn deb_in(dir: &Utf8Path) -> anyhow::Result<Option<Utf8PathBuf>> {
    let mut files = dir
        .read_dir_utf8()?
        .flatten()
        .map(camino::Utf8DirEntry::into_path);
    Ok(files.find(|path| path.extension() == Some("deb")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_version() {
        let release = |version: &str, size| Release {
            package: "linux-source-6.12".into(),
            version: version.into(),
            size,
        };
        for (shown, expected) in [
            ("", None),
            ("Package: linux-source-6.12\nVersion: 6.12.1-1\n", None),
            (
                "Package: linux-source-6.12\nVersion: 6.12.9-1~deb12u1\nDescription: x\n Version: 0\nSize: 12\n\n\
                 Package: linux-source-6.12\nVersion: 6.12.8-1\nSize: 11\n",
                Some(release("6.12.9-1~deb12u1", 12)),
            ),
        ] {
            assert_eq!(newest(shown), expected, "{shown}");
        }
    }

    #[test]
    fn versions_by_the_names_that_people_use() {
        for (wanted, version, expected) in [
            ("6.12.118", "6.12.118-1", true),
            ("6.12.118", "6.12.118+deb13-1", true),
            ("6.12.118-1", "6.12.118-1", true),
            ("6.12.11", "6.12.118-1", false),
            ("6.12", "6.12.118-1", false),
            ("6.12.118-1", "6.12.118-1~bpo12+1", true),
            ("7.3-rc7", "7.3~rc7-1~exp1", true),
            ("7.3~rc7", "7.3~rc7-1~exp1", true),
            ("7.3", "7.3~rc7-1~exp1", false),
            ("", "7.3-1", false),
        ] {
            assert_eq!(is_version(wanted, version), expected, "{wanted} {version}");
        }
    }

    #[test]
    fn references() {
        let release = Release {
            package: "linux-source-7.3".into(),
            version: "7.3~rc7-1~exp1".into(),
            size: 0,
        };
        assert_eq!(
            release.reference(),
            "refs/tags/linux-source-7.3_7.3-rc7-1-exp1"
        );
    }
}
