//! The real thing: a history of some thirty commits on top of our series, among them all that a search can meet, built,
//! booted and searched. It takes what `cargo xtask test-kernel` with [`STACK`] and [`FREEZE_HOLD`] has got and compiled:
//! `cargo test -p xtask -- --ignored bisection::proof`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::sync::{Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::Filesystem::Ext3;
use xshell::cmd;

use super::dossier;
use super::judge::{Bench, SameAccel, Trial};
use super::order::{Order, Range, plan, samples};
use crate::bisect::report::short;
use crate::bisect::state::Held;
use crate::bisect::{
    Build, Commit, End, Found, Judge, Manner, Outcome, Reason, Terms, Untestable, search,
};
use crate::event::{Event, Events, Verdict};
use crate::failure::PASSED;
use crate::flow::prepare::Guests;
use crate::host::files;
use crate::host::git::Git;
use crate::host::layout::Layout;
use crate::host::proc::Stop;
use crate::host::session::Session;
use crate::kernel::commit::{Recipe, Workbench};
use crate::kernel::request::{Part, Request};
use crate::kernel::{commits_of_series, tree};
use crate::series::STACK;
use crate::vm::accelerator::Choice;
use crate::vm::boot::Way;
use crate::vm::root::init;

const SUPER: &str = "fs/super.c";
const FREEZE: &str = "fs/freeze.c";
const IOCTL: &str = "fs/ioctl.c";
const STATFS: &str = "fs/statfs.c";
const PNODE: &str = "fs/pnode.c";
const PAGE: &str = "Documentation/filesystems/freeze.rst";
/// Of no kernel that we build.
const DRIVER: &str = "drivers/usb/core/usb.c";

