use super::*;
use crate::host::session::Session;
use crate::kernel::shop::{BASE, Shop};
use crate::kernel::tree;

const S: &[&str] = &["s"];
pub(super) const NONE: Consent = Consent {
    overwrite: false,
    lose: false,
};

/// Three patches, of which the second provides something and the last two have one subject.
fn shop() -> Shop {
    let shop = Shop::open();
    shop.patch("s", 1, "one", 4, "");
    shop.patch("s", 2, "two", 12, "Provides: timeout\n\nfirst two");
    shop.patch("s", 3, "two", 20, "second two");
    let text = fs_err::read_to_string(shop.file("s/series")).unwrap();
    fs_err::write(shop.file("s/series"), format!("# all\n{text}# end\n")).unwrap();
    shop.provide(S).unwrap();
    // The mails were written by hand: the first time is git's.
    refresh(&shop, S, NONE).unwrap();
    shop
}

fn copy(model: &Shop) -> Shop {
    let shop = model.copy();
    shop.provide(S).unwrap();
    shop
}

fn planned<T>(
    shop: &Shop,
    names: &[&str],
    use_it: impl FnOnce(Plan, &Worked, Stack<'_>) -> Result<T>,
) -> Result<T> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let stop = Stop::default();
    if let Some(left) = Replacement::left(&shop.folder()) {
        left.finish()?;
    }
    let tree = Worked::open(
        &tree::name(BASE, &names),
        &Session::new(shop.layout.clone(), stop.clone()),
    )?;
    let stack = Stack {
        names: &names,
        folder: &shop.folder(),
    };
    use_it(plan(&tree, stack, &stop)?, &tree, stack)
}

/// The files that were written.
pub(super) fn refresh(shop: &Shop, names: &[&str], consent: Consent) -> Result<Vec<String>> {
    planned(shop, names, |plan, tree, stack| {
        plan.allow(consent, tree, stack)?;
        plan.write(tree, stack)?;
        Ok(plan
            .changes
            .iter()
            .map(|change| change.path.to_string())
            .collect())
    })
}

fn all(shop: &Shop, series: &str) -> BTreeMap<String, String> {
    let entries = shop.file(series).read_dir_utf8().unwrap().flatten();
    entries
        .map(|entry| {
            let text = fs_err::read_to_string(entry.path()).unwrap();
            (entry.file_name().to_owned(), text)
        })
        .collect()
}

/// The same in one text, to be compared.
fn whole(shop: &Shop, series: &str) -> String {
    let files = all(shop, series).into_iter();
    files
        .map(|(name, text)| format!("{name}:\n{text}"))
        .collect()
}

/// Name and notes of each patch.
fn notes_of(shop: &Shop, series: &str) -> Vec<(String, String)> {
    let series = crate::series::load(&shop.layout, BASE, series).unwrap();
    let patches = series.patches.into_iter();
    patches
        .map(|patch| (patch.path.file_name().unwrap().to_owned(), patch.notes))
        .collect()
}

#[test]
fn an_untouched_tree_gives_the_files_that_are_there() {
    let shop = shop();
    let before = whole(&shop, "s");
    assert_eq!(refresh(&shop, S, NONE).unwrap(), Vec::<String>::new());
    assert!(!shop.provide(S).unwrap().edited);
    assert_eq!(refresh(&shop, S, NONE).unwrap(), Vec::<String>::new());
    similar_asserts::assert_eq!(whole(&shop, "s"), before);
}

#[test]
fn what_a_series_file_says_besides_names_stays() {
    let shop = shop();
    let index = shop.file("s/series");
    let text = fs_err::read_to_string(&index).unwrap();
    let text = text.replacen(".patch\n", ".patch -p1 # the first\n", 1);
    fs_err::write(&index, &text).unwrap();
    assert!(!shop.provide(S).unwrap().edited);
    assert_eq!(refresh(&shop, S, NONE).unwrap(), Vec::<String>::new());
    assert!(text.contains("-p1"), "{text}");
}

