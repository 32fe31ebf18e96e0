//! From a base or a tree to a kernel that boots: source, tree, config, build.

mod advice;
mod apply;
#[cfg(test)]
mod as_git_am;
mod bases;
mod build;
pub mod carried;
mod ccache;
pub mod check;
mod compiler;
mod config;
pub mod files;
pub mod git;
pub mod lock;
pub mod phase;
mod present;
#[cfg(test)]
pub mod shop;
mod source;
pub mod space;
pub mod tree;
pub mod worked;

use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use harness::case::Feature;
use regex::Regex;

use crate::deps;
use crate::event::{Event, Events};
use crate::failure::{Kind, Result};
use crate::layout::Layout;
use crate::proc::Stop;
use crate::series::{self, Series};
use apply::apply;
use bases::Base;
pub use bases::{find, load as bases};
use build::Build;
pub use compiler::step;
use config::Fragment;
use git::Git;
use lock::Lock;
use present::{Found, Present};
use source::{Given, Source};
use tree::Tree;

/// Ends the names of trees for [`Part::First`].
const CHECKED: &str = "@check";

/// What to build.
#[derive(Clone, Debug)]
pub struct Request {
    /// A name from `configs/kernels.toml`; with `tree` it still chooses the patches and `BASE.config`.
    pub base: String,
    /// A kernel tree to take instead of the base's own source.
    pub tree: Option<Utf8PathBuf>,
    /// Names of folders under `patches/BASE/`, applied in this order; none for the stock kernel.
    pub series: Vec<String>,
    /// Extra fragments: `debug` is `configs/debug.config`.
    pub configs: Vec<String>,
    pub part: Part,
    /// For make; as many as there are processors if `None`.
    pub jobs: Option<usize>,
}

/// How much of the series, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All patches, in the work tree that people edit.
    Whole,
    /// The first so many patches, in a work tree that is for checking them only. All such requests share it and its
    /// build folder, so that going from one patch to the next rebuilds no more than the patch touches.
    First(usize),
}

/// A kernel, ready to boot.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// A vmlinux that later builds leave alone. QEMU starts it itself (CONFIG_PVH), so nothing is compressed.
    pub image: Utf8PathBuf,
    #[expect(
        dead_code,
        reason = "held as long as guests are started from the image"
    )]
    pub lease: files::Lease,
    pub base: String,
    /// As `make kernelversion` has it, e.g. `6.12.117`.
    pub version: String,
    /// For people: package and version, or the tree's path and commit.
    pub source: String,
    pub tree: Utf8PathBuf,
    pub build: Utf8PathBuf,
    /// Names of the series that it has, also of those that a tree had before; none for a stock kernel.
    pub series: Vec<String>,
    /// Subjects, in order; first what a tree had before.
    pub patches: Vec<String>,
    /// What the patches provide, as the `series` files say; sorted.
    pub provides: Vec<Feature>,
    /// Equal for kernels of equal content.
    pub fingerprint: String,
    pub rebuilt: bool,
}

/// Makes the kernel; what has not changed since the last run is not made again.
///
/// Bad requests are usage errors and found before anything is downloaded. A patch that does not apply, a lost
/// option and a compiler error are build errors.
pub fn prepare(request: &Request, layout: &Layout, events: &Events, stop: &Stop) -> Result<Kernel> {
    let order = Order::of(request, layout, stop)?;
    let desk = Desk::open(&order, layout, events, stop)?;
    order.compare_versions(layout, events)?;
    let others = order.others(layout);
    let present = desk.present(&others)?;
    let names = order.names(&present, &others);
    order.tell(&present, &names, events);
    let tree = desk.tree_with(&present.missing)?;
    let version = version(&tree.path)?;
    let build = Build {
        tree: &tree,
        fragments: &order.fragments,
        jobs: request.jobs,
        folder: order.folder(layout),
        title: title(&desk.source, &version, &order, &names),
    };
    let built = build.run(layout, events, stop)?;
    let label = desk.source.label.clone();
    Ok(Kernel {
        image: built.image,
        lease: built.lease,
        base: order.base.name.clone(),
        version,
        source: if tree.edited {
            format!("{label} with edits in {}", tree.path)
        } else {
            label
        },
        tree: tree.path,
        build: built.out,
        series: names,
        patches: present.subjects(),
        provides: present.provides(),
        fingerprint: built.fingerprint,
        rebuilt: built.rebuilt,
    })
}

