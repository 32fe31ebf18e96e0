//! From a base or a tree to a kernel that boots: source, tree, config, build.

mod advice;
mod apply;
mod bases;
mod build;
pub mod carried;
pub mod check;
mod compiler;
mod config;
pub mod files;
pub mod git;
pub mod lock;
pub mod phase;
#[cfg(test)]
pub mod shop;
mod source;
pub mod space;
pub mod tree;
pub mod worked;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use harness::case::Feature;
use regex::Regex;

use crate::event::Events;
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
    pub base: String,
    /// As `make kernelversion` has it, e.g. `6.12.117`.
    pub version: String,
    /// For people: package and version, or the tree's path and commit.
    pub source: String,
    pub tree: Utf8PathBuf,
    pub build: Utf8PathBuf,
    /// Subjects, in order.
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
    let tree = desk.tree()?;
    let version = version(&tree.path)?;
    let build = Build {
        tree: &tree,
        fragments: &order.fragments,
        jobs: request.jobs,
        folder: order.folder(layout),
        title: title(&desk.source, &version, &order),
    };
    let built = build.run(layout, events, stop)?;
    let label = desk.source.label;
    Ok(Kernel {
        image: built.image,
        base: order.base.name,
        version,
        source: if tree.edited {
            format!("{label} with edits in {}", tree.path)
        } else {
            label
        },
        tree: tree.path,
        build: built.out,
        patches: order
            .series
            .iter()
            .flat_map(|series| &series.patches)
            .map(|patch| patch.subject.clone())
            .collect(),
        provides: provides(&order.series),
        fingerprint: built.fingerprint,
        rebuilt: built.rebuilt,
    })
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

    fn tree(&self) -> Result<Tree> {
        let tree = tree::provide(
            &self.order.tree_name(),
            &self.source,
            &self.order.series,
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

fn provides(series: &[Series]) -> Vec<Feature> {
    let all: BTreeSet<Feature> = series.iter().flat_map(Series::provides).collect();
    all.into_iter().collect()
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

fn title(source: &Source, version: &str, order: &Order<'_>) -> String {
    let names: Vec<&str> = order
        .series
        .iter()
        .map(|series| series.name.as_str())
        .collect();
    let names = names.join(" and ");
    match order.request.part {
        _ if names.is_empty() => format!("{version} (stock, {})", source.label),
        Part::First(0) => format!("{version} without patches"),
        Part::First(1) => format!("{version} with the first patch of {names}"),
        Part::Whole => format!("{version} with {names}"),
        Part::First(count) => format!("{version} with the first {count} patches of {names}"),
    }
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
    use super::*;

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
    }

    #[test]
    fn paths_that_make_takes() {
        for (path, fine) in [("/srv/x", true), ("/home/a b/c", false), ("/x:y", false)] {
            assert_eq!(makeable(Utf8Path::new(path)).is_ok(), fine, "{path}");
        }
    }
}
