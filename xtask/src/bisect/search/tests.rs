use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use walkdir::WalkDir;
use xshell::cmd;

use super::super::history::{Draft, Fake, History};
use super::super::{Proof, Reason, Reverted};
use super::*;
use crate::host::layout::Layout;
use crate::host::proc::Stop;

const FIX: (&str, &str) = ("fs/super.c", "fixed");
const BUG: (&str, &str) = ("fs/bug.c", "bug");
const DOC: (&str, &str) = ("Documentation/x.rst", "x");

fn session() -> Session {
    Session::new(Layout::at("/nowhere"), Stop::default())
}

/// Searches in the folder `name`, beside the tree.
fn look(
    history: &History,
    plan: &Plan,
    name: &str,
    resume: bool,
    fake: &mut Fake<'_>,
) -> Result<Found> {
    let held = Held::of(&history.folder(name))?;
    search(plan, resume, &held, fake, &session())
}

fn searched(history: &History, plan: &Plan) -> (Found, Vec<String>) {
    let mut fake = Fake::new(history);
    let found = look(history, plan, "search", false, &mut fake).unwrap();
    (found, fake.builds)
}

/// The end, by the names of commits.
fn end(history: &History, found: &Found) -> String {
    match &found.end {
        End::Culprit { culprit, .. } => history.name(&culprit.commit).to_owned(),
        End::OneOf(commits) => {
            let mut names: Vec<_> = commits.iter().map(|it| history.name(&it.commit)).collect();
            names.sort_unstable();
            format!("one of {}", names.join(" "))
        }
        End::Nothing(why) => why.clone(),
    }
}

fn proof(found: &Found) -> &Proof {
    match &found.end {
        End::Culprit { proof, .. } => proof,
        other => panic!("{other:?}"),
    }
}

/// Git, in the user's tree, makes the same of our log.
fn replay(history: &History, name: &str) -> String {
    let clone = history.folder("replayed");
    files::remove(&clone).unwrap();
    let (git, tree) = (&history.git, &history.tree);
    git.read(cmd!(git, "git clone --quiet --shared {tree} {clone}"))
        .unwrap();
    let log = history.folder(name).join("bisect.log");
    let git = git.elsewhere(clone);
    let said = git
        .output(cmd!(git, "git bisect replay {log}"), b"")
        .unwrap();
    String::from_utf8(said.stdout).unwrap()
}

/// The story of the proof: some thirty commits with all that can happen on the way.
fn story() -> History {
    let mut draft = Draft::long(
        12,
        &[
            (3, DOC),
            (5, ("fs/a.c", "nobuild")),
            (6, ("fs/a.c", "cured")),
            (8, ("fs/b.c", "noboot")),
            (9, ("fs/b.c", "boots")),
            (11, ("fs/c.c", "other")),
        ],
    );
    let side = draft.commit("s1", &[9], &[("fs/side.c", "1")]);
    let side = draft.commit("s2", &[side], &[("Documentation/side.rst", "1")]);
    let side = draft.commit("s3", &[side], &[("fs/side.c", "nobuild")]);
    let side = draft.commit("s4", &[side], &[("fs/side.c", "4")]);
    let mut last = draft.commit("c13", &[12], &[("fs/c.c", "well")]);
    last = draft.commit("merge", &[last, side], &[]);
    for number in 14..=29 {
        let content = number.to_string();
        let change = match number {
            16 | 20 | 24 => ("Documentation/y.rst", content.as_str()),
            19 => BUG,
            22 => ("fs/d.c", "control"),
            23 => ("fs/d.c", "well"),
            26 => ("fs/comment.c", content.as_str()),
            _ => ("fs/super.c", content.as_str()),
        };
        last = draft.commit(&format!("c{number}"), &[last], &[change]);
    }
    draft.make()
}

#[test]
fn the_culprit_of_a_long_story_is_named_and_verified() {
    let history = story();
    let (found, builds) = searched(&history, &history.plan("c0", "main"));
    assert_eq!(end(&history, &found), "c19");
    assert_eq!(found.exit_code(), 0, "{found:?}");
    let proof = proof(&found);
    assert_eq!(proof.culprit, Some(Side::New));
    assert_eq!(proof.reverted, Reverted::Is(Side::Old));
    let parents: Vec<_> = proof
        .parents
        .iter()
        .map(|(it, side)| (history.name(&it.commit), *side))
        .collect();
    assert_eq!(parents, [("c18", Some(Side::Old))]);
    assert!(
        found.confidence > 0.99 && found.confidence < 1.0,
        "{}",
        found.confidence
    );
    for doc in ["c3", "s2", "c16", "c20", "c24"] {
        assert!(!builds.iter().any(|it| it == doc), "{doc}: {builds:?}");
    }
    assert_eq!(
        found.runs, 13,
        "for a failure that was seen 5 times in 5 runs"
    );
    assert!(
        replay(&history, "search")
            .contains(&format!("{} is the first bad commit", history.id("c19")))
    );
    let kept: Found = files::recall(&history.folder("search/bisect.json")).unwrap();
    assert_eq!(kept, found);
}

