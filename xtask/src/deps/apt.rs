//! apt with package indexes of our own, so that suites which the machine does not
//! follow can be asked and nothing of the machine's configuration changes.

use std::collections::BTreeSet;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Cmd, cmd};

use crate::failure::{Kind, Result};
use crate::host::environment::NETWORKED;
use crate::host::files;
use crate::host::phase::Pace;
use crate::host::proc::{self, Stop};
use crate::host::session::Session;

/// What Debian itself signs with; installed on every Debian.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// One line for each index that apt knows: mirror, suite, component, who signed it (nothing before the first update).
const TARGETS: &str = "--format=$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)";

/// A private set of package indexes: the machine's own Debian suites and some more of the same mirror.
#[derive(Debug)]
pub struct Root {
    dir: Utf8PathBuf,
}

impl Root {
    /// Sets it up in `dir`; no index is fetched yet.
    pub fn at(dir: Utf8PathBuf, suites: &[String], stop: &Stop) -> Result<Self> {
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs_err::create_dir_all(dir.join(folder))?;
        }
        let codename = codename()?;
        // Full information tells Debian's suites from others', but a suite has it only after it was in an `apt-get update`.
        let signed = proc::read(cmd!(NETWORKED, "apt-get indextargets {TARGETS}"), stop)?;
        let bare = cmd!(
            NETWORKED,
            "apt-get indextargets --no-release-info {TARGETS}"
        );
        let targets = united(&signed, &proc::read(bare, stop)?);
        let keyring = Utf8Path::new(KEYRING).exists();
        let list = sources_list(&targets, &codename, suites, keyring);
        let list = list.ok_or_else(|| {
            Kind::Machinery.error(format!(
                "apt on this machine has no Debian source for {codename}"
            ))
        })?;
        files::write(&dir.join("sources.list"), list.as_bytes())?;
        Ok(Self { dir })
    }

    /// Fetches the indexes unless that was done less than `fresh` ago.
    pub fn update(&self, fresh: Duration, session: &Session) -> Result<()> {
        let stamp = self.dir.join("updated");
        let list = fs_err::read_to_string(self.dir.join("sources.list"))?;
        let same = files::recall::<String>(&stamp).is_some_and(|updated| updated == list);
        if same && files::age(&stamp).is_some_and(|age| age < fresh) {
            return Ok(());
        }
        // Without the error mode, apt calls it a success to have kept the old indexes.
        let update = cmd!(self, "apt-get update -q -o APT::Update::Error-Mode=any");
        let log = self.dir.join("update.log");
        files::remove(&log)?;
        let (mut lines, mut pace) = (0, Pace::new(&session.events));
        proc::stream(update, &log, &session.stop, &mut |_, line| {
            lines += 1;
            pace.tell(lines, None, || line.to_owned());
        })?;
        Ok(files::remember(&stamp, &list)?)
    }

    /// For `cmd!`: `apt-get` or `apt-cache` on these indexes. Which packages are installed is still the machine's
    /// knowledge.
    pub fn cmd(&self, program: &str) -> Cmd<'static> {
        let dir = &self.dir;
        // apt's own user may not reach the checkout; what is fetched is verified by signature all the same.
        cmd!(
            NETWORKED,
            "{program} -o Dir::Etc::sourcelist={dir}/sources.list -o Dir::Etc::sourceparts=/dev/null
             -o Dir::State::lists={dir}/lists -o Dir::Cache={dir}/cache -o Acquire::Languages=none
             -o APT::Sandbox::User=root"
        )
    }
}

/// The release that this machine runs, e.g. `bookworm`.
pub fn codename() -> Result<String> {
    let path = "/etc/os-release";
    let text = fs_err::read_to_string(path)?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let name = name.ok_or_else(|| {
        Kind::Machinery.error(format!("{path} has no VERSION_CODENAME; is this Debian?"))
    })?;
    Ok(name.trim_matches('"').to_owned())
}

