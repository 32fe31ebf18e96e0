//! What is kept of a search beside its `bisect.json`: `report.md`, `report.eml`.

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use super::order::{Order, Range};
use crate::bisect::report::{About, Dossier, markdown, revision, short};
use crate::bisect::{End, Found, Named, Side, letter};
use crate::deps::need::program;
use crate::event::CaseResult;
use crate::failure::Result;
use crate::host::environment::PLAIN;
use crate::host::files;
use crate::host::git::Git;
use crate::host::proc::{self, Stop};
use crate::host::session::Session;
use crate::kernel::commit::{Recipe, Workbench};
use crate::mail::letter::People;
use crate::report::inputs::{Input, RESULTS};
use crate::report::output;

/// What `get_maintainer.pl` is told: nothing that takes the history, which a borrowed tree may not have.
const MAINTAINERS: &[&str] = &[
    "--nogit",
    "--nogit-fallback",
    "--nogit-chief-penguins",
    "--norolestats",
];

/// Writes all of it, and returns where the draft of a mail is, if there is something to mail.
pub fn write(
    found: &Found,
    recipe: &Recipe,
    order: &Order,
    folder: &Utf8Path,
    session: &Session,
) -> Result<Option<Utf8PathBuf>> {
    let letter = folder.join("report.eml");
    // One of another search says nothing of this one.
    files::remove(&letter)?;
    let git = Git::at(&found.plan.tree, &session.stop).untouched();
    let culprit = match &found.end {
        End::Culprit { culprit, .. } => Some(culprit),
        _ => None,
    };
    let about = culprit.map(|it| about(&git, it)).transpose()?;
    let [before, after] = sides(found, &folder.join("commits"));
    let dossier = Dossier {
        found,
        about: about.as_ref(),
        sides: [before.as_ref(), after.as_ref()],
        command: &order.command,
    };
    files::write(&folder.join("report.md"), markdown(&dossier).as_bytes())?;
    let (Range::Tree { tree, .. }, Some(culprit)) = (&order.range, culprit) else {
        return Ok(None);
    };
    let workbench = Workbench::open(recipe.clone(), session)?;
    let maintainers = maintainers(&git, workbench.tree(), &culprit.commit, &session.stop)?;
    let command = for_others(&order.command, tree, found);
    let draft = letter::draft(
        &Dossier {
            command: &command,
            ..dossier
        },
        &maintainers,
    );
    let Some(draft) = draft else {
        return Ok(None);
    };
    files::write(&letter, draft.as_bytes())?;
    Ok(Some(letter))
}

/// The line without where things are on this machine, which is nobody's business, and what only here is called so.
fn for_others(command: &str, tree: &Utf8Path, found: &Found) -> String {
    let name = tree.file_name().unwrap_or("linux");
    let mut words = shlex::split(command).unwrap_or_default().into_iter();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word.as_str(), None),
        };
        let said = match flag {
            "--report" => None,
            "--tree" => Some(name),
            "--good" | "--old" => Some(revision(&found.plan.old, &found.old)),
            "--bad" | "--new" => Some(revision(&found.plan.new, &found.new)),
            _ => {
                kept.push(word);
                continue;
            }
        };
        if value.is_none() {
            words.next();
        }
        kept.extend(
            said.map(|said| [flag, said].map(str::to_owned))
                .into_iter()
                .flatten(),
        );
    }
    // No word that came of a line has what a line cannot have.
    shlex::try_join(kept.iter().map(String::as_str)).unwrap_or_default()
}

fn about(git: &Git, culprit: &Named) -> Result<About> {
    let commit = &culprit.commit;
    let log = cmd!(
        git,
        "git log -1 --no-notes --no-show-signature --encoding=UTF-8 --format=%an%x20<%ae>%x00%aI%x00%B {commit}"
    );
    let log = git.read(log)?;
    let mut fields = log.splitn(3, '\0').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    let describe = cmd!(git, "git describe --contains --match v* {commit}");
    let release = git.output(describe, b"")?;
    let release = (release.status.success())
        .then(|| String::from_utf8_lossy(&release.stdout).trim().to_owned());
    Ok(About {
        author: next(),
        date: next(),
        message: next(),
        release,
    })
}