/// Wherever the bug is, it is found, whatever is in the way.
#[test]
fn a_culprit_can_be_anywhere() {
    for at in [1, 2, 13, 14, 15] {
        let history = Draft::long(15, &[(at, BUG), (7, DOC)]).make();
        let (found, _) = searched(&history, &history.plan("c0", "c15"));
        assert_eq!(
            (end(&history, &found), found.exit_code()),
            (format!("c{at}"), 0)
        );
    }
}

#[test]
fn what_does_not_build_is_cured_by_a_pick() {
    let special = [
        (4, ("fs/a.c", "nobuild")),
        (8, BUG),
        (13, ("fs/a.c", "cured")),
    ];
    let history = Draft::long(15, &special).make();
    let mut plan = history.plan("c0", "c15");
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        end(&history, &found),
        "one of c10 c11 c12 c13 c4 c5 c6 c7 c8 c9"
    );
    assert_eq!(found.exit_code(), 4);
    plan.manner.picks = vec!["c13".to_owned()];
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c8", 0)
    );
}

#[test]
fn only_skipped_commits_left_is_said_with_the_range_and_without_documentation() {
    let special = [
        (5, ("fs/a.c", "nobuild")),
        (6, DOC),
        (7, BUG),
        (8, ("fs/a.c", "well")),
    ];
    let history = Draft::long(12, &special).make();
    let (found, _) = searched(&history, &history.plan("c0", "c12"));
    assert_eq!(end(&history, &found), "one of c5 c7 c8");
    assert_eq!(found.exit_code(), 4);
    let why = |reason| {
        found
            .steps
            .iter()
            .filter(|step| matches!(&step.verdict, Err(why) if why.reason == reason))
            .count()
    };
    assert!(why(Reason::DoesNotCompile) >= 3, "{:?}", found.steps);
    let said = replay(&history, "search");
    assert!(said.contains("only 'skip'ped commits left"), "{said}");
}

#[test]
fn each_reason_to_skip_a_commit() {
    for (word, reason) in [
        ("nobuild", Reason::DoesNotCompile),
        ("noboot", Reason::DoesNotBoot),
        ("other", Reason::OtherFailure),
        ("hang", Reason::OtherFailure),
        ("control", Reason::ControlFailed),
        ("skip", Reason::LacksFeature),
    ] {
        let special = [(4, ("fs/a.c", word)), (5, ("fs/a.c", "")), (7, BUG)];
        let history = Draft::long(8, &special).make();
        let (found, _) = searched(&history, &history.plan("c0", "c8"));
        assert_eq!(
            (end(&history, &found).as_str(), found.exit_code()),
            ("c7", 0),
            "{word}"
        );
        let step = found
            .steps
            .iter()
            .find(|step| history.name(&step.of.commit) == "c4")
            .unwrap();
        assert_eq!(step.verdict.as_ref().unwrap_err().reason, reason);
    }
}

#[test]
fn any_failure_is_the_failure_if_that_is_asked() {
    let special = [(4, ("fs/a.c", "other")), (7, ("fs/a.c", "bug"))];
    let history = Draft::long(8, &special).make();
    let mut plan = history.plan("c0", "c8");
    plan.manner.any_failure = true;
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c4", 0)
    );
    plan.manner.any_failure = false;
    let (found, _) = searched(&history, &plan);
    assert_eq!(end(&history, &found), "one of c4 c5 c6 c7");
}

#[test]
fn a_flaky_failure_is_found_by_numbers() {
    for at in [3, 8, 14] {
        let history = Draft::long(16, &[(at, ("fs/a.c", "flaky"))]).make();
        let (found, _) = searched(&history, &history.plan("c0", "c16"));
        assert_eq!(
            (end(&history, &found), found.exit_code()),
            (format!("c{at}"), 0)
        );
        assert!(found.runs > 15, "{}", found.runs);
        assert!(
            found.rate.failed > 0 && found.rate.passed > 0,
            "{:?}",
            found.rate
        );
        let passing = found
            .steps
            .iter()
            .filter(|step| step.verdict == Ok(Side::Old));
        assert!(passing.clone().all(|step| step.runs.passed >= found.runs));
    }
}

