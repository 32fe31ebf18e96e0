//! The builds, in folders of their own.

use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;
use xshell::cmd;

use super::model::{Quantity, Side};
use super::plan::Plan;
use crate::event::Event;
use crate::failure::{Kind, Result};
use crate::host::claim::Scratch;
use crate::host::git::Git;
use crate::host::layout::Layout;
use crate::host::phase::phase;
use crate::host::proc::{self, Stop};
use crate::host::session::Session;
use crate::host::{files, space};
use crate::kernel::{self, compiler, tree};
use crate::vm::qemu::disks;

/// What is edited for a warm build: a file that the patches touch, and that no other includes.
const EDITED: &str = "fs/super.c";

/// Two trees of one commit, one for each side to build in.
pub struct Workshop<'a> {
    plan: &'a Plan<'a>,
    ours: Utf8PathBuf,
    vng: Utf8PathBuf,
    _dir: Scratch,
    /// Of what this program builds.
    session: Session,
    /// What virtme-ng said. It outlives this workshop, as a failure names it.
    log: Utf8PathBuf,
}

impl<'a> Workshop<'a> {
    /// Makes the folders; the trees are still to come.
    pub fn new(plan: &'a Plan<'a>, session: &Session) -> Result<Self> {
        let dir = Scratch::new(&disks::scratch(&session.layout)?, "builds-")?;
        let layout = Layout::apart(dir.path());
        fs_err::create_dir_all(layout.work(""))?;
        for (there, here) in [
            (session.layout.patches(), layout.patches()),
            (session.layout.configs(), layout.configs()),
            (session.layout.sources(), layout.sources()),
            (session.layout.work("apt"), layout.work("apt")),
        ] {
            symlink(&there, &here).with_context(|| format!("failed to link {here} to {there}"))?;
        }
        let ours = tree::name(&plan.request.base, &plan.request.series);
        Ok(Self {
            ours: layout.trees().join(ours),
            vng: dir.path().join("vng"),
            plan,
            log: session.layout.work("vng-build.log"),
            session: Session {
                layout,
                ..session.clone()
            },
            _dir: dir,
        })
    }

    pub fn set_up(&self) -> Result<()> {
        // A disk that is full later on would pass for a kernel that does not compile.
        let folder = self.session.layout.work("");
        space::require(
            &folder,
            2 * (space::TREE + space::BUILD),
            "to build two kernels",
        )?;
        kernel::provide_tree(self.plan.request, &self.session)?;
        phase(&self.session.events, "checking out for virtme-ng", || {
            let (git, vng) = (self.git(&self.ours), &self.vng);
            git.read(cmd!(git, "git worktree add --quiet --detach {vng} HEAD"))?;
            Ok(((), "done".to_owned()))
        })
    }

    /// Brings a side to where a build of this kind begins; not part of the time.
    pub fn prepare(&self, quantity: Quantity, side: Side, round: u32) -> Result<()> {
        let tree = match side {
            Side::Xtask => &self.ours,
            Side::Vng | Side::Bare => &self.vng,
        };
        match quantity {
            Quantity::WarmBuild => edit(&tree.join(EDITED), round),
            Quantity::ColdBuild => self.forget(side, tree),
            Quantity::NoChange | Quantity::FirstCase | Quantity::WholeGuest => Ok(()),
        }
    }

    /// Removes edits and all that was built.
    fn forget(&self, side: Side, tree: &Utf8Path) -> Result<()> {
        let git = self.git(tree);
        git.read(cmd!(git, "git checkout --quiet -- ."))?;
        if side == Side::Xtask {
            let made = [
                Some(self.session.layout.builds()),
                self.session.layout.ccache(),
            ];
            let mut made = made.iter().flatten();
            return made.try_for_each(|folder| files::discard(folder, &self.session.stop));
        }
        git.read(cmd!(git, "git clean -ffdxq"))?;
        Ok(())
    }