/// The case before the change and after it, as it was run last.
fn sides(found: &Found, commits: &Utf8Path) -> [Option<CaseResult>; 2] {
    let End::Culprit { culprit, proof } = &found.end else {
        return [None, None];
    };
    let before = proof
        .parents
        .iter()
        .find(|(_, side)| *side == Some(Side::Old));
    let before = before.map(|(parent, _)| parent);
    [before, Some(culprit)].map(|commit| result(found, commits, commit?))
}

/// Of this commit, or of the one whose image is the same.
fn result(found: &Found, commits: &Utf8Path, commit: &Named) -> Option<CaseResult> {
    let signature = found.signature.as_ref()?;
    let same = found.steps.iter().filter(|step| step.of == *commit);
    let same = same.filter_map(|step| step.same_as.as_deref());
    let mut all = std::iter::once(commit.commit.as_str()).chain(same);
    let run = all.find_map(|commit| {
        let latest = commits.join(short(commit)).join("latest");
        Input::read(latest.join(RESULTS)).ok()
    })?;
    let is_it = |result: &&CaseResult| {
        result.id.case == signature.case && result.id.filesystem == signature.filesystem
    };
    let mut results: Vec<&CaseResult> = run.run.results.iter().filter(is_it).collect();
    results.sort_by_key(|result| !result.verdict.is_failure());
    results.first().map(|result| (*result).clone())
}

