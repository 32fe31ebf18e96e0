//! What the kernel's own `checkpatch.pl --strict` says of a patch file.

use std::process::Command;
use std::sync::LazyLock;

use camino::Utf8Path;
use regex::Regex;
use xshell::cmd;

use super::finding::Finding;
use crate::deps::need::PACKAGED;
use crate::failure::{Kind, Result};
use crate::host::environment::PLAIN;
use crate::host::proc::{self, Stop};
use crate::series::Patch;

/// A type of complaint that says nothing about a series of this repository.
#[derive(Debug)]
pub struct Ignored {
    pub kind: &'static str,
    pub why: &'static str,
    holds: Holds,
}

/// For which patches.
#[derive(Debug)]
enum Holds {
    Always,
    /// Where all files that are added, removed or renamed are below this folder.
    Below(&'static str),
    /// Where this is the only file.
    Only(&'static str),
}

pub const IGNORED: &[Ignored] = &[
    Ignored {
        kind: "MISSING_SIGN_OFF",
        why: "a sign-off is the statement of the person who submits the patch",
        holds: Holds::Always,
    },
    Ignored {
        kind: "NO_AUTHOR_SIGN_OFF",
        why: "the author is a placeholder until a person submits the patch",
        holds: Holds::Always,
    },
    Ignored {
        kind: "UNKNOWN_COMMIT_ID",
        why: "the source is an import, and has none of the commits that a message names",
        holds: Holds::Always,
    },
    Ignored {
        kind: "FILE_PATH_CHANGES",
        why: "below fs/, all of which MAINTAINERS covers",
        holds: Holds::Below("fs/"),
    },
    Ignored {
        kind: "FILE_PATH_CHANGES",
        why: "below Documentation/filesystems/, all of which MAINTAINERS covers",
        holds: Holds::Below("Documentation/filesystems/"),
    },
    Ignored {
        kind: "FILE_PATH_CHANGES",
        why: "in fs/, all files of which MAINTAINERS covers",
        holds: Holds::Below("fs/"),
    },
    Ignored {
        kind: "UNKNOWN_COMMIT_ID",
        why: "the tree has no history in which a commit could be looked up",
        holds: Holds::Always,
    },
    Ignored {
        kind: "MACRO_ARG_REUSE",
        why: "in wait_bit.h, whose macros look at a condition again and again",
        holds: Holds::Only("include/linux/wait_bit.h"),
    },
];

/// Runs the script of a kernel tree, whose word lists and MAINTAINERS file it reads, too.
pub fn check(patch: &Patch, tree: &Utf8Path, stop: &Stop) -> Result<Vec<Finding>> {
    let output = proc::output(&mut command(patch, tree), b"", stop)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let findings = findings(&said);
    if findings.is_empty() && !output.status.success() {
        return Err(Kind::Machinery.error(format!(
            "checkpatch.pl gave no answer about {} ({}):\n{said}{}",
            patch.path,
            output.status,
            output.stderr()
        )));
    }
    Ok(findings)
}

fn command(patch: &Patch, tree: &Utf8Path) -> Command {
    let moved = moved(&patch.diff);
    let ignored = IGNORED.iter().filter(|ignored| match ignored.holds {
        Holds::Always => true,
        Holds::Below(folder) => moved.iter().all(|file| file.starts_with(folder)),
        Holds::Only(file) => patch.files().iter().all(|touched| *touched == file),
    });
    let ignored: Vec<&str> = ignored.map(|ignored| ignored.kind).collect();
    let (ignored, path) = (ignored.join(","), &patch.path);
    let mut command = Command::from(cmd!(
        PLAIN,
        "perl {tree}/scripts/checkpatch.pl --strict --terse --show-types --no-summary --color=never
         --ignore {ignored} {path}"
    ));
    // It asks git about the commits that a message names, and reads `.checkpatch.conf` at home.
    command.current_dir(tree).env("HOME", tree);
    // Its spdxcheck wants modules that Debian's own python3 has.
    command.env("PATH", PACKAGED);
    command
}

/// The files that a diff adds, removes or renames.
fn moved(diff: &[u8]) -> Vec<String> {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?m)^diff --git a/.+ b/(.+)\n(?:similarity .*\n)?(?:new file|deleted file|rename) ",
        )
        .expect("valid")
    });
    let text = String::from_utf8_lossy(diff);
    HEAD.captures_iter(&text)
        .map(|head| head[1].to_owned())
        .collect()
}

/// Reads lines such as `0001-x.patch:12: WARNING:LONG_LINE: line length of …`.
fn findings(said: &str) -> Vec<Finding> {
    static LINE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m)^(.+):(\d+): ((?:ERROR|WARNING|CHECK):[A-Z0-9_]+: .*)$").expect("valid")
    });
    let read = LINE.captures_iter(said).map(|line| Finding {
        file: line[1].to_owned(),
        line: line[2].parse().unwrap_or(0),
        text: line[3].to_owned(),
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_files() {
        let edited =
            "diff --git a/fs/a.c b/fs/a.c\nindex 1..2 100644\n--- a/fs/a.c\n+++ b/fs/a.c\n";
        let new = "diff --git a/fs/b.c b/fs/b.c\nnew file mode 100644\nindex 0..2\n";
        let gone = "diff --git a/fs/c.c b/fs/c.c\ndeleted file mode 100644\nindex 2..0\n";
        let renamed = "diff --git a/fs/d.c b/fs/e.c\nsimilarity index 100%\nrename from fs/d.c\nrename to fs/e.c\n";
        for (diff, expected) in [
            (edited.to_owned(), vec![]),
            (format!("{edited}{new}"), vec!["fs/b.c"]),
            (format!("{gone}{edited}{renamed}"), vec!["fs/c.c", "fs/e.c"]),
        ] {
            assert_eq!(moved(diff.as_bytes()), expected, "{diff}");
        }
    }

    #[test]
    fn what_checkpatch_says() {
        let finding = |line, text: &str| Finding {
            file: "/x/0001-a.patch".into(),
            line,
            text: text.into(),
        };
        for (said, expected) in [
            ("", vec![]),
            ("total: 0 errors, 0 warnings, 9 lines checked\n", vec![]),
            (
                "/x/0001-a.patch:84: ERROR:SPACING: spaces required around that '=' (ctx:VxV)\n\
                 /x/0001-a.patch:9: CHECK:LINE_SPACING: Please don't use multiple blank lines\n\n",
                vec![
                    finding(
                        84,
                        "ERROR:SPACING: spaces required around that '=' (ctx:VxV)",
                    ),
                    finding(
                        9,
                        "CHECK:LINE_SPACING: Please don't use multiple blank lines",
                    ),
                ],
            ),
        ] {
            assert_eq!(findings(said), expected, "{said}");
        }
    }
}
