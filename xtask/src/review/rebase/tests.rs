use std::process::Command;

use camino::Utf8PathBuf;

use super::*;
use crate::host::environment::PLAIN;
use crate::host::proc::{self, Stop};
use crate::host::session::Session;
use crate::kernel::shop::{BASE, Shop};
use crate::kernel::{source, tree};
use crate::review::refresh::{Consent, Stack, plan};
use crate::series;

const S: &[&str] = &["s"];

/// Three patches, and versions of the source: 2 changes other lines, 3 the line that the second patch changes, 4 has the
/// second patch, 5 has all, 6 the third.
fn shop() -> Shop {
    let shop = Shop::open();
    shop.release("2-1", &[("b.c", 5, "new"), ("a.c", 29, "new")]);
    shop.release("3-1", &[("a.c", 12, "theirs")]);
    shop.release("4-1", &[("a.c", 12, "two"), ("b.c", 5, "new")]);
    let all = [("a.c", 4, "one"), ("a.c", 12, "two"), ("a.c", 20, "three")];
    shop.release("5-1", &all);
    shop.release("6-1", &[("a.c", 20, "three")]);
    shop.patch("s", 1, "one", 4, "");
    shop.patch("s", 2, "two", 12, "Provides: timeout\n\na note");
    shop.patch("s", 3, "three", 20, "another note");
    shop.provide(S).unwrap();
    refresh(&shop, false).unwrap();
    shop
}

fn names() -> Vec<String> {
    S.iter().map(ToString::to_string).collect()
}

fn session(shop: &Shop) -> Session {
    Session::new(shop.layout.clone(), Stop::default())
}

fn opened(shop: &Shop) -> Result<Worked> {
    Worked::open(&tree::name(BASE, &names()), &session(shop))
}

fn refresh(shop: &Shop, lose: bool) -> Result<String> {
    let (names, folder) = (names(), shop.folder());
    let stack = Stack {
        names: &names,
        folder: &folder,
    };
    let consent = Consent {
        overwrite: false,
        lose,
    };
    let tree = opened(shop)?;
    let plan = plan(&tree, stack, &Stop::default())?;
    plan.allow(consent, &tree, stack)?;
    plan.write(&tree, stack)?;
    Ok(count(plan.changes.len(), "file"))
}

fn onto(shop: &Shop, version: &str) -> Result<Outcome> {
    let mut tree = opened(shop)?;
    let series = series::load(&shop.layout, BASE, "s")?;
    let flags = tree::flags(BASE, &names());
    require_ready(&tree, std::slice::from_ref(&series), &flags)?;
    let found = source::version(&shop.base(), version, &session(shop))?;
    let ground = Ground {
        commit: found.commit,
        label: found.label,
    };
    begin(&mut tree, &[series], ground, &flags)
}

