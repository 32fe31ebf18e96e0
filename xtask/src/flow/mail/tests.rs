//! Against real git, b4 and git send-email, with a source of two files.

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use super::post::Written;
use super::*;
use crate::event::Verdict::{Failed, Passed};
use crate::failure::Kind;
use crate::flow::{refresh, select, sent};
use crate::host::environment::PLAIN;
use crate::host::git::Git;
use crate::host::layout::Layout;
use crate::host::proc::{self, Stop};
use crate::kernel::shop::{BASE, Shop};
use crate::mail::base::Upstream;
use crate::mail::identity::Identity;
use crate::mail::results;
use crate::report::model::{Content, Run, samples};
use crate::review::refresh::Consent;
use crate::series;

const COVER: &str = "fs: change lines\n\nThey were not right.\n";

/// A checkout with two patches that were tested, and a public repository with the same files.
struct Office {
    shop: Shop,
    stack: &'static [&'static str],
}

impl Office {
    fn open() -> Self {
        Self::with(&["two"])
    }

    /// The first patch, and others.
    fn with(others: &[&str]) -> Self {
        let office = Self {
            shop: Shop::open(),
            stack: &["s"],
        };
        let shop = &office.shop;
        shop.base();
        shop.patch("s", 1, "one", 4, "");
        let file = shop.file("s/0001-one.patch");
        edit(&file, "Subject: [PATCH] ", "Subject: [PATCH] fs: ");
        fs_err::write(shop.file("s/cover"), COVER).unwrap();
        shop.provide(&["s"]).unwrap();
        for name in others {
            let script =
                format!("sed -i '12s/.*/{name}/' a.c; git commit -q --all -m 'fs: {name}' -m Why.");
            shop.work(&["s"], &script);
        }
        office.maintain();
        office.refresh();
        office.publish();
        office.test();
        office
    }

    /// Another series on top, with one patch.
    fn stacked() -> Self {
        let mut office = Self::open();
        office.stack = &["s", "t"];
        let shop = &office.shop;
        shop.patch("t", 1, "three", 20, "");
        let file = shop.file("t/0001-three.patch");
        edit(&file, "Subject: [PATCH] ", "Subject: [PATCH] fs: ");
        fs_err::write(shop.file("t/cover"), COVER).unwrap();
        shop.provide(office.stack).unwrap();
        office.maintain();
        office.refresh();
        office.test();
        office
    }

    /// Of the series of its tree.
    fn names(&self) -> Vec<String> {
        self.stack.iter().map(ToString::to_string).collect()
    }

    /// Scripts of a kernel tree, which git does not see: one that names maintainers, and one that has no complaint.
    fn maintain(&self) {
        let script = "mkdir scripts; echo 'print \"list\\@example.org\\n\"' > scripts/get_maintainer.pl; \
            touch scripts/checkpatch.pl; echo /scripts >> $(git rev-parse --git-path info/exclude)";
        self.shop.work(self.stack, script);
    }

    fn session(&self) -> Session {
        Session::new(self.shop.layout.clone(), Stop::default())
    }

    fn refresh(&self) {
        let order = refresh::Order {
            base: BASE.into(),
            series: self.names(),
            dry_run: false,
            consent: Consent::default(),
        };
        refresh::run(&order, &self.session()).unwrap();
    }

    fn upstream(&self) -> Utf8PathBuf {
        self.shop.layout.root().join("up stream")
    }