/// What a commit does to one file.
#[derive(Clone, Copy, Debug)]
enum Edit {
    /// These words for others.
    Replace(&'static str, &'static str, &'static str),
    /// Lines at the end.
    Append(&'static str, &'static str),
}

use Edit::{Append, Replace};

const NESTS: &str = "return sb->s_writers.freeze_ucount < FREEZE_UCOUNT_MAX;";
const NEVER_NESTS: &str = "return sb->s_writers.freeze_ucount < 1;";
const NOT_FROZEN: &str =
    "return -EINVAL;\n\tspin_lock(&sf->lock);\n\thold = hold_claim(sf, hold_scope(sf, file));";
const NOT_PERMITTED: &str =
    "return -EPERM;\n\tspin_lock(&sf->lock);\n\thold = hold_claim(sf, hold_scope(sf, file));";
const RELEASED: &str = "error = hold_release(sb, sf, hold);\n\tif (!error)\n\t\tfile_set_freezer";
/// Where holds remain, which the control case does not see.
const OTHER: &str = "error = hold_release(sb, sf, hold);\n\tif (!error && READ_ONCE(sb->s_writers.frozen)) {\n\t\t\
    thaw_super_files(sb);\n\t\terror = -EPERM;\n\t}\n\tif (!error)\n\t\tfile_set_freezer";
const NO_QUEUE: &str = "if (!freeze_wq)\n\t\tfreeze_wq = system_freezable_wq;";
const PANICS: &str = "if (freeze_wq)\n\t\tpanic(\"no queue\");";
const RESET: &str = "if (get_user(timeout_sec, timeout))\n\t\treturn -EFAULT;\n";
const HANGS: &str =
    "if (get_user(timeout_sec, timeout))\n\t\treturn -EFAULT;\n\tfor (;;)\n\t\tcond_resched();\n";
const CANNOT: &str = "return -EOPNOTSUPP;\n\n\tif (cmd == FIFREEZE";
const CANNOT_SAYS_NO: &str = "return -EINVAL;\n\n\tif (cmd == FIFREEZE";
const COUNTS: &str = "if (may_freeze(sb, who))\n\t\t\tret = !!WARN";
/// One of four nested freezes fails in three of ten runs.
const FLAKY: &str = "if (get_random_u32_below(100) < 8)\n\t\t\tret = -EAGAIN;\n\t\telse if (may_freeze(sb, who))\n\
    \t\t\tret = !!WARN";

/// The commits of the main line up to where the side branch begins, by their subjects. Git begins in the middle of all,
/// which is the one that does not compile; those around it need a pick.
const BEFORE: &[(&str, &[Edit])] = &[
    ("doc: one", &[Append(PAGE, "One.\n")]),
    ("note: one", &[Append(SUPER, NOTES[0])]),
    ("driver: one", &[Append(DRIVER, "/* One. */\n")]),
    (
        "pick: break",
        &[Append(
            STATFS,
            "int freeze_left(void)\n{\n\treturn freeze_forgotten;\n}\n",
        )],
    ),
    ("note: two", &[Append(SUPER, NOTES[1])]),
    (
        "control: break",
        &[Replace(FREEZE, NOT_FROZEN, NOT_PERMITTED)],
    ),
    (
        "control: repair",
        &[Replace(FREEZE, NOT_PERMITTED, NOT_FROZEN)],
    ),
    ("doc: two", &[Append(PAGE, "Two.\n")]),
    ("note: three", &[Append(SUPER, NOTES[2])]),
    (
        "comment: one",
        &[Replace(SUPER, "- mount structures", "- mount structures.")],
    ),
    ("other: break", &[Replace(FREEZE, RELEASED, OTHER)]),
    ("other: repair", &[Replace(FREEZE, OTHER, RELEASED)]),
    ("boot: break", &[Replace(FREEZE, NO_QUEUE, PANICS)]),
    ("boot: repair", &[Replace(FREEZE, PANICS, NO_QUEUE)]),
    ("doc: three", &[Append(PAGE, "Three.\n")]),
    ("half: begin", &[Append(IOCTL, "#error half of a change\n")]),
    (
        "half: end",
        &[Replace(IOCTL, "#error half of a change\n", "")],
    ),
];

/// The side branch.
const SIDE: &[(&str, &[Edit])] = &[
    (
        "side: note",
        &[Append(
            PNODE,
            "static const char freeze_side[] __used = \"one\";\n",
        )],
    ),
    (CULPRIT, &[Replace(SUPER, NESTS, NEVER_NESTS)]),
    (
        "side: note again",
        &[Append(
            PNODE,
            "static const char freeze_side_2[] __used = \"two\";\n",
        )],
    ),
];
const CULPRIT: &str = "fs: simplify the count of holds";

/// The main line beside it.
const BESIDE: &[(&str, &[Edit])] = &[
    ("pick: repair", &[Replace(STATFS, "freeze_forgotten", "0")]),
    ("note: four", &[Append(SUPER, NOTES[3])]),
    ("driver: two", &[Append(DRIVER, "/* Two. */\n")]),
];
const MERGE: &str = "Merge the side branch";

/// And after the merge.
const AFTER: &[(&str, &[Edit])] = &[
    ("doc: four", &[Append(PAGE, "Four.\n")]),
    (
        "case: break another",
        &[Replace(IOCTL, CANNOT, CANNOT_SAYS_NO)],
    ),
    ("case: hang another", &[Replace(IOCTL, RESET, HANGS)]),
    ("note: five", &[Append(SUPER, NOTES[4])]),
    ("doc: five", &[Append(PAGE, "Five.\n")]),
    ("note: six", &[Append(SUPER, NOTES[5])]),
    ("driver: three", &[Append(DRIVER, "/* Three. */\n")]),
    ("note: seven", &[Append(SUPER, NOTES[6])]),
];

/// A branch of its own, from where the history begins.
const FLAKES: &[(&str, &[Edit])] = &[
    ("flaky: note", &[Append(SUPER, NOTES[0])]),
    (FLAKE, &[Replace(SUPER, COUNTS, FLAKY)]),
    ("flaky: doc", &[Append(PAGE, "Flaky.\n")]),
    ("flaky: note again", &[Append(SUPER, NOTES[1])]),
    ("flaky: last", &[Append(SUPER, NOTES[2])]),
];
const FLAKE: &str = "fs: be busy now and then";

const NOTES: [&str; 7] = [
    "static const char freeze_note_1[] __used = \"one\";\n",
    "static const char freeze_note_2[] __used = \"two\";\n",
    "static const char freeze_note_3[] __used = \"three\";\n",
    "static const char freeze_note_4[] __used = \"four\";\n",
    "static const char freeze_note_5[] __used = \"five\";\n",
    "static const char freeze_note_6[] __used = \"six\";\n",
    "static const char freeze_note_7[] __used = \"seven\";\n",
];

/// The files that were changed, and the last commit.
#[derive(Clone, Debug)]
struct Branch {
    files: BTreeMap<&'static str, String>,
    tip: String,
}

/// A tree of the user's with the history.
struct History {
    git: Git,
    /// Ids by subjects.
    commits: BTreeMap<&'static str, String>,
    base: Branch,
    /// The commit that git's index is of.
    index: String,
}

impl History {
    /// In a folder `tree`, with what a work tree and an index of it would have left alone.
    fn make(tree: &Utf8Path, repository: &Utf8Path, base: &str) -> Self {
        fs_err::create_dir_all(tree).unwrap();
        let git = Git::at(tree, &Stop::default());
        git.read(cmd!(git, "git init --quiet --initial-branch=main"))
            .unwrap();
        let alternates = tree.join(".git/objects/info/alternates");
        fs_err::write(alternates, format!("{repository}/objects\n")).unwrap();
        let mut history = Self {
            git,
            commits: BTreeMap::new(),
            base: Branch {
                files: BTreeMap::new(),
                tip: base.to_owned(),
            },
            index: String::new(),
        };
        history.grow();
        history
    }