#[test]
fn the_configuration_of_git_changes_nothing() {
    let shop = shop();
    for (key, value) in [
        ("diff.noprefix", "true"),
        ("diff.mnemonicPrefix", "true"),
        ("diff.context", "1"),
        ("diff.orderFile", "/dev/zero"),
        ("diff.external", "false"),
        ("format.signOff", "true"),
        ("format.headers", "X-A: b"),
        ("format.to", "x@example.org"),
        ("format.notes", "true"),
        ("format.subjectPrefix", "RFC"),
        ("format.suffix", ".txt"),
        ("format.attach", "x"),
        ("format.from", "true"),
        ("format.useAutoBase", "whenAble"),
        ("format.coverLetter", "true"),
        ("format.numbered", "true"),
        ("color.ui", "always"),
        ("i18n.logOutputEncoding", "ISO-8859-1"),
        ("log.date", "iso"),
        ("log.showSignature", "true"),
        ("status.showUntrackedFiles", "no"),
    ] {
        shop.work(S, &format!("git config {key} '{value}'"));
        let written = refresh(&shop, S, NONE).unwrap_or_else(|failure| panic!("{key}: {failure}"));
        assert_eq!(written, Vec::<String>::new(), "{key}");
    }
}

/// What developers do, and what becomes of the notes.
#[test]
fn notes_and_features_stay_with_their_patches() {
    let model = shop();
    let two = "Provides: timeout\n\nfirst two";
    let unchanged = [
        ("0001-one.patch", ""),
        ("0002-two.patch", two),
        ("0003-two.patch", "second two"),
    ];
    for (script, expected) in [
        (
            "git commit -q --amend -m three",
            vec![
                unchanged[0],
                unchanged[1],
                ("0003-three.patch", "second two"),
            ],
        ),
        (
            "git commit -q --amend --no-edit; git commit -q --amend --no-edit; git commit -q --amend --no-edit",
            unchanged.to_vec(),
        ),
        (
            "sed -i 's/^two$/changed/' a.c; git commit -qa --amend -m new",
            vec![unchanged[0], unchanged[1], ("0003-new.patch", "second two")],
        ),
        (
            "GIT_SEQUENCE_EDITOR='sed -i \"1{h;d};2{G}\"' git rebase -qi HEAD~3",
            vec![
                ("0001-two.patch", two),
                ("0002-one.patch", ""),
                ("0003-two.patch", "second two"),
            ],
        ),
        (
            "GIT_SEQUENCE_EDITOR='sed -i \"3s/^pick/squash/\"' git rebase -qi HEAD~3",
            vec![
                unchanged[0],
                (
                    "0002-two.patch",
                    "Provides: timeout\n\nfirst two\n\nsecond two",
                ),
            ],
        ),
        (
            "git rebase -q --exec 'git commit -q --amend --no-edit --reset-author --signoff' HEAD~3",
            unchanged.to_vec(),
        ),
        // Without notes: by the diff, and by the subject.
        (
            "tip=$(git rev-parse HEAD); git checkout -q HEAD~3; git cherry-pick $tip~2 $tip~1 $tip >/dev/null",
            unchanged.to_vec(),
        ),
        (
            "git reset -q --soft HEAD~1; git commit -qm other",
            vec![
                unchanged[0],
                unchanged[1],
                ("0003-other.patch", "second two"),
            ],
        ),
        (
            "tip=$(git rev-parse HEAD); git checkout -q HEAD~3; sed -i 's/^line 4$/mine/' a.c; git commit -qam one; \
             git cherry-pick $tip~1 $tip >/dev/null",
            unchanged.to_vec(),
        ),
        // What is not text, or has no lines.
        (
            "chmod +x b.c; : >empty; printf '\\0\\1' >binary; printf 'a\\nb' >open; ln -s a.c link; git add .; \
             git commit -qm 'ä: a subject that is so long that it is folded in a mail, and cut in a name of a file' \
             --author 'Ö. Y <y@example.org>' --date '@1000000 -0130' -m 'From here on' -m ' indented'",
            [
                &unchanged[..],
                &[(
                    "0004-a-subject-that-is-so-long-that-it-is-folded-in-a-mai.patch",
                    "",
                )],
            ]
            .concat(),
        ),
        (
            "echo new >c.c; git add c.c; git commit -qm 'a new one'",
            [&unchanged[..], &[("0004-a-new-one.patch", "")]].concat(),
        ),
        (
            "n=refs/notes/series/x-s; git notes --ref=$n add -fm 'Provides: timeout' HEAD~1; \
             git notes --ref=$n append -m more HEAD",
            vec![
                unchanged[0],
                ("0002-two.patch", "Provides: timeout"),
                ("0003-two.patch", "second two\n\nmore"),
            ],
        ),
    ] {
        let shop = copy(&model);
        shop.work(S, script);
        refresh(&shop, S, NONE).unwrap_or_else(|failure| panic!("{script}: {failure}"));
        let expected = expected
            .iter()
            .map(|(name, notes)| (name.to_string(), notes.to_string()));
        similar_asserts::assert_eq!(
            notes_of(&shop, "s"),
            expected.collect::<Vec<_>>(),
            "{script}"
        );
        let index = fs_err::read_to_string(shop.file("s/series")).unwrap();
        assert!(
            index.starts_with("# all\n") && index.ends_with("# end\n"),
            "{index}"
        );
        // Twice is once, with test-kernel in between or without.
        for _ in 0..2 {
            assert_eq!(
                refresh(&shop, S, NONE).unwrap(),
                Vec::<String>::new(),
                "{script}"
            );
            assert!(!shop.provide(S).unwrap().edited, "{script}");
        }
    }
}

