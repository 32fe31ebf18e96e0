//! Kernels of the commits of one tree, one after the other in one work tree and one build folder.
//!
//! What a commit is built with is chosen by the version that its Makefile has: a range may cross versions.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::Feature;
use xshell::cmd;

use super::apply::apply;
use super::bases::{self, Base};
use super::build::{self, Build, Built, Lost};
use super::checkout::Checkout;
use super::config;
use super::present::Present;
use super::refs::BISECT;
use super::source::{self, NoKernel, Source};
use super::tree::Tree;
use super::version::{series_of, version_of};
use super::{Kernel, cherry, opened, programs};
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::host::files;
use crate::host::git::Git;
use crate::host::lock;
use crate::host::session::Session;
use crate::host::space;
use crate::series::{self, Series};
use crate::words::count;

/// A disk with less than that is full: what failed may have failed for that.
const LEAST_FREE: u64 = 64 << 20;
/// For another build of a tree that was built before.
const TO_REBUILD: u64 = 512 << 20;

/// What each commit is built with.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Of the work tree and the build folder.
    pub name: String,
    /// A tree of the user's, which is only read.
    pub tree: Utf8PathBuf,
    /// In the place of the base that is nearest to the commit's version.
    pub base: Option<String>,
    /// Names of series that are applied, as far as the commit does not have them.
    pub series: Vec<String>,
    /// Names of extra fragments.
    pub configs: Vec<String>,
    /// For make; as many as there are processors if `None`.
    pub jobs: Option<usize>,
}

/// A commit, with what is done to it first.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub commit: &'a str,
    /// Commits that are picked where they apply.
    pub picks: &'a [String],
    /// A commit that is taken back.
    pub revert: Option<&'a str>,
}

/// Why a commit makes no kernel.
#[derive(Debug)]
pub struct Obstacle {
    pub stage: Stage,
    pub why: Failure,
    /// All that make said, if it came to that.
    pub log: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Patching,
    Configuring,
    Compiling,
}

/// Builds the commits of a tree.
#[derive(Debug)]
pub struct Workbench {
    recipe: Recipe,
    /// Of ours; it reads the objects of the tree.
    repository: Git,
    checkout: Checkout,
}

/// The name for what is built of a tree.
///
/// # Errors
/// [`Kind::Usage`] if it is not there.
pub fn name(tree: &Utf8Path, session: &Session) -> Result<String> {
    let (name, _) = source::of_tree(tree, session)?;
    Ok(name + BISECT)
}

/// Names the options and patches that commits are built with: with others, a verdict is another one.
///
/// # Errors
/// [`Kind::Usage`] if a fragment or a patch cannot be read.
pub fn inputs(recipe: &Recipe, session: &Session) -> Result<String> {
    let layout = &session.layout;
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for base in bases::load(layout)? {
        if recipe.base.as_ref().is_some_and(|it| *it != base.name) {
            continue;
        }
        let fragments = config::fragments(layout, &base.name, &recipe.configs)?;
        texts.extend(fragments.into_iter().map(|fragment| fragment.text.into()));
        let known = series::known(layout, &base.name);
        for name in recipe.series.iter().filter(|name| known.contains(name)) {
            let series = series::load(layout, &base.name, name)?;
            texts.extend(series.patches.into_iter().map(|patch| patch.text));
        }
    }
    Ok(files::digest(texts)[..12].to_owned())
}

/// A commit that is ready to be built: all that its kernel is called after.
#[derive(Debug)]
struct Ready {
    source: Source,
    base: String,
    version: String,
    patches: Vec<String>,
    digests: Vec<String>,
    provides: Vec<Feature>,
    /// With the patches on top.
    tip: String,
}

impl Workbench {
    /// Finds out what is wrong with the recipe; nothing is built yet.
    pub fn open(recipe: Recipe, session: &Session) -> Result<Self> {
        let (_, repository) = source::of_tree(&recipe.tree, session)?;
        for base in bases::load(&session.layout)? {
            let is_chosen = recipe.base.as_ref().is_none_or(|it| *it == base.name);
            if is_chosen {
                config::fragments(&session.layout, &base.name, &recipe.configs)?;
            }
        }
        if let Some(base) = &recipe.base {
            bases::find(&session.layout, base)?;
        }
        Ok(Self {
            checkout: Checkout::new(repository.dir().to_owned(), &recipe.name, session),
            recipe,
            repository,
        })
    }

