//! Where an checked is worked on: the lock, the room on the disk, the source.

use camino::Utf8Path;
use xshell::cmd;

use super::apply::apply;
use super::checked::Checked;
use super::present::{Found, Present};
use super::request::Part;
use super::source::{self, Source};
use super::tree::{self, Tree};
use crate::failure::{Kind, Result};
use crate::host::git::Git;
use crate::host::lock::{self, Lock};
use crate::host::session::Session;
use crate::host::{files, space};
use crate::series::Series;

/// Where an checked is worked on: the run's lock, room on the disk, and the source.
pub struct Desk<'a> {
    pub checked: &'a Checked<'a>,
    pub source: Source,
    _lock: Lock,
    session: &'a Session,
}

impl<'a> Desk<'a> {
    pub fn open(checked: &'a Checked<'a>, session: &'a Session) -> Result<Self> {
        let lock = lock::hold(&session.layout.work("lock"), session)?;
        source::sweep(session)?;
        files::sweep(&session.layout.trees(), session)?;
        space::require(
            &session.layout.work(""),
            room(
                &checked.source_name(),
                &checked.tree_name(),
                &checked.folder(&session.layout),
                session,
            )?,
            "to build a kernel",
        )?;
        let (base, given) = (&checked.base, checked.given.as_ref());
        Ok(Self {
            checked,
            source: source::obtain(base, given, source::FRESH, session)?,
            session,
            _lock: lock,
        })
    }

    /// The same desk for another request for the same source.
    pub fn with<'b>(self, checked: &'b Checked<'b>) -> Desk<'b>
    where
        'a: 'b,
    {
        Desk { checked, ..self }
    }

    /// The tree as it will be, edits aside, without a file being touched.
    pub fn planned_tree(&self) -> Result<Tree> {
        let tip = apply(&self.source, &self.checked.series, &self.session.stop)?;
        let git = Git::at(&self.source.repository, &self.session.stop);
        Ok(Tree {
            path: self.session.layout.trees().join(self.checked.tree_name()),
            content: git.read(cmd!(git, "git rev-parse {tip}'^{tree}'"))?,
            edited: false,
            ground: None,
        })
    }

    /// Git's tree object of the source.
    pub fn source_tree(&self) -> Result<String> {
        let git = Git::at(&self.source.repository, &self.session.stop);
        let commit = &self.source.commit;
        Ok(git.read(cmd!(git, "git rev-parse {commit}'^{tree}'"))?)
    }

    /// What a tree of the user's has already of these series and of those of the checked. In the sources of packages, and
    /// where patch files are checked, each patch has to apply.
    pub fn present<'b>(&'b self, others: &'b [Series]) -> Result<Present<'b>> {
        match self.checked.request.part {
            Part::Whole => self.look(others),
            Part::First(_) => Ok(Present::nothing(&self.checked.series)),
        }
    }

    fn look<'b>(&'b self, others: &'b [Series]) -> Result<Present<'b>> {
        let wanted = &self.checked.series;
        match &self.checked.given {
            Some(_) => Present::of(&self.source, wanted, others, &self.session.stop),
            None => Ok(Present::nothing(wanted)),
        }
    }

    pub fn require_stock(&self) -> Result<()> {
        let others = self.checked.others(&self.session.layout);
        let present = self.look(&others)?;
        let there = present.there.iter();
        self.require_none(there, "there is no stock kernel to compare with")
    }

    /// Refuses a tree that has patches which are to be checked, but not one that they come on top of.
    pub fn require_unapplied(&self) -> Result<()> {
        let others = self.checked.others(&self.session.layout);
        let present = self.look(&others)?;
        let wanted = |found: &&Found<'_>| {
            let names = &self.checked.request.series;
            names.iter().any(|name| name == found.series)
        };
        let there = present.there.iter().filter(wanted);
        self.require_none(there, "patch files are checked where they are missing")
    }

    fn require_none<'b>(
        &self,
        there: impl Iterator<Item = &'b Found<'b>>,
        what: &str,
    ) -> Result<()> {
        let subjects: Vec<&str> = there.map(|found| found.patch.subject.as_str()).collect();
        let Some((first, more)) = subjects.split_first() else {
            return Ok(());
        };
        Err(Kind::Usage.error(format!(
            "{what}: {} has {first:?} and {} more already; take a tree without them",
            self.source.label,
            more.len()
        )))
    }

    pub fn tree(&self) -> Result<Tree> {
        self.tree_with(&self.checked.series)
    }

    pub fn tree_with(&self, series: &[Series]) -> Result<Tree> {
        let tree = tree::provide(
            &self.checked.tree_name(),
            &self.source,
            series,
            self.session,
        )?;
        if tree.edited && self.checked.request.part != Part::Whole {
            return Err(Kind::Usage.error(format!(
                "{} has edits, but it is only for checking patch files; move them elsewhere or remove it",
                tree.path
            )));
        }
        Ok(tree)
    }
}

/// Bytes that will be written for what is not there yet.
fn room(source: &str, tree: &str, build: &Utf8Path, session: &Session) -> Result<u64> {
    let needed = [
        (source::is_known(source, session)?, space::SOURCE),
        (session.layout.trees().join(tree).exists(), space::TREE),
        (build.join("out/vmlinux").exists(), space::BUILD),
    ]
    .iter()
    .map(|(there, size)| if *there { 0 } else { *size })
    .sum();
    Ok(needed)
}