/// States of a work tree from which nothing may be written, and what is said.
#[test]
fn a_tree_that_is_in_no_state_for_it_is_refused() {
    let model = shop();
    for (script, words) in [
        (
            "GIT_SEQUENCE_EDITOR='sed -i \"1s/^pick/edit/\"' git rebase -qi HEAD~3 2>/dev/null",
            "in the middle of a rebase",
        ),
        (
            "git checkout -q HEAD~2; sed -i 's/^line 20$/mine/' a.c; git commit -qam mine; \
             git rebase -q @{-1} 2>/dev/null || git rebase -q --onto HEAD HEAD~1 @{1} 2>/dev/null || true; \
             test -d $(git rev-parse --git-path rebase-merge) || mkdir $(git rev-parse --git-path rebase-merge)",
            "in the middle of a rebase",
        ),
        (
            "git format-patch -q -1 -o ..; git checkout -q HEAD~1; echo x >a.c; git commit -qam x; \
             git am -q ../0001-two.patch 2>/dev/null || rm ../0001-two.patch",
            "in the middle of a rebase, or git am,",
        ),
        (
            "git checkout -q -b side HEAD~1; echo x >a.c; git commit -qam x; git merge -q @{-1} >/dev/null || true",
            "in the middle of a merge",
        ),
        (
            "tip=$(git rev-parse HEAD); git checkout -q HEAD~1; echo x >a.c; git commit -qam x; \
             git cherry-pick $tip >/dev/null 2>&1 || true",
            "in the middle of a cherry-pick",
        ),
        (
            "git revert --no-commit HEAD; git reset -q --hard HEAD; git rev-parse HEAD >$(git rev-parse --git-path REVERT_HEAD)",
            "a revert",
        ),
        (
            "git bisect start -q HEAD HEAD~3 >/dev/null",
            "in the middle of a bisection",
        ),
        (
            "touch $(git rev-parse --git-path index.lock)",
            "another git command",
        ),
        (
            "echo x >>a.c",
            "changes that are in no commit (a.c); commit them first",
        ),
        ("echo x >new", "changes that are in no commit (new)"),
        (
            "git config status.showUntrackedFiles no; echo x >new",
            "in no commit (new)",
        ),
        (
            "git checkout -q HEAD~3",
            "has no commits on top of its base",
        ),
        (
            "git checkout -q --orphan o; git commit -qm o",
            "is not on top of the tree's base",
        ),
        (
            "git checkout -q HEAD~1",
            "would lose this (cargo xtask series refresh --base x --series s --allow-loss does it):\n  s/0003-two.patch: the patch (\"two\") and its notes (\"second two\" …)\nHEAD is an older commit",
        ),
        (
            "git checkout -q HEAD~2",
            "timeout, which no patch would provide any more",
        ),
        ("git reset -q --hard HEAD~1", "s/0003-two.patch: the patch"),
        (
            "GIT_SEQUENCE_EDITOR='sed -i 2d' git rebase -qi HEAD~3",
            "s/0002-two.patch: the patch (\"two\") and its notes (\"Provides: timeout\" …)\n  timeout, which",
        ),
        (
            "git reset -q --soft HEAD~3; git commit -qm all",
            "s/0001-one.patch: the patch (\"one\")\n  s/0002",
        ),
        (
            "git notes --ref=series/x-s remove HEAD 2>/dev/null",
            "s/0003-two.patch: its notes (\"second two\" …)",
        ),
        (
            "git notes --ref=series/x-s remove HEAD 2>/dev/null",
            "+++ s/0003-two.patch as it would be, below the ---\n@@ -1 +0,0 @@\n-second two",
        ),
        (
            "git reset -q --hard HEAD~1",
            "\n--- s/0003-two.patch\n+++ /dev/null\n",
        ),
        (
            "git notes --ref=series/x-s add -fm less HEAD~1 2>/dev/null",
            "timeout, which no patch would provide",
        ),
        (
            "git notes --ref=series/x-s add -fm 'Provides: tea' HEAD 2>/dev/null",
            "Provides: unknown feature \"tea\"",
        ),
        (
            "printf 'a\\n\\ndiff --git a/x b/x\\n' | git notes --ref=series/x-s add -fF - HEAD 2>/dev/null",
            "makes no good patch file",
        ),
        (
            "printf 'a\\n\\nIndex: x\\n' | git notes --ref=series/x-s add -fF - HEAD 2>/dev/null",
            "as they would come back, below the ---\n@@ -1,3 +1 @@\n a\n-\n-Index: x",
        ),
        (
            "git commit -q --allow-empty -m 'says nothing'",
            "(\"says nothing\") of",
        ),
        (
            "git commit -q --allow-empty -m 'says nothing'",
            "is empty: it changes no file",
        ),
        (
            "git checkout -q -b side HEAD~1; echo x >c; git add c; git commit -qm c; git merge -qm both @{-1}",
            "is a merge",
        ),
        (
            "git commit -q --amend -m two -m 'a\n---\nb' --cleanup=verbatim",
            "has the line \"---\" in its message",
        ),
        (
            "printf 'two\\n\\na\\n--- a/x\\nb' | git commit -q --amend -F -",
            "has the line \"--- a/x\" in its message",
        ),
        (
            "printf 'two\\n\\na\\ndiff --git a/x b/x' | git commit -q --amend -F -",
            "has the line \"diff --git a/x b/x\" in",
        ),
        (
            "git reset -q --soft $(git cat-file commit HEAD | LC_ALL=C sed 's/^Why/\\xe9/' | git hash-object -t commit -w --stdin)",
            "not UTF-8",
        ),
        (
            "git commit -q --amend -m '[PATCH] two'",
            "\n-[PATCH] two\n+two\n",
        ),
        (
            "git commit -q --amend -m '[PATCH] two'",
            "would not come back from its patch file as it is: its subject",
        ),
        // Git am drops the CR of each line.
        (
            "printf 'a\\r\\n' >crlf; git add crlf; git commit -q --amend -m two",
            "would not come back from its patch file as it is: its files",
        ),
        (
            "printf 'a\\r\\n' >crlf; git add crlf; git commit -q --amend -m two",
            "\n-a\\u{d}\n+a",
        ),
        (
            "git commit -q --amend -m two -m 'Provides: timeout'",
            "belongs below the `---`",
        ),
    ] {
        let shop = copy(&model);
        let before = whole(&shop, "s");
        shop.work(S, script);
        let failure = refresh(&shop, S, NONE).expect_err(script);
        assert_eq!(failure.kind, Kind::Usage, "{script}: {failure}");
        assert!(failure.to_string().contains(words), "{script}: {failure}");
        similar_asserts::assert_eq!(whole(&shop, "s"), before, "{script}");
    }
}