    /// Two commits with the files of the base, and one with another `a.c`.
    fn publish(&self) {
        let path = self.upstream();
        fs_err::create_dir_all(&path).unwrap();
        let git = Git::at(&path, &Stop::default());
        git.read(cmd!(git, "git init --quiet --initial-branch=main"))
            .unwrap();
        let sources = self.shop.layout.sources().join(format!("{BASE}.git"));
        let tag = "refs/tags/x_1-1";
        git.read(cmd!(git, "git fetch --quiet {sources} {tag}"))
            .unwrap();
        let commit = |parent: &[&str], tree: &str| {
            let line = cmd!(git, "git commit-tree -m public {parent...} {tree}");
            git.read(line).unwrap()
        };
        let orphan = commit(&[], "FETCH_HEAD^{tree}");
        let public = commit(&["-p", &orphan], "FETCH_HEAD^{tree}");
        git.read(cmd!(git, "git tag -a -m x v1 {public}")).unwrap();
        git.read(cmd!(git, "git tag orphan {orphan}")).unwrap();
        git.read(cmd!(git, "git reset --quiet --hard {public}"))
            .unwrap();
        edit(&path.join("a.c"), "line 20\n", "line twenty\n");
        git.read(cmd!(git, "git commit --quiet --all -m next"))
            .unwrap();
        git.read(cmd!(git, "git tag v2")).unwrap();
    }

    /// Results of the patches as they are now, and of none.
    fn test(&self) {
        let [with, without] = self.runs();
        self.keep("1", &with);
        self.keep("2", &without);
    }

    fn runs(&self) -> [Run; 2] {
        let load = |name: &&str| series::load(&self.shop.layout, BASE, name).unwrap();
        let stack: Vec<_> = self.stack.iter().map(load).collect();
        let patches = results::applied(&stack);
        let tree = self
            .shop
            .work(self.stack, "git rev-parse 'refs/worktree/base^{tree}'");
        let ids = select::runs(&select::choose(&[], &[]).unwrap(), 1);
        let run = |is_patched: bool| {
            let verdict = |at: usize| match is_patched || at > 0 {
                true => Passed,
                false => Failed("x".into()),
            };
            let results = ids
                .iter()
                .enumerate()
                .map(|(at, id)| samples::result(id.filesystem, &id.case, 0, verdict(at)));
            let mut run = samples::run(&[], results.collect());
            let patches = if is_patched { patches.as_slice() } else { &[] };
            run.kernel.base = BASE.into();
            run.kernel.patches = patches.iter().map(|it| it.subject.clone()).collect();
            run.kernel.content = Some(Content {
                source: tree.clone(),
                built: if is_patched {
                    "other".into()
                } else {
                    tree.clone()
                },
                edited: false,
                patches: patches.iter().map(|it| it.digest.clone()).collect(),
            });
            run
        };
        [run(true), run(false)]
    }

    fn keep(&self, name: &str, run: &Run) {
        let folder = self.shop.layout.runs().join(name);
        fs_err::create_dir_all(&folder).unwrap();
        let text = serde_json::to_string(run).unwrap();
        fs_err::write(folder.join("results.json"), text).unwrap();
    }

    fn order(&self, version: u32) -> Order {
        Order {
            base: BASE.into(),
            series: self.names(),
            version,
            upstream: Some(Upstream::Path(self.upstream())),
            onto: Some("v1".into()),
            rfc: false,
            to_list: false,
            install: false,
        }
    }

    fn mail(&self, order: &Order) -> Result<Written> {
        let checkout = Session::new(Layout::of_this_checkout().unwrap(), Stop::default());
        let maker = Maker {
            b4: deps::b4(&checkout).unwrap(),
            identity: Identity {
                name: "Jürgen Sender".into(),
                email: "sender@example.org".into(),
            },
        };
        let session = self.session();
        Draft::read(order, &maker.identity, &session)?;
        make(order, &maker, &session)
    }

    fn refusal(&self, order: &Order) -> String {
        let failure = self.mail(order).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{failure}");
        assert!(!self.shop.layout.mails(order.version).exists());
        assert!(!self.shop.file("s/sent").exists());
        failure.to_string()
    }

    fn made(&self, version: u32, file: &str) -> String {
        let path = self.shop.layout.mails(version).join(file);
        fs_err::read_to_string(path).unwrap()
    }

    /// The mails as they were made.
    fn send(&self) {
        let order = sent::Order {
            base: BASE.into(),
            series: "s".into(),
            version: 1,
            mbox: self.shop.layout.mails(1).join("v1.mbx"),
            again: false,
        };
        sent::run(&order, &self.session()).unwrap();
    }