/// All targets: as they are signed, and those of which nothing is known but their addresses.
fn united(signed: &str, bare: &str) -> String {
    let address = |line: &str| line.rsplit_once(' ').map(|(address, _)| address.to_owned());
    let known: BTreeSet<_> = signed.lines().map(address).collect();
    let unknown = bare.lines().filter(|line| !known.contains(&address(line)));
    let all = signed.lines().chain(unknown);
    all.map(|line| format!("{line}\n")).collect()
}

/// The machine's Debian sources and `suites` from the mirror of its main one; `None` if there is no main one.
///
/// `targets` is what [`TARGETS`] prints; a field that apt does not know stays as `$(NAME)`.
fn sources_list(targets: &str, codename: &str, suites: &[String], keyring: bool) -> Option<String> {
    let signed_by = if keyring {
        format!("[signed-by={KEYRING}] ")
    } else {
        String::new()
    };
    let own = ["", "-security", "-updates"].map(|suffix| format!("{codename}{suffix}"));
    let mut sources = BTreeSet::new();
    for line in targets.lines() {
        let &[kind, uri, suite, component, origin] = line.split(' ').collect::<Vec<_>>().as_slice()
        else {
            continue;
        };
        let debian = origin == "Debian" || origin.starts_with('$');
        if kind == "Packages" && component == "main" && debian && own.iter().any(|own| own == suite)
        {
            sources.insert((suite.to_owned(), uri.to_owned()));
        }
    }
    let mirror = sources
        .iter()
        .find(|(suite, _)| suite == codename)
        .map(|(_, uri)| uri.clone())?;
    sources.extend(suites.iter().map(|suite| (suite.clone(), mirror.clone())));
    Some(
        sources
            .iter()
            .map(|(suite, uri)| format!("deb {signed_by}{uri} {suite} main\n"))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_that_was_added_since_the_last_update_counts() {
        let signed = "Packages http://mirror/debian/ bookworm main Debian\n\
            Packages http://vendor/ bookworm main Vendor\n";
        let bare = "Packages http://mirror/debian/ bookworm main $(ORIGIN)\n\
            Packages http://mirror/debian-security/ bookworm-security main $(ORIGIN)\n\
            Packages http://vendor/ bookworm main $(ORIGIN)\n";
        let own = "deb http://mirror/debian/ bookworm main\n";
        let security = "deb http://mirror/debian-security/ bookworm-security main\n";
        let targets = united(signed, bare);
        let list = sources_list(&targets, "bookworm", &[], false).unwrap();
        assert_eq!(list, format!("{own}{security}"));
        assert_eq!(united(signed, ""), signed);
        assert_eq!(united("", bare), bare);
    }

    #[test]
    fn sources_of_a_machine() {
        let machine = "Packages http://mirror/debian/ bookworm main Debian\n\
            DEP-11 http://mirror/debian/ bookworm main Debian\n\
            Packages http://mirror/debian/ bookworm contrib Debian\n\
            Packages http://mirror/debian-security/ bookworm-security main Debian\n\
            Packages http://vendor/ bookworm main Vendor\n\
            Packages http://other/ nodistro main Other\n";
        let never_updated = "Packages http://mirror/debian/ bookworm main $(ORIGIN)\n";
        let own = "deb http://mirror/debian/ bookworm main\n";
        let security = "deb http://mirror/debian-security/ bookworm-security main\n";
        let more = "deb http://mirror/debian/ experimental main\n";
        for (targets, suites, expected) in [
            (machine, vec![], Some(format!("{own}{security}"))),
            (
                machine,
                vec!["experimental".to_owned()],
                Some(format!("{own}{security}{more}")),
            ),
            (
                machine,
                vec!["bookworm".to_owned()],
                Some(format!("{own}{security}")),
            ),
            (never_updated, vec![], Some(own.to_owned())),
            (
                "Packages http://vendor/ bookworm main Vendor\n",
                vec![],
                None,
            ),
            ("", vec![], None),
        ] {
            assert_eq!(
                sources_list(targets, "bookworm", &suites, false),
                expected,
                "{targets}"
            );
        }
    }
}