#[test]
fn what_the_user_agrees_to_lose_is_lost() {
    let shop = shop();
    shop.work(S, "GIT_SEQUENCE_EDITOR='sed -i 2d' git rebase -qi HEAD~3");
    let lose = Consent { lose: true, ..NONE };
    let written = refresh(&shop, S, lose).unwrap();
    assert_eq!(
        written,
        ["s/0002-two.patch", "s/0003-two.patch", "s/series"]
    );
    let expected = [("0001-one.patch", ""), ("0002-two.patch", "second two")];
    similar_asserts::assert_eq!(
        notes_of(&shop, "s"),
        expected.map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    assert!(!shop.provide(S).unwrap().edited);
}

/// What happens to the patch files beside the tree, before or after a commit there.
#[test]
fn patch_files_that_were_edited_meanwhile_are_not_overwritten() {
    let edits: [(&str, &str, &str); 7] = [
        (
            "a note",
            "sed -i 's/^second two/SECOND/' s/0003-two.patch",
            "-second two\n+SECOND\n",
        ),
        (
            "a message",
            "sed -i 's/^Why/Because/' s/0001-one.patch",
            "+Because.",
        ),
        ("the order", "sed -i 's/^# all/# ALL/' s/series", "+# ALL"),
        (
            "one more",
            "cp s/0001-one.patch s/0004-x.patch; echo 0004-x.patch >>s/series",
            "+0004-x.patch",
        ),
        ("removed", "rm s/0003-two.patch", "+++ /dev/null"),
        ("in the way", "echo mine >s/0004-more.patch", "+mine"),
        ("nothing", ": >s/0004-more.patch", "an empty file is there"),
    ];
    let model = shop();
    for (what, script, words) in edits {
        let shop = copy(&model);
        shop.work(
            S,
            "echo more >c.c; git add c.c; git commit -qm more; git commit -q --amend -m more -m x",
        );
        shop.work(S, &format!("cd {}; {script}", shop.folder()));
        let before = whole(&shop, "s");
        let failure = refresh(&shop, S, NONE).expect_err(what);
        assert_eq!(failure.kind, Kind::Usage, "{what}: {failure}");
        let said = failure.to_string();
        assert!(
            said.contains(words) && said.contains("as it is now") || what == "removed",
            "{what}: {said}"
        );
        for way in [
            "edit --base x --series s has",
            "refresh --base x --series s --force",
        ] {
            assert!(
                said.contains(&format!("cargo xtask series {way}")),
                "{said}"
            );
        }
        similar_asserts::assert_eq!(whole(&shop, "s"), before, "{what}");
        let force = Consent {
            overwrite: true,
            ..NONE
        };
        refresh(&shop, S, force).unwrap();
        let names: Vec<String> = notes_of(&shop, "s")
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            names,
            [
                "0001-one.patch",
                "0002-two.patch",
                "0003-two.patch",
                "0004-more.patch"
            ]
        );
        assert!(!shop.provide(S).unwrap().edited);
    }
}

