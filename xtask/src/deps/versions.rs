//! Which versions the guest's programs have: they decide how some cases go, and differ from machine to machine.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use harness::devices::tools;
use harness::linux::program::PATH;
use harness::wire::Filesystem;
use regex::Regex;
use serde::{Deserialize, Serialize};
use xshell::cmd;

use super::need::tool;
use crate::failure;
use crate::host::environment::PLAIN;
use crate::host::files;
use crate::host::proc::{self, Error, Stop};
use crate::host::session::Session;

/// What programs are asked by, unless the entry of a filesystem says otherwise.
const OPTION: &str = "--version";

/// One that says nothing until then is not waited for.
const LIMIT: Duration = Duration::from_secs(5);

/// Of one that cannot be started, or that says no number.
const UNKNOWN: &str = "unknown";

/// What tells whether a program is still the same without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    path: Utf8PathBuf,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change.
    changed: (i64, i64),
}

/// What a program said of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    file: File,
    version: String,
}

/// What each of the [`tools`] on this machine says of itself, by its name. Only those are run that are new or have changed.
pub fn versions(session: &Session) -> failure::Result<BTreeMap<String, String>> {
    let tools =
        tools::all().filter_map(|(name, package)| Some((name, option(package), tool(name)?)));
    let answers = answers(tools, &session.layout.work("programs.json"), &session.stop)?;
    let versions = answers.into_iter().map(|(name, it)| (name, it.version));
    Ok(versions.collect())
}

fn answers<'a>(
    tools: impl Iterator<Item = (&'a str, &'a str, Utf8PathBuf)>,
    record: &Utf8Path,
    stop: &Stop,
) -> failure::Result<BTreeMap<String, Answer>> {
    let known: BTreeMap<String, Answer> = files::recall(record).unwrap_or_default();
    let mut answers = BTreeMap::new();
    for (name, option, path) in tools {
        let file = File::of(path)?;
        let answer = match known.get(name) {
            Some(last) if last.file == file => last.clone(),
            _ => Answer {
                version: ask(&file.path, option, stop)?,
                file,
            },
        };
        answers.insert(name.to_owned(), answer);
    }
    if answers != known {
        files::remember(record, &answers)?;
    }
    Ok(answers)
}

impl File {
    fn of(path: Utf8PathBuf) -> Result<Self> {
        let found = fs_err::metadata(&path)?;
        Ok(Self {
            path,
            inode: found.ino(),
            size: found.len(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

fn option(package: &str) -> &'static str {
    let entries = Filesystem::ALL.iter().map(|filesystem| filesystem.entry());
    let mut of_package = entries.filter(|entry| entry.package == package);
    of_package.next().map_or(OPTION, |entry| entry.version)
}

/// The line with the version. The exit code does not matter: dmsetup fails where the driver is not loaded.
fn ask(program: &Utf8Path, option: &str, stop: &Stop) -> failure::Result<String> {
    let asked = cmd!(PLAIN, "{program} {option}").env("PATH", PATH);
    let said = match proc::output_within(asked, LIMIT, stop) {
        Err(Error::Interrupted) => return Err(Error::Interrupted.into()),
        Err(Error::Failed(_)) => None,
        // mke2fs says it on standard error, where others have warnings.
        Ok(said) => line(&said.stdout).or_else(|| line(&said.stderr)),
    };
    Ok(said.unwrap_or_else(|| UNKNOWN.to_owned()))
}

fn line(said: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().find(|line| number(line).is_some())?;
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// `10.0.2` of `QEMU Guest Agent 10.0.2`.
pub fn number(line: &str) -> Option<&str> {
    static NUMBER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b\d+(\.\d+)+[^\s,]*").expect("valid"));
    NUMBER.find(line).map(|found| found.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scripts;

    #[test]
    fn versions_of_real_programs() {
        for (said, wanted) in [
            ("QEMU Guest Agent 10.0.2\n", Some("10.0.2")),
            (
                "  LVM version:     2.03.16(2) (2022-05-18)\n  Library version: 1.02.185 (2022-05-18)\n",
                Some("2.03.16(2)"),
            ),
            (
                "Library version:   1.02.185 (2022-05-18)\n",
                Some("1.02.185"),
            ),
            ("mkfs.xfs version 6.1.0\n", Some("6.1.0")),
            (
                "mke2fs 1.47.0 (5-Feb-2023)\n\tUsing EXT2FS Library version 1.47.0\n",
                Some("1.47.0"),
            ),
            ("fsfreeze from util-linux 2.38.1\n", Some("2.38.1")),
            ("fsfreeze from util-linux 2.42-rc1\n", Some("2.42-rc1")),
            (
                "expr (GNU coreutils) 9.1\nCopyright (C) 2022\n",
                Some("9.1"),
            ),
            ("usage: tool FILE\n", None),
            ("", None),
        ] {
            let line = line(said.as_bytes());
            assert_eq!(line.as_deref().and_then(number), wanted, "{said}");
        }
    }

    /// A shell script that appends a line to `asked` whenever it is run.
    fn program(folder: &Utf8Path, body: &str) -> Utf8PathBuf {
        let path = folder.join("tool");
        let text = format!("#!/bin/sh\necho . >>{folder}/asked\n{body}\n");
        scripts::make(&path, &text);
        path
    }

    #[test]
    fn a_program_is_asked_once_for_each_version_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let version = |path: &Utf8Path| {
            let tools = [("tool", "-V", path.to_owned())].into_iter();
            let answers = answers(tools, &dir.join("record"), &Stop::default()).unwrap();
            answers["tool"].version.clone()
        };
        for (body, wanted, asked) in [
            (
                "echo 'warning 1.2' >&2; echo \"tool  $1 3.4\"; exit 1",
                "tool -V 3.4",
                1,
            ),
            ("echo tool 3.5 >&2", "tool 3.5", 2),
            ("echo no number", UNKNOWN, 3),
        ] {
            let path = program(dir, body);
            assert_eq!(
                (version(&path), version(&path)),
                (wanted.into(), wanted.into())
            );
            let times = fs_err::read_to_string(dir.join("asked")).unwrap();
            assert_eq!(times.lines().count(), asked, "{body}");
        }
    }

    #[test]
    fn what_cannot_be_started_has_no_version() {
        let stop = Stop::default();
        assert_eq!(ask("/dev/null".into(), "-V", &stop).unwrap(), UNKNOWN);
    }
}
