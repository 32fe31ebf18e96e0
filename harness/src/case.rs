//! What a case is. The cases themselves are in `cases`.

use anyhow::Result;

use crate::fixture::Fixture;
use crate::wire::{Feature, Filesystem};

/// One thing that a kernel must do, run in a process of its own in the guest.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Unique, snake_case; what `--filter` matches.
    pub name: &'static str,
    /// One sentence for `--list`.
    pub about: &'static str,
    /// Where it makes sense; most cases run on all.
    pub filesystems: &'static [Filesystem],
    /// What the kernel must provide; `None` if every patched kernel must pass.
    pub needs: Option<Feature>,
    /// Words of what the kernel is right to complain of here; any other complaint is a failure.
    pub complaints: &'static [&'static str],
    /// `Err` is a failure; a case that cannot run here returns [`crate::fixture::skip`].
    pub run: fn(&Fixture) -> Result<()>,
}

impl Case {
    /// A case that runs on every filesystem, and that every patched kernel must pass.
    pub const fn new(
        name: &'static str,
        about: &'static str,
        run: fn(&Fixture) -> Result<()>,
    ) -> Case {
        Case {
            name,
            about,
            filesystems: Filesystem::ALL,
            needs: None,
            complaints: &[],
            run,
        }
    }

    /// For kernels that provide this.
    pub const fn needing(self, feature: Feature) -> Case {
        Case {
            needs: Some(feature),
            ..self
        }
    }

    /// The kernel is right to complain in these words.
    pub const fn complaining(self, complaints: &'static [&'static str]) -> Case {
        Case { complaints, ..self }
    }

    /// It makes sense on these filesystems only.
    pub const fn only_on(self, filesystems: &'static [Filesystem]) -> Case {
        Case {
            filesystems,
            ..self
        }
    }
}