/// Whether a request can be made, as far as that can be told before anything is installed or fetched.
///
/// # Errors
/// Those of [`prepare`]. A tree is looked at once there is git to do it.
pub fn check_request(request: &Request, layout: &Layout, stop: &Stop) -> Result<()> {
    let mut request = request.clone();
    if deps::program("git").is_none()
        && let Some(tree) = request.tree.take()
        && !tree.is_dir()
    {
        return Err(Kind::Usage.error(format!("--tree {tree} is no folder")));
    }
    Order::of(&request, layout, stop).map(drop)
}

/// A request whose every name was found good.
struct Order<'a> {
    request: &'a Request,
    base: Base,
    fragments: Vec<Fragment>,
    /// Only the patches that are wanted.
    series: Vec<Series>,
    given: Option<Given>,
}

impl<'a> Order<'a> {
    fn of(request: &'a Request, layout: &Layout, stop: &Stop) -> Result<Self> {
        let series = request
            .series
            .iter()
            .map(|name| series::load(layout, &request.base, name))
            .collect::<Result<_>>()?;
        makeable(layout.root())?;
        Ok(Self {
            request,
            base: bases::find(layout, &request.base)?,
            fragments: config::fragments(layout, &request.base, &request.configs)?,
            series: match request.part {
                Part::Whole => series,
                Part::First(count) => series::first(series, count),
            },
            given: request
                .tree
                .as_deref()
                .map(|path| Given::check(path, stop))
                .transpose()?,
        })
    }

    fn source_name(&self) -> String {
        let given = self.given.as_ref().map(Given::name);
        given.unwrap_or_else(|| self.base.name.clone())
    }

    fn tree_name(&self) -> String {
        let name = tree::name(&self.source_name(), &self.request.series);
        match self.request.part {
            Part::Whole => name,
            Part::First(_) => name + CHECKED,
        }
    }

    /// The series of the base that are not asked for, but may be in a tree. One that cannot be read is in none.
    fn others(&self, layout: &Layout) -> Vec<Series> {
        let names = series::known(layout, &self.request.base).into_iter();
        let others = names.filter(|name| !self.request.series.contains(name));
        let load = |name: String| series::load(layout, &self.request.base, &name).ok();
        others.filter_map(load).collect()
    }

    /// What a kernel has: the series that are asked for, and what is there of the others.
    fn names(&self, present: &Present<'_>, others: &[Series]) -> Vec<String> {
        let there = |series: &Series| {
            let of_it = |found: &&Found<'_>| found.series == series.name;
            match (
                present.there.iter().filter(of_it).count(),
                series.patches.len(),
            ) {
                (0, _) => None,
                (count, all) if count == all => Some(series.name.clone()),
                (count, all) => Some(format!("{} ({count} of {all} patches)", series.name)),
            }
        };
        let wanted = self.request.series.iter().cloned();
        wanted.chain(others.iter().filter_map(there)).collect()
    }

    /// Says what is there already, and that without anything applied it is no stock kernel then.
    fn tell(&self, present: &Present<'_>, names: &[String], events: &Events) {
        present.tell(events);
        if self.request.series.is_empty() && !names.is_empty() {
            events.send(Event::Warning(format!(
                "nothing is applied, but this is no stock kernel: the tree has {}, which is tested",
                names.join(" and ")
            )));
        }
    }

    /// Says if a tree is of another version than what will be done to it was made for.
    fn compare_versions(&self, layout: &Layout, events: &Events) -> Result<()> {
        let (Some(given), Some(wanted)) = (&self.given, self.base.version()) else {
            return Ok(());
        };
        let is_of = |version: &str| series_of(given.version()) == version;
        if is_of(wanted) {
            return Ok(());
        }
        let bases = bases(layout)?.into_iter();
        let mut nearer = bases.filter(|base| base.version().is_some_and(is_of));
        let hint = nearer.next().map_or(String::new(), |base| {
            format!(
                "; --base {} is for {}",
                base.name,
                series_of(given.version())
            )
        });
        events.send(Event::Warning(format!(
            "--tree is Linux {}, while the patches and options of --base {} are for {wanted}{hint}",
            given.version(),
            self.base.name
        )));
        Ok(())
    }

    fn folder(&self, layout: &Layout) -> Utf8PathBuf {
        build::folder(layout, &self.tree_name(), &self.request.configs)
    }
}