#[test]
fn a_feature_that_was_added_by_hand_is_not_overwritten_without_a_word() {
    let shop = shop();
    shop.work(S, "git commit -q --amend -m two -m mine");
    let add = "sed -i 's/^second two/Provides: argument/' s/0003-two.patch";
    shop.work(S, &format!("cd {}; {add}", shop.folder()));
    let force = Consent {
        overwrite: true,
        ..NONE
    };
    let failure = refresh(&shop, S, force).unwrap_err();
    assert!(
        failure.to_string().contains("argument, which no patch"),
        "{failure}"
    );
}

/// One series on top of another in one tree.
#[test]
fn a_stack_is_dealt_out_to_its_series() {
    const ST: &[&str] = &["s", "t"];
    let model = shop();
    model.patch("t", 1, "top", 27, "Provides: argument");
    model.provide(ST).unwrap();
    refresh(&model, ST, NONE).unwrap();
    for (script, written) in [
        ("true", Ok(vec![])),
        (
            "echo x >c; git add c; git commit -qm c",
            Ok(vec!["t/0002-c.patch", "t/series"]),
        ),
        (
            "tip=$(git rev-parse HEAD); git reset -q --hard HEAD~1; echo x >c; git add c; git commit -qm c; git cherry-pick $tip >/dev/null",
            Ok(vec!["s/0004-c.patch", "s/series"]),
        ),
        (
            "git reset -q --hard HEAD~4; git cherry-pick ORIG_HEAD~0 >/dev/null; git cherry-pick ORIG_HEAD~3..ORIG_HEAD~0 >/dev/null 2>&1 \
             || true; git cherry-pick --abort 2>/dev/null || true",
            Err("lose this"),
        ),
        (
            "GIT_SEQUENCE_EDITOR='sed -i \"3{h;d};4{G}\"' git rebase -qi HEAD~4",
            Err("out of place"),
        ),
        (
            "GIT_SEQUENCE_EDITOR='sed -i \"4s/^pick/squash/\"' git rebase -qi HEAD~4",
            Err("out of place"),
        ),
        (
            "git reset -q --hard HEAD~1",
            Err("t/0001-top.patch: the patch"),
        ),
    ] {
        let shop = model.copy();
        shop.provide(ST).unwrap();
        shop.work(ST, script);
        match (refresh(&shop, ST, NONE), written) {
            (Ok(files), Ok(expected)) => assert_eq!(files, expected, "{script}"),
            (Err(failure), Err(words)) => {
                assert!(failure.to_string().contains(words), "{script}: {failure}");
            }
            (got, wanted) => panic!("{script}: {got:?}, not {wanted:?}"),
        }
    }
}

