//! The files that an older version of a series was made of, for a range-diff: other ones than those of the new base, if
//! others have worked on them meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use xshell::cmd;

use super::base::{Upstream, fetch_files};
use super::graft::copy;
use super::mbox;
use crate::failure::{Kind, Result};
use crate::host::git::Git;
use crate::host::proc::Stop;

/// Gives a grafted repository the files that the patches of an mbox change, as b4 takes them for `b4 diff -m`: from the
/// repository where the series was tested, or from the upstream.
///
/// # Errors
/// [`Kind::Usage`] if neither has one of them.
pub fn lend_files(
    mails: &[u8],
    grafted: &Utf8Path,
    (tested, upstream): (&Utf8Path, &Upstream),
    stop: &Stop,
) -> Result<()> {
    let to = Git::at(grafted, stop);
    let files = changed(mails);
    let wanted = missing(&to, files.keys())?;
    if wanted.is_empty() {
        return Ok(());
    }
    let from = Git::at(tested, stop).untouched();
    let not_there = missing(&from, &wanted)?;
    let there = wanted.difference(&not_there).map(String::as_str);
    copy(&from, &to, there)?;
    if not_there.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = not_there.iter().map(String::as_str).collect();
    fetch_files(grafted, upstream, &ids, stop).map_err(|failure| {
        if failure.kind == Kind::Interrupted {
            return failure;
        }
        let names = ids.iter().map(|id| format!("\n    {} {id}", files[*id]));
        Kind::Usage.error(format!(
            "no range-diff: the older version changes files that are not in {upstream}:{}\ngive a clone that has them \
             (in which git cat-file -e ID fails for none): --upstream PATH\n{failure}",
            names.collect::<String>()
        ))
    })
}

/// The files that patches begin with, by id; not those that an earlier patch has made, nor submodules.
fn changed(mails: &[u8]) -> BTreeMap<String, String> {
    let mut patches = mbox::parse(mails);
    patches.retain(|mail| mail.subject.is_patch && !mail.subject.is_reply);
    patches.sort_by_key(|mail| mail.subject.place);
    let (mut before, mut made) = (BTreeMap::new(), BTreeSet::new());
    for patch in &patches {
        let mut file = None;
        for line in patch.body.lines() {
            if let Some(names) = line.strip_prefix("diff --git ") {
                let old = names.split(" b/").next();
                file = old.map(|it| it.trim_start_matches("a/"));
            } else if let (Some(file), Some((old, new))) = (file, index(line)) {
                if !old.bytes().all(|byte| byte == b'0') && !made.contains(old) {
                    before.insert(old.to_owned(), file.to_owned());
                }
                made.insert(new);
            }
        }
    }
    before
}

/// The ids in `index OLD..NEW 100644`.
fn index(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("index ")?;
    let (ids, mode) = rest.split_once(' ').unwrap_or((rest, ""));
    (mode != "160000").then_some(ids)?.split_once("..")
}

/// Those of some objects that a repository does not have.
fn missing<'a>(git: &Git, ids: impl IntoIterator<Item = &'a String>) -> Result<BTreeSet<String>> {
    // Not all at once: git before 2.44 ends at the first that a partial clone does not have.
    let mut missing = BTreeSet::new();
    for id in ids {
        let check = cmd!(git, "git cat-file -e {id}");
        if !git.output(check, b"")?.status.success() {
            missing.insert(id.to_owned());
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::mbox::samples;

    #[test]
    fn files_that_patches_begin_with() {
        let patch = |number: usize, body: &str| {
            let subject = format!("[PATCH {number}/2] x");
            samples::mail(&format!("{number}@x"), "a@x", &subject, "", body)
        };
        let second = "diff --git a/a b/a\nindex bb..cc 100644\ndiff --git a/old name b/new name\nindex dd..ee\n\
            diff --git a/sub b/sub\nindex 11..22 160000\ndiff --git \"a/\\303\" \"b/\\303\"\nindex 99..98\n";
        let first = "index 33..44\n---\ndiff --git a/a b/a\nindex aa..bb 100644\n--- a/a\n+++ b/a\n \
            index 55..66\ndiff --git a/new b/new\nnew file mode 100644\nindex 00..77\n";
        let reply = samples::mail(
            "3@x",
            "a@x",
            "Re: [PATCH 1/2] x",
            "",
            "diff --git a/b b/b\nindex 88..99\n",
        );
        let mails = patch(2, second) + &patch(1, first) + &reply;
        let found = changed(mails.as_bytes());
        let found: Vec<_> = found
            .iter()
            .map(|(id, file)| format!("{id} {file}"))
            .collect();
        assert_eq!(found, ["99 \"a/\\303\" \"b/\\303\"", "aa a", "dd old name"]);
    }
}