    /// Another version of the second patch, which was tested as well; the first was sent.
    fn next_version(&self) {
        self.send();
        let script = "sed -i s/two/zwei/ a.c; git commit -q --all --amend --no-edit";
        self.shop.work(&["s"], script);
        self.refresh();
        self.test();
        fs_err::write(self.shop.file("s/changelog"), "v2:\n- In German.\n").unwrap();
    }
}

fn edit(file: &Utf8Path, from: &str, to: &str) {
    let text = fs_err::read_to_string(file).unwrap();
    assert!(text.contains(from), "{file}: {text}");
    fs_err::write(file, text.replace(from, to)).unwrap();
}

/// The first line that begins so.
fn line<'a>(text: &'a str, begin: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(begin)).unwrap()
}

#[test]
#[ignore = "takes b4 from PyPI, and git-email; cargo xtask ci sees to it"]
fn two_versions_from_patch_files_to_mails() {
    let office = Office::open();
    let written = office.mail(&office.order(1)).unwrap();
    assert_eq!(written.mails.len(), 3, "{written}");
    let cover = office.made(1, "0000-cover.eml");
    for part in [
        "Subject: [PATCH 0/2] fs: change lines\n",
        "\nThey were not right.\n",
        "  stock   patched\n",
        "\n 1 file changed, 2 insertions(+), 2 deletions(-)\n",
    ] {
        assert!(cover.contains(part), "{part}{cover}");
    }
    let id = line(&cover, "change-id: ").to_owned();
    let checklist = office.made(1, "CHECKLIST");
    assert!(checklist.contains("Signed-off-by"), "{checklist}");
    let kept = fs_err::read_to_string(office.shop.file("s/sent/v1.mbx")).unwrap();
    assert_eq!(kept, office.made(1, "v1.mbx"));
    // Once more: the same series, and nothing beside it, nor what a run left that was killed.
    fs_err::create_dir(office.shop.layout.mails(1).with_file_name(".tmp-1")).unwrap();
    office.mail(&office.order(1)).unwrap();
    assert_eq!(line(&office.made(1, "0000-cover.eml"), "change-id: "), id);
    let folder = office.shop.layout.mails(1);
    let parent = folder.parent().unwrap();
    assert_eq!(parent.read_dir_utf8().unwrap().count(), 1);
    assert_eq!(folder.read_dir_utf8().unwrap().count(), 6);

    office.next_version();
    let rfc = Order {
        rfc: true,
        ..office.order(2)
    };
    office.mail(&rfc).unwrap();
    let cover = office.made(2, "0000-cover.eml");
    let subject = line(&cover, "Subject: ");
    assert!(subject.contains("RFC") && subject.contains("v2"), "{cover}");
    assert_eq!(line(&cover, "change-id: "), id);
    for part in [
        "Changes in v2:\n- In German.\n",
        "Range-diff against v1:\n",
        "    ++zwei\n",
    ] {
        assert!(cover.contains(part), "{part}{cover}");
    }
    assert!(!cover.contains("In-Reply-To"), "{cover}");
}

#[test]
#[ignore = "takes b4 from PyPI, and git-email; cargo xtask ci sees to it"]
fn the_range_diff_is_that_of_b4() {
    let office = Office::open();
    office.mail(&office.order(1)).unwrap();
    office.next_version();
    office.mail(&office.order(2)).unwrap();
    let [one, two] = [1, 2].map(|version| {
        let name = format!("v{version}.mbx");
        office.shop.layout.mails(version).join(name)
    });
    let checkout = Session::new(Layout::of_this_checkout().unwrap(), Stop::default());
    let b4 = deps::b4(&checkout).unwrap();
    let repository = office.shop.layout.mails(2).join("repository");
    let file = office.shop.layout.root().join("range-diff");
    let line = cmd!(
        PLAIN,
        "env -C {repository} {b4} --offline-mode diff -m {one} {two} -o {file}"
    );
    proc::read(line, &Stop::default()).unwrap();
    // Of commits that it makes each time.
    let ids = regex::Regex::new(r"\b[0-9a-f]{12,40}\b").unwrap();
    let theirs = fs_err::read_to_string(file).unwrap();
    let theirs = ids.replace_all(&theirs, "ID").into_owned();
    let cover = office.made(2, "0000-cover.eml");
    let cover = ids.replace_all(&cover, "ID");
    let (_, ours) = cover.split_once("Range-diff against v1:\n").unwrap();
    assert!(ours.starts_with(theirs.trim_end()), "{theirs}\n\n{ours}");
    assert!(theirs.contains("zwei"), "{theirs}");
}