pub fn title(source: &Source, version: &str, checked: &Checked<'_>, names: &[String]) -> String {
    let names = names.join(" and ");
    match checked.request.part {
        _ if names.is_empty() => format!("{version} (stock, {})", source.label),
        Part::First(0) => format!("{version} without patches"),
        Part::First(1) => format!("{version} with the first patch of {names}"),
        Part::Whole => format!("{version} with {names}"),
        Part::First(count) => format!("{version} with the first {count} patches of {names}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::present::tests::Shop;
    use super::super::request::Request;
    use super::*;
    use crate::event::Event;
    use crate::event::Events;
    use crate::failure::Failure;
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;

    /// What is done with a tree of the user's before it is built, and what is said of it.
    struct Bought {
        failure: Option<Failure>,
        /// The content of the work tree.
        content: String,
        names: Vec<String>,
        said: String,
        is_stock: Result<()>,
        is_unapplied: Result<()>,
    }

    fn buy(shop: &Shop, series: &[&str]) -> Bought {
        let Shop { layout, git, .. } = shop;
        let (events, said) = Events::channel();
        let session = Session::new(layout.clone(), Stop::default()).told_to(events);
        let request = Request {
            base: "6.12".into(),
            tree: Some(git.dir().to_owned()),
            series: series.iter().map(|name| (*name).to_owned()).collect(),
            configs: vec![],
            part: Part::Whole,
            jobs: None,
        };
        let checked = Checked::of(&request, &session).unwrap();
        checked.compare_versions(&session).unwrap();
        let given = checked.given.as_ref().unwrap();
        let desk = Desk {
            source: given.obtain(&session).unwrap(),
            _lock: lock::hold(&layout.work("lock"), &session).unwrap(),
            checked: &checked,
            session: &session,
        };
        let others = checked.others(layout);
        let present = desk.present(&others).unwrap();
        let names = checked.names(&present, &others);
        checked.tell(&present, &names, &session.events);
        let (content, failure) = match desk.tree_with(&present.missing) {
            Ok(tree) => (tree.content, None),
            Err(failure) => (String::new(), Some(failure)),
        };
        let lines = said.try_iter().filter_map(|event| match event {
            Event::Note(line) | Event::Warning(line) => Some(line + "\n"),
            _ => None,
        });
        Bought {
            failure,
            content,
            names,
            said: lines.collect(),
            is_stock: desk.require_stock(),
            is_unapplied: desk.require_unapplied(),
        }
    }

    /// A shop whose layout has the bases of this checkout.
    fn shop() -> Shop {
        let shop = Shop::new();
        let checkout = Layout::of_this_checkout().unwrap().configs();
        fs_err::create_dir_all(shop.layout.configs()).unwrap();
        for file in checkout.read_dir_utf8().unwrap().flatten() {
            fs_err::copy(file.path(), shop.layout.configs().join(file.file_name())).unwrap();
        }
        shop
    }

    #[test]
    fn a_tree_that_has_patches_already() {
        let shop = shop();
        let content = |tag: &str| {
            let parse = cmd!(shop.git, "git rev-parse {tag}'^{tree}'");
            shop.git.read(parse).unwrap()
        };
        shop.source(&[&["cherry-pick", "one", "two"]]);
        // The second time all is known, and is said nevertheless.
        for _ in 0..2 {
            let bought = buy(&shop, &["first"]);
            assert_eq!(bought.content, content("three"));
            assert_eq!(bought.names, ["first"]);
            for line in ["one: already in the tree", "two: already in the tree"] {
                assert!(bought.said.contains(line), "{}", bought.said);
            }
            assert!(!bought.said.contains("three"), "{}", bought.said);
        }
        let failure = buy(&shop, &["first"]).is_unapplied.unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        buy(&shop, &["second"]).is_unapplied.unwrap();
        let bought = buy(&shop, &[]);
        assert_eq!(bought.content, content("two"));
        assert_eq!(bought.names, ["first (2 of 3 patches)"]);
        let warning =
            "this is no stock kernel: the tree has first (2 of 3 patches), which is tested";
        assert!(bought.said.contains(warning), "{}", bought.said);
        let failure = bought.is_stock.unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(
            failure
                .to_string()
                .contains("has \"one\" and 1 more already"),
            "{failure}"
        );

        shop.source(&[]);
        let bought = buy(&shop, &[]);
        assert_eq!((bought.content, bought.names), (content("base"), vec![]));
        bought.is_stock.unwrap();
    }

    #[test]
    fn a_tree_of_another_version_that_a_patch_does_not_apply_to() {
        let shop = shop();
        let edits: [&[&str]; 2] = [
            &["edit", "other", "fs/super.c", "line 5\n", "otherwise\n"],
            &["edit", "other", "fs/super.c", "line 20\n", "otherwise\n"],
        ];
        shop.source(&edits);
        let bought = buy(&shop, &["first"]);
        let failure = bought.failure.unwrap();
        assert_eq!(failure.kind, Kind::Build);
        let said = failure.to_string();
        for words in [
            "0001-one.patch",
            ", which is Linux 7.3: fs/super.c: hunk 1 of 1 (line ",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        let warning = "--tree is Linux 7.3, while the patches and options of --base 6.12 are for 6.12; --base mainline is for 7.3\n";
        assert_eq!(bought.said, warning);
    }
}