/// As `WARN_ON_ONCE`, lockdep and KASAN do: more runs in one boot say nothing.
#[test]
fn what_the_kernel_complains_of_once_a_boot_is_run_once_a_boot() {
    for (special, terms, wanted) in [
        (
            [(1, ("fs/a.c", "")), (7, ("fs/a.c", "once"))],
            Terms::GoodBad,
            "c7",
        ),
        (
            [(1, ("fs/a.c", "once")), (7, ("fs/a.c", ""))],
            Terms::OldNew,
            "c7",
        ),
    ] {
        let history = Draft::long(12, &special).make();
        let mut plan = history.plan("c2", "c12");
        plan.terms = terms;
        let mut fake = Fake::new(&history);
        let found = look(&history, &plan, "search", false, &mut fake).unwrap();
        assert_eq!(
            (end(&history, &found).as_str(), found.exit_code()),
            (wanted, 0)
        );
        assert_eq!(found.runs, 13);
        assert_eq!(found.rate.failed, found.rate.total());
        let steps = fake
            .tests
            .iter()
            .filter(|(name, _)| !["c2", "c12"].contains(&name.as_str()));
        assert!(
            steps.clone().all(|(_, runs)| *runs == 1),
            "{:?}",
            fake.tests
        );
        let passing = if terms == Terms::GoodBad { "c2" } else { "c12" };
        let boots = |name: &str| {
            let alone = fake
                .tests
                .iter()
                .filter(|(it, runs)| it == name && *runs == 1);
            alone.count()
        };
        assert_eq!(boots(passing), 13);
        assert!(boots("c6") <= 26 && boots("c7") <= 26);
    }
}

#[test]
fn too_few_runs_are_told_and_are_no_proof() {
    let history = Draft::long(6, &[(3, ("fs/a.c", "flaky"))]).make();
    let mut plan = history.plan("c0", "c6");
    plan.manner.runs = Some(8);
    let mut fake = Fake::new(&history);
    let found = look(&history, &plan, "search", false, &mut fake).unwrap();
    assert!(
        fake.tests.iter().all(|(_, runs)| *runs == 8),
        "{:?}",
        fake.tests
    );
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c3", 1)
    );
    assert!(found.confidence < 0.99);
    assert!(
        found.undone[0].contains("ran the case 8 times"),
        "{:?}",
        found.undone
    );
}

#[test]
fn one_run_is_no_number() {
    let history = Draft::long(6, &[(3, BUG)]).make();
    let mut plan = history.plan("c0", "c6");
    plan.manner.runs = Some(1);
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c3", 1)
    );
    let words = "each step ran the case once, where";
    assert!(found.undone[0].starts_with(words), "{:?}", found.undone);
}

#[test]
fn a_hang_costs_one_run() {
    let history = Draft::long(15, &[(8, ("fs/a.c", "hang"))]).make();
    let mut fake = Fake::new(&history);
    let found = look(
        &history,
        &history.plan("c0", "c15"),
        "search",
        false,
        &mut fake,
    )
    .unwrap();
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c8", 0)
    );
    let hung = fake
        .tests
        .iter()
        .filter(|(name, _)| ["c8", "c9", "c11"].contains(&name.as_str()));
    assert!(
        hung.clone().count() > 0 && hung.clone().all(|(_, runs)| *runs == 1),
        "{:?}",
        fake.tests
    );
}

#[test]
fn an_image_that_was_tested_has_its_verdict_without_a_boot() {
    let comments: Vec<_> = (2..=14)
        .map(|at| (at, ("fs/comment.c", ["even", "odd"][at % 2])))
        .collect();
    let mut special = comments.clone();
    special.retain(|(at, _)| *at != 8);
    special.push((8, BUG));
    let history = Draft::long(15, &special).make();
    let mut fake = Fake::new(&history);
    let found = look(
        &history,
        &history.plan("c0", "c15"),
        "search",
        false,
        &mut fake,
    )
    .unwrap();
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c8", 0)
    );
    let same = found
        .steps
        .iter()
        .filter(|step| step.same_as.is_some() && step.image.is_some());
    assert!(same.count() > 0, "{:?}", found.steps);
    assert!(fake.tests.len() < fake.builds.len(), "{fake:?}");
}

#[test]
fn what_the_list_of_files_does_not_have_is_found_all_the_same() {
    let history = Draft::long(15, &[(6, ("fs/unread.c", "bug")), (3, DOC)]).make();
    let (found, _) = searched(&history, &history.plan("c0", "c15"));
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c6", 0)
    );
    assert!(
        found.undone[0].contains("went on among all commits"),
        "{:?}",
        found.undone
    );
}

#[test]
fn paths_limit_the_search_and_do_not_mislead_it() {
    let history = Draft::long(20, &[(6, BUG), (9, ("fs/a.c", "")), (4, ("fs/a.c", "x"))]).make();
    let mut plan = history.plan("c0", "c20");
    plan.manner.scope = Scope::Paths(vec!["fs/bug.c".to_owned(), "fs/a.c".to_owned()]);
    let (found, builds) = searched(&history, &plan);
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c6", 0)
    );
    assert!(
        builds.iter().all(
            |it| ["c0", "c20", "c9", "c4", "c6", "c5"].contains(&it.split(' ').next().unwrap())
        ),
        "{builds:?}"
    );
    plan.manner.scope = Scope::Paths(vec!["fs/a.c".to_owned()]);
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c6", 0)
    );
    assert!(!found.undone.is_empty());
    plan.manner.scope = Scope::All;
    let (found, _) = searched(&history, &plan);
    assert_eq!(end(&history, &found), "c6");
    plan.manner.scope = Scope::Paths(vec!["fs/nowhere".to_owned()]);
    let mut fake = Fake::new(&history);
    let failure = look(&history, &plan, "search", false, &mut fake).unwrap_err();
    assert_eq!(failure.kind, Kind::Usage, "{failure}");
}