    /// The work tree, which is at the commit that was built last.
    pub fn tree(&self) -> &Utf8Path {
        self.checkout.path()
    }

    /// Where the kernels are built; `build.log` in it is what make said last.
    fn folder(&self, session: &Session) -> Utf8PathBuf {
        build::folder(&session.layout, &self.recipe.name, &self.recipe.configs)
    }

    /// Makes the kernel of a commit. What does not compile is compiled again from clean, once: stale objects were seen to
    /// be the reason.
    ///
    /// # Errors
    /// What says nothing about the commit; what does is an [`Obstacle`].
    pub fn make(
        &self,
        wanted: &Wanted<'_>,
        session: &Session,
    ) -> Result<std::result::Result<Kernel, Obstacle>> {
        let _lock = lock::hold(&session.layout.work("lock"), session)?;
        self.require_space(session)?;
        match self.on(Stage::Patching, self.ready(wanted, session), session)? {
            Err(obstacle) => Ok(Err(obstacle)),
            Ok(ready) => self.build(&ready, session),
        }
    }

    /// Puts together what is built; no work tree is touched.
    ///
    /// # Errors
    /// [`Kind::Build`] if something does not apply.
    fn ready(&self, wanted: &Wanted<'_>, session: &Session) -> Result<Ready> {
        let source = self.source(wanted, session)?;
        let version = self.version(&source)?;
        let base = self.base(&version, session)?;
        let (series, others) = self.series(&base, session)?;
        let present = Present::of(&source, &series, &others, &session.stop)?;
        Ok(Ready {
            tip: apply(&source, &present.missing, &session.stop)?,
            patches: present.subjects(),
            digests: present.digests(),
            provides: present.provides(),
            source,
            base,
            version,
        })
    }

    /// The files that the last build has read, by their paths in the tree, which has this content.
    ///
    /// # Errors
    /// [`Kind::Machinery`] if another search of the tree has built something else meanwhile.
    pub fn read(&self, content: &str, session: &Session) -> Result<BTreeSet<String>> {
        let _lock = lock::hold(&session.layout.work("lock"), session)?;
        if self.checkout.content(session)?.as_deref() != Some(content) {
            return Err(Kind::Machinery.error(format!(
                "another search has moved {} meanwhile: one after the other they do not disturb each other",
                self.checkout.path()
            )));
        }
        let out = self.folder(session).join("out");
        opened::files(self.checkout.path(), &out)
    }

    /// With picks, or with a commit taken back.
    fn source(&self, wanted: &Wanted<'_>, session: &Session) -> Result<Source> {
        let git = &self.repository;
        // A history may have roots of other projects.
        let lent = source::lend(git, &self.recipe.tree, wanted.commit);
        let (commit, _) = lent.map_err(|failure| match failure.error.is::<NoKernel>() {
            true => Kind::Build.error(format!("{} is no commit of a kernel", short(wanted.commit))),
            false => failure,
        })?;
        let commit = match wanted.revert {
            None => commit,
            Some(culprit) => cherry::reverted(git, &commit, culprit)?.ok_or_else(|| {
                let (culprit, from) = (short(culprit), short(&commit));
                Kind::Build.error(format!("{culprit} cannot be taken back from {from}"))
            })?,
        };
        let (commit, left_out) = cherry::picked(git, &commit, wanted.picks)?;
        for pick in left_out {
            session.events.note(format!(
                "--pick {} does not apply to {}, and is left out",
                short(&pick),
                short(wanted.commit)
            ));
        }
        let mut label = format!("commit {}", short(wanted.commit));
        if let Some(culprit) = wanted.revert {
            label += &format!(" without {}", short(culprit));
        }
        Ok(Source {
            name: self.recipe.name.clone(),
            label,
            repository: git.dir().to_owned(),
            commit,
        })
    }

    fn version(&self, source: &Source) -> Result<String> {
        let (git, commit) = (&self.repository, &source.commit);
        let makefile = git.read(cmd!(git, "git cat-file blob {commit}:Makefile"))?;
        version_of(&makefile).ok_or_else(|| {
            Kind::Machinery.error(format!("the Makefile of {} names no version", source.label))
        })
    }