#[test]
#[ignore = "takes b4 from PyPI, and git-email; cargo xtask ci sees to it"]
fn one_patch_and_many() {
    let office = Office::with(&[]);
    let mails = office.mail(&office.order(1)).unwrap().mails;
    assert_eq!(mails.len(), 1);
    let mail = office.made(1, &mails[0]);
    let (message, below) = mail.split_once("\n---\n").unwrap();
    assert!(message.contains("Subject: [PATCH] fs: one\n"), "{mail}");
    assert!(
        !message.contains("They were") && below.contains("They were not right."),
        "{mail}"
    );
    assert!(!office.made(1, "CHECKLIST").contains("mails are many"));
    let names: Vec<String> = (1..=15).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let many = Office::with(&names);
    assert_eq!(many.mail(&many.order(1)).unwrap().mails.len(), 17);
    let checklist = many.made(1, "CHECKLIST");
    assert!(checklist.contains("17 mails are many"), "{checklist}");
}

#[test]
#[ignore = "takes b4 from PyPI, and git-email; cargo xtask ci sees to it"]
fn a_series_on_top_of_another() {
    let office = Office::stacked();
    let below = Office {
        stack: &["s"],
        ..office
    };
    below.test();
    below.mail(&below.order(1)).unwrap();
    let mbox = below.shop.layout.root().join("sent.mbx");
    fs_err::copy(below.shop.layout.mails(1).join("v1.mbx"), &mbox).unwrap();
    fs_err::remove_dir_all(below.shop.layout.mails(1)).unwrap();
    let office = Office {
        stack: &["s", "t"],
        ..below
    };
    office.test();
    let mail = || {
        let mails = office.mail(&office.order(1)).unwrap().mails;
        assert_eq!(mails.len(), 1);
        office.made(1, &mails[0])
    };
    let unsent = mail();
    assert_eq!(
        unsent.matches("\nprerequisite-patch-id: ").count(),
        2,
        "{unsent}"
    );
    assert!(!unsent.contains("prerequisite-change-id"), "{unsent}");
    let order = sent::Order {
        base: BASE.into(),
        series: "s".into(),
        version: 1,
        mbox,
        again: false,
    };
    sent::run(&order, &office.session()).unwrap();
    let after = mail();
    assert!(
        line(&after, "prerequisite-change-id: ").ends_with(":v1"),
        "{after}"
    );
    assert_eq!(
        after.matches("\nprerequisite-patch-id: ").count(),
        2,
        "{after}"
    );
}

#[test]
#[ignore = "takes b4 from PyPI, and git-email; cargo xtask ci sees to it"]
fn what_was_sent_is_not_made_again() {
    let office = Office::open();
    office.mail(&office.order(1)).unwrap();
    office.send();
    let failure = office.mail(&office.order(1)).unwrap_err().to_string();
    assert!(failure.contains("-v 2"), "{failure}");
    office.next_version();
    office.mail(&office.order(2)).unwrap();
    let cover = office.made(2, "0000-cover.eml");
    assert!(
        cover.contains("- Link to v1: https://lore.kernel.org/r/"),
        "{cover}"
    );
}