#[test]
fn ends_that_are_not_what_they_are_said_to_be() {
    let history = Draft::long(9, &[(4, BUG), (7, ("fs/bug.c", "well"))]).make();
    for (old, new, words) in [
        (
            "c1",
            "c3",
            "--bad c3 is not bad: it passes in all of 25 runs, as --good c1 does; if it fails there now and then: --runs 250",
        ),
        (
            "c4",
            "c6",
            "--good c4 is not good: it fails as --bad c6 does: dm_case_a on xfs failed at \"thaw\"",
        ),
        (
            "c5",
            "c8",
            "the ends are swapped: --good c5 fails, and --bad c8 passes; to search for what fixed it: --old c5 --new c8",
        ),
    ] {
        let (found, builds) = searched(&history, &history.plan(old, new));
        assert_eq!(
            (end(&history, &found).as_str(), found.exit_code()),
            (words, 4)
        );
        assert_eq!(builds.len(), 2, "{builds:?}");
    }
    let skipped = Draft::long(3, &[(1, ("fs/a.c", "noboot"))]).make();
    let (found, _) = searched(&skipped, &skipped.plan("c0", "c3"));
    assert_eq!(
        end(&skipped, &found),
        "--bad c3 says nothing: does not boot: Kernel panic"
    );
    let skipped = Draft::long(3, &[(1, ("fs/a.c", "skip"))]).make();
    let (found, _) = searched(&skipped, &skipped.plan("c0", "c3"));
    assert_eq!(
        end(&skipped, &found),
        "--bad c3 says nothing: the case lacks a feature: no such ioctl"
    );
    for (word, way_on) in [("nobuild", "--pick FIX"), ("control", "--control CASE")] {
        let skipped = Draft::long(3, &[(1, ("fs/a.c", word))]).make();
        let (found, _) = searched(&skipped, &skipped.plan("c0", "c3"));
        let words = end(&skipped, &found);
        assert!(words.contains(way_on), "{words}");
    }
}

#[test]
fn ends_with_the_same_kernel_have_no_culprit_between_them() {
    let mut draft = Draft::default();
    let mut last = draft.commit("c0", &[], &[("fs/super.c", "flaky")]);
    for number in 1..=20 {
        let change = ("fs/comment.c", format!("{number}"));
        let name = format!("c{number}");
        last = draft.commit(&name, &[last], &[(change.0, &change.1)]);
    }
    let history = draft.make();
    let mut plan = history.plan("c0", "c1");
    // Of some two the first passes, and the second fails.
    plan.manner.runs = Some(1);
    let told = (1..=20).map(|new| {
        (plan.old, plan.new) = (format!("c{}", new - 1), format!("c{new}"));
        let (found, _) = searched(&history, &plan);
        assert_eq!(found.exit_code(), 4, "{found:?}");
        end(&history, &found)
    });
    let told: Vec<_> = told.collect();
    assert!(told.iter().any(|it| it.contains("the same kernel")));
}

#[test]
fn revisions_that_cannot_be_ends() {
    let history = Draft::long(9, &[(4, BUG)]).make();
    let failed = |old: &str, new: &str, terms| {
        let mut plan = history.plan(old, new);
        plan.terms = terms;
        let mut fake = Fake::new(&history);
        let failure = look(&history, &plan, "search", false, &mut fake).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{failure}");
        assert!(fake.builds.is_empty());
        failure.to_string()
    };
    for (old, new, terms, words) in [
        (
            "c0",
            "v9",
            Terms::GoodBad,
            "--bad v9: git knows no such commit",
        ),
        (
            "v9",
            "c0",
            Terms::OldNew,
            "--old v9: git knows no such commit",
        ),
        (
            "c9",
            "c0",
            Terms::GoodBad,
            "they are swapped, or it is searched for what fixed it: --old c0 --new c9",
        ),
        ("c9", "c0", Terms::OldNew, "they are swapped"),
        ("c9", "main", Terms::GoodBad, "are the same commit"),
    ] {
        let failure = failed(old, new, terms);
        assert!(failure.contains(words), "{failure}");
    }
}

#[test]
fn ends_that_have_nothing_in_common() {
    let mut draft = Draft::long(3, &[]);
    let root = draft.commit("r1", &[], &[("fs/super.c", "bug")]);
    draft.commit("r2", &[root], &[("fs/a.c", "x")]);
    let history = draft.make();
    let mut fake = Fake::new(&history);
    let plan = history.plan("c3", "r2");
    let failure = look(&history, &plan, "search", false, &mut fake).unwrap_err();
    assert_eq!(failure.kind, Kind::Usage, "{failure}");
    assert!(
        failure.to_string().contains("fetch --unshallow"),
        "{failure}"
    );
    assert!(fake.builds.is_empty());
}