    fn grow(&mut self) {
        let base = self.base.clone();
        let flakes = self.line(base.clone(), FLAKES);
        self.branch("flakes", &flakes.tip);
        let before = self.line(base, BEFORE);
        let side = self.line(before.clone(), SIDE);
        let beside = self.line(before, BESIDE);
        let edits: Vec<Edit> = SIDE.iter().flat_map(|(_, edits)| *edits).copied().collect();
        let merge = self.commit(&beside, MERGE, &edits, Some(&side.tip));
        let last = self.line(merge, AFTER);
        self.branch("main", &last.tip);
    }

    fn branch(&self, name: &str, commit: &str) {
        let git = &self.git;
        git.read(cmd!(git, "git update-ref refs/heads/{name} {commit}"))
            .unwrap();
    }

    fn line(&mut self, from: Branch, commits: &[(&'static str, &'static [Edit])]) -> Branch {
        commits.iter().fold(from, |branch, (subject, edits)| {
            self.commit(&branch, subject, edits, None)
        })
    }

    fn commit(
        &mut self,
        on: &Branch,
        subject: &'static str,
        edits: &[Edit],
        side: Option<&str>,
    ) -> Branch {
        let git = self.git.clone();
        let mut branch = on.clone();
        if self.index != on.tip {
            let tip = &on.tip;
            git.read(cmd!(git, "git read-tree {tip}")).unwrap();
        }
        for edit in edits {
            let (Replace(file, ..) | Append(file, _)) = *edit;
            let text = branch.files.entry(file).or_insert_with(|| self.text(file));
            *text = edited(text, edit);
            let blob = git.pipe(cmd!(git, "git hash-object -w --stdin"), text.as_bytes());
            let entry = format!("100644,{},{file}", blob.unwrap());
            git.read(cmd!(git, "git update-index --cacheinfo {entry}"))
                .unwrap();
        }
        let tree = git.read(cmd!(git, "git write-tree")).unwrap();
        let parents = [Some(on.tip.as_str()), side];
        let parents = parents.into_iter().flatten().flat_map(|it| ["-p", it]);
        let message = format!("{subject}\n\nSigned-off-by: A Developer <developer@example.org>\n");
        let commit = cmd!(git, "git commit-tree {parents...} -F - {tree}");
        branch.tip = git.pipe(commit, message.as_bytes()).unwrap();
        self.index = branch.tip.clone();
        self.commits.insert(subject, branch.tip.clone());
        branch
    }

