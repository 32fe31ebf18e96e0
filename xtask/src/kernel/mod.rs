//! From a base or a tree to a kernel that boots: source, tree, config, build.

mod apply;
mod bases;
mod build;
mod compiler;
mod config;
pub mod files;
pub mod git;
pub mod lock;
pub mod phase;
mod source;
mod space;
pub mod tree;

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
pub use bases::{find, load as bases};
use build::Build;
use source::{Given, Source};

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
    /// For make; as many as there are processors if `None`.
    pub jobs: Option<usize>,
}

/// A kernel, ready to boot.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// A bzImage that later builds leave alone.
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
    let base = bases::find(layout, &request.base)?;
    let fragments = config::fragments(layout, &request.base, &request.configs)?;
    let series: Vec<Series> = request
        .series
        .iter()
        .map(|name| series::load(layout, &request.base, name))
        .collect::<Result<_>>()?;
    let given = request
        .tree
        .as_deref()
        .map(|path| Given::check(path, stop))
        .transpose()?;
    makeable(layout.root())?;

    let _lock = lock::hold(&layout.work("lock"), events, stop)?;
    source::sweep(layout, events, stop)?;
    files::sweep(&layout.trees(), events, stop)?;
    let name = given
        .as_ref()
        .map_or_else(|| base.name.clone(), Given::name);
    let tree_name = tree::name(&name, &request.series);
    let folder = build::folder(layout, &tree_name, &request.configs);
    space::require(
        &layout.work(""),
        room(&name, &tree_name, &folder, layout, stop)?,
        "to build a kernel",
    )?;

    let source = source::obtain(&base, given.as_ref(), source::FRESH, layout, events, stop)?;
    let tree = tree::provide(&source, &series, layout, events, stop)?;
    let version = version(&tree.path)?;
    let build = Build {
        tree: &tree,
        fragments: &fragments,
        jobs: request.jobs,
        folder,
        title: title(&source, &version, &series),
    };
    let built = build.run(layout, events, stop)?;
    Ok(Kernel {
        image: built.image,
        base: base.name,
        version,
        source: if tree.edited {
            format!("{} with edits in {}", source.label, tree.path)
        } else {
            source.label
        },
        tree: tree.path,
        build: built.out,
        patches: series
            .iter()
            .flat_map(|series| &series.patches)
            .map(|patch| patch.subject.clone())
            .collect(),
        provides: provides(&series),
        fingerprint: built.fingerprint,
        rebuilt: built.rebuilt,
    })
}

fn provides(series: &[Series]) -> Vec<Feature> {
    let all: BTreeSet<Feature> = series
        .iter()
        .flat_map(|series| series.provides.iter().copied())
        .collect();
    all.into_iter().collect()
}

/// Makes the work tree only; nobody else may be at work in the layout.
pub fn provide_tree(
    request: &Request,
    layout: &Layout,
    events: &Events,
    stop: &Stop,
) -> Result<()> {
    let base = bases::find(layout, &request.base)?;
    let series: Vec<Series> = request
        .series
        .iter()
        .map(|name| series::load(layout, &request.base, name))
        .collect::<Result<_>>()?;
    let source = source::obtain(&base, None, source::FRESH, layout, events, stop)?;
    tree::provide(&source, &series, layout, events, stop).map(drop)
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

fn title(source: &Source, version: &str, series: &[Series]) -> String {
    match series {
        [] => format!("{version} (stock, {})", source.label),
        _ => format!(
            "{version} with {}",
            series
                .iter()
                .map(|series| series.name.as_str())
                .collect::<Vec<_>>()
                .join(" and ")
        ),
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