/// What happens one after the other.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// In the work tree.
    Do(&'static str),
    /// In the folder of the patch files.
    Files(&'static str),
    Onto(&'static str),
    Continue,
    Abort,
    Refresh,
    RefreshAndLose,
    /// What test-kernel makes of it.
    Provide,
    /// The base's newest version is another.
    Follow(&'static str),
    /// A run that died when it had noted where it was going.
    Noted(&'static str),
}

use Step::{Abort, Continue, Do, Files, Follow, Noted, Onto, Provide, Refresh, RefreshAndLose};

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Nothing => "nothing".into(),
        Outcome::Stopped(said) => format!("stopped: {said}"),
        Outcome::Done(Done {
            commits,
            onto,
            dropped,
            ..
        }) => format!("{commits} on {onto}, without {dropped:?}"),
    }
}

fn step(shop: &mut Shop, step: Step) -> Result<String> {
    match step {
        Do(script) => Ok(shop.work(S, script)),
        Files(script) => Ok(shop.work(S, &format!("cd {}/s; {script}", shop.folder()))),
        Onto(version) => onto(shop, version).map(|outcome| told(&outcome)),
        Continue => go_on(&mut opened(shop)?).map(|outcome| told(&outcome)),
        Abort => take_back(&mut opened(shop)?),
        Refresh => refresh(shop, false),
        RefreshAndLose => refresh(shop, true),
        Provide => shop
            .provide(S)
            .map(|tree| match (tree.edited, tree.ground) {
                (false, None) => "clean".into(),
                (true, Some(ground)) => format!("edited on {ground}"),
                other => format!("{other:?}"),
            }),
        Follow(version) => {
            shop.follow(version);
            Ok(String::new())
        }
        Noted(version) => {
            let mut tree = opened(shop)?;
            let found = source::version(&shop.base(), version, &session(shop))?;
            tree.set_out(Moving {
                onto: Ground {
                    commit: found.commit,
                    label: found.label,
                },
                base: tree.base.clone(),
                tip: head(&tree.git)?,
                flags: tree::flags(BASE, &names()),
            })?;
            Ok(String::new())
        }
    }
}

const MEND: &str = "sed -i '/^<<<</,/^====/d;/^>>>>/d' a.c; git add a.c";
const LOOK: &str = "git log --reverse --format=%s refs/worktree/base..; git status --porcelain";

/// Each state that a tree can be in, and what is said and done: words of what comes of each step; `!` marks a refusal.
#[test]
fn states_of_a_tree_and_what_becomes_of_it() {
    let model = shop();
    let rows: &[(&str, &[(Step, &str)])] = &[
        (
            "clean",
            &[
                (Onto("2-1"), "3 on x 2-1, without []"),
                (Do(LOOK), "one\ntwo\nthree"),
                (Do("git show HEAD~0:b.c | sed -n 5p"), "new"),
                (
                    Do(
                        "git log -1 --format=%s%an%cn $(git for-each-ref --format='%(refname)' refs/worktree/before-rebase)",
                    ),
                    "three",
                ),
                (Provide, "edited on x 2-1"),
                (Refresh, "3 files"),
                (Follow("2-1"), ""),
                (Provide, "clean"),
                (Refresh, "0 files"),
                (Onto("1-1"), "3 on x 1-1, without []"),
                (Refresh, "3 files"),
                (Follow("1-1"), ""),
                (Provide, "clean"),
                (Refresh, "0 files"),
                (
                    Files("cat 0002-two.patch"),
                    "---\nProvides: timeout\n\na note\n\n a.c",
                ),
            ],
        ),
        (
            "the newest base",
            &[
                (Follow("2-1"), ""),
                (Onto("2"), "3 on x 2-1"),
                (Provide, "edited on x 2-1"),
                (Do("echo x >c; git add c; git commit -qm four"), ""),
                (Refresh, "5 files"),
                (Do(LOOK), "one\ntwo\nthree\nfour"),
                (Provide, "clean"),
            ],
        ),
        (
            "there already",
            &[(Onto("1-1"), "nothing"), (Provide, "clean")],
        ),
        (
            "no such version",
            &[
                (
                    Onto("nonsense"),
                    "!no such version; a revision of a kernel tree of your own takes --tree",
                ),
                (Provide, "clean"),
            ],
        ),
        (
            "edits in no commit",
            &[
                (Do("echo x >>a.c"), ""),
                (
                    Onto("2-1"),
                    "!changes that are in no commit (a.c); commit them first",
                ),
            ],
        ),
        (
            "a new file",
            &[
                (Do("echo x >new"), ""),
                (Onto("2-1"), "!changes that are in no commit (new)"),
            ],
        ),
        (
            "edits in commits",
            &[
                (
                    Do(
                        "echo x >c; git add c; git commit -qm four; git commit -q --allow-empty -m five",
                    ),
                    "",
                ),
                (Onto("2-1"), "5 on x 2-1, without []"),
                (Do("git reset -q --hard HEAD~1"), ""),
                (Refresh, "5 files"),
            ],
        ),
        (
            "a fixup that waits",
            &[
                (
                    Do("sed -i 's/^two$/TWO/' a.c; git commit -qa --fixup HEAD~1"),
                    "",
                ),
                (Onto("2-1"), "4 on x 2-1, without []"),
                (
                    Do(
                        "git rebase -qi --autosquash refs/worktree/base; git show HEAD~1:a.c | grep -c TWO",
                    ),
                    "1",
                ),
                (Refresh, "3 files"),
            ],
        ),
        (
            "a branch",
            &[
                (Do("git checkout -qb mine"), ""),
                (Onto("2-1"), "3 on x 2-1"),
                (Do("git symbolic-ref HEAD"), "refs/heads/mine"),
            ],
        ),
        (
            "patch files that were edited",
            &[
                (Files("sed -i s/^Why/Because/ 0001-one.patch"), ""),
                (Onto("2-1"), "!edited since"),
                (
                    Onto("2-1"),
                    "!(s/0001-one.patch); first: cargo xtask series edit --base x --series s",
                ),
            ],
        ),
        (
            "git's own rebase",
            &[
                (
                    Do(
                        "GIT_SEQUENCE_EDITOR='sed -i 2s/pick/edit/' git rebase -qi HEAD~3 2>/dev/null",
                    ),
                    "",
                ),
                (Onto("2-1"), "!in the middle of a rebase; end that first"),
                (Continue, "!nothing to continue"),
                (Abort, "!that series rebase did not begin"),
            ],
        ),
        (
            "a merge",
            &[
                (
                    Do(
                        "git checkout -q -b side HEAD~1; echo x >a.c; git commit -qam x; git merge -q @{-1} >/dev/null || true",
                    ),
                    "",
                ),
                (Onto("2-1"), "!in the middle of a merge"),
            ],
        ),
        (
            "git am",
            &[
                (
                    Do(
                        "git format-patch -q -1 -o ..; git checkout -q HEAD~1; echo x >a.c; git commit -qam x; \
                 git am -q ../0001-three.patch 2>/dev/null || true",
                    ),
                    "",
                ),
                (Onto("2-1"), "!in the middle of a rebase, or git am,"),
            ],
        ),
        (
            "a merge commit",
            &[
                (
                    Do(
                        "git checkout -q -b side HEAD~1; echo x >c; git add c; git commit -qm c; git merge -qm both @{-1}",
                    ),
                    "",
                ),
                (Onto("2-1"), "!is a merge"),
            ],
        ),
        (
            "no commits",
            &[
                (Do("git checkout -q HEAD~3"), ""),
                (Onto("2-1"), "!has no commits on top of its base"),
            ],
        ),
        (
            "nothing to continue or abort",
            &[
                (
                    Continue,
                    "!nothing to continue: no series rebase is under way",
                ),
                (Abort, "!nothing to abort"),
            ],
        ),
        (
            "in the new base already",
            &[
                (
                    Onto("4-1"),
                    "2 on x 4-1, without [\"s/0002-two.patch (\\\"two\\\"), and with it its notes, which say that it provides timeout\"]",
                ),
                (Refresh, "!timeout, which no patch would provide"),
                (RefreshAndLose, "5 files"),
                (Follow("4-1"), ""),
                (Provide, "clean"),
            ],
        ),
        (
            "the last in the new base already",
            &[
                (
                    Onto("6-1"),
                    "2 on x 6-1, without [\"s/0003-three.patch (\\\"three\\\"), and with it its notes (\\\"another note\\\" …)\"]",
                ),
                (RefreshAndLose, "4 files"),
                (
                    Files("cat 0002-two.patch"),
                    "---\nProvides: timeout\n\na note\n\n a.c",
                ),
            ],
        ),
        (
            "all in the new base already",
            &[
                (
                    Onto("5-1"),
                    "!nothing would be left: x 5-1 has all of 3 commits already",
                ),
                (Provide, "clean"),
                (Do(LOOK), "one\ntwo\nthree"),
            ],
        ),
        (
            "a conflict",
            &[
                (
                    Onto("3-1"),
                    "stopped: patch 2 of 3, s/0002-two.patch (\"two\"), is in conflict with x 3-1 in a.c\n",
                ),
                (
                    Onto("2-1"),
                    "!in the middle of a rebase onto x 3-1\n  to go on: git -C",
                ),
                (
                    Onto("2-1"),
                    "!cargo xtask series rebase --continue --base x --series s",
                ),
                (Refresh, "!in the middle of a rebase onto x 3-1"),
                (Provide, "!in the middle of a rebase onto x 3-1"),
                (Continue, "stopped: patch 2 of 3"),
                (Do("git add a.c"), ""),
                (
                    Continue,
                    "cannot be carried to x 3-1: a.c still has the marks of a conflict",
                ),
                (Do(MEND), ""),
                (Continue, "3 on x 3-1, without []"),
                (Provide, "edited on x 3-1"),
                (Refresh, "2 files"),
                (Follow("3-1"), ""),
                (Provide, "clean"),
                (Files("cat 0002-two.patch"), "-theirs\n+two\n"),
                (
                    Files("cat 0002-two.patch"),
                    "---\nProvides: timeout\n\na note\n",
                ),
            ],
        ),
        (
            "a conflict, mended and not added",
            &[
                (Onto("3-1"), "stopped"),
                (Do("sed -i '/^<<<</,/^====/d;/^>>>>/d' a.c"), ""),
                (
                    Continue,
                    "stopped: patch 2 of 3, s/0002-two.patch (\"two\"), is in conflict",
                ),
            ],
        ),
        (
            "a conflict, taken back",
            &[
                (Onto("3-1"), "stopped"),
                (
                    Abort,
                    "is as it was before the rebase onto x 3-1; what was rebased so far: git -C",
                ),
                (Do(LOOK), "one\ntwo\nthree"),
                (
                    Do(
                        "git log -1 --format=%s $(git for-each-ref --format='%(refname)' refs/worktree/aborted-rebase)",
                    ),
                    "one",
                ),
                (Provide, "clean"),
                (Abort, "!nothing to abort"),
            ],
        ),
        (
            "a conflict that git itself took back",
            &[
                (Onto("3-1"), "stopped"),
                (Do("git rebase --abort"), ""),
                (Provide, "clean"),
                (Continue, "!was taken back, or has never begun"),
                (Refresh, "0 files"),
                (Continue, "!nothing to continue"),
                (Onto("2-1"), "3 on x 2-1"),
            ],
        ),
        (
            "a conflict that git itself went on from",
            &[
                (Onto("3-1"), "stopped"),
                (Do(MEND), ""),
                (Do("git rebase --continue >/dev/null 2>&1"), ""),
                (
                    Provide,
                    "!was rebased onto x 3-1, and that is not noted yet",
                ),
                (
                    Refresh,
                    "!not noted yet\n  to note it: cargo xtask series rebase --continue --base x --series s",
                ),
                (Onto("2-1"), "!not noted yet"),
                (Do("echo x >new"), ""),
                (Continue, "!changes that are in no commit (new)"),
                (Abort, "!changes that are in no commit (new)"),
                (Do("rm new"), ""),
                (Continue, "3 on x 3-1, without []"),
            ],
        ),
        (
            "what git has ended, taken back",
            &[
                (Onto("3-1"), "stopped"),
                (Do(MEND), ""),
                (Do("git rebase --continue >/dev/null 2>&1"), ""),
                (Abort, "is as it was before"),
                (Provide, "clean"),
            ],
        ),
        (
            "a patch that was skipped",
            &[
                (Onto("3-1"), "stopped"),
                (Do("git rebase --skip >/dev/null 2>&1"), ""),
                (Continue, "2 on x 3-1, without [\"s/0002-two.patch"),
            ],
        ),
        (
            "a patch whose mending leaves nothing",
            &[
                (Onto("3-1"), "stopped"),
                (Do("git checkout -q --ours a.c; git add a.c"), ""),
                (Continue, "2 on x 3-1, without [\"s/0002-two.patch"),
            ],
        ),
        (
            "a conflict on a branch, taken back",
            &[
                (Do("git checkout -qb mine"), ""),
                (Onto("3-1"), "stopped"),
                (Abort, "is as it was"),
                (Do("git symbolic-ref HEAD"), "refs/heads/mine"),
                (Do(LOOK), "one\ntwo\nthree"),
            ],
        ),
        (
            "a conflict that somebody committed",
            &[
                (Onto("3-1"), "stopped"),
                (Do(MEND), ""),
                (Do("git commit -qm 'two, mended'"), ""),
                (Continue, "3 on x 3-1, without []"),
                (Do(LOOK), "one\ntwo, mended\nthree"),
                (Refresh, "4 files"),
                (
                    Files("cat 0002-two-mended.patch"),
                    "---\nProvides: timeout\n\na note\n\n a.c",
                ),
            ],
        ),
        (
            "a list that was edited: a patch that is taken off it",
            &[
                (Onto("3-1"), "stopped"),
                (
                    Do("GIT_SEQUENCE_EDITOR='sed -i s/^pick/drop/' git rebase --edit-todo"),
                    "",
                ),
                (Do(MEND), ""),
                (Continue, "2 on x 3-1, without [\"s/0003-three.patch"),
                (Refresh, "!s/0003-three.patch: the patch"),
            ],
        ),
        (
            "a list that was edited: stops, and a command that fails",
            &[
                (Onto("3-1"), "stopped"),
                (
                    Do("GIT_SEQUENCE_EDITOR='sed -i 1ibreak' git rebase --edit-todo"),
                    "",
                ),
                (Do(MEND), ""),
                (Continue, "stopped: git waits on the way to x 3-1"),
                (
                    Do("GIT_SEQUENCE_EDITOR='sed -i \"1iexec false\"' git rebase --edit-todo"),
                    "",
                ),
                (Continue, "stopped: git waits on the way to x 3-1"),
                (Provide, "!in the middle of a rebase onto x 3-1"),
                (Continue, "3 on x 3-1, without []"),
            ],
        ),
        (
            "a rebase that was given up where it was",
            &[
                (Onto("3-1"), "stopped"),
                (Do("git rebase --quit"), ""),
                (Continue, "!changes that are in no commit (a.c)"),
                (Do("git reset -q --hard"), ""),
                (
                    Continue,
                    "1 on x 3-1, without [\"s/0002-two.patch (\\\"two\\\"), and with it its notes, which say that it provides \
                     timeout\", \"s/0003-three.patch",
                ),
                (Refresh, "!would lose this"),
            ],
        ),
        (
            "taken back by git itself, and work goes on",
            &[
                (Onto("3-1"), "stopped"),
                (Do("git rebase --abort"), ""),
                (Do("echo x >c; git add c; git commit -qm four"), ""),
                (Provide, "(true, None)"),
                (Refresh, "2 files"),
                (Continue, "!nothing to continue"),
                (Provide, "clean"),
            ],
        ),
        (
            "taken back by git itself, and told after other work",
            &[
                (Onto("3-1"), "stopped"),
                (Do("git rebase --abort"), ""),
                (Do("git commit -q --amend -m drei"), ""),
                (Continue, "!was taken back, or has never begun"),
                (Do(LOOK), "one\ntwo\ndrei"),
                (Onto("2-1"), "3 on x 2-1, without []"),
            ],
        ),
        (
            "taken back by git itself, and once more after other work",
            &[
                (Onto("3-1"), "stopped"),
                (Do("git rebase --abort"), ""),
                (Do("git commit -q --amend -m drei"), ""),
                (Abort, "stays as it is: it is back from x 3-1 already"),
                (Do(LOOK), "one\ntwo\ndrei"),
                (Abort, "!nothing to abort"),
            ],
        ),
        (
            "taken back after its end",
            &[
                (Onto("2-1"), "3 on x 2-1"),
                (Do("echo x >c; git add c; git commit -qm four"), ""),
                (
                    Do(
                        "GIT_SEQUENCE_EDITOR='sed -i 1s/pick/edit/' git rebase -qi refs/worktree/base 2>/dev/null",
                    ),
                    "",
                ),
                (
                    Abort,
                    "!in the middle of a rebase that series rebase did not begin",
                ),
                (Do("git rebase --continue 2>/dev/null; echo x >>a.c"), ""),
                (Abort, "!changes that are in no commit (a.c)"),
                (Do("git checkout -q a.c"), ""),
                (
                    Abort,
                    "is as it was before the rebase onto x 2-1; what was rebased so far: git -C",
                ),
                (Do(LOOK), "one\ntwo\nthree"),
                (Provide, "clean"),
                (Refresh, "0 files"),
                (Abort, "!nothing to abort"),
            ],
        ),
        (
            "edits in commits, taken back after its end",
            &[
                (Do("echo x >c; git add c; git commit -qm four"), ""),
                (Onto("2-1"), "4 on x 2-1"),
                (Abort, "is as it was"),
                (Do(LOOK), "one\ntwo\nthree\nfour"),
                (Provide, "(true, None)"),
                (Refresh, "2 files"),
            ],
        ),
        (
            "two in a row, taken back after their end",
            &[
                (Onto("2-1"), "3 on x 2-1"),
                (Onto("4-1"), "2 on x 4-1"),
                (Provide, "edited on x 4-1"),
                (Abort, "is as it was before the rebase onto x 4-1"),
                (Do(LOOK), "one\ntwo\nthree"),
                (Provide, "clean"),
                (Refresh, "0 files"),
            ],
        ),
        (
            "after its end, the commits as they were put back by hand",
            &[
                (Onto("2-1"), "3 on x 2-1"),
                (
                    Do(
                        "git reset -q --hard $(git for-each-ref --format='%(refname)' refs/worktree/before-rebase)",
                    ),
                    "",
                ),
                (Provide, "!HEAD is not on that any more"),
                (
                    Refresh,
                    "!to go back to where the patch files are: cargo xtask series rebase --abort",
                ),
                (Onto("3-1"), "!HEAD is not on that any more"),
                (Abort, "is as it was"),
                (Provide, "clean"),
                (Refresh, "0 files"),
            ],
        ),
        (
            "after a refresh",
            &[
                (Onto("2-1"), "3 on x 2-1"),
                (Refresh, "3 files"),
                (Abort, "!nothing to abort"),
            ],
        ),
        (
            "elsewhere",
            &[
                (Onto("3-1"), "stopped"),
                (
                    Do("git rebase --quit; git checkout -qf refs/worktree/base"),
                    "",
                ),
                (Continue, "!HEAD is somewhere else"),
                (Onto("2-1"), "!HEAD is somewhere else"),
                (Abort, "is as it was"),
                (Provide, "clean"),
            ],
        ),
        (
            "another rebase on the way",
            &[
                (Onto("3-1"), "stopped"),
                (Do(MEND), ""),
                (
                    Do(
                        "git rebase --continue >/dev/null 2>&1; GIT_SEQUENCE_EDITOR='sed -i 1s/pick/edit/' git rebase -qi HEAD~2 2>/dev/null",
                    ),
                    "",
                ),
                (Continue, "!in the middle of a rebase; end that there first"),
                (Abort, "!in the middle of a rebase; end that there first"),
                (Do("git rebase --continue 2>/dev/null"), ""),
                (Continue, "3 on x 3-1"),
            ],
        ),
        (
            "killed before git began",
            &[
                (Noted("2-1"), ""),
                (Provide, "clean"),
                (Continue, "!has never begun"),
                (Noted("2-1"), ""),
                (Abort, "is as it was"),
                (Noted("3-1"), ""),
                (Onto("2-1"), "3 on x 2-1"),
            ],
        ),
        (
            "killed when git had begun",
            &[
                (Noted("2-1"), ""),
                (Do("mkdir $(git rev-parse --git-path rebase-merge)"), ""),
                (
                    Continue,
                    "!to x 2-1, and would leave patches out if it went on; cargo xtask series rebase --abort",
                ),
                (Abort, "is as it was"),
                (Provide, "clean"),
            ],
        ),
        (
            "HEAD that cannot be written",
            &[
                (Do("touch $(git rev-parse --git-path HEAD.lock)"), ""),
                (Onto("2-1"), "!HEAD.lock, and this again"),
                (Do("rm $(git rev-parse --git-path HEAD.lock)"), ""),
                (Do("touch $(git rev-parse --git-path packed-refs.lock)"), ""),
                (Onto("2-1"), "!packed-refs.lock, and this again"),
                (Do("rm $(git rev-parse --git-path packed-refs.lock)"), ""),
                (Do(LOOK), "one\ntwo\nthree"),
                (Provide, "clean"),
            ],
        ),
        (
            "HEAD that cannot be moved",
            &[
                (
                    Do(
                        "git config core.logAllRefUpdates always; log=$(git rev-parse --git-dir)/logs/HEAD; rm -f $log; mkdir -p $log; touch $log/x",
                    ),
                    "",
                ),
                (Onto("2-1"), "!logs/HEAD"),
                (Do("rm -r $(git rev-parse --git-dir)/logs"), ""),
                (Provide, "clean"),
                (Onto("4-1"), "2 on x 4-1"),
            ],
        ),
        (
            "files that cannot be written",
            &[
                (
                    Do(
                        "git config filter.full.clean cat; git config filter.full.smudge false; git config filter.full.required true; \
                         echo b.c filter=full >$(git rev-parse --git-path info/attributes)",
                    ),
                    "",
                ),
                (Onto("2-1"), "stopped: git waits on the way to x 2-1: "),
                (Onto("2-1"), "!in the middle of a rebase"),
                (Continue, "!was killed"),
                (Abort, "!b.c: smudge filter full failed"),
                (Provide, "!in the middle of a rebase onto x 2-1"),
                (Do("git config filter.full.smudge cat"), ""),
                (Abort, "is as it was"),
                (Provide, "clean"),
            ],
        ),
        (
            "killed while git wrote files",
            &[
                (Onto("3-1"), "stopped"),
                (Do("touch $(git rev-parse --git-path index.lock)"), ""),
                (Continue, "!another git command is at work"),
                (Abort, "!if none is, one was killed: remove /"),
                (
                    Do(
                        "mv $(git rev-parse --git-path index.lock) $(git rev-parse --git-path HEAD.lock)",
                    ),
                    "",
                ),
                (Abort, "!HEAD.lock, and this again"),
                (Do("rm $(git rev-parse --git-path HEAD.lock)"), ""),
                (Abort, "is as it was"),
                (Provide, "clean"),
            ],
        ),
        (
            "killed when git had ended",
            &[
                (Noted("2-1"), ""),
                (
                    Do(
                        "git rebase -q --onto refs/tags/x_2-1 refs/worktree/base; git update-ref refs/worktree/base refs/tags/x_2-1",
                    ),
                    "",
                ),
                (Provide, "!not noted yet"),
                (Continue, "3 on x 2-1, without []"),
                (Provide, "edited on x 2-1"),
                (Refresh, "3 files"),
            ],
        ),
        (
            "patch files that are edited after it",
            &[
                (Onto("2-1"), "3 on"),
                (Files("sed -i s/^Why/Because/ 0001-one.patch"), ""),
                (
                    Provide,
                    "!to keep the edits, and lose what changed in the patch files",
                ),
                (Refresh, "!--force"),
                (Do("git log -1 --format=%s"), "three"),
            ],
        ),
        (
            "two in a row",
            &[
                (Onto("2-1"), "3 on x 2-1"),
                (Onto("3-1"), "stopped"),
                (Abort, "is as it was before the rebase onto x 3-1"),
                (Provide, "edited on x 2-1"),
                (Refresh, "3 files"),
            ],
        ),
        (
            "patches that do not apply to what is newest",
            &[
                (Follow("3-1"), ""),
                (Provide, "!to carry the commits of"),
                (
                    Provide,
                    "!cargo xtask series rebase --onto 3-1 --base x --series s",
                ),
                (Onto("3-1"), "stopped"),
            ],
        ),
    ];
    let wrong = rows.iter().filter_map(|(name, steps)| {
        walk(&model, steps)
            .err()
            .map(|what| format!("{name}, {what}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Walks the steps, up to one from which something else comes than it should.
fn walk(model: &Shop, steps: &[(Step, &str)]) -> std::result::Result<(), String> {
    let mut shop = model.copy();
    shop.provide(S).unwrap();
    for (number, (what, words)) in steps.iter().enumerate() {
        let head = shop.work(S, "git rev-parse HEAD");
        let came = step(&mut shop, *what);
        let is_right = match (words.strip_prefix('!'), &came) {
            (Some(words), Err(failure)) => {
                failure.kind != Kind::Interrupted && failure.to_string().contains(words)
            }
            (None, Ok(said)) => said.contains(words),
            _ => false,
        };
        if !is_right {
            return Err(format!("step {number}, {what:?}: {came:?}, not {words:?}"));
        }
        let kept = "git for-each-ref --format='%(objectname)' refs/worktree/before-rebase";
        let begun = matches!(what, Onto(_)) && !words.starts_with(['!', 'n']);
        if begun && !shop.work(S, kept).contains(&head) {
            return Err(format!("step {number}, {what:?}: {head} is not kept"));
        }
    }
    Ok(())
}

/// Patch files that were edited so that they do not apply, to no source: git has no commits that it could carry.
#[test]
fn only_a_newer_source_is_a_reason_to_rebase() {
    let mut shop = shop();
    let way = |shop: &Shop| {
        let failure = shop.provide(S).unwrap_err();
        assert_eq!(failure.kind, Kind::Build, "{failure}");
        failure.to_string().contains("series rebase --onto")
    };
    let edit = "sed -i 's/^-line 4$/-line four/' 0001-one.patch";
    step(&mut shop, Files(edit)).unwrap();
    assert!(!way(&shop));
    shop.follow("3-1");
    assert!(!way(&shop));
    step(
        &mut shop,
        Files("sed -i 's/^-line four$/-line 4/' 0001-one.patch"),
    )
    .unwrap();
    assert!(way(&shop));
}

#[test]
fn a_tree_that_is_not_there() {
    let shop = Shop::open();
    shop.patch("s", 1, "one", 4, "");
    let failure = onto(&shop, "1-1").unwrap_err();
    assert_eq!(failure.kind, Kind::Usage, "{failure}");
}

/// Messages come through a conflict as they are, lines with # as well.
#[test]
fn a_mended_patch_keeps_its_message() {
    let mut shop = shop();
    let reword = "GIT_SEQUENCE_EDITOR='sed -i 2s/pick/edit/' git rebase -qi HEAD~3 2>/dev/null; \
                  printf 'two\\n\\n#define X\\n\\nLast.\\n' | git commit -q --amend --cleanup=verbatim -F -; \
                  git rebase --continue 2>/dev/null";
    shop.work(S, reword);
    let message = "git log -1 --format=%an,%ad,%B HEAD~1";
    let before = shop.work(S, message);
    for (what, words) in [
        (Refresh, "1 file"),
        (Onto("3-1"), "stopped"),
        (Do(MEND), ""),
    ] {
        assert!(
            step(&mut shop, what).unwrap().starts_with(words),
            "{what:?}"
        );
    }
    assert_eq!(step(&mut shop, Continue).unwrap(), "3 on x 3-1, without []");
    similar_asserts::assert_eq!(shop.work(S, message), before);
    assert!(before.contains("#define X"), "{before}");
}

/// Git is killed after so many milliseconds: whatever it leaves, the way back leads back, and the way on leads on.
#[test]
fn git_that_is_killed_anywhere_loses_nothing() {
    let model = shop();
    let begun = "git rebase --merge --onto refs/tags/x_2-1 refs/worktree/base";
    for time in (0..40).step_by(8) {
        for back in [true, false] {
            kill(&model, &[Noted("2-1")], begun, time, back);
            kill(
                &model,
                &[Onto("3-1"), Do(MEND)],
                "git rebase --continue",
                time,
                back,
            );
        }
    }
}

/// Git was killed between making that file and writing to it.
#[test]
fn an_empty_note_of_a_pick_is_no_obstacle() {
    let mut shop = shop();
    shop.provide(S).unwrap();
    step(&mut shop, Onto("3-1")).unwrap();
    shop.work(S, ": >$(git rev-parse --git-dir)/CHERRY_PICK_HEAD");
    let said = step(&mut shop, Abort).unwrap();
    assert!(said.contains("is as it was"), "{said}");
    assert_eq!(step(&mut shop, Provide).unwrap(), "clean");
}

#[test]
fn a_pick_that_was_begun_on_the_way_is_forgotten_too() {
    let mut shop = shop();
    shop.provide(S).unwrap();
    let tip = shop.work(S, "git rev-parse HEAD");
    step(&mut shop, Onto("3-1")).unwrap();
    let pick = format!(
        "git reset -q --hard; git cherry-pick refs/worktree/base..{tip} >/dev/null 2>&1 || true"
    );
    shop.work(S, &pick);
    shop.work(S, "test -e $(git rev-parse --git-path sequencer)");
    let said = step(&mut shop, Abort).unwrap();
    assert!(said.contains("is as it was"), "{said}");
    assert_eq!(step(&mut shop, Provide).unwrap(), "clean");
}

/// Kills the last of these commands.
fn kill(model: &Shop, before: &[Step], last: &str, time: u32, back: bool) {
    let mut shop = model.copy();
    shop.provide(S).unwrap();
    let tip = shop.work(S, "git rev-parse HEAD");
    for what in before {
        step(&mut shop, *what).unwrap();
    }
    let script = format!(
        "timeout -s KILL 0.{time:03} {last} >/dev/null 2>&1 || true; rm -f $(git rev-parse --git-dir --git-common-dir | sed s,$,/*.lock,)"
    );
    shop.work(S, &script);
    let place = format!("{last}, after {time} ms, back: {back}");
    if !back {
        match step(&mut shop, Continue).map_err(|failure| failure.to_string()) {
            Ok(said) if said.starts_with("stopped") => {}
            Ok(said) => {
                assert!(
                    said.starts_with("3 on x ") && said.ends_with(", without []"),
                    "{place}: {said}"
                );
                assert_eq!(shop.work(S, LOOK), "one\ntwo\nthree", "{place}");
                // No notes are lost.
                step(&mut shop, Refresh).unwrap();
                return;
            }
            Err(said) if said.contains("was killed while") => {}
            Err(said) => {
                assert!(said.contains("has never begun"), "{place}: {said}");
                assert_eq!(step(&mut shop, Provide).unwrap(), "clean", "{place}");
                return;
            }
        }
    }
    let said = step(&mut shop, Abort).map_err(|failure| failure.to_string());
    assert!(
        said.as_ref()
            .is_ok_and(|said| said.contains("is as it was")),
        "{place}: {said:?}"
    );
    assert_eq!(shop.work(S, "git rev-parse HEAD"), tip, "{place}");
    assert_eq!(step(&mut shop, Provide).unwrap(), "clean", "{place}");
}

/// Runs a script in a kernel tree of the user's, which is beside the checkout.
fn user(shop: &Shop, script: &str) -> String {
    let dir = users(shop);
    fs_err::create_dir_all(&dir).unwrap();
    let line = cmd!(PLAIN, "sh -euc {script}")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "U")
        .env("GIT_AUTHOR_EMAIL", "u@example.org")
        .env("GIT_COMMITTER_NAME", "U")
        .env("GIT_COMMITTER_EMAIL", "u@example.org");
    let mut line = Command::from(line);
    line.current_dir(&dir);
    proc::read(&mut line, &Stop::default()).unwrap()
}

fn users(shop: &Shop) -> Utf8PathBuf {
    shop.layout.root().join("my linux")
}

/// What begins a kernel tree; the files of the patches are as they are in the base.
const KERNEL: &str = "git init -q; mkdir -p fs scripts/kconfig; touch Kconfig fs/super.c scripts/kconfig/merge_config.sh; \
    printf 'VERSION = 6\\nPATCHLEVEL = 12\\n' >Makefile; seq 30 | sed 's/^/line /' | tee a.c >b.c; ";

/// Everything that can be told of it from outside.
const PRINT: &str = "git --no-optional-locks status --porcelain; find . -type f | sort | xargs -d '\\n' sha256sum | sha256sum; \
    find . | grep -v objects/ | sort | xargs -d '\\n' stat -c '%n %y' | sha256sum";

/// Rebases onto a revision of that tree.
fn onto_users(shop: &Shop, revision: &str) -> Result<Outcome> {
    let mut tree = opened(shop)?;
    let (commit, label) = source::lend(&tree.repository(), &users(shop), revision)?;
    let series = series::load(&shop.layout, BASE, "s")?;
    let flags = tree::flags(BASE, &names());
    begin(&mut tree, &[series], Ground { commit, label }, &flags)
}

/// A revision of a tree of the user's: borrowed, and nothing there is written.
#[test]
fn a_revision_of_a_tree_of_the_users() {
    let shop = shop();
    let change = "sed -i 's/^line 12$/theirs/' a.c; git add .; git commit -qm v1; git tag v1; git rm -q Kconfig; git commit -qm v2";
    user(&shop, &format!("{KERNEL}{change}; echo dirty >b.c"));
    let before = user(&shop, PRINT);
    for (revision, words) in [
        ("v3", "git knows no such commit"),
        ("HEAD", "it has no Kconfig"),
    ] {
        let failure = onto_users(&shop, revision).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{failure}");
        assert!(failure.to_string().contains(words), "{failure}");
    }
    let outcome = onto_users(&shop, "v1").unwrap();
    assert!(
        told(&outcome).starts_with("stopped: patch 2 of 3"),
        "{outcome:?}"
    );
    shop.work(S, MEND);
    let outcome = go_on(&mut opened(&shop).unwrap()).unwrap();
    assert!(told(&outcome).starts_with("3 on "), "{outcome:?}");
    assert!(
        shop.provide(S)
            .unwrap()
            .ground
            .unwrap()
            .contains("linux at v1")
    );
    refresh(&shop, false).unwrap();
    assert_eq!(user(&shop, PRINT), before);
    // A tree of ours is of that repository already.
    let repository = opened(&shop).unwrap().repository();
    source::lend(&repository, &shop.tree(S), "HEAD").unwrap();
    let borrowed = fs_err::read_to_string(repository.dir().join("objects/info/alternates"));
    assert_eq!(
        borrowed.unwrap(),
        format!("{}/.git/objects\n", users(&shop))
    );
    // The patch files are for that kernel now.
    let failure = shop.provide(S).unwrap_err();
    assert_eq!(failure.kind, Kind::Build, "{failure}");
}

/// From a revision to one that it came from, so that the one base is below the other.
#[test]
fn back_to_an_older_revision() {
    let shop = shop();
    let older = "sed -i 's/^line 12$/theirs/' a.c; git add .; git commit -qm v1; git tag v1";
    let newer = "sed -i 's/^theirs$/line 12/' a.c; git commit -qam v2; git tag -am two v2";
    user(&shop, &format!("{KERNEL}{older}; {newer}"));
    let outcome = onto_users(&shop, "v2").unwrap();
    assert!(told(&outcome).starts_with("3 on "), "{outcome:?}");
    for (end, refusal) in [
        ("true", Some("in the middle of a rebase onto")),
        ("git rebase --abort", None),
        (
            "git rebase --abort; git commit -q --amend -m three -m mine",
            None,
        ),
        (
            "git rebase --quit; git checkout -qf refs/worktree/base",
            Some("HEAD is somewhere else"),
        ),
    ] {
        let outcome = onto_users(&shop, "v1").unwrap();
        assert!(told(&outcome).starts_with("stopped"), "{end}: {outcome:?}");
        shop.work(S, end);
        let said = opened(&shop)
            .unwrap()
            .require_still()
            .map_err(|failure| failure.to_string());
        match refusal {
            None => assert_eq!(said, Ok(()), "{end}"),
            Some(words) => assert!(
                said.as_ref().is_err_and(|said| said.contains(words)),
                "{end}: {said:?}"
            ),
        }
        take_back(&mut opened(&shop).unwrap()).unwrap();
        assert_eq!(shop.work(S, LOOK), "one\ntwo\nthree", "{end}");
    }
}
