//! What no list takes, though `git am` does: each with its file and line.

use std::collections::HashMap;
use std::fmt::{Display, Formatter};
use std::sync::LazyLock;

use camino::Utf8PathBuf;
use regex::Regex;

use super::base::Base;
use super::checklist::{
    Commits, assistance, author, below_unsent, is_public, unreachable, unsigned,
};
use super::mbox::Subject;
use crate::failure::{Kind, Result};
use crate::series::{Patch, Series};

/// What is wrong with a patch file; lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub path: Utf8PathBuf,
    pub line: usize,
    pub what: String,
}

/// Refuses a series that cannot be mailed as it is.
///
/// # Errors
/// [`Kind::Usage`] with all that is wrong, one a line.
pub fn unfit(series: &Series) -> Result<()> {
    let faults = faults(series);
    refused(&faults.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// Refuses what [`unfit`] leaves for people to do, as far as it can be told: sign-offs, tools without a name, and addresses
/// to which nobody can answer. `identity` is whom git would send as.
///
/// # Errors
/// As [`unfit`]; that of the identity has no file, and the last lines say how to go on.
pub fn for_list(series: &Series, identity: Option<&str>, commits: &Commits<'_>) -> Result<()> {
    let patches = || series.patches.iter();
    let nobodys: Vec<Fault> = patches().filter_map(nobody).collect();
    let unsigned: Vec<Fault> = patches().filter_map(|it| sign_off(it, identity)).collect();
    let mut how = Vec::new();
    if !nobodys.is_empty() {
        how.push(format!(
            "to be the author of all patches: {}",
            commits.own()
        ));
    }
    if !unsigned.is_empty() {
        how.push(format!(
            "to sign all off, if it is true what that says: {}",
            commits.sign()
        ));
    }
    if !how.is_empty() {
        how.push(format!("then: {}", commits.refresh()));
    }
    let mut faults = [nobodys, unsigned, patches().flat_map(tools).collect()].concat();
    let place = |path: &Utf8PathBuf| patches().position(|it| it.path == *path);
    faults.sort_by_key(|fault| place(&fault.path));
    let lines = faults.iter().map(ToString::to_string);
    let lines = lines.chain(unreachable(identity)).chain(how);
    refused(&lines.collect::<Vec<_>>())
}

/// Refuses a base that nobody else is known to have.
///
/// # Errors
/// [`Kind::Usage`]
pub fn private(base: &Base) -> Result<()> {
    let said = (!base.published).then(|| {
        format!(
            "no tag and no remote branch of --upstream has {}, so nobody else can apply the patches: \
             name a public commit with --onto, or fetch there what was published (git fetch --tags)",
            base.commit
        )
    });
    refused(said.as_slice())
}

/// Refuses a series on top of these, which are not known to be sent.
///
/// # Errors
/// [`Kind::Usage`]
pub fn unsent(names: &[String]) -> Result<()> {
    refused(below_unsent(names).as_slice())
}

fn refused(lines: &[String]) -> Result<()> {
    match lines {
        [] => Ok(()),
        lines => Err(Kind::Usage.error(lines.join("\n"))),
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { path, line, what } = self;
        write!(f, "{path}:{line}: {what}")
    }
}

pub fn faults(series: &Series) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut subjects: HashMap<&str, &Patch> = HashMap::new();
    for (patch, number) in series.patches.iter().zip(1..) {
        let text = File::of(patch);
        faults.extend(text.faults());
        faults.extend(numbering(&text, number, series.patches.len()));
        if let Some(other) = subjects.insert(&patch.subject, patch) {
            faults.push(text.fault(
                text.header("Subject"),
                format!(
                    "{} has the same subject; readers and b4 tell patches apart by it",
                    other.path
                ),
            ));
        }
    }
    faults
}

/// A patch file by lines.
struct File<'a> {
    patch: &'a Patch,
    lines: Vec<&'a [u8]>,
}

impl<'a> File<'a> {
    fn of(patch: &'a Patch) -> Self {
        Self {
            patch,
            lines: patch.text.split(|byte| *byte == b'\n').collect(),
        }
    }

    fn fault(&self, line: usize, what: impl Into<String>) -> Fault {
        Fault {
            path: self.patch.path.clone(),
            line,
            what: what.into(),
        }
    }

    /// The first line that is so; the first of all if none is.
    fn line(&self, is: impl Fn(&[u8]) -> bool) -> usize {
        self.lines
            .iter()
            .position(|line| is(line))
            .map_or(1, |at| at + 1)
    }

