//! What can be said of the patches of a request without booting a kernel.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use camino::Utf8PathBuf;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::finding::{Finding, added};
use crate::failure::Result;
use crate::host::files;
use crate::host::session::Session;
use crate::kernel::apply::{Applied, apply_some};
use crate::kernel::build::{self, Build};
use crate::kernel::checked::Checked;
use crate::kernel::config;
use crate::kernel::desk::{Desk, title};
use crate::kernel::request::{Part, Request};
use crate::kernel::version::version;
use crate::series::Series;

/// `configs/check.config`: drivers that are compiled here and never booted.
const CONFIG: &str = "check";
/// Folders whose C files are no part of a kernel.
const NO_KERNEL: &[&str] = &["Documentation/", "samples/", "scripts/", "tools/", "usr/"];

/// Tries the patches one after the other. The work tree that is returned holds those that apply, but no more than
/// `next`: what will be compiled next should not have to be written twice.
pub fn apply(request: &Request, next: usize, session: &Session) -> Result<(Applied, Utf8PathBuf)> {
    let checked = Checked::of(request, session)?;
    let desk = Desk::open(&checked, session)?;
    checked.compare_versions(session)?;
    desk.require_unapplied()?;
    let applied = apply_some(&desk.source, &checked.series, &session.stop)?;
    let part = Request {
        part: Part::First(applied.count.min(next)),
        ..request.clone()
    };
    let checked = Checked::of(&part, session)?;
    let tree = desk.with(&checked).tree()?;
    Ok((applied, tree.path))
}

/// The C files that patches touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// A kernel may have an object of them.
    pub kernel: BTreeSet<String>,
    /// It has none, in any configuration.
    pub other: BTreeSet<String>,
}

impl Touched {
    pub fn by(series: &[Series]) -> Self {
        let patches = series.iter().flat_map(|series| &series.patches);
        let files = patches.flat_map(|patch| patch.files());
        let sources = files.filter(|file| file.ends_with(".c")).map(str::to_owned);
        let (other, kernel) =
            sources.partition(|file| NO_KERNEL.iter().any(|folder| file.starts_with(folder)));
        Self { kernel, other }
    }
}

/// What gcc, sparse and kernel-doc said of some C files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiled {
    pub findings: Vec<Finding>,
    /// Files without an object: with errors among the findings, or because the configuration lacks what they use.
    pub failed: BTreeSet<String>,
}

/// Compiles those of the C files that the request's tree has, with `W=1` and sparse, in a build folder of their own:
/// other flags than those of a bootable kernel would have all of that compiled again.
///
/// Where all files compiled in an earlier run, its findings are taken, and the work tree is left as it is: going to
/// stock and back would make every touched header newer than all that was built with it. It is a build error if no
/// file compiles.
pub fn compile(
    request: &Request,
    sources: &BTreeSet<String>,
    session: &Session,
) -> Result<Compiled> {
    let checked = Checked::of(request, session)?;
    let desk = Desk::open(&checked, session)?;
    let mut configs = request.configs.clone();
    configs.push(CONFIG.to_owned());
    let planned = desk.planned_tree()?;
    let mut build = Build {
        tree: &planned,
        fragments: &config::fragments(&session.layout, &request.base, &configs)?,
        jobs: request.jobs,
        folder: build::folder(&session.layout, &checked.tree_name(), &configs),
        title: String::new(),
    };
    let objects: Vec<String> = sources.iter().map(|file| object(file)).collect();
    let fingerprint = build.checks_fingerprint(&objects, &session.stop)?;
    let memory = build.folder.join("said").join(&fingerprint[..16]);
    if let Some(known) = files::recall(&memory) {
        return Ok(known);
    }
    let tree = desk.tree()?;
    build.tree = &tree;
    build.title = title(
        &desk.source,
        &version(&tree.path)?,
        &checked,
        &request.series,
    );
    let compiled = anew(&build, sources, session)?;
    // A compiler that ran out of memory says nothing about the file.
    if compiled.failed.is_empty() {
        files::remember(&memory, &compiled)?;
    }
    Ok(compiled)
}

fn anew(build: &Build<'_>, sources: &BTreeSet<String>, session: &Session) -> Result<Compiled> {
    let path = &build.tree.path;
    let there: Vec<&String> = sources
        .iter()
        .filter(|file| path.join(file).exists())
        .collect();
    if there.is_empty() {
        return Ok(Compiled::default());
    }
    let objects: Vec<String> = there.iter().map(|file| object(file)).collect();
    let said = build.objects(&objects, session)?;
    let out = build.folder.join("out");
    let made = |file: &&String| out.join(object(file)).exists();
    Ok(Compiled {
        failed: there
            .into_iter()
            .filter(|file| !made(file))
            .cloned()
            .collect(),
        findings: findings(&said.replace(&format!("{path}/"), "")),
    })
}