/// As where a shallow tree ends: it was bad there, and may have been long before.
#[test]
fn a_culprit_without_parents_is_not_verified() {
    let mut draft = Draft::long(6, &[]);
    let root = draft.commit("r1", &[], &[("fs/side.c", "bug")]);
    let merge = draft.commit("merge", &[6, root], &[]);
    draft.commit("last", &[merge], &[("fs/last.c", "x")]);
    let history = draft.make();
    let (found, _) = searched(&history, &history.plan("c6", "last"));
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("r1", 1)
    );
    assert!(
        found.undone[0].contains("the tree has no parent of"),
        "{:?}",
        found.undone
    );
}

/// Two branches that part at `c3`.
fn parted(on_main: &[(usize, (&str, &str))], on_side: &[(&str, &str)]) -> History {
    let mut draft = Draft::long(10, on_main);
    let mut last = 3;
    for (number, change) in on_side.iter().enumerate() {
        last = draft.commit(&format!("s{}", number + 1), &[last], &[*change]);
    }
    draft.make()
}

#[test]
fn a_good_end_that_is_no_ancestor() {
    let history = parted(&[(6, BUG)], &[FIX, FIX]);
    let (found, _) = searched(&history, &history.plan("s2", "c10"));
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c6", 0)
    );
    let bases: Vec<_> = found
        .steps
        .iter()
        .filter(|step| step.why == Purpose::MergeBase)
        .collect();
    assert_eq!(bases.len(), 1);
    assert_eq!(history.name(&bases[0].of.commit), "c3");

    // The other way: it was always bad, and was fixed on the way to the good end.
    let history = parted(&[(2, BUG)], &[FIX, ("fs/bug.c", "well"), FIX]);
    let (found, _) = searched(&history, &history.plan("s3", "c10"));
    let words = end(&history, &found);
    let base = history.id("c3");
    assert!(
        words.ends_with(&format!("to search for it: --old {base} --new s3")),
        "{words}"
    );
    assert_eq!(found.exit_code(), 4);
    let mut plan = history.plan(base, "s3");
    plan.terms = Terms::OldNew;
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("s2", 0)
    );
}

#[test]
fn a_merge_base_that_cannot_be_tested_is_told() {
    let history = parted(
        &[(3, ("fs/a.c", "noboot")), (4, ("fs/a.c", "")), (6, BUG)],
        &[("fs/a.c", "")],
    );
    let (found, _) = searched(&history, &history.plan("s1", "c10"));
    assert_eq!(end(&history, &found), "c6");
    assert!(
        found.undone[0].contains("the change may be before it"),
        "{:?}",
        found.undone
    );
}

#[test]
fn which_commit_fixed_it() {
    let history = Draft::long(12, &[(2, BUG), (7, ("fs/bug.c", "well"))]).make();
    let mut plan = history.plan("c3", "c12");
    plan.terms = Terms::OldNew;
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c7", 0)
    );
    assert!(replay(&history, "search").contains("is the first new commit"));
    plan.old = "c8".to_owned();
    let (found, _) = searched(&history, &plan);
    assert_eq!(found.exit_code(), 4);
    // And which one changed how it fails.
    let history = Draft::long(12, &[(2, BUG), (7, ("fs/a.c", "hang"))]).make();
    let mut plan = history.plan("c3", "c12");
    plan.terms = Terms::OldNew;
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c7", 0)
    );
}

#[test]
fn the_proof_by_a_revert() {
    // Another commit changes the same file later.
    let history = Draft::long(9, &[(4, BUG), (7, ("fs/bug.c", "bug and more"))]).make();
    let (found, _) = searched(&history, &history.plan("c0", "c9"));
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c4", 0)
    );
    assert!(
        found.undone[0].contains("without the culprit: does not apply"),
        "{:?}",
        found.undone
    );
    assert!(
        matches!(&proof(&found).reverted, Reverted::Unknown(why) if why.reason == Reason::DoesNotApply)
    );
    // Or makes the same mistake.
    let history = Draft::long(9, &[(4, BUG), (7, ("fs/a.c", "bug"))]).make();
    let mut plan = history.plan("c0", "c9");
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c4", 1)
    );
    assert_eq!(proof(&found).reverted, Reverted::Is(Side::New));
    plan.manner.revert = false;
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        (proof(&found).reverted.clone(), found.exit_code()),
        (Reverted::NotAsked, 0)
    );
}