#[test]
#[ignore = "takes b4 from PyPI, and git-email; cargo xtask ci sees to it"]
fn what_is_no_base() {
    let office = Office::open();
    let onto = |onto: &str| Order {
        onto: Some(onto.into()),
        ..office.order(1)
    };
    for (order, words) in [
        (onto("orphan"), "without parents"),
        (onto("v2"), "a.c"),
        (onto("v3"), "v3"),
        (
            Order {
                upstream: Some(Upstream::Path("/nowhere".into())),
                ..office.order(1)
            },
            "/nowhere",
        ),
    ] {
        let said = office.refusal(&order);
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn what_is_to_be_there_before() {
    let office = Office::open();
    let shop = &office.shop;
    let file = shop.file("s/0001-fs-one.patch");
    let refused = |words: &str| {
        let said = office.refusal(&office.order(1));
        assert!(said.contains(words), "{words}: {said}");
    };
    let whole = fs_err::read_to_string(&file).unwrap();
    for (from, to, words) in [
        ("fs: one", "one", "0001-fs-one.patch:4: "),
        ("Why.\n", "\n", "no description"),
        ("Why.\n", "Why.\n---\nMore.\n", "0001-fs-one.patch:7: "),
    ] {
        edit(&file, from, to);
        refused(words);
        fs_err::write(&file, &whole).unwrap();
    }
    edit(&shop.file("s/cover"), "fs: ", "");
    refused("cover:1: ");
    fs_err::remove_file(shop.file("s/cover")).unwrap();
    refused("s/cover");
    fs_err::write(shop.file("s/cover"), COVER).unwrap();
    shop.work(&["s"], "git commit -q --amend -m 'fs: two' -m Because.");
    refused("series refresh --base x --series s");
    office.refresh();
    // The message is no content: results are those of the same patches.
    let [with, without] = office.runs();
    let fewer = Run {
        results: with.results[1..].to_vec(),
        ..with.clone()
    };
    office.keep("1", &fewer);
    refused("lacks 1 case");
    fs_err::remove_dir_all(shop.layout.runs()).unwrap();
    refused("test-kernel --base x --series s --compare stock");
    office.keep("1", &with);
    refused("no results without the patches");
    office.keep("2", &without);
    shop.work(
        &["s"],
        "sed -i s/two/deux/ a.c; git commit -q --all --amend --no-edit",
    );
    office.refresh();
    refused("0002-fs-two.patch");
    let said = office.refusal(&Order {
        to_list: true,
        ..office.order(1)
    });
    for words in [
        "0001-fs-one.patch:",
        "0002-fs-two.patch:",
        "no Signed-off-by",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = office.refusal(&office.order(2));
    assert!(said.contains("v2"), "{said}");
}

#[test]
#[ignore = "takes b4 from PyPI, and git-email; cargo xtask ci sees to it"]
fn mails_of_another_series_stay() {
    let office = Office::open();
    let folder = office.shop.layout.mails(1);
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("mine"), "").unwrap();
    let failure = office.mail(&office.order(1)).unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    assert!(folder.join("mine").exists());
}

/// By a run of a test above: it makes two versions.
#[test]
#[ignore = "takes strace, b4 from PyPI, and git-email; cargo xtask ci sees to it"]
fn nobody_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let log = Utf8Path::from_path(dir.path()).unwrap().join("log");
    let this = Utf8PathBuf::try_from(std::env::current_exe().unwrap()).unwrap();
    let test = "flow::mail::tests::two_versions_from_patch_files_to_mails";
    let traced = cmd!(
        PLAIN,
        "strace -f -qq -e trace=connect,sendto,sendmsg,sendmmsg -o {log} {this} --exact {test} --include-ignored"
    );
    let said = proc::read(traced, &Stop::default()).unwrap();
    assert!(said.contains("1 passed"), "{said}");
    let calls = fs_err::read_to_string(log).unwrap();
    let outside: Vec<&str> = calls
        .lines()
        .filter(|call| call.contains("AF_INET"))
        .collect();
    assert!(outside.is_empty(), "{outside:#?}");
}