    fn text(&self, file: &str) -> String {
        let (git, base) = (&self.git, &self.base.tip);
        git.read(cmd!(git, "git cat-file blob {base}:{file}"))
            .unwrap()
            + "\n"
    }

    fn id(&self, subject: &str) -> &str {
        &self.commits[subject]
    }
}

fn edited(text: &str, edit: &Edit) -> String {
    match edit {
        Replace(file, from, to) => {
            assert_eq!(text.matches(from).count(), 1, "{file}: {from}");
            text.replace(from, to)
        }
        Append(_, lines) => text.to_owned() + lines,
    }
}

/// A checkout of its own, with the sources of this one; work tree and build have the names that they have here, so that
/// the compiler's cache knows them.
struct Place {
    session: Session,
    history: History,
    recipe: Recipe,
    init: Utf8PathBuf,
    /// Tests run in threads, and there is one place.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

/// Stands on top of [`STACK`] where the base is not old.
const FREEZE_HOLD: &str = "freeze-hold";

impl Place {
    fn open() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let here = Layout::of_this_checkout().unwrap();
        let root = here.work("proof");
        let layout = Layout::at(&root);
        fs_err::create_dir_all(layout.work("")).unwrap();
        for (there, link) in [
            (here.patches(), layout.patches()),
            (here.configs(), layout.configs()),
            (here.sources(), layout.sources()),
            (here.work("apt"), layout.work("apt")),
        ] {
            if link.symlink_metadata().is_err() {
                symlink(there, link).unwrap();
            }
        }
        let session = told(&Session::new(layout, Stop::default()));
        let series = STACK.into_iter().chain([FREEZE_HOLD]);
        let series: Vec<_> = series.map(str::to_owned).collect();
        let request = request(&series);
        let commits = commits_of_series(&request, &session).unwrap();
        let (base, _) = commits.patches.last().unwrap();
        let user = root.join("linux");
        files::remove(&user).unwrap();
        let history = History::make(&user, &commits.repository, base);
        let builder = Session::new(here, Stop::default());
        let ((), init) = init::beside(|| Ok(()), &builder).unwrap();
        Self {
            recipe: Recipe {
                name: tree::name("6.12", &series),
                tree: user,
                base: None,
                series: vec![],
                configs: vec![],
                jobs: None,
            },
            session,
            history,
            init,
            _alone: alone,
        }
    }