#[test]
fn a_merge_can_be_the_culprit_and_first_parents_stop_at_it() {
    let mut draft = Draft::long(6, &[]);
    let side = draft.commit("s1", &[2], &[("fs/side.c", "1")]);
    let side = draft.commit("s2", &[side], &[("fs/side.c", "bug")]);
    let merge = draft.commit("merge", &[6, side], &[]);
    draft.commit("last", &[merge], &[("fs/last.c", "x")]);
    let history = draft.make();
    let mut plan = history.plan("c0", "last");
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("s2", 0)
    );
    plan.manner.first_parent = true;
    let (found, _) = searched(&history, &plan);
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("merge", 0)
    );
    assert_eq!(proof(&found).parents.len(), 1);

    // Each side is well, and both together are not.
    let mut draft = Draft::long(6, &[]);
    let side = draft.commit("s1", &[2], &[("fs/side.c", "1")]);
    let merge = draft.commit("merge", &[6, side], &[BUG]);
    draft.commit("last", &[merge], &[("fs/last.c", "x")]);
    let history = draft.make();
    let (found, _) = searched(&history, &history.plan("c0", "last"));
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("merge", 0)
    );
    assert_eq!(proof(&found).parents.len(), 2);
}

/// All files of a tree, git's own too, with content and time.
fn snapshot(history: &History) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entries = WalkDir::new(&history.tree)
        .into_iter()
        .map(|entry| entry.unwrap());
    let of = |path: &std::path::Path| {
        let found = path.symlink_metadata().unwrap();
        let content = if found.is_file() {
            fs_err::read(path).unwrap()
        } else {
            vec![]
        };
        (
            path.display().to_string(),
            (content, found.modified().unwrap()),
        )
    };
    entries.map(|entry| of(entry.path())).collect()
}

#[test]
fn the_users_tree_is_left_as_it_is() {
    let history = story();
    let git = &history.git;
    git.read(cmd!(git, "git bisect start main c1")).unwrap();
    fs_err::write(history.tree.join("fs/super.c"), "dirty").unwrap();
    fs_err::write(history.tree.join("new"), "untracked").unwrap();
    git.read(cmd!(git, "git add new")).unwrap();
    let before = snapshot(&history);
    let (found, _) = searched(&history, &history.plan("c0", "main"));
    assert_eq!(end(&history, &found), "c19");
    assert_eq!(snapshot(&history), before);
}

#[test]
fn trees_of_many_kinds_are_searched() {
    let history = Draft::long(12, &[(9, BUG)]).make();
    let (git, tree) = (&history.git, &history.tree);
    let [shallow, worktree, bare] = ["shallow", "worktree", "bare"].map(|it| history.folder(it));
    git.read(cmd!(
        git,
        "git clone --quiet --depth=7 file://{tree} {shallow}"
    ))
    .unwrap();
    git.read(cmd!(git, "git worktree add --quiet --detach {worktree} c3"))
        .unwrap();
    git.read(cmd!(git, "git clone --quiet --bare --shared {tree} {bare}"))
        .unwrap();
    for kind in [shallow, worktree, bare] {
        let mut plan = history.plan(history.id("c6"), history.id("c12"));
        plan.tree = kind;
        let (found, _) = searched(&history, &plan);
        assert_eq!(end(&history, &found), "c9", "{}", plan.tree);
    }
    let mut plan = history.plan("c0", "c12");
    for nowhere in ["nowhere", "search"] {
        plan.tree = history.folder(nowhere);
        let mut fake = Fake::new(&history);
        let failure = look(&history, &plan, "other", false, &mut fake).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{failure}");
    }
}

/// What a partial clone lacks git would fetch, into the user's tree.
#[test]
fn a_commit_that_a_partial_clone_lacks_is_not_fetched() {
    let history = parted(&[(6, BUG)], &[FIX]);
    let (git, tree) = (&history.git, &history.tree);
    for key in ["allowFilter", "allowAnySHA1InWant"] {
        git.read(cmd!(git, "git config uploadpack.{key} true"))
            .unwrap();
    }
    let partial = history.folder("partial");
    git.read(cmd!(
        git,
        "git clone --quiet --bare --single-branch --branch c10 --filter=blob:none file://{tree} {partial}"
    ))
    .unwrap();
    let mut plan = history.plan(history.id("s1"), "c10");
    plan.tree = partial.clone();
    let mut fake = Fake::new(&history);
    let failure = look(&history, &plan, "search", false, &mut fake).unwrap_err();
    assert_eq!(failure.kind, Kind::Usage, "{failure}");
    let theirs = git.elsewhere(partial).untouched();
    assert_eq!(
        theirs.resolve(&format!("{}^{{commit}}", plan.old)).unwrap(),
        None
    );
}

/// Killed after each call of the judge: what was answered is not asked again, and the answer is the same.
#[test]
fn a_search_goes_on_wherever_it_ended() {
    let special = [
        (1, ("fs/a.c", "nobuild")),
        (2, ("fs/a.c", "well")),
        (3, ("fs/unread.c", "bug")),
        (5, DOC),
    ];
    let history = Draft::long(7, &special).make();
    let plan = history.plan("c0", "main");
    let mut whole = Fake::new(&history);
    let wanted = look(&history, &plan, "whole", false, &mut whole).unwrap();
    let calls = whole.builds.len() + whole.tests.len();
    for lives in 0..calls {
        let name = format!("killed-{lives}");
        let mut first = Fake::with_lives(&history, lives);
        let failure = look(&history, &plan, &name, false, &mut first).unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery);
        assert!(failure.to_string().contains("--resume"), "{failure}");
        let mut second = Fake::new(&history);
        let found = look(&history, &plan, &name, true, &mut second).unwrap();
        assert_eq!(timeless(found), timeless(wanted.clone()), "{lives}");
        let tests: Vec<_> = first.tests.iter().chain(&second.tests).cloned().collect();
        // The test that was lost is made again; nothing else is.
        assert!(tests.len() <= whole.tests.len() + 1, "{lives}: {tests:?}");
        assert!(
            first.builds.len() + second.builds.len() <= whole.builds.len() + 2,
            "{lives}"
        );
    }
}