/// Ends of a run at each step of a replacement: afterwards all files are old, or the next run makes all new.
#[test]
fn an_interrupted_replacement_is_finished() {
    let changes = || {
        let change = |path: &str, old: Option<&str>, new: Option<&str>| Change {
            path: path.into(),
            old: old.map(Into::into),
            new: new.map(Into::into),
        };
        vec![
            change("s/a", Some("old"), Some("new")),
            change("s/b", Some("gone"), None),
            change("t/c", None, Some("new")),
        ]
    };
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap();
    let put = |path: &str, text: &str| {
        fs_err::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
        fs_err::write(dir.join(path), text).unwrap();
    };
    let is = |path: &str| fs_err::read_to_string(dir.join(path)).ok();
    for done in 0..=3 {
        put("s/a", "old");
        put("s/b", "gone");
        let _ = fs_err::remove_file(dir.join("t/c"));
        Replacement::begin(dir, &changes()).unwrap();
        let steps: [&dyn Fn(); 3] = [
            &|| put("s/a", "new"),
            &|| fs_err::remove_file(dir.join("s/b")).unwrap(),
            &|| put("t/c", "new"),
        ];
        steps[..done].iter().for_each(|step| step());
        Replacement::left(dir).unwrap().finish().unwrap();
        let found = ["s/a", "s/b", "t/c"].map(is);
        assert_eq!(
            found,
            [Some("new".to_owned()), None, Some("new".to_owned())],
            "{done}"
        );
        assert!(Replacement::left(dir).is_none());
    }
    put("s/a", "old");
    put("s/b", "gone");
    Replacement::begin(dir, &changes()).unwrap();
    put("s/a", "edited");
    let failure = Replacement::left(dir).unwrap().finish().unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    assert!(failure.to_string().contains("\n-old\n"), "{failure}");
    assert!(failure.to_string().contains("\n+edited\n"), "{failure}");
    assert_eq!(is("s/a").as_deref(), Some("edited"));
}

#[test]
fn a_half_replaced_series_is_not_tested() {
    let shop = shop();
    let change = Change {
        path: "s/series".into(),
        old: None,
        new: None,
    };
    Replacement::begin(&shop.folder(), &[change]).unwrap();
    let failure = shop.provide(S).unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    assert!(
        failure
            .to_string()
            .contains("run it again: cargo xtask series refresh --base x --series s"),
        "{failure}"
    );
    refresh(&shop, S, NONE).unwrap();
    shop.provide(S).unwrap();
}