    fn header(&self, name: &str) -> usize {
        self.line(|line| {
            line.get(..=name.len())
                .is_some_and(|it| it.eq_ignore_ascii_case(format!("{name}:").as_bytes()))
        })
    }

    fn faults(&self) -> Vec<Fault> {
        let found = [
            self.crlf(),
            self.charset(),
            self.prefix(),
            self.description(),
            self.cut(),
            self.binary(),
        ];
        found.into_iter().flatten().collect()
    }

    /// `git am` turns them into LF, also those of a file that has them.
    fn crlf(&self) -> Option<Fault> {
        let at = self.lines.iter().position(|line| line.ends_with(b"\r"))?;
        Some(self.fault(
            at + 1,
            "CRLF; patch files have LF, as `series refresh` writes them",
        ))
    }

    /// Git guesses where nothing is declared, and every reader guesses otherwise.
    fn charset(&self) -> Option<Fault> {
        static DECLARED: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r#"(?i)charset="?([^\s";]+)"#).expect("valid"));
        let utf8 = std::str::from_utf8(&self.patch.text);
        let before = &self.patch.text[..utf8.err()?.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        let blank = self.lines.iter().position(|line| line.is_empty())?;
        let head = String::from_utf8_lossy(&self.lines[..blank].join(&b'\n')).into_owned();
        let declared = DECLARED
            .captures(&head)
            .map(|found| found[1].to_lowercase());
        declared.is_none_or(|charset| charset == "utf-8").then(|| {
            self.fault(
                line,
                "not UTF-8, and no Content-Type header says what else; `series refresh` writes UTF-8",
            )
        })
    }

    fn prefix(&self) -> Option<Fault> {
        static FORM: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"^[\w.+*{},/-]+(?:[ /-][\w.+*{},/-]+){0,2}: \S").expect("valid")
        });
        let subject = &self.patch.subject;
        (!FORM.is_match(subject)).then(|| {
            self.fault(
                self.header("Subject"),
                format!("the subject {subject:?} is not of the form `subsystem: summary`"),
            )
        })
    }

    /// What stands between subject and trailers.
    fn description(&self) -> Option<Fault> {
        static TRAILER: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?i)^(?:[a-z-]+-by|bug|cc|change-id|closes|fixes|link|message-id): ")
                .expect("valid")
        });
        let message = String::from_utf8_lossy(&self.patch.message);
        let body = message.lines().skip_while(|line| !line.is_empty());
        let mut says = body.filter(|line| !line.is_empty() && !TRAILER.is_match(line));
        says.next().is_none().then(|| {
            self.fault(
                self.header("Subject"),
                "the patch has no description: why is the change wanted?",
            )
        })
    }

    /// A line in the description that ends it for git: what follows is in no commit. For git the diff begins with the
    /// first such line, which need not be a `---`.
    fn cut(&self) -> Option<Fault> {
        let hunks = self.patch.changes.iter().flat_map(|change| &change.hunks);
        let first = hunks.map(|hunk| hunk.line).min().unwrap_or(usize::MAX);
        let lines = self.patch.diff.split(|byte| *byte == b'\n').take(first);
        let mut marks = lines.map(|line| line.trim_ascii_end() == b"---");
        let what = match (marks.next()?, marks.any(|is_mark| is_mark)) {
            (true, false) => return None,
            // It ends a description, and so does the second: the first stands in it.
            (true, true) => {
                "the description ends here for `git am`, and the rest of it gets lost: put `---` or \
                 `diff --git` in other words"
            }
            (false, _) => {
                "the description is not ended by a line `---`: it has one in it that ends it for `git am`, \
                 such as `diff --git` or `--- a`, or was not written by git format-patch"
            }
        };
        Some(self.fault(self.place(1), what))
    }

    /// A line of the file for one of the diff; the first if the file has it encoded.
    fn place(&self, line: usize) -> usize {
        self.patch.line(line).unwrap_or(1)
    }

    fn binary(&self) -> Option<Fault> {
        let mut lines = self.patch.diff.split(|byte| *byte == b'\n').zip(1..);
        let is = |line: &[u8]| {
            line == b"GIT binary patch"
                || (line.starts_with(b"Binary files ") && line.ends_with(b" differ"))
        };
        let (_, at) = lines.find(|(line, _)| is(line))?;
        Some(self.fault(self.place(at), "a binary hunk: mailing lists take text"))
    }
}