fn object(source: &str) -> String {
    Utf8PathBuf::from(source).with_extension("o").into_string()
}

/// What a change of the tree did to its C files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub added: Vec<Finding>,
    /// These files compiled before, or were not there.
    pub broken: Vec<String>,
    /// These compile neither before nor after, so that nothing can be said of them.
    pub unknown: Vec<String>,
}

pub fn compare(before: &Compiled, after: &Compiled) -> Difference {
    let (unknown, broken) = after
        .failed
        .iter()
        .cloned()
        .partition(|file| before.failed.contains(file));
    Difference {
        added: added(&before.findings, &after.findings),
        broken,
        unknown,
    }
}

/// Reads `file:line:column: warning: text`, without a column from kernel-doc. sparse puts types on lines of their own.
fn findings(said: &str) -> Vec<Finding> {
    static COMPLAINT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^([^:\s]+):(\d+):(?:\d+:)? ((?:warning|(?:fatal )?error): .*)$")
            .expect("valid")
    });
    static DETAIL: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[^:\s]+:\d+:\d+:\s{3,}(\S.*)$").expect("valid"));
    let mut findings: Vec<Finding> = Vec::new();
    for line in said.lines() {
        if let Some(complaint) = COMPLAINT.captures(line) {
            findings.push(Finding {
                file: complaint[1].to_owned(),
                line: complaint[2].parse().unwrap_or(0),
                text: complaint[3].to_owned(),
            });
        } else if let (Some(detail), Some(last)) = (DETAIL.captures(line), findings.last_mut()) {
            last.text += &format!("; {}", &detail[1]);
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::layout::Layout;
    use crate::series;

    fn finding(file: &str, line: u64, text: &str) -> Finding {
        Finding {
            file: file.into(),
            line,
            text: text.into(),
        }
    }

    #[test]
    fn what_compilers_say() {
        let noise = "Use of uninitialized value $param in hash element at x/scripts/kernel-doc line 9.\n\
            make[3]: *** [scripts/Makefile.build:234: fs/a.o] Error 1\nfs/a.c: In function 'f':\n  12 | int y;\n";
        for (said, expected) in [
            ("", vec![]),
            (noise, vec![]),
            (
                "fs/a.c:12:5: warning: unused variable 'y' [-Wunused-variable]\n   12 | int y;\n      |     ^\n",
                vec![finding(
                    "fs/a.c",
                    12,
                    "warning: unused variable 'y' [-Wunused-variable]",
                )],
            ),
            (
                "fs/a.c:7: warning: Function parameter 'x' not described in 'f'\n",
                vec![finding(
                    "fs/a.c",
                    7,
                    "warning: Function parameter 'x' not described in 'f'",
                )],
            ),
            (
                "fs/a.c:1:2: error: incompatible types:\nfs/a.c:1:2:    struct a [noderef] *\nfs/a.c:1:2:    struct a *\n",
                vec![finding(
                    "fs/a.c",
                    1,
                    "error: incompatible types:; struct a [noderef] *; struct a *",
                )],
            ),
            (
                "In file included from fs/a.c:31:\na.h:95:42: fatal error: b.h: No such file or directory\n",
                vec![finding(
                    "a.h",
                    95,
                    "fatal error: b.h: No such file or directory",
                )],
            ),
        ] {
            assert_eq!(findings(said), expected, "{said}");
        }
    }

    #[test]
    fn differences() {
        let compiled = |failed: &[&str], lines: &[u64]| Compiled {
            failed: failed.iter().map(ToString::to_string).collect(),
            findings: lines
                .iter()
                .map(|line| finding("a.c", *line, "x"))
                .collect(),
        };
        let strings = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        for (before, after, broken, unknown, added) in [
            (
                compiled(&[], &[]),
                compiled(&[], &[]),
                [].as_slice(),
                [].as_slice(),
                0,
            ),
            (
                compiled(&["o.c"], &[3]),
                compiled(&["o.c"], &[8]),
                &[],
                &["o.c"],
                0,
            ),
            (
                compiled(&["o.c"], &[]),
                compiled(&["n.c", "o.c"], &[1]),
                &["n.c"],
                &["o.c"],
                1,
            ),
            (compiled(&["o.c"], &[]), compiled(&[], &[]), &[], &[], 0),
        ] {
            let found = compare(&before, &after);
            assert_eq!(
                (found.broken, found.unknown),
                (strings(broken), strings(unknown))
            );
            assert_eq!(found.added.len(), added);
        }
    }

    #[test]
    fn touched_files_of_this_checkout() {
        let layout = Layout::of_this_checkout().unwrap();
        let series = series::load(&layout, "6.12", "generic-freeze").unwrap();
        let touched = Touched::by(&[series]);
        assert!(touched.kernel.contains("fs/super.c"));
        assert!(touched.other.iter().all(|file| file.starts_with("tools/")));
        assert_eq!(object("fs/super.c"), "fs/super.o");
    }
}