/// Edits in the tree, in the patch files, in both, in the source: what test-kernel makes of it.
#[test]
fn a_tree_follows_its_patches_unless_that_loses_edits() {
    const COMMIT: &str = "echo x >c; git add c; git commit -qm c";
    const SPLIT: &str =
        "git reset -q --soft HEAD~1; git commit -qm half; git commit -q --allow-empty -m rest";
    const NOTE: &str = "sed -i 's/^second two/SECOND/' s/0003-two.patch";
    const MESSAGE: &str = "sed -i 's/^Why/Because/' s/0003-two.patch";
    const FEWER: &str = "sed -i '/0003/d' s/series";
    let (clean, edited) = (Ok(false), Ok(true));
    let both = Err("to keep both: git -C");
    let model = shop();
    for (in_tree, in_files, expected) in [
        ("true", "true", clean),
        ("echo x >>a.c", "true", edited),
        (COMMIT, "true", edited),
        ("true", NOTE, clean),
        ("true", MESSAGE, clean),
        ("true", FEWER, clean),
        // Below the tree's commits nothing has changed but notes.
        (COMMIT, NOTE, edited),
        ("echo x >>a.c", NOTE, edited),
        (COMMIT, MESSAGE, both),
        (COMMIT, MESSAGE, Err("\n-Why.\n+Because.\n")),
        (COMMIT, FEWER, both),
        ("echo x >>a.c", MESSAGE, Err("to keep both: git -C")),
        ("echo x >>a.c", MESSAGE, Err("add --all && git -C")),
        // The files are the same, and the commits are not.
        (
            SPLIT,
            MESSAGE,
            Err("cargo xtask series refresh --base x --series s --dry-run, which shows it"),
        ),
        (
            "git commit -q --amend -m two -m mine",
            MESSAGE,
            Err("s/0003-two.patch has changed"),
        ),
        (
            "git notes --ref=series/x-s append -m more HEAD",
            MESSAGE,
            Err("commits or notes of your own"),
        ),
        (
            "git notes --ref=series/x-s append -m more HEAD",
            NOTE,
            edited,
        ),
        (
            "GIT_SEQUENCE_EDITOR='sed -i 3s/pick/edit/' git rebase -qi HEAD~3 2>/dev/null",
            MESSAGE,
            Err("in the middle of a rebase"),
        ),
        // What was done in the tree was done in the files as well.
        (
            "git -c user.name=A commit -q --amend -m two -m Because.",
            "sed -i 's/^Why/Because/' s/0003-two.patch",
            clean,
        ),
    ] {
        let shop = copy(&model);
        shop.work(S, in_tree);
        shop.work(S, &format!("cd {}; {in_files}", shop.folder()));
        let found = shop.provide(S);
        match (&found, expected) {
            (Ok(tree), Ok(edited)) => assert_eq!(tree.edited, edited, "{in_tree} {in_files}"),
            (Err(failure), Err(words)) => {
                assert_eq!(failure.kind, Kind::Usage);
                assert!(
                    failure.to_string().contains(words),
                    "{in_tree} {in_files}: {failure}"
                );
            }
            _ => panic!("{in_tree} {in_files}: {found:?}"),
        }
    }
    // Notes that were edited on both sides are not overwritten.
    let shop = copy(&model);
    shop.work(S, "git notes --ref=series/x-s append -m more HEAD");
    shop.work(S, &format!("cd {}; {NOTE}", shop.folder()));
    shop.provide(S).unwrap();
    let failure = refresh(&shop, S, NONE).unwrap_err();
    assert!(failure.to_string().contains("+SECOND"), "{failure}");
}

