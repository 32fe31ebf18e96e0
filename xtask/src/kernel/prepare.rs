//! From a base or a tree to a kernel that boots: source, tree, config, build.

use camino::Utf8PathBuf;
use harness::wire::Feature;

use super::apply::apply;
use super::bases;
use super::build::Build;
use super::carried::commits;
use super::checked::Checked;
use super::desk::{Desk, title};
use super::programs::{self, Program};
use super::request::Request;
use super::tree::Tree;
use super::version::version;
use crate::deps::need;
use crate::failure::{Kind, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::session::Session;

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
    /// Those that the tree has for the cases.
    pub programs: Vec<Program>,
    /// Names of the series that it has, also of those that a tree had before; none for a stock kernel.
    pub series: Vec<String>,
    /// Subjects, in checked; first what a tree had before.
    pub patches: Vec<String>,
    /// Of the patches, in the same order: [`crate::series::Patch::digest`]; empty for what is only called like one.
    pub digests: Vec<String>,
    /// Git's tree objects of the source and of what was built, edits included.
    pub source_tree: String,
    pub content: String,
    pub edited: bool,
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
pub fn prepare(request: &Request, session: &Session) -> Result<Kernel> {
    let checked = Checked::of(request, session)?;
    let desk = Desk::open(&checked, session)?;
    checked.compare_versions(session)?;
    let others = checked.others(&session.layout);
    let present = desk.present(&others)?;
    let names = checked.names(&present, &others);
    checked.tell(&present, &names, &session.events);
    let tree = desk.tree_with(&present.missing)?;
    let version = version(&tree.path)?;
    let build = Build {
        tree: &tree,
        fragments: &checked.fragments,
        jobs: request.jobs,
        folder: checked.folder(&session.layout),
        title: title(&desk.source, &version, &checked, &names),
    };
    let built = build.run(session)?;
    let programs = programs::provide(&tree.path, &built.out, session)?;
    let label = tree.ground.unwrap_or(desk.source.label.clone());
    Ok(Kernel {
        image: built.image,
        lease: built.lease,
        base: checked.base.name.clone(),
        version,
        source: if tree.edited {
            format!("{label} with edits in {}", tree.path)
        } else {
            label
        },
        tree: tree.path,
        build: built.out,
        programs,
        series: names,
        patches: present.subjects(),
        digests: present.digests(),
        source_tree: desk.source_tree()?,
        content: tree.content,
        edited: tree.edited,
        provides: present.provides(),
        fingerprint: built.fingerprint,
        rebuilt: built.rebuilt,
    })
}

/// The request, if it can be made, as far as that can be told before anything is installed or fetched.
///
/// # Errors
/// Those of [`prepare`]. A tree is looked at once there is git to do it.
pub fn checked(request: Request, session: &Session) -> Result<Request> {
    bases::find(&session.layout, &request.base)?;
    are_names("--series", &request.series)?;
    are_names("--config", &request.configs)?;
    let mut there = request.clone();
    if need::program("git").is_none()
        && let Some(tree) = there.tree.take()
        && !tree.is_dir()
    {
        return Err(Kind::Usage.error(format!("--tree {tree} is no folder")));
    }
    Checked::of(&there, session)?;
    Ok(request)
}

/// The `--base` that stands for every one.
const ALL: &str = "all";

/// One request for each base if it is for all; each [`checked`].
pub fn of_each_base(request: Request, session: &Session) -> Result<Vec<Request>> {
    if request.base != ALL {
        return Ok(vec![checked(request, session)?]);
    }
    if request.tree.is_some() {
        return Err(Kind::Usage.error("--tree is one kernel, --base all is several"));
    }
    let bases = bases::load(&session.layout)?.into_iter();
    let requests = bases.map(|base| Request {
        base: base.name,
        ..request.clone()
    });
    requests.map(|it| checked(it, session)).collect()
}

/// Names of ours become names of folders: each counts once, and leads nowhere else.
///
/// # Errors
/// [`Kind::Usage`] with the flag that such a name was given to.
pub fn are_names(flag: &str, names: &[String]) -> Result<()> {
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(Kind::Usage.error(format!("{flag} takes a name, which {name:?} is not")));
        }
        if names[..at].contains(name) {
            return Err(Kind::Usage.error(format!("{flag} {name} is given twice")));
        }
    }
    Ok(())
}

/// Refuses a tree that has patches of the base's series: without them, nothing can be compared with them.
///
/// # Errors
/// [`Kind::Usage`] for such a tree, which is named with what it has.
pub fn require_stock(request: &Request, session: &Session) -> Result<()> {
    if request.tree.is_none() {
        return Ok(());
    }
    let checked = Checked::of(request, session)?;
    Desk::open(&checked, session)?.require_stock()
}

/// A base's own source, and the patches of its series as commits on top of it.
#[derive(Clone, Debug)]
pub struct SeriesCommits {
    pub repository: Utf8PathBuf,
    pub base: String,
    /// The oldest first, each with what it provides.
    pub patches: Vec<(String, Vec<Feature>)>,
}

/// Makes a commit of each patch; no work tree is touched.
///
/// # Errors
/// [`Kind::Build`] if one does not apply.
pub fn commits_of_series(request: &Request, session: &Session) -> Result<SeriesCommits> {
    let checked = Checked::of(request, session)?;
    let desk = Desk::open(&checked, session)?;
    let (source, git) = (
        &desk.source,
        Git::at(&desk.source.repository, &session.stop),
    );
    let tip = apply(source, &checked.series, &session.stop)?;
    let commits = commits(&git, &source.commit, &tip)?;
    let patches = checked.series.iter().flat_map(|series| &series.patches);
    let patches = commits.into_iter().zip(patches);
    Ok(SeriesCommits {
        repository: source.repository.clone(),
        base: source.commit.clone(),
        patches: patches
            .map(|(commit, patch)| (commit.id, patch.provides.clone()))
            .collect(),
    })
}

/// Makes the work tree only.
pub fn provide_tree(request: &Request, session: &Session) -> Result<Tree> {
    let checked = Checked::of(request, session)?;
    Desk::open(&checked, session)?.tree()
}
