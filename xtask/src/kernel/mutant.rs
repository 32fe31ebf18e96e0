//! Kernels with a mutant, one after the other in one work tree and one build folder.
//!
//! In a layout that is [`aside`](crate::host::layout::Layout::aside): in the work tree that people know they may work.

use xshell::cmd;

use super::apply::{apply, obstacle};
use super::build::Build;
use super::checked::Checked;
use super::checkout::Checkout;
use super::desk::{Desk, title};
use super::present::Present;
use super::request::Request;
use super::source::Source;
use super::version::version;
use super::{Kernel, programs};
use crate::failure::{Failure, Result};
use crate::host::git::Git;
use crate::host::lock;
use crate::host::session::Session;
use crate::series::{Patch, Series};

/// Builds what a request is for, with one more patch each time.
pub struct Workbench<'a> {
    checked: Checked<'a>,
    /// Before any patch.
    source: Source,
    /// With all patches of the series.
    patched: Source,
    checkout: Checkout,
}

impl<'a> Workbench<'a> {
    /// Fetches the source; nothing is built yet.
    pub fn open(request: &'a Request, session: &Session) -> Result<Self> {
        let checked = Checked::of(request, session)?;
        let source = Desk::open(&checked, session)?.source;
        let patched = Source {
            commit: apply(&source, &checked.series, &session.stop)?,
            ..source.clone()
        };
        Ok(Self {
            checkout: Checkout::new(source.repository.clone(), &checked.tree_name(), session),
            checked,
            source,
            patched,
        })
    }

    /// Why a patch does not apply; `None` if it does.
    pub fn obstacle(&self, patch: &Patch, session: &Session) -> Result<Option<Failure>> {
        obstacle(&self.patched, patch, &session.stop)
    }

    /// Brings the work tree to where nothing is wrong with it.
    pub fn restore(&self, session: &Session) -> Result<()> {
        self.checkout.go(&self.patched.commit, session).map(drop)
    }

    /// Makes the kernel with this patch, or without one.
    ///
    /// # Errors
    /// [`Kind::Build`](crate::failure::Kind::Build) if it does not compile, among others.
    pub fn make(&self, patch: Option<&Patch>, session: &Session) -> Result<Kernel> {
        let _lock = lock::hold(&session.layout.work("lock"), session)?;
        let Self {
            checked, source, ..
        } = self;
        let tip = match patch {
            None => self.patched.commit.clone(),
            Some(patch) => apply(&self.patched, &[alone(patch)], &session.stop)?,
        };
        let tree = self.checkout.go(&tip, session)?;
        let version = version(&tree.path)?;
        let present = Present::nothing(&checked.series);
        let names = checked.names(&present, &[]);
        let with = patch.map_or(String::new(), |patch| format!(" and {}", name(patch)));
        let build = Build {
            tree: &tree,
            fragments: &checked.fragments,
            jobs: checked.request.jobs,
            folder: checked.folder(&session.layout),
            title: title(source, &version, checked, &names) + &with,
        };
        let built = build.run(session)?;
        let git = Git::at(&source.repository, &session.stop);
        let (base, mutant) = (&source.commit, patch.into_iter());
        Ok(Kernel {
            image: built.image,
            lease: built.lease,
            base: checked.base.name.clone(),
            version,
            source: source.label.clone(),
            programs: programs::provide(&tree.path, &built.out, session)?,
            tree: tree.path,
            build: built.out,
            series: names,
            patches: (present.subjects().into_iter())
                .chain(mutant.clone().map(|patch| patch.subject.clone()))
                .collect(),
            digests: (present.digests().into_iter())
                .chain(mutant.map(Patch::digest))
                .collect(),
            source_tree: git.read(cmd!(git, "git rev-parse {base}'^{tree}'"))?,
            content: tree.content,
            edited: false,
            provides: present.provides(),
            fingerprint: built.fingerprint,
            rebuilt: built.rebuilt,
        })
    }
}

fn name(patch: &Patch) -> &str {
    patch.path.file_stem().unwrap_or_default()
}

/// As a series of its own.
fn alone(patch: &Patch) -> Series {
    Series {
        name: name(patch).to_owned(),
        index: String::new(),
        patches: vec![patch.clone()],
    }
}