/// Walks each way that an error shows; `git` and `rm` by the shell, the rest by hand.
#[test]
fn the_ways_out_lead_out() {
    let force = Consent {
        overwrite: true,
        ..NONE
    };
    let model = shop();
    let stuck = || {
        let shop = copy(&model);
        shop.work(S, "echo x >c; git add c; git commit -qm mine");
        shop.work(
            S,
            &format!("sed -i 's/^Why/Because/' {}", shop.file("s/0001-one.patch")),
        );
        let failure = shop.provide(S).unwrap_err();
        (shop, failure.to_string())
    };
    let whys = |shop: &Shop| -> Vec<bool> {
        let texts = all(shop, "s");
        let patches = texts.iter().filter(|(name, _)| name.as_str() != INDEX);
        patches.map(|(_, text)| text.contains("\nWhy.\n")).collect()
    };

    let (shop, said) = stuck();
    let rebase = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("to keep both: "));
    let rebase = rebase.unwrap().strip_suffix(", and this again").unwrap();
    shop.work(S, &format!("{rebase} 2>/dev/null"));
    assert!(shop.provide(S).unwrap().edited);
    assert_eq!(
        refresh(&shop, S, NONE).unwrap(),
        ["s/0004-mine.patch", "s/series"]
    );
    assert_eq!(whys(&shop), [false, true, true, false]);
    assert!(!shop.provide(S).unwrap().edited);
    let notes = notes_of(&shop, "s");
    assert_eq!(notes[2].1, "second two");

    let (shop, _) = stuck();
    refresh(&shop, S, NONE).unwrap_err();
    refresh(&shop, S, force).unwrap();
    assert_eq!(whys(&shop), [true, true, true, false]);
    assert!(!shop.provide(S).unwrap().edited);

    let (shop, said) = stuck();
    let remove = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("to lose the edits: remove "));
    let path = remove.unwrap().strip_suffix(", and this again").unwrap();
    fs_err::remove_dir_all(path).unwrap();
    assert!(!shop.provide(S).unwrap().edited);
    assert_eq!(whys(&shop), [false, true, true]);
    assert_eq!(notes_of(&shop, "s")[2].1, "second two");

    // Only the source has changed.
    let mut shop = copy(&model);
    shop.work(S, "echo x >c; git add c; git commit -qm mine");
    shop.new_source();
    let failure = shop.provide(S).unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("to keep them: cargo xtask series refresh --base x --series s, and"),
        "{failure}"
    );
    refresh(&shop, S, NONE).unwrap();
    assert!(!shop.provide(S).unwrap().edited);
    assert_eq!(shop.work(S, "tail -n1 b.c; cat c"), "another\nx");

    // A tree of an earlier version of this program, which noted nothing.
    let shop = copy(&model);
    let memory = shop.tree(S).with_extension("json");
    let text = fs_err::read_to_string(&memory).unwrap();
    let state: serde_json::Value = serde_json::from_str(&text).unwrap();
    let older = serde_json::json!({"key": state["key"], "tip": state["tip"], "settled": true});
    fs_err::write(&memory, older.to_string()).unwrap();
    shop.work(
        S,
        "git update-ref -d refs/notes/series/x-s; git update-ref -d refs/notes/patch-files/x-s",
    );
    shop.work(S, "git commit -q --amend -m two -m mine");
    let failure = refresh(&shop, S, NONE).unwrap_err();
    assert!(failure.to_string().contains("+mine"), "{failure}");
    refresh(&shop, S, force).unwrap();
    assert_eq!(notes_of(&shop, "s")[2].1, "second two");
}

/// As the README says it, in a repository of the user's.
#[test]
fn the_readme_signs_each_commit_of_a_series() {
    let layout = crate::host::layout::Layout::of_this_checkout().unwrap();
    let readme = fs_err::read_to_string(layout.root().join("README.md")).unwrap();
    let command = |start: &str| {
        let mut lines = readme.lines().map(str::trim);
        lines
            .find(|line| line.starts_with(start))
            .expect(start)
            .to_owned()
    };
    let shop = shop();
    let (am, sign) = (command("git am PATCHES"), command("git rebase --exec"));
    let am = am.replace("PATCHES/6.12/generic-freeze", shop.file("s").as_str());
    let sign = sign.replace("v6.12.117", "base");
    shop.work(
        S,
        "git branch base refs/worktree/base; git checkout -q base; git checkout -qb mine",
    );
    shop.work(S, &format!("{am} >/dev/null; {sign} >/dev/null 2>&1"));
    let said = shop.work(S, "git log --format='%s: %an <%ae>, %(trailers:key=Signed-off-by,valueonly,separator=%x2c)' base..mine");
    let person = "D Eveloper <d@example.org>";
    let expected = ["two", "two", "one"].map(|subject| format!("{subject}: {person}, {person}"));
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}