/// Where an order is worked on: the run's lock, room on the disk, and the source.
struct Desk<'a> {
    order: &'a Order<'a>,
    source: Source,
    layout: &'a Layout,
    events: &'a Events,
    stop: &'a Stop,
    _lock: Lock,
}

impl<'a> Desk<'a> {
    fn open(
        order: &'a Order<'a>,
        layout: &'a Layout,
        events: &'a Events,
        stop: &'a Stop,
    ) -> Result<Self> {
        let lock = lock::hold(&layout.work("lock"), events, stop)?;
        source::sweep(layout, events, stop)?;
        files::sweep(&layout.trees(), events, stop)?;
        space::require(
            &layout.work(""),
            room(
                &order.source_name(),
                &order.tree_name(),
                &order.folder(layout),
                layout,
                stop,
            )?,
            "to build a kernel",
        )?;
        let (base, given) = (&order.base, order.given.as_ref());
        Ok(Self {
            order,
            source: source::obtain(base, given, source::FRESH, layout, events, stop)?,
            layout,
            events,
            stop,
            _lock: lock,
        })
    }

    /// The tree as it will be, edits aside, without a file being touched.
    fn planned_tree(&self) -> Result<Tree> {
        let tip = apply(&self.source, &self.order.series, self.stop)?;
        let git = Git::at(&self.source.repository, self.stop);
        Ok(Tree {
            path: self.layout.trees().join(self.order.tree_name()),
            content: git.read(["rev-parse", &format!("{tip}^{{tree}}")])?,
            edited: false,
        })
    }

    /// What a tree of the user's has already of these series and of those of the order. In the sources of packages, and
    /// where patch files are checked, each patch has to apply.
    fn present<'b>(&'b self, others: &'b [Series]) -> Result<Present<'b>> {
        match self.order.request.part {
            Part::Whole => self.look(others),
            Part::First(_) => Ok(Present::nothing(&self.order.series)),
        }
    }

    fn look<'b>(&'b self, others: &'b [Series]) -> Result<Present<'b>> {
        let wanted = &self.order.series;
        match &self.order.given {
            Some(_) => Present::of(&self.source, wanted, others, self.stop),
            None => Ok(Present::nothing(wanted)),
        }
    }

    fn require_stock(&self) -> Result<()> {
        let others = self.order.others(self.layout);
        let present = self.look(&others)?;
        let there = present.there.iter();
        self.require_none(there, "there is no stock kernel to compare with")
    }

