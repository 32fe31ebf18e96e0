//! What make and the compiler say, sorted.

use std::sync::LazyLock;

use regex::Regex;

/// The complaints in a build's standard error, each with its context: the lines
/// that lead to it and the source that it points at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Complaints {
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Error,
    Warning,
    /// Leads to the complaint that follows.
    Prelude,
    /// make's own report: it ends a complaint, and says no more than the complaint.
    Make,
    /// Belongs to the complaint before.
    Context,
}

fn kind(line: &str) -> Line {
    static KINDS: LazyLock<[(Line, Regex); 4]> = LazyLock::new(|| {
        [
            (Line::Make, r"^make(\[\d+\])?: "),
            (Line::Prelude, r"^In file included from |^\S+: (In function|In member|At top level)"),
            (Line::Error, r": (fatal |internal compiler )?error: |: undefined reference to |: multiple definition of |^ERROR: |^ld: |^\S*ld: cannot "),
            (Line::Warning, r": warning: |^WARNING: "),
        ]
        .map(|(kind, regex)| (kind, Regex::new(regex).expect("valid")))
    });
    KINDS
        .iter()
        .find(|(_, regex)| regex.is_match(line))
        .map_or(Line::Context, |(kind, _)| *kind)
}

/// Sorts standard error; make must have kept the output of jobs apart.
pub fn complaints(stderr: &str) -> Complaints {
    let mut complaints = Complaints::default();
    let mut block: Vec<&str> = Vec::new();
    let mut of = Line::Context;
    for line in stderr.lines() {
        let kind = kind(line);
        let begins =
            matches!(kind, Line::Error | Line::Warning | Line::Make) && of != Line::Prelude;
        if begins || kind == Line::Prelude && of != Line::Prelude {
            complaints.take(of, &mut block);
            of = Line::Context;
        }
        block.push(line);
        if kind != Line::Context {
            of = kind;
        }
    }
    complaints.take(of, &mut block);
    complaints
}

impl Complaints {
    fn take(&mut self, kind: Line, block: &mut Vec<&str>) {
        let text = std::mem::take(block).join("\n");
        match kind {
            Line::Error => self.errors.push(text),
            Line::Warning => self.warnings.push(text),
            Line::Prelude | Line::Make | Line::Context => {}
        }
    }
}

/// What make says that it made, e.g. `fs/super.o`, for steps that come in the hundreds.
pub fn step(line: &str) -> Option<&str> {
    static STEP: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^  (?:CC|AS|LD|AR|HOSTCC)\s+(?:\[M\]\s+)?(\S+)$").expect("valid")
    });
    STEP.captures(line)
        .and_then(|captures| captures.get(1))
        .map(|name| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted() {
        let error = "fs/super.c: In function 'f':\nfs/super.c:3:1: error: 'x' undeclared\n    3 | x;\n      | ^";
        let included = "In file included from fs/a.c:1:\n                 from fs/b.c:2:\na.h:1:1: fatal error: no.h: No such file";
        let warning =
            "fs/b.c:1:1: warning: unused variable 'y'\n    1 | int y;\nfs/b.c:1:1: note: here";
        let make = "make[3]: *** [scripts/Makefile.build:229: fs/super.o] Error 1";
        let link =
            "ld: fs/super.o: in function `f':\nsuper.c:(.text+0x1): undefined reference to `g'";
        for (stderr, errors, warnings) in [
            (String::new(), vec![], vec![]),
            ("something else".to_owned(), vec![], vec![]),
            (format!("{error}\n{make}"), vec![error], vec![]),
            (
                format!("{warning}\n{error}\n{make}\n{included}"),
                vec![error, included],
                vec![warning],
            ),
            (make.to_owned(), vec![], vec![]),
        ] {
            let found = complaints(&stderr);
            assert_eq!(
                (found.errors, found.warnings),
                (to_strings(&errors), to_strings(&warnings)),
                "{stderr}"
            );
        }
        assert_eq!(complaints(link).errors.concat(), link.replace('\n', ""));
    }

    fn to_strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn steps() {
        for (line, expected) in [
            ("  CC      fs/super.o", Some("fs/super.o")),
            ("  CC [M]  fs/ext4/super.o", Some("fs/ext4/super.o")),
            ("  LD      vmlinux", Some("vmlinux")),
            ("  GEN     Makefile", None),
            ("make[1]: Entering directory '/x'", None),
        ] {
            assert_eq!(step(line), expected, "{line}");
        }
    }
}