/// Killed again and again, after each step.
#[test]
fn a_search_that_is_killed_at_each_step_comes_to_its_end() {
    let history = story();
    let plan = history.plan("c0", "main");
    let mut rounds = 0;
    let found = loop {
        let mut fake = Fake::with_lives(&history, 3);
        match look(&history, &plan, "search", rounds > 0, &mut fake) {
            Ok(found) => break found,
            Err(failure) => assert_eq!(failure.kind, Kind::Machinery),
        }
        rounds += 1;
        assert!(rounds < 50);
    };
    assert!(rounds > 5, "{rounds}");
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c19", 0)
    );
    // Once more: all is known.
    let mut fake = Fake::with_lives(&history, 0);
    let again = look(&history, &plan, "search", true, &mut fake).unwrap();
    assert_eq!(timeless(again), timeless(found));
}

/// The same for whoever does not look at the clock.
fn timeless(mut found: Found) -> Found {
    found
        .steps
        .iter_mut()
        .for_each(|step| step.took = Duration::ZERO);
    found
}

#[test]
fn what_is_no_search_to_go_on_with() {
    let history = Draft::long(9, &[(4, BUG)]).make();
    let plan = history.plan("c0", "c9");
    let failed = |plan: &Plan, lives| {
        let mut fake = Fake::with_lives(&history, lives);
        let failure = look(&history, plan, "search", true, &mut fake).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{failure}");
        failure.to_string()
    };
    let failure = failed(&plan, 9);
    assert!(failure.contains("there is no search in"), "{failure}");
    let mut fake = Fake::with_lives(&history, 5);
    look(&history, &plan, "search", false, &mut fake).unwrap_err();
    let mut other = plan.clone();
    other.new = "c8".to_owned();
    let failure = failed(&other, 9);
    assert!(
        failure.contains("is another one (new was \"c9\")"),
        "{failure}"
    );
    // What was begun is not thrown away.
    look(&history, &other, "search", false, &mut Fake::new(&history)).unwrap();
    let aside = history.folder("search/state.before.json");
    assert!(aside.exists());
    // Not by a second mistake either.
    let kept = fs_err::read(history.folder("search/state.json")).unwrap();
    for _ in 0..2 {
        let mut fake = Fake::with_lives(&history, 0);
        look(&history, &other, "search", false, &mut fake).unwrap_err();
    }
    assert_eq!(fs_err::read(aside).unwrap(), kept);
}

#[test]
fn a_branch_that_moves_meanwhile_is_searched_as_it_was() {
    let history = Draft::long(9, &[(4, BUG)]).make();
    let plan = history.plan("c0", "main");
    look(
        &history,
        &plan,
        "search",
        false,
        &mut Fake::with_lives(&history, 8),
    )
    .unwrap_err();
    let git = &history.git;
    git.read(cmd!(git, "git reset --quiet --hard c3")).unwrap();
    let found = look(&history, &plan, "search", true, &mut Fake::new(&history)).unwrap();
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c4", 0)
    );
    assert_eq!(found.new.commit, history.id("c9"));
}

#[test]
fn a_stop_keeps_what_is_known() {
    let history = Draft::long(9, &[(4, BUG)]).make();
    let plan = history.plan("c0", "c9");
    let mut first = Fake::with_lives(&history, 8);
    first.dies_of = Kind::Interrupted;
    let failure = look(&history, &plan, "search", false, &mut first).unwrap_err();
    assert_eq!(failure.kind, Kind::Interrupted);
    assert!(failure.to_string().contains("--resume"), "{failure}");
    let stopped = session();
    stopped.stop.request();
    let held = Held::of(&history.folder("search")).unwrap();
    let failure = search(&plan, true, &held, &mut first, &stopped).unwrap_err();
    drop(held);
    assert_eq!(failure.kind, Kind::Interrupted);
    let mut second = Fake::new(&history);
    let found = look(&history, &plan, "search", true, &mut second).unwrap();
    assert_eq!(end(&history, &found), "c4");
    let twice = |test| second.tests.contains(test) && test.0 != "c4" && test.0 != "c3";
    assert!(!first.tests.iter().any(twice), "{first:?} {second:?}");
}

/// Says to the test below that it is to be killed: where the tree is.
const TREE: &str = "XTASK_TEST_BISECT";