    fn base(&self, version: &str, session: &Session) -> Result<String> {
        if let Some(base) = &self.recipe.base {
            return Ok(base.clone());
        }
        let bases = bases::load(&session.layout)?;
        let base = nearest(&bases, version).map(|base| base.name.clone());
        base.ok_or_else(|| Kind::Usage.error("configs/kernels.toml has no base to build with"))
    }

    /// Those that are applied, and the other ones of the base, which may be there.
    ///
    /// # Errors
    /// [`Kind::Build`] if this base has not all of them, and another has.
    fn series(&self, base: &str, session: &Session) -> Result<(Vec<Series>, Vec<Series>)> {
        let (wanted, layout) = (&self.recipe.series, &session.layout);
        let (bases, known) = (bases::load(layout)?, series::known(layout, base));
        let is_somewhere = |name: &String| {
            let mut bases = bases.iter();
            bases.any(|base| series::known(layout, &base.name).contains(name))
        };
        let load = |name: &String| match known.contains(name) {
            false if is_somewhere(name) => Err(Kind::Build.error(format!(
                "{base}, the base that is nearest to this commit, has no series {name}"
            ))),
            _ => series::load(layout, base, name),
        };
        let series = wanted.iter().map(load).collect::<Result<_>>()?;
        let others = known.iter().cloned();
        let others = others.filter(|name| !wanted.contains(name));
        Ok((series, others.filter_map(|name| load(&name).ok()).collect()))
    }

    fn build(
        &self,
        ready: &Ready,
        session: &Session,
    ) -> Result<std::result::Result<Kernel, Obstacle>> {
        let tree = self.checkout.go(&ready.tip, session)?;
        let fragments = config::fragments(&session.layout, &ready.base, &self.recipe.configs)?;
        let build = Build {
            tree: &tree,
            fragments: &fragments,
            jobs: self.recipe.jobs,
            folder: self.folder(session),
            title: format!("{} ({})", ready.version, ready.source.label),
        };
        let built = match self.compiled(&build, session)? {
            Err(obstacle)
                if obstacle.stage == Stage::Compiling && !build.fails_from_clean(session)? =>
            {
                session.events.send(Event::Warning(format!(
                    "{}\nall of it is built once more, from clean",
                    obstacle.why
                )));
                build.clean(session)?;
                self.compiled(&build, session)?
            }
            built => built,
        };
        match built {
            Ok(built) => Ok(Ok(self.kernel(ready, tree, built, session)?)),
            Err(obstacle) => Ok(Err(Obstacle {
                log: fs_err::read(build.folder.join("build.log")).ok(),
                ..obstacle
            })),
        }
    }

    /// An option that got lost is none of what was compiled before.
    fn compiled(
        &self,
        build: &Build<'_>,
        session: &Session,
    ) -> Result<std::result::Result<Built, Obstacle>> {
        let built = self.on(Stage::Compiling, build.run(session), session)?;
        Ok(
            built.map_err(|obstacle| match obstacle.why.error.is::<Lost>() {
                true => Obstacle {
                    stage: Stage::Configuring,
                    ..obstacle
                },
                false => obstacle,
            }),
        )
    }

    fn kernel(&self, ready: &Ready, tree: Tree, built: Built, session: &Session) -> Result<Kernel> {
        let (git, commit) = (&self.repository, &ready.source.commit);
        // If one does not compile there are none: the kernel is there.
        let programs = match programs::provide(&tree.path, &built.out, session) {
            Err(failure) if failure.kind == Kind::Build => Vec::new(),
            provided => provided?,
        };
        Ok(Kernel {
            image: built.image,
            lease: built.lease,
            base: ready.base.clone(),
            version: ready.version.clone(),
            source: ready.source.label.clone(),
            tree: tree.path,
            build: built.out,
            series: self.recipe.series.clone(),
            patches: ready.patches.clone(),
            digests: ready.digests.clone(),
            source_tree: git.read(cmd!(git, "git rev-parse {commit}'^{tree}'"))?,
            content: tree.content,
            edited: false,
            provides: ready.provides.clone(),
            fingerprint: built.fingerprint,
            rebuilt: built.rebuilt,
            programs,
        })
    }