/// Both the file's name and the subject may have a number.
fn numbering(file: &File<'_>, number: usize, all: usize) -> Option<Fault> {
    let name = file.patch.path.file_name().unwrap_or_default();
    let digits = name.split('-').next().unwrap_or_default();
    if digits.parse().is_ok_and(|said: usize| said != number) {
        let what = format!(
            "the name says {digits}, and this is patch {number} of the series; `series refresh` \
             numbers them"
        );
        return Some(file.fault(1, what));
    }
    let line = file.header("Subject");
    let header = String::from_utf8_lossy(file.lines[line - 1]).into_owned();
    let subject = Subject::of(header.split_once(':').map_or("", |(_, value)| value));
    let (said, of) = subject.place?;
    ((said, of) != (number, all)).then(|| {
        let what = format!(
            "the subject says {said}/{of}, and this is {number}/{all}; `series refresh` leaves the \
             numbers to the mail"
        );
        file.fault(line, what)
    })
}

fn nobody(patch: &Patch) -> Option<Fault> {
    let (file, author) = (File::of(patch), author(patch));
    (!is_public(&author)).then(|| {
        file.fault(
            file.header("From"),
            format!("nobody can write to the author {author}"),
        )
    })
}

fn sign_off(patch: &Patch, sender: Option<&str>) -> Option<Fault> {
    let file = File::of(patch);
    let who = unsigned(patch, sender);
    (!who.is_empty()).then(|| {
        let what = format!(
            "no Signed-off-by of {}, and this program invents none",
            who.join(" and ")
        );
        file.fault(file.header("From"), what)
    })
}