/// Whom get_maintainer.pl of this tree names for what a commit touches; nobody, with a warning, if it cannot. What a merge
/// brings is work of all, and nobody but who made it is asked.
fn maintainers(git: &Git, tree: &Utf8Path, commit: &str, stop: &Stop) -> Result<People> {
    if git.resolve(&format!("{commit}^2"))?.is_some() {
        return Ok(People::default());
    }
    let diff = git.output(cmd!(git, "git diff-tree --patch {commit}^1 {commit}"), b"")?;
    let ask = |only: &str| -> Result<Option<Vec<String>>> {
        if program("perl").is_none() {
            return Ok(None);
        }
        let line = cmd!(
            PLAIN,
            "env -C {tree} perl scripts/get_maintainer.pl {MAINTAINERS...} {only}"
        );
        let said = proc::output(line, &diff.stdout, stop)?;
        let people = String::from_utf8_lossy(&said.stdout);
        let people = people.lines().map(str::to_owned).collect();
        Ok(said.status.success().then_some(people))
    };
    match (ask("--nol")?, ask("--nom")?) {
        (Some(to), Some(cc)) => Ok(People { to, cc }),
        _ => {
            output::warn(&format!(
                "whom get_maintainer.pl names is not among the recipients of report.eml: it takes perl, and the work tree {tree}"
            ));
            Ok(People::default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::Trial;
    use super::super::order;
    use super::*;
    use crate::bisect::report::samples;
    use crate::event::Verdict;
    use crate::flow::prepare::Guests;
    use crate::host::layout::Layout;
    use crate::report::model::samples::run;
    use crate::report::store::write_into;
    use crate::vm::accelerator::Choice;
    use crate::vm::boot::Way;

    #[test]
    fn a_draft_of_another_search_does_not_stay() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let guests = Guests {
            accel: Choice::Tcg,
            way: Way::Initramfs,
        };
        let filters = ["^dm_case_a$".to_owned()];
        let trial = Trial::of((&filters, &[]), "error_not_frozen", guests, None).unwrap();
        let order = order::samples::order(Range::Series(vec![]), trial);
        let letter = dir.join("report.eml");
        fs_err::write(&letter, "Fixes:").unwrap();
        let recipe = Recipe {
            name: "x".into(),
            tree: dir.to_owned(),
            base: None,
            series: vec![],
            configs: vec![],
            jobs: None,
        };
        let nothing = Found {
            end: End::Nothing("the ends are swapped".into()),
            ..samples::found()
        };
        let session = Session::new(Layout::at(dir), Stop::default());
        let written = write(&nothing, &recipe, &order, dir, &session).unwrap();
        assert_eq!(written, None);
        assert!(dir.join("report.md").exists() && !letter.exists());
    }

    #[test]
    fn a_side_is_what_was_run_last_on_its_commit_or_on_one_with_its_image() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let found = samples::found();
        let [passed, failed] = samples::sides();
        assert_eq!(sides(&found, dir), [None, None]);
        // The parent, "e", has the image of "a".
        for (commit, results) in [
            ("a", vec![passed.clone()]),
            ("c", vec![passed.clone(), failed.clone()]),
        ] {
            let folder = dir.join(commit.repeat(12)).join("latest");
            write_into(&folder, run(&[], results)).unwrap();
        }
        let [before, after] = sides(&found, dir);
        assert_eq!(before.unwrap().verdict, Verdict::Passed);
        assert_eq!(after, Some(failed));
    }

    #[test]
    fn a_line_for_others_does_not_say_where_things_are() {
        let mut found = samples::found();
        found.plan.old = "HEAD~4".into();
        for (line, tree, wanted) in [
            (
                "cargo xtask bisect --tree . --old=HEAD~4 --new v6.12 --filter '^dm_.*a$'",
                ".",
                "cargo xtask bisect --tree linux --old aaaaaaaaaaaa --new v6.12 --filter '^dm_.*a$'",
            ),
            (
                "cargo xtask bisect --report '/home/me/my reports' --tree=/home/me/linux --bad v6.12",
                "/home/me/linux",
                "cargo xtask bisect --tree linux --bad v6.12",
            ),
            (
                "cargo xtask bisect --tree l --good HEAD~4 --bad=v6.12 --pick x",
                "l",
                "cargo xtask bisect --tree l --good aaaaaaaaaaaa --bad v6.12 --pick x",
            ),
            (
                "cargo xtask bisect --tree l --filter nl --report=r",
                "l",
                "cargo xtask bisect --tree l --filter nl",
            ),
        ] {
            assert_eq!(for_others(line, tree.into(), &found), wanted);
        }
    }

    #[test]
    fn a_merge_is_not_mailed_to_the_maintainers_of_all_that_it_brings() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let git = Git::at(dir, &Stop::default());
        fs_err::create_dir(dir.join("scripts")).unwrap();
        fs_err::write(
            dir.join("scripts/get_maintainer.pl"),
            r#"print "vfs\@example.org\n";"#,
        )
        .unwrap();
        git.read(cmd!(git, "git init --quiet")).unwrap();
        git.read(cmd!(git, "git commit --quiet --allow-empty -m root"))
            .unwrap();
        git.read(cmd!(git, "git add --all")).unwrap();
        git.read(cmd!(git, "git commit --quiet -m one")).unwrap();
        let merge = cmd!(git, "git commit-tree -p HEAD^ -p HEAD -m merge HEAD:");
        let merge = git.read(merge).unwrap();
        let of = |commit: &str| maintainers(&git, dir, commit, &Stop::default()).unwrap();
        assert_eq!(of("HEAD").to, ["vfs@example.org"]);
        assert!(of(&merge).to.is_empty());
    }

    #[test]
    fn what_git_has_of_a_commit() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::at(Utf8Path::from_path(dir.path()).unwrap(), &Stop::default());
        git.read(cmd!(git, "git init --quiet")).unwrap();
        let commit = cmd!(git, "git commit --quiet --allow-empty -m one -m text");
        git.read(commit).unwrap();
        let commit = git.read(cmd!(git, "git rev-parse HEAD")).unwrap();
        let named = Named {
            commit,
            subject: "one".into(),
        };
        let before = about(&git, &named).unwrap();
        assert_eq!(before.message, "one\n\ntext");
        assert!(before.author.ends_with("@localhost>"), "{}", before.author);
        assert_eq!(before.release, None);
        git.read(cmd!(git, "git tag v6.12")).unwrap();
        let after = about(&git, &named).unwrap();
        assert_eq!(after.release.as_deref(), Some("v6.12"));
    }
}