/// Killed by SIGKILL, at any moment.
#[test]
fn a_search_outlives_kill_9() {
    let history = story();
    if let Ok(tree) = std::env::var(TREE) {
        let tree = Utf8Path::new(&tree);
        let mut plan = history.plan("c0", "main");
        plan.tree = tree.to_owned();
        let mut fake = Fake::new(&history);
        fake.pace = Duration::from_millis(10);
        let held = Held::of(&tree.with_file_name("search")).unwrap();
        let resume = held.has_begun();
        search(&plan, resume, &held, &mut fake, &session()).unwrap();
        return;
    }
    let result = history.folder("search/bisect.json");
    let state = history.folder("search/state.json");
    let answers = || fs_err::read_to_string(&state).map_or(0, |it| it.matches("\"took\"").count());
    let mut killed = 0;
    for round in 0.. {
        let before = answers();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "bisect::search::tests::a_search_outlives_kill_9"])
            .env(TREE, &history.tree)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut ended = None;
        while ended.is_none() && answers() < before + 3 {
            std::thread::sleep(Duration::from_millis(1));
            ended = child.try_wait().unwrap();
        }
        // Not always at the same moment of a step.
        std::thread::sleep(Duration::from_millis(3 * round));
        killed += u32::from(ended.is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        if let Some(ended) = ended {
            assert!(ended.success());
            break;
        }
    }
    assert!(killed > 1, "{killed}");
    let found: Found = files::recall(&result).unwrap();
    assert_eq!(
        (end(&history, &found).as_str(), found.exit_code()),
        ("c19", 0)
    );
    assert!(replay(&history, "search").contains("is the first bad commit"));
    let left = history.folder("search").read_dir_utf8().unwrap();
    let mut left = left.map(|entry| entry.unwrap().file_name().to_owned());
    assert!(left.all(|name| !name.starts_with(".tmp-")));
}

#[test]
fn two_searches_in_one_folder() {
    let history = Draft::long(9, &[(4, BUG)]).make();
    let plan = history.plan("c0", "c9");
    let _first = Held::of(&history.folder("search")).unwrap();
    let failure = look(&history, &plan, "search", false, &mut Fake::new(&history)).unwrap_err();
    assert!(
        failure.to_string().contains("another search is at work"),
        "{failure}"
    );
}

/// A random history: branches, merges, documentation, commits that do not build. The bug is in one commit, and in all that
/// descend from it.
fn random_history(random: &mut fastrand::Rng) -> (History, String) {
    let mut draft = Draft::default();
    let mut tips = vec![draft.commit("c0", &[], &[("fs/super.c", "0")])];
    let count = random.usize(5..40);
    let culprit = random.usize(1..=count);
    let mut affected = vec![false];
    for number in 1..=count {
        let first = tips[random.usize(..tips.len())];
        let second = tips[random.usize(..tips.len())];
        let parents = if number % 5 == 0 && first != second {
            vec![first, second]
        } else {
            vec![first]
        };
        let (name, content) = (format!("c{number}"), format!("{number}"));
        let path = format!("fs/{number}.c");
        let change = match random.usize(0..10) {
            _ if number == culprit => BUG,
            0..3 => ("Documentation/x.rst", content.as_str()),
            3 => (path.as_str(), "noboot"),
            _ => (path.as_str(), content.as_str()),
        };
        // What does not boot is repaired by the next commit on top of it.
        let broken: Vec<String> = parents
            .iter()
            .map(|parent| format!("fs/{parent}.c"))
            .collect();
        let mut changes: Vec<_> = broken
            .iter()
            .filter(|path| *path != "fs/0.c")
            .map(|path| (path.as_str(), "well"))
            .collect();
        changes.push(change);
        let made = draft.commit(&name, &parents, &changes);
        affected.push(number == culprit || parents.iter().any(|parent| affected[*parent]));
        if random.usize(0..4) > 0 {
            tips.retain(|tip| !parents.contains(tip));
        }
        tips.push(made);
    }
    let affected: Vec<usize> = tips.into_iter().filter(|tip| affected[*tip]).collect();
    draft.commit("last", &affected, &[("fs/last.c", "last"), ("fs/x.c", "x")]);
    (draft.make(), format!("c{culprit}"))
}

#[test]
fn in_random_histories_the_culprit_is_right() {
    let mut certain = 0;
    for seed in 0..24 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (history, culprit) = random_history(&mut random);
        let mut plan = history.plan("c0", "last");
        plan.manner.scope = if seed % 3 == 0 {
            Scope::All
        } else {
            Scope::Read
        };
        let (found, _) = searched(&history, &plan);
        let found = end(&history, &found);
        match found.strip_prefix("one of ") {
            Some(names) => assert!(
                names.split(' ').any(|name| name == culprit),
                "{seed}: {found}, not {culprit}"
            ),
            None if found.starts_with("--") => {
                assert!(found.contains("does not boot"), "{seed}: {found}")
            }
            None => {
                certain += 1;
                assert_eq!(found, culprit, "{seed}");
            }
        }
    }
    assert!(certain > 10, "{certain}");
}