    /// Tells what a commit is to blame for from all other failures.
    fn on<T>(
        &self,
        stage: Stage,
        done: Result<T>,
        session: &Session,
    ) -> Result<std::result::Result<T, Obstacle>> {
        match done {
            Ok(done) => Ok(Ok(done)),
            Err(why) if why.kind == Kind::Build => {
                // Git, too, fails where nothing can be written.
                space::require(&session.layout.work(""), LEAST_FREE, "to go on")
                    .map_err(|full| full.context(why.to_string()))?;
                Ok(Err(Obstacle {
                    stage,
                    why,
                    log: None,
                }))
            }
            Err(other) => Err(other),
        }
    }

    fn require_space(&self, session: &Session) -> Result<()> {
        let built = self.folder(session).join("out/vmlinux").exists();
        let needed = match (self.checkout.path().exists(), built) {
            (true, true) => TO_REBUILD,
            (true, false) => space::BUILD,
            (false, _) => space::TREE + space::BUILD,
        };
        space::require(&session.layout.work(""), needed, "to build a kernel")
    }
}

fn short(commit: &str) -> &str {
    &commit[..12.min(commit.len())]
}

/// The base whose version is the same, or else nearest.
fn nearest<'a>(bases: &'a [Base], version: &str) -> Option<&'a Base> {
    let wanted = place(version)?;
    let distance = |base: &&Base| {
        let place = base.version().and_then(place);
        place.map_or(u32::MAX, |place| place.abs_diff(wanted))
    };
    bases.iter().min_by_key(distance)
}

/// Where a version stands among all: since 4.0, there are some twenty of each first number.
fn place(version: &str) -> Option<u32> {
    let (first, second) = series_of(version).split_once('.')?;
    Some(first.parse::<u32>().ok()? * 20 + second.parse::<u32>().ok()?)
}