fn tools(patch: &Patch) -> Vec<Fault> {
    let file = File::of(patch);
    let message = String::from_utf8_lossy(&patch.message);
    let faults = message.lines().filter_map(|line| {
        let what = assistance(line)?.err()?;
        let at = file.line(|it| it == line.as_bytes());
        Some(file.fault(at, what))
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::host::layout::Layout;
    use crate::series::{load, parse};

    const DIFF: &str =
        "diff --git a/a b/a\nindex 1..2 100644\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-b\n+c\n";

    fn mail(subject: &str, body: &str) -> String {
        format!(
            "From: a <a@b>\nDate: Fri, 27 Nov 2026 10:00:00 +0100\nSubject: {subject}\n\n{body}"
        )
    }

    fn whole(subject: &str) -> String {
        mail(
            subject,
            &format!("Why.\n---\n a | 2 +-\n\n{DIFF}-- \n2.47.3\n"),
        )
    }

    fn patch(name: &str, text: &[u8]) -> Patch {
        parse(Utf8Path::new(name), text).unwrap()
    }

    fn series(patches: Vec<Patch>) -> Series {
        Series {
            name: "s".into(),
            index: String::new(),
            patches,
        }
    }

    #[test]
    fn faults_of_one_file() {
        let binary = "diff --git a/b b/b\nnew file mode 100644\n\
            index 0000000000000000000000000000000000000000..8352675d67aed6625ece79af41c27fdb4ee2e867\n\
            GIT binary patch\nliteral 3\nKcmZQzWC8#H2LJ>B\n\nliteral 0\nHcmV?d00001\n\n";
        let latin = |head: &str| {
            let text = whole("fs: x").replace("\n\nWhy", &format!("\n{head}\nWhy J\u{1}rg"));
            text.bytes()
                .map(|byte| if byte == 1 { 0xf6 } else { byte })
                .collect::<Vec<_>>()
        };
        let declared =
            "Content-Type: text/plain; charset=ISO-8859-1\nContent-Transfer-Encoding: 8bit\n";
        for (text, wrong) in [
            (whole("[PATCH] fs: x").into_bytes(), None),
            (whole("[PATCH] fs/super, xfs: x").into_bytes(), None),
            (
                whole("[PATCH] Documentation: describe freezing").into_bytes(),
                None,
            ),
            (whole("[PATCH] KVM: x86: x").into_bytes(), None),
            (whole("[PATCH] drm/amd/display: x").into_bytes(), None),
            (whole("[PATCH] selftests: kvm: x").into_bytes(), None),
            (
                whole("[PATCH] Fix it").into_bytes(),
                Some((3, "`subsystem: summary`")),
            ),
            (
                whole("[PATCH] fs:x").into_bytes(),
                Some((3, "`subsystem: summary`")),
            ),
            (
                whole("[PATCH] this is long and then: x").into_bytes(),
                Some((3, "`subsystem: summary`")),
            ),
            (
                mail("fs: x", &format!("---\n\n{DIFF}")).into_bytes(),
                Some((3, "no description")),
            ),
            (
                mail("fs: x", &format!("Assisted-by: A:m\n---\n\n{DIFF}")).into_bytes(),
                Some((3, "no description")),
            ),
            (
                whole("fs: x").replace("Why.\n", "Why.\r\n").into_bytes(),
                Some((5, "CRLF")),
            ),
            (
                whole("fs: x").replace("+c\n", "+c\r\n").into_bytes(),
                Some((15, "CRLF")),
            ),
            (
                mail("fs: x", &format!("Why.\n---\n\n{binary}")).into_bytes(),
                Some((11, "binary hunk")),
            ),
            (
                mail(
                    "fs: x",
                    &format!("Why.\n---\nand more.\n---\n a | 2 +-\n\n{DIFF}"),
                )
                .into_bytes(),
                Some((6, "gets lost")),
            ),
            (
                mail("fs: x", &format!("Why.\n{DIFF}")).into_bytes(),
                Some((6, "not ended by a line `---`")),
            ),
            (latin(""), Some((5, "not UTF-8"))),
            (latin(declared), None),
            (
                latin(&declared.replace("ISO-8859-1", "\"UTF-8\"")),
                Some((7, "not UTF-8")),
            ),
            (
                mail("fs: x", &format!("Note: nobody uses it.\n---\n\n{DIFF}")).into_bytes(),
                None,
            ),
            (whole("fs: x").replace("Why", "Wäy").into_bytes(), None),
        ] {
            let shown = String::from_utf8_lossy(&text).into_owned();
            let found = faults(&series(vec![patch("0001-x.patch", &text)]));
            match (found.as_slice(), wrong) {
                ([], None) => {}
                ([fault], Some((line, words))) => {
                    assert!(
                        fault.line == line && fault.what.contains(words),
                        "{shown}{fault:?}"
                    );
                }
                (found, wrong) => panic!("{shown}{found:?} {wrong:?}"),
            }
        }
    }

    /// What is no patch for git either is refused when a series is read; the rest is refused here.
    #[test]
    fn who_refuses_what() {
        let differ = "diff --git a/b b/b\nnew file mode 100644\nindex 0000000..8352675\n\
            Binary files /dev/null and b/b differ\n";
        for (body, when_read, wanted) in [
            (
                format!("As in\ndiff --git a/x b/x\nit was.\n---\n a | 2 +-\n\n{DIFF}"),
                true,
                "6: git apply: bad git-diff",
            ),
            (
                format!("As in\n\ndiff --git a/x b/x\n\nit was.\n---\n\n{DIFF}"),
                true,
                "7: git apply: bad git-diff",
            ),
            (
                format!("As in\ndiff --git a/a b/a\nit was.\n---\n a | 2 +-\n\n{DIFF}"),
                false,
                "6: the description is not ended",
            ),
            (
                format!("As in\n--- a file\nit was.\n---\n a | 2 +-\n\n{DIFF}"),
                false,
                "6: the description is not ended",
            ),
            (
                format!("As in\nIndex: x\nit was.\n---\n a | 2 +-\n\n{DIFF}"),
                false,
                "6: the description is not ended",
            ),
            (format!("Why.\n---\n\n{differ}"), false, "11: a binary hunk"),
            (
                format!("Why.\n---\n\n{differ}{DIFF}"),
                false,
                "11: a binary hunk",
            ),
        ] {
            let read = parse(
                Utf8Path::new("0001-x.patch"),
                mail("fs: x", &body).as_bytes(),
            );
            assert_eq!(read.is_err(), when_read, "{body}");
            let refused = read.and_then(|patch| unfit(&series(vec![patch])));
            let said = refused.unwrap_err().to_string();
            assert!(
                said.starts_with(&format!("0001-x.patch:{wanted}")),
                "{said}"
            );
        }
    }

    #[test]
    fn numbers_and_names() {
        let one = |name: &str, subject: &str| patch(name, whole(subject).as_bytes());
        for (patches, wrong) in [
            (
                vec![
                    one("0001-x.patch", "[PATCH 1/2] fs: x"),
                    one("0002-y.patch", "[PATCH 2/2] fs: y"),
                ],
                vec![],
            ),
            (
                vec![one("x.patch", "fs: x"), one("y.patch", "fs: y")],
                vec![],
            ),
            (
                vec![one("0002-x.patch", "fs: x")],
                vec!["0002-x.patch:1: the name says 0002, and this is patch 1"],
            ),
            (
                vec![one("a.patch", "[PATCH 2/3] fs: x"), one("b.patch", "fs: y")],
                vec!["a.patch:3: the subject says 2/3, and this is 1/2"],
            ),
            (
                vec![one("a.patch", "fs: x"), one("b.patch", "[PATCH v2] fs: x")],
                vec!["b.patch:3: a.patch has the same subject"],
            ),
            (
                vec![one("0003-a.patch", "no"), one("0002-b.patch", "fs: x")],
                vec![
                    "0003-a.patch:3: the subject",
                    "0003-a.patch:1: the name says 0003",
                ],
            ),
        ] {
            let said = unfit(&series(patches))
                .map_or_else(|failure| failure.to_string(), |()| String::new());
            let lines: Vec<_> = said.lines().collect();
            assert_eq!(lines.len(), wrong.len(), "{said}");
            for (line, words) in lines.iter().zip(wrong) {
                assert!(line.starts_with(words), "{line}");
            }
        }
    }

    /// All at once, and in the words of whoever has to do it.
    #[test]
    fn what_only_people_can_mend() {
        let of = |name: &str, from: &str, trailers: &str| {
            let text = whole("fs: x").replace("a <a@b>", from);
            patch(
                name,
                text.replace("Why.", &format!("Why.\n\n{trailers}"))
                    .as_bytes(),
            )
        };
        let me = "Me <me@freeze.dev>";
        let good = of("good", me, "Signed-off-by: Me <ME@freeze.dev>");
        let wrong = of(
            "wrong",
            "b <b@localhost>",
            "Assisted-by: LLM\nSigned-off-by: Me <me@freeze.dev>",
        );
        let names = ["s".to_owned()];
        let commits = Commits {
            base: "6.1",
            series: &names,
            tree: Utf8Path::new("a tree"),
            patches: 2,
        };
        let both = |identity| {
            let patches = vec![good.clone(), wrong.clone()];
            let said = for_list(&series(patches), identity, &commits).unwrap_err();
            said.to_string()
        };
        let said = both(None);
        let lines: Vec<_> = said.lines().collect();
        for (line, words) in lines.iter().zip([
            "wrong:1: nobody can write to the author b <b@localhost>",
            "wrong:1: no Signed-off-by of b <b@localhost>, and this program invents none",
            "wrong:7: \"Assisted-by: LLM\" names no tool",
            "Git does not know who you are",
            "to be the author of all patches: git -C 'a tree' rebase --exec '",
            "to sign all off, if it is true what that says: git -C 'a tree' rebase --signoff refs/worktree/base",
            "then: cargo xtask series refresh --base 6.1 --series s",
        ]) {
            assert!(line.starts_with(words), "{line}");
        }
        assert_eq!(lines.len(), 7, "{said}");
        assert_eq!(both(Some(me)).lines().count(), 6);
        assert!(both(Some("me@host")).contains("from me@host, which nobody can answer"));
        let fine = series(vec![good.clone()]);
        for_list(&fine, Some(me), &commits).unwrap();
        let other = Some("You <you@freeze.dev>");
        let failure = for_list(&fine, other, &commits).unwrap_err().to_string();
        let said = "good:1: no Signed-off-by of You <you@freeze.dev>,";
        assert!(failure.starts_with(said), "{failure}");
    }

    #[test]
    fn what_others_do_not_have() {
        let base = |published| Base {
            commit: "0123".into(),
            repository: "r".into(),
            published,
        };
        private(&base(true)).unwrap();
        unsent(&[]).unwrap();
        for (refused, wanted) in [
            (
                private(&base(false)),
                "no remote branch of --upstream has 0123",
            ),
            (unsent(&["a".into()]), "on top of a, which is not known"),
        ] {
            let failure = refused.unwrap_err();
            assert_eq!(failure.kind, Kind::Usage);
            assert!(failure.to_string().contains(wanted), "{failure}");
        }
    }

    #[test]
    fn patches_of_this_checkout() {
        let layout = Layout::of_this_checkout().unwrap();
        for (base, name) in [
            ("mainline", "generic-freeze"),
            ("mainline", "ext3-ioctl"),
            ("mainline", "freeze-hold"),
            ("6.12", "generic-freeze"),
            ("6.12", "ext3-ioctl"),
            ("6.12", "freeze-hold"),
            ("6.1", "generic-freeze"),
            ("6.1", "ext3-ioctl"),
        ] {
            let series = load(&layout, base, name).unwrap();
            unfit(&series).unwrap();
        }
    }
}
