//! The builds, in folders of their own.

use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::{Plan, Quantity, Side, vng_program, with_virtme};
use crate::event::Events;
use crate::failure::{Kind, Result};
use crate::kernel::{self, files};
use crate::layout::Layout;
use crate::proc::{self, Stop};
use crate::vm::claim::Scratch;

/// What is edited for a warm build: a file that the patches touch, and that few others depend on.
const EDITED: &str = "fs/super.c";

/// Two trees of one commit, one for each side to build in.
pub struct Workshop<'a> {
    plan: &'a Plan<'a>,
    pub events: &'a Events,
    dir: Scratch,
    layout: Layout,
    ours: Utf8PathBuf,
    vng: Utf8PathBuf,
}

impl<'a> Workshop<'a> {
    pub fn set_up(plan: &'a Plan<'a>, events: &'a Events) -> Result<Self> {
        let parent = plan.layout.work("scratch");
        fs_err::create_dir_all(&parent)?;
        let dir = Scratch::new(&parent, "builds-")?;
        let layout = Layout::at(dir.path());
        fs_err::create_dir_all(layout.work(""))?;
        for (there, here) in [
            (plan.layout.patches(), layout.patches()),
            (plan.layout.configs(), layout.configs()),
            (plan.layout.sources(), layout.sources()),
            (plan.layout.work("apt"), layout.work("apt")),
        ] {
            symlink(&there, &here).with_context(|| format!("failed to link {here} to {there}"))?;
        }
        Ok(Self {
            ours: kernel::provide_tree(plan.request, &layout, events, plan.stop)?,
            vng: dir.path().join("vng"),
            plan,
            events,
            dir,
            layout,
        })
    }

    /// Brings a side to where a build of this kind begins; not part of the time.
    pub fn prepare(&self, quantity: Quantity, side: Side, round: u32) -> Result<()> {
        match (quantity, side) {
            (Quantity::ColdBuild, Side::Xtask) => self.forget_ours(),
            (Quantity::ColdBuild, _) => self.forget_vng(),
            (Quantity::WarmBuild, side) => edit(&self.tree(side).join(EDITED), round),
            _ => Ok(()),
        }
    }

    fn tree(&self, side: Side) -> &Utf8Path {
        match side {
            Side::Xtask => &self.ours,
            Side::Vng | Side::Bare => &self.vng,
        }
    }

    fn forget_ours(&self) -> Result<()> {
        self.git(&self.ours, &["checkout", "--quiet", "--", "."])?;
        files::discard(&self.layout.builds(), self.plan.stop)?;
        files::discard(&self.layout.work("ccache"), self.plan.stop)
    }

    fn forget_vng(&self) -> Result<()> {
        if self.vng.exists() {
            self.git(&self.vng, &["checkout", "--quiet", "--", "."])?;
            return self.git(&self.vng, &["clean", "-ffdxq"]);
        }
        self.git(
            &self.ours,
            &[
                "worktree",
                "add",
                "--quiet",
                "--detach",
                self.vng.as_str(),
                "HEAD",
            ],
        )
    }

    fn git(&self, tree: &Utf8Path, arguments: &[&str]) -> Result<()> {
        kernel::git::Git::at(tree, self.plan.stop).read(arguments)?;
        Ok(())
    }

    pub fn build(&self, side: Side) -> Result<()> {
        let stop = self.plan.stop;
        match side {
            Side::Xtask => {
                kernel::prepare(self.plan.request, &self.layout, self.events, stop).map(drop)
            }
            Side::Vng | Side::Bare => {
                let virtme_run = self.plan.virtme_run;
                let mut vng = Command::new(vng_program(virtme_run));
                vng.arg("--build").current_dir(&self.vng);
                let log = self.dir.path().join("vng.log");
                let outcome = proc::stream(
                    with_virtme(&mut vng, virtme_run),
                    &log,
                    stop,
                    &mut |_, _| {},
                );
                outcome.map_err(|error| error.or(Kind::Build))
            }
        }
    }

    /// Takes the trees out of the repository that they share with others, also after Ctrl-C.
    pub fn take_down(&self) -> Result<()> {
        let stop = Stop::default();
        for tree in [&self.vng, &self.ours] {
            if tree.exists() {
                let remove = ["worktree", "remove", "--force", "--force", tree.as_str()];
                kernel::git::Git::at(tree, &stop).read(remove)?;
            }
        }
        Ok(())
    }
}

/// Changes what the file compiles to, each time in another way: a compiler cache must not help.
fn edit(file: &Utf8Path, round: u32) -> Result<()> {
    let mut text = fs_err::read_to_string(file)?;
    text += &format!("static const int __used freeze_bench_{round} = {round};\n");
    Ok(fs_err::write(file, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_differ() {
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("super.c");
        fs_err::write(&file, "int x;\n").unwrap();
        edit(&file, 1).unwrap();
        edit(&file, 2).unwrap();
        let text = fs_err::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("int x;\n") && text.contains("freeze_bench_2"));
    }
}