    fn bench<'a>(&'a self, trial: &'a Trial, folder: &Utf8Path) -> Bench<'a> {
        let workbench = Workbench::open(self.recipe.clone(), &self.session).unwrap();
        let (init, folder) = (self.init.clone(), folder.to_owned());
        let accel = SameAccel::open(&folder, false);
        Bench::new(
            workbench,
            trial,
            request(&[]),
            init,
            accel,
            folder,
            &self.session,
        )
    }
}

fn request(series: &[String]) -> Request {
    Request {
        base: "6.12".into(),
        tree: None,
        series: series.to_vec(),
        configs: vec![],
        part: Part::Whole,
        jobs: None,
    }
}

/// The same session, whose notes are printed.
fn told(session: &Session) -> Session {
    let (events, receiver) = Events::channel();
    std::thread::spawn(move || {
        for event in receiver {
            match event {
                Event::Note(text) | Event::Warning(text) => println!("{text}"),
                Event::PhaseEnded {
                    what,
                    outcome,
                    took,
                } => {
                    println!("{what}: {outcome} ({took:.1?})");
                }
                Event::CaseEnded(result) => println!(
                    "{} {} {} ({:.1?})",
                    result.id.name(),
                    result.verdict.word(),
                    result.verdict.reason(),
                    result.took
                ),
                _ => {}
            }
        }
    });
    session.told_to(events)
}

fn nesting() -> Trial {
    let guests = Guests {
        accel: Choice::Tcg,
        way: Way::Initramfs,
    };
    let filters = ["^n_freezes_need_n_thaws$".to_owned()];
    Trial::of((&filters, &[Ext3]), "error_not_frozen", guests, None).unwrap()
}

/// What the judge says of a commit, in a word.
fn judged(bench: &mut Bench<'_>, commit: &Commit<'_>) -> (String, Option<String>) {
    let begun = std::time::Instant::now();
    let word = |untestable: Untestable| <&str>::from(untestable.reason).to_owned();
    let image = match bench.build(commit).unwrap() {
        Build::Image(image) => image,
        Build::Untestable(why) => return (word(why), None),
    };
    let built = begun.elapsed();
    let outcome = bench.test(commit, 2).unwrap();
    println!(
        "built in {built:.1?}, tested in {:.1?}",
        begun.elapsed() - built
    );
    let words = match outcome {
        Outcome::Untestable(why) => word(why),
        Outcome::Ran { control, .. } if control != Verdict::Passed => "control".into(),
        Outcome::Ran { results, .. } => results[0].verdict.reason().to_owned(),
    };
    (words, Some(image))
}

#[test]
#[ignore = "builds and boots kernels, with what test-kernel has got"]
fn each_kind_of_commit_is_told_for_what_it_is() {
    let place = Place::open();
    let trial = nesting();
    let folder = place.session.layout.work("judged");
    files::remove(&folder).unwrap();
    let mut bench = place.bench(&trial, &folder);
    let history = &place.history;
    let fix = [history.id("pick: repair").to_owned()];
    let [no_apply, no_compile, no_boot] = [
        Reason::DoesNotApply,
        Reason::DoesNotCompile,
        Reason::DoesNotBoot,
    ]
    .map(<&str>::from);
    let (mut images, mut read) = (Vec::new(), BTreeSet::new());
    for (subject, without, picks, wanted) in [
        ("note: three", None, &fix[..], ""),
        ("comment: one", None, &fix, ""),
        ("control: break", None, &fix, "control"),
        ("other: break", None, &fix, "FITHAW"),
        ("boot: break", None, &fix, no_boot),
        ("side: note again", None, &fix, "FIFREEZE"),
        ("side: note", Some(CULPRIT), &fix, no_apply),
        ("pick: break", None, &[], no_compile),
    ] {
        let commit = Commit {
            id: history.id(subject),
            picks,
            revert: without.map(|culprit| history.id(culprit)),
        };
        let (said, image) = judged(&mut bench, &commit);
        println!("=== {subject}: {said}");
        assert!(said.starts_with(wanted), "{subject}: {said}, not {wanted}");
        assert_eq!(said.is_empty(), wanted.is_empty(), "{subject}: {said}");
        if image.is_some() {
            read = bench.read().unwrap();
        }
        images.push(image);
    }
    assert_eq!(images[0], images[1], "a comment makes no other image");
    assert!(images[0].is_some() && images[0] != images[2]);
    assert!(read.contains(SUPER) && !read.contains(DRIVER) && !read.contains(PAGE));
}

/// A search of the user's, whose answer is to be proved.
fn order(place: &Place, old: &str, new: &str, picks: &[String], confidence: f64) -> Order {
    let tree = place.recipe.tree.clone();
    let command = format!("cargo xtask bisect --tree {tree} --good {old} --bad {new}");
    let range = Range::Tree {
        tree,
        terms: Terms::GoodBad,
        old: old.to_owned(),
        new: new.to_owned(),
        series: vec![],
    };
    let plain = samples::order(range, nesting());
    Order {
        manner: Manner {
            confidence,
            picks: picks.to_vec(),
            ..plain.manner
        },
        command,
        ..plain
    }
}

/// Searches, writes all reports, and returns what was found and where they are.
fn searched(place: &Place, order: &Order, name: &str) -> (Found, Utf8PathBuf) {
    let begun = std::time::Instant::now();
    let session = &place.session;
    let folder = session.layout.bisections().join(name);
    files::remove(&folder).unwrap();
    let mut bench = place.bench(&order.trial, &folder.join("commits"));
    let Range::Tree { tree, old, new, .. } = &order.range else {
        unreachable!()
    };
    let plan = plan(order, tree, Terms::GoodBad, [old, new]);
    let found = search::search(
        &plan,
        false,
        &Held::of(&folder).unwrap(),
        &mut bench,
        session,
    )
    .unwrap();
    dossier::write(&found, &place.recipe, order, &folder, session).unwrap();
    println!(
        "{}",
        fs_err::read_to_string(folder.join("report.md")).unwrap()
    );
    println!("{} steps in {:.0?}", found.steps.len(), begun.elapsed());
    (found, folder)
}

fn assert_culprit(found: &Found, history: &History, subject: &str) {
    match &found.end {
        End::Culprit { culprit, proof } => {
            assert_eq!(culprit.commit, history.id(subject), "{}", culprit.subject);
            assert!(proof.holds(), "{proof:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "builds and boots kernels, with what test-kernel has got"]
fn the_commit_that_breaks_nesting_is_found_and_proved() {
    let place = Place::open();
    let history = &place.history;
    let before = tree_of(&place.recipe.tree);
    let fix = [history.id("pick: repair").to_owned()];
    let order = order(&place, &history.base.tip, "main", &fix, 0.99);
    let (found, folder) = searched(&place, &order, "nesting");
    assert_culprit(&found, history, CULPRIT);
    assert_eq!(found.exit_code(), PASSED);
    let untouched = ["doc: ", "driver: "];
    let reasons = found
        .steps
        .iter()
        .filter_map(|step| step.verdict.as_ref().err());
    let reasons: Vec<Reason> = reasons.map(|why| why.reason).collect();
    assert!(reasons.contains(&Reason::DoesNotCompile), "{reasons:?}");
    let built = found.steps.iter().filter(|step| step.same_as.is_none());
    for step in built {
        let subject = &step.of.subject;
        assert!(
            !untouched.iter().any(|it| subject.starts_with(it)),
            "{subject} was built"
        );
    }
    let letter = fs_err::read_to_string(folder.join("report.eml")).unwrap();
    let introduced = format!("#regzbot introduced: {}\n", short(history.id(CULPRIT)));
    assert!(letter.contains(&introduced), "{letter}");
    assert!(letter.contains("linux-fsdevel@vger.kernel.org"), "{letter}");
    assert_eq!(
        tree_of(&place.recipe.tree),
        before,
        "the tree was written to"
    );
    replays(&folder, history.id(CULPRIT));
}

/// Fails in three of ten runs.
#[test]
#[ignore = "builds and boots kernels, with what test-kernel has got"]
fn the_commit_that_makes_a_case_flaky_is_found() {
    let place = Place::open();
    let history = &place.history;
    let order = order(&place, &history.base.tip, "flakes", &[], 0.95);
    let (found, _) = searched(&place, &order, "flaky");
    assert!(
        found.rate.failed > 0 && found.rate.passed > 0,
        "{:?}",
        found.rate
    );
    assert!(found.runs > 5, "{}", found.runs);
    assert_culprit(&found, history, FLAKE);
}

/// All that is in the user's repository, with the times.
fn tree_of(tree: &Utf8Path) -> Vec<(String, std::time::SystemTime)> {
    let entries = walkdir::WalkDir::new(tree).sort_by_file_name().into_iter();
    let files = entries.map(|entry| {
        let entry = entry.unwrap();
        let path = entry.path().display().to_string();
        // Git marks objects as in use that it would write again, borrowed ones, too.
        let time = match path.contains("/objects/") {
            true => std::time::SystemTime::UNIX_EPOCH,
            false => entry.metadata().unwrap().modified().unwrap(),
        };
        (path, time)
    });
    files.collect()
}

/// Git comes to the same commit by the log.
fn replays(folder: &Utf8Path, culprit: &str) {
    let git = Git::at(folder.join("repository.git"), &Stop::default());
    let log = folder.join("bisect.log");
    let said = git.read(cmd!(git, "git bisect replay {log}")).unwrap();
    assert!(
        said.contains(&format!("{culprit} is the first bad commit")),
        "{said}"
    );
}