/// Words for how many files a kernel is made of.
pub fn words_of(read: &BTreeSet<String>) -> String {
    format!("the kernel is made of {}", count(read.len(), "file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;
    use crate::kernel::shop::Shop;

    /// A kernel that is made at once, unless `a.c` says otherwise, or what an older one has left is in the way. A compiler
    /// shows lines of old files, which are not all in UTF-8.
    const KBUILD: &str = r#"
SAYS = { printf 'a.c:1:1: error: \344 $(1)\n' >&2; exit 1; }
allnoconfig olddefconfig:
	@! test -e $(O)/stale-conf || $(call SAYS,stale)
	@touch $(O)/.config
vmlinux:
	@! test -e $(O)/stale || $(call SAYS,stale)
	@! grep -q half a.c || $(call SAYS,half)
	@cp a.c $(O)/vmlinux
"#;

    /// A user's tree of a kernel in two versions, in a checkout with a series for each of them.
    struct Place {
        shop: Shop,
        tree: Utf8PathBuf,
        session: Session,
    }

    impl Place {
        fn open() -> Self {
            let shop = Shop::open();
            let layout: &Layout = &shop.layout;
            fs_err::create_dir_all(layout.configs()).unwrap();
            let bases = ["6.1", "6.12"].map(|version| {
                format!("[[base]]\nname = \"{version}\"\npackage = \"linux-source-{version}\"\n")
            });
            fs_err::write(layout.configs().join("kernels.toml"), bases.concat()).unwrap();
            fs_err::write(layout.configs().join("base.config"), "").unwrap();
            for (version, line) in [("6.1", 10), ("6.12", 20)] {
                shop.patch(
                    "s",
                    1,
                    &format!("of_{}", version.replace('.', "_")),
                    line,
                    "",
                );
                let to = layout.patches().join(version);
                fs_err::rename(shop.folder(), to).unwrap();
                fs_err::create_dir(shop.folder()).unwrap();
            }
            let tree = layout.root().join("linux");
            for folder in ["fs", "scripts/kconfig"] {
                fs_err::create_dir_all(tree.join(folder)).unwrap();
            }
            for name in ["Kconfig", "fs/super.c", "scripts/kconfig/merge_config.sh"] {
                fs_err::write(tree.join(name), "").unwrap();
            }
            let lines: String = (1..=30).map(|line| format!("line {line}\n")).collect();
            fs_err::write(tree.join("a.c"), lines).unwrap();
            let session = Session::new(layout.clone(), Stop::default());
            let place = Self {
                shop,
                tree,
                session,
            };
            let git = place.git();
            git.read(cmd!(git, "git init --quiet")).unwrap();
            place
        }

        fn git(&self) -> Git {
            Git::at(&self.tree, &Stop::default())
        }

        fn commit(&self, version: (u32, u32), change: (&str, &str)) -> String {
            let git = self.git();
            let (first, second) = version;
            let makefile = format!("VERSION = {first}\nPATCHLEVEL = {second}\n{KBUILD}");
            fs_err::write(self.tree.join("Makefile"), makefile).unwrap();
            let file = self.tree.join("a.c");
            let text = fs_err::read_to_string(&file).unwrap();
            fs_err::write(&file, text.replace(change.0, change.1)).unwrap();
            git.read(cmd!(git, "git add --all")).unwrap();
            git.read(cmd!(git, "git commit --quiet --message x"))
                .unwrap();
            git.read(cmd!(git, "git rev-parse HEAD")).unwrap()
        }

        fn recipe(&self) -> Recipe {
            Recipe {
                name: name(&self.tree, &self.session).unwrap(),
                tree: self.tree.clone(),
                base: None,
                series: vec!["s".into()],
                configs: vec![],
                jobs: None,
            }
        }

        fn ready(&self, wanted: &Wanted<'_>) -> Result<Ready> {
            Workbench::open(self.recipe(), &self.session)?.ready(wanted, &self.session)
        }

        fn file(&self, tip: &str) -> String {
            let (_, git) = source::of_tree(&self.tree, &self.session).unwrap();
            git.read(cmd!(git, "git cat-file blob {tip}:a.c")).unwrap()
        }
    }

    #[test]
    fn a_commit_gets_picks_and_the_patches_of_its_version() {
        let place = Place::open();
        let old = place.commit((6, 1), ("line 3\n", "line 3\n"));
        let new = place.commit((6, 12), ("line 5\n", "five\n"));
        let fix = place.commit((6, 12), ("line 15\n", "fifteen\n"));
        let last = place.commit((6, 12), ("line 20\n", "twenty\n"));
        let picks = [fix.clone()];
        let wanted = |commit, revert| Wanted {
            commit,
            picks: &picks,
            revert,
        };
        let first = place.ready(&wanted(&old, None)).unwrap();
        assert_eq!(
            (first.base.as_str(), first.patches),
            ("6.1", vec!["of_6_1".to_owned()])
        );
        let text = place.file(&first.tip);
        assert!(
            text.contains("of_6_1\n") && text.contains("fifteen\n"),
            "{text}"
        );

        let second = place.ready(&wanted(&new, None)).unwrap();
        assert_eq!(
            (second.base.as_str(), second.version.as_str()),
            ("6.12", "6.12")
        );
        let text = place.file(&second.tip);
        assert!(
            text.contains("of_6_12\n") && text.contains("five\n"),
            "{text}"
        );

        let failure = place.ready(&wanted(&last, None)).unwrap_err();
        assert_eq!(failure.kind, Kind::Build, "{failure}");
        let without = place.ready(&wanted(&last, Some(&last))).unwrap();
        assert!(place.file(&without.tip).contains("of_6_12\n"));
        let failure = place.ready(&wanted(&new, Some(&last))).unwrap_err();
        assert_eq!(failure.kind, Kind::Build);
        assert!(
            failure.to_string().contains("cannot be taken back"),
            "{failure}"
        );
        let git = place.git();
        let status = git.read(cmd!(git, "git status --porcelain")).unwrap();
        assert_eq!(
            (
                status.as_str(),
                place.shop.layout.trees().join("x").exists()
            ),
            ("", false)
        );
    }

    #[test]
    fn a_commit_of_another_project_makes_no_kernel() {
        let place = Place::open();
        place.commit((6, 12), ("line 3\n", "line 3\n"));
        fs_err::remove_file(place.tree.join("Kconfig")).unwrap();
        let commit = place.commit((6, 12), ("line 5\n", "five\n"));
        let wanted = Wanted {
            commit: &commit,
            picks: &[],
            revert: None,
        };
        assert_eq!(place.ready(&wanted).unwrap_err().kind, Kind::Build);
    }

    /// A range may cross versions, and not each has all series.
    #[test]
    fn a_series_that_the_base_of_a_commit_lacks_does_not_apply_to_it() {
        let place = Place::open();
        let [old, new] = [(6, 1), (6, 12)].map(|it| place.commit(it, ("line 3\n", "line 3\n")));
        let layout = &place.shop.layout;
        fs_err::remove_dir_all(layout.patches().join("6.1/s")).unwrap();
        let kind = |commit: &str| {
            let wanted = Wanted {
                commit,
                picks: &[],
                revert: None,
            };
            place.ready(&wanted).err().map(|failure| failure.kind)
        };
        assert_eq!((kind(&old), kind(&new)), (Some(Kind::Build), None));
        fs_err::remove_dir_all(layout.patches().join("6.12/s")).unwrap();
        assert_eq!(kind(&old), Some(Kind::Usage), "nobody knows it");
    }

    #[test]
    #[ignore = "takes make; cargo xtask ci sees to it"]
    fn stale_objects_fail_no_commit_and_what_is_wrong_with_it_does() {
        let place = Place::open();
        let mut recipe = place.recipe();
        recipe.series.clear();
        let bench = Workbench::open(recipe, &place.session).unwrap();
        let made = |commit: &str| {
            let wanted = Wanted {
                commit,
                picks: &[],
                revert: None,
            };
            let made = bench.make(&wanted, &place.session).unwrap();
            made.map(|kernel| fs_err::read_to_string(kernel.image).unwrap())
        };
        let stage = |commit: &str| made(commit).unwrap_err().stage;
        let out = bench.folder(&place.session).join("out");
        let first = place.commit((6, 12), ("line 1\n", "one\n"));
        assert!(made(&first).unwrap().contains("one\n"));
        for (left, word) in [("stale", "two"), ("stale-conf", "three")] {
            fs_err::write(out.join(left), "").unwrap();
            // Options are asked for anew.
            fs_err::write(place.tree.join("Kconfig"), word).unwrap();
            let next = place.commit((6, 12), ("line 2\n", &format!("{word}\nline 2\n")));
            assert!(made(&next).unwrap().contains(word), "{left}");
        }
        let half = place.commit((6, 12), ("line 5\n", "half\n"));
        assert_eq!(stage(&half), Stage::Compiling);
        // What was compiled is kept where options are to blame.
        fs_err::write(out.join("kept"), "").unwrap();
        let config = place.shop.layout.configs().join("base.config");
        fs_err::write(config, "CONFIG_NONE=y\n").unwrap();
        assert_eq!(stage(&first), Stage::Configuring);
        assert!(out.join("kept").exists());
    }

    #[test]
    fn what_commits_are_built_with_has_a_name() {
        let place = Place::open();
        let name = |series: &[&str]| {
            let recipe = Recipe {
                series: series.iter().map(|it| (*it).to_owned()).collect(),
                ..place.recipe()
            };
            inputs(&recipe, &place.session).unwrap()
        };
        let (before, without) = (name(&["s"]), name(&[]));
        assert_ne!(before, without);
        assert_eq!(before, name(&["s"]));
        let series = place.shop.layout.patches().join("6.1/s");
        let patches = series.read_dir_utf8().unwrap().map(|it| it.unwrap());
        let patch = patches
            .map(|it| it.into_path())
            .find(|path| path.extension() == Some("patch"))
            .unwrap();
        let text = fs_err::read_to_string(&patch).unwrap();
        fs_err::write(&patch, text.replace("of_6_1", "edited")).unwrap();
        let edited = name(&["s"]);
        assert_ne!(edited, before);
        assert_eq!(name(&[]), without);
        let config = place.shop.layout.configs().join("base.config");
        fs_err::write(config, "CONFIG_XFS_FS=y\n").unwrap();
        assert!(name(&["s"]) != edited && name(&[]) != without);
    }

    #[test]
    fn the_base_is_that_of_the_version_or_the_nearest() {
        let base = |name: &str, version: &str| Base {
            name: name.into(),
            package: format!("linux-source-{version}"),
            suite: None,
        };
        let bases = [
            base("6.12", "6.12"),
            base("6.1", "6.1"),
            base("mainline", "7.3"),
        ];
        for (version, wanted) in [
            ("6.12.117", "6.12"),
            ("6.12.0-rc3", "6.12"),
            ("6.1.0", "6.1"),
            ("5.10.1", "6.1"),
            ("6.5.0", "6.1"),
            ("6.11.0-rc7", "6.12"),
            ("6.17.0", "6.12"),
            ("6.19.0", "mainline"),
            ("7.0.0-rc1", "mainline"),
            ("8.1.0", "mainline"),
        ] {
            let found = nearest(&bases, version).unwrap();
            assert_eq!(found.name, wanted, "{version}");
        }
        assert!(nearest(&[], "6.1").is_none());
    }
}