    /// Refuses a tree that has patches which are to be checked, but not one that they come on top of.
    fn require_unapplied(&self) -> Result<()> {
        let others = self.order.others(self.layout);
        let present = self.look(&others)?;
        let wanted = |found: &&Found<'_>| {
            let names = &self.order.request.series;
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

    fn tree(&self) -> Result<Tree> {
        self.tree_with(&self.order.series)
    }

    fn tree_with(&self, series: &[Series]) -> Result<Tree> {
        let tree = tree::provide(
            &self.order.tree_name(),
            &self.source,
            series,
            self.layout,
            self.events,
            self.stop,
        )?;
        if tree.edited && self.order.request.part != Part::Whole {
            return Err(Kind::Usage.error(format!(
                "{} has edits, but it is only for checking patch files; move them elsewhere or remove it",
                tree.path
            )));
        }
        Ok(tree)
    }
}

/// Refuses a tree that has patches of the base's series: without them, nothing can be compared with them.
///
/// # Errors
/// [`Kind::Usage`] for such a tree, which is named with what it has.
pub fn require_stock(
    request: &Request,
    layout: &Layout,
    events: &Events,
    stop: &Stop,
) -> Result<()> {
    if request.tree.is_none() {
        return Ok(());
    }
    let order = Order::of(request, layout, stop)?;
    Desk::open(&order, layout, events, stop)?.require_stock()
}

/// Makes the work tree only.
pub fn provide_tree(
    request: &Request,
    layout: &Layout,
    events: &Events,
    stop: &Stop,
) -> Result<()> {
    let order = Order::of(request, layout, stop)?;
    Desk::open(&order, layout, events, stop)?.tree().map(drop)
}

/// The kernel's makefiles refuse such paths, in words that help nobody.
fn makeable(root: &Utf8Path) -> Result<()> {
    if root
        .as_str()
        .contains(|char: char| char.is_whitespace() || char == ':')
    {
        return Err(Kind::Machinery.error(format!("kernels cannot be built under {root:?}: make takes no spaces or colons in paths; move the checkout")));
    }
    Ok(())
}

/// Bytes that will be written for what is not there yet.
fn room(source: &str, tree: &str, build: &Utf8Path, layout: &Layout, stop: &Stop) -> Result<u64> {
    let needed = [
        (source::is_known(source, layout, stop)?, space::SOURCE),
        (layout.trees().join(tree).exists(), space::TREE),
        (build.join("out/vmlinux").exists(), space::BUILD),
    ]
    .iter()
    .map(|(there, size)| if *there { 0 } else { *size })
    .sum();
    Ok(needed)
}

fn title(source: &Source, version: &str, order: &Order<'_>, names: &[String]) -> String {
    let names = names.join(" and ");
    match order.request.part {
        _ if names.is_empty() => format!("{version} (stock, {})", source.label),
        Part::First(0) => format!("{version} without patches"),
        Part::First(1) => format!("{version} with the first patch of {names}"),
        Part::Whole => format!("{version} with {names}"),
        Part::First(count) => format!("{version} with the first {count} patches of {names}"),
    }
}

/// The first two numbers of a version: `6.12` of `6.12.117`.
fn series_of(version: &str) -> &str {
    let second = version.match_indices(['.', '-']).nth(1);
    &version[..second.map_or(version.len(), |(at, _)| at)]
}

fn version(tree: &Utf8Path) -> Result<String> {
    let makefile = tree.join("Makefile");
    let text = fs_err::read_to_string(&makefile)?;
    version_of(&text)
        .ok_or_else(|| Kind::Machinery.error(format!("{makefile} names no kernel version")))
}

/// Reads the version that the first lines of the kernel's Makefile set.
fn version_of(makefile: &str) -> Option<String> {
    static SET: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m)^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)")
            .expect("valid")
    });
    let part = |name: &str| {
        SET.captures_iter(makefile)
            .find(|set| &set[1] == name)
            .map(|set| set[2].to_owned())
    };
    let numbers = [
        part("VERSION")?,
        part("PATCHLEVEL")?,
        part("SUBLEVEL").unwrap_or_default(),
    ];
    let numbers: Vec<&str> = numbers
        .iter()
        .map(String::as_str)
        .filter(|number| !number.is_empty())
        .collect();
    Some(numbers.join(".") + &part("EXTRAVERSION").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::present::tests::Shop;
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn kernel_versions() {
        for (makefile, expected) in [
            (
                "# x\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\nNAME = y\n",
                Some("6.12.117"),
            ),
            (
                "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\nEXTRAVERSION = -rc7\n",
                Some("7.3.0-rc7"),
            ),
            ("all:\n\techo VERSION\n", None),
        ] {
            assert_eq!(version_of(makefile).as_deref(), expected);
        }
        for (version, expected) in [
            ("6.12.117", "6.12"),
            ("7.3.0-rc7", "7.3"),
            ("7.3-rc7", "7.3"),
            ("6.1", "6.1"),
        ] {
            assert_eq!(series_of(version), expected);
        }
    }

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
        let stop = Stop::default();
        let request = Request {
            base: "6.12".into(),
            tree: Some(git.dir().to_owned()),
            series: series.iter().map(|name| (*name).to_owned()).collect(),
            configs: vec![],
            part: Part::Whole,
            jobs: None,
        };
        let order = Order::of(&request, layout, &stop).unwrap();
        order.compare_versions(layout, &events).unwrap();
        let given = order.given.as_ref().unwrap();
        let desk = Desk {
            source: given.obtain(layout, &events, &stop).unwrap(),
            _lock: lock::hold(&layout.work("lock"), &events, &stop).unwrap(),
            order: &order,
            layout,
            events: &events,
            stop: &stop,
        };
        let others = order.others(layout);
        let present = desk.present(&others).unwrap();
        let names = order.names(&present, &others);
        order.tell(&present, &names, &events);
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
            shop.git
                .read(["rev-parse", &format!("{tag}^{{tree}}")])
                .unwrap()
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

    #[test]
    fn paths_that_make_takes() {
        for (path, fine) in [("/srv/x", true), ("/home/a b/c", false), ("/x:y", false)] {
            assert_eq!(makeable(Utf8Path::new(path)).is_ok(), fine, "{path}");
        }
    }
}