    /// How many files the builds of this side have made objects of.
    pub fn compiled(&self, side: Side) -> Result<usize> {
        match side {
            Side::Xtask => compiled(&self.session.layout.builds()),
            Side::Vng | Side::Bare => compiled(&self.vng),
        }
    }

    fn git(&self, tree: &Utf8Path) -> Git {
        Git::at(tree, &self.session.stop)
    }

    pub fn build(&self, side: Side) -> Result<()> {
        match side {
            Side::Xtask => kernel::prepare(self.plan.request, &self.session).map(drop),
            Side::Vng | Side::Bare => self.build_vng(),
        }
    }

    fn build_vng(&self) -> Result<()> {
        files::remove(&self.log)?;
        let jobs = self.plan.request.jobs.map(|jobs| format!("--jobs={jobs}"));
        // Without --verbose nothing is heard of it.
        let vng = cmd!(self.plan.vng, "vng --build --verbose {jobs...}");
        let mut vng = Command::from(vng);
        vng.current_dir(&self.vng);
        phase(&self.session.events, "building with virtme-ng", || {
            let mut done = 0;
            let on_line = &mut |_, line: &str| {
                if let Some(item) = compiler::step(line) {
                    done += 1;
                    self.session.events.send(Event::Progress {
                        done,
                        total: None,
                        unit: "",
                        item: item.to_owned(),
                    });
                }
            };
            proc::stream(&mut vng, &self.log, &self.session.stop, on_line)
                .map_err(|error| error.or(Kind::Build))?;
            Ok(((), format!("{done} steps")))
        })
    }

    /// Takes the trees out of the repository that they share with others, also after Ctrl-C: both, if it can.
    pub fn take_down(&self) -> Result<()> {
        let removed = [&self.vng, &self.ours].map(|tree| remove(tree));
        removed.into_iter().collect()
    }
}

/// Removes a work tree. What is none is left alone: git would look for a repository above it.
fn remove(tree: &Utf8Path) -> Result<()> {
    if tree.join(".git").exists() {
        let git = Git::at(tree, &Stop::default());
        git.read(cmd!(git, "git worktree remove --force --force {tree}"))?;
    }
    Ok(())
}

/// Counts the `.NAME.o.cmd` that have a source file: the kernel's scripts/basic/fixdep writes them for what is compiled,
/// but not for what is linked.
fn compiled(folder: &Utf8Path) -> Result<usize> {
    let mut count = 0;
    for entry in WalkDir::new(folder) {
        let entry = entry.map_err(|error| Kind::Machinery.error(error))?;
        if entry.file_name().to_string_lossy().ends_with(".o.cmd") {
            let text = fs_err::read_to_string(entry.path())?;
            count += usize::from(text.lines().any(|line| line.starts_with("source_")));
        }
    }
    Ok(count)
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
    fn work_trees_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let git = Git::at(dir, &Stop::default());
        let (tree, folder) = (dir.join("tree"), dir.join("folder"));
        for line in [
            cmd!(git, "git init --quiet"),
            cmd!(git, "git commit --quiet --allow-empty --message=a"),
            cmd!(git, "git worktree add --quiet {tree}"),
        ] {
            git.read(line).unwrap();
        }
        fs_err::create_dir(&folder).unwrap();
        for place in [&tree, &folder, &dir.join("none")] {
            remove(place).unwrap();
        }
        assert!(!tree.exists() && folder.exists());
        let left = git.read(cmd!(git, "git worktree list")).unwrap();
        assert_eq!(left.lines().count(), 1, "{left}");
    }

    #[test]
    fn what_was_compiled_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir(dir.join("fs")).unwrap();
        let source = "savedcmd_fs/super.o := gcc\n\nsource_fs/super.o := fs/super.c\n";
        for (name, text) in [
            ("fs/.super.o.cmd", source),
            ("fs/.ext4.o.cmd", "savedcmd_fs/ext4.o := ld\n"),
            ("fs/super.c", source),
        ] {
            fs_err::write(dir.join(name), text).unwrap();
        }
        assert_eq!(compiled(dir).unwrap(), 1);
    }

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
