//! Tree and fragments to a bootable image, or the knowledge that the last one is still right.

use std::fmt;
use std::process::Command;
use std::sync::LazyLock;

use anyhow::Context;
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;
use regex::Regex;
use serde::{Deserialize, Serialize};
use xshell::cmd;

use super::ccache::{self, Ccache};
use super::compiler::{complaints, step};
use super::config::{Fragment, lost};
use super::programs::modules;
use super::tree::Tree;
use crate::event::Event;
use crate::failure::{Failure, Kind, OrFail, Result};
use crate::host::environment::{COMPILING, PLAIN};
use crate::host::files::{self, Lease, Seal};
use crate::host::git::{DATE, Git};
use crate::host::layout::Layout;
use crate::host::phase::{Pace, phase};
use crate::host::proc::{self, Stop, Stream};
use crate::host::session::Session;
use crate::host::space;
use crate::words::count;

/// Enters every fingerprint: to be raised when this module builds differently.
const RECIPE: &str = "2";
/// What fingerprints call the compiler, with ccache or without: the kernel is the same.
const COMPILER: &str = "ccache gcc";
/// Where tinyconfig begins, and what it adds; see `scripts/kconfig/Makefile`.
const TINY_BASE: &str = "kernel/configs/tiny-base.config";
const TINY: [&str; 2] = ["kernel/configs/tiny.config", "arch/x86/configs/tiny.config"];
/// Commands that a configuration takes.
const CONFIGURING: u64 = 3;
/// Steps of a whole build of `base.config`, as [`step`] counts them; better known after the first one.
const USUAL_STEPS: u64 = 1760;
/// `C=1` runs sparse after each compilation. By default it falls silent after a hundred warnings.
const WITH_CHECKS: &[&str] = &["--keep-going", "W=1", "C=1", "CF=-fmax-warnings=unlimited"];
/// The folder that has what seems to be in /lib.
const MERGED: &str = "/usr";
/// Compiler errors that are repeated in full.
const SHOWN: usize = 10;
/// Images that are kept beside those in use: what was built may be wanted again.
const KEPT: usize = 4;

/// A built kernel.
#[derive(Clone, Debug)]
pub struct Built {
    pub image: Utf8PathBuf,
    /// Of the image: other runs leave it there.
    pub lease: Lease,
    pub out: Utf8PathBuf,
    pub fingerprint: String,
    pub rebuilt: bool,
}

/// What is built of what.
#[derive(Debug)]
pub struct Build<'a> {
    pub tree: &'a Tree,
    pub fragments: &'a [Fragment],
    pub jobs: Option<usize>,
    /// Names the folder, which keeps objects for the next build.
    pub folder: Utf8PathBuf,
    /// For people, e.g. `6.12.117`.
    pub title: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Finished {
    fingerprint: String,
    image: Seal,
}

/// Folder of a tree's builds with a set of extra fragments.
pub fn folder(layout: &Layout, tree: &str, configs: &[String]) -> Utf8PathBuf {
    let name: Vec<&str> = std::iter::once(tree)
        .chain(configs.iter().map(String::as_str))
        .collect();
    layout.builds().join(name.join("+"))
}

impl Build<'_> {
    /// Builds unless nothing has changed since the last success. All that make says is in `build.log`.
    ///
    /// # Errors
    /// [`Kind::Build`] if it does not compile, and if an option got lost, with [`Lost`].
    pub fn run(&self, session: &Session) -> Result<Built> {
        let compiler = compiler(&session.stop)?;
        let fingerprint = self.fingerprint(&compiler);
        let stamp = self.folder.join("finished.json");
        let (image, out) = (self.image(&fingerprint), self.folder.join("out"));
        let finished: Option<Finished> = files::recall(&stamp);
        if let Some(finished) = finished.filter(|it| it.fingerprint == fingerprint)
            && let Some(lease) = Lease::of(&image)
        {
            if finished.image.holds(&image) {
                return Ok(Built {
                    image,
                    lease,
                    out,
                    fingerprint,
                    rebuilt: false,
                });
            }
            session.events.send(Event::Warning(format!(
                "{image} is not what was built: linking it again"
            )));
            // Whatever damaged the copy may have damaged what it was made from.
            files::remove(&out.join(self.product().1))?;
        }
        files::remove(&stamp)?;
        files::remove(&self.folder.join("build.log"))?;
        fs_err::create_dir_all(&out)?;
        let ccache = Ccache::find(session)?;
        let make = self.make(&compiler, ccache, "build.log", &out, session);
        make.configure()?;
        make.image()?;
        make.modules()?;
        let lease = self.keep(&image, &out)?;
        files::remember(
            &stamp,
            &Finished {
                fingerprint: fingerprint.clone(),
                image: Seal::of(&image)?,
            },
        )?;
        Ok(Built {
            image,
            lease,
            out,
            fingerprint,
            rebuilt: true,
        })
    }

    /// Whether the objects that did not compile do not compile in an empty folder either, for the same reason: stale ones
    /// are not to blame then. False where it was not an object that failed.
    pub fn fails_from_clean(&self, session: &Session) -> Result<bool> {
        // It has lines of source files, and those of old ones may be in any encoding.
        let said = fs_err::read(self.folder.join("build.log"))?;
        let said = String::from_utf8_lossy(&said);
        let objects = failed_objects(&said);
        if objects.is_empty() {
            return Ok(false);
        }
        let (compiler, out) = (compiler(&session.stop)?, self.folder.join("clean"));
        files::discard(&out, &session.stop)?;
        fs_err::create_dir_all(&out)?;
        let ccache = Ccache::find(session)?;
        let make = self.make(&compiler, ccache, "clean.log", &out, session);
        match make.configure() {
            Err(failure) if failure.kind == Kind::Build => {
                files::discard(&out, &session.stop)?;
                return Ok(true);
            }
            configured => configured?,
        }
        let what = format!(
            "compiling {} of {} from clean",
            objects.join(", "),
            self.title
        );
        let failed = phase(&session.events, what, || {
            let mut command = make.command(&[]);
            let (_, result, stderr) = make.compile(command.args(&objects), None);
            let failure = result
                .err()
                .map(|error| make.explain(error, &stderr, &complaints(&stderr).errors));
            match failure {
                Some(failure) if failure.kind != Kind::Build => Err(failure),
                Some(_) if same_errors(&said, &stderr) => Ok((true, "fails again".to_owned())),
                Some(_) => Ok((false, "fails for another reason".to_owned())),
                None => Ok((false, "compiled".to_owned())),
            }
        })?;
        files::discard(&out, &session.stop)?;
        Ok(failed)
    }

    /// Forgets what was compiled: the next build is one from clean.
    pub fn clean(&self, session: &Session) -> Result<()> {
        files::remove(&self.folder.join("finished.json"))?;
        files::discard(&self.folder.join("out"), &session.stop)
    }

    /// Names all that the result depends on.
    fn fingerprint(&self, compiler: &str) -> String {
        let inputs = self.fragments.iter().map(|fragment| fragment.text.as_str());
        files::digest(
            [RECIPE, &self.tree.content, COMPILER, compiler]
                .into_iter()
                .chain(inputs),
        )
    }

    /// The same for what [`Build::objects`] returns.
    pub fn checks_fingerprint(&self, objects: &[String], stop: &Stop) -> Result<String> {
        let build = self.fingerprint(&compiler(stop)?);
        let sparse = proc::read(cmd!(PLAIN, "sparse --version"), stop)?;
        let inputs = [build.as_str(), &sparse].into_iter();
        let inputs = inputs.chain(WITH_CHECKS.iter().copied());
        Ok(files::digest(
            inputs.chain(objects.iter().map(String::as_str)),
        ))
    }

    /// Compiles single objects anew with `W=1` and sparse, and returns what all of them said.
    ///
    /// An object that does not compile is no error while another does: it is not there afterwards.
    pub fn objects(&self, objects: &[String], session: &Session) -> Result<String> {
        let compiler = compiler(&session.stop)?;
        let out = self.folder.join("out");
        files::remove(&self.folder.join("check.log"))?;
        fs_err::create_dir_all(&out)?;
        let ccache = Ccache::find(session)?;
        let make = self.make(&compiler, ccache, "check.log", &out, session);
        make.configure()?;
        make.objects(objects)
    }

    fn make<'a>(
        &'a self,
        compiler: &'a str,
        ccache: Option<Ccache>,
        log: &str,
        out: &'a Utf8Path,
        session: &'a Session,
    ) -> Make<'a> {
        Make {
            build: self,
            compiler,
            ccache,
            log: self.folder.join(log),
            out,
            session,
        }
    }

    /// What to make, and where make puts it.
    ///
    /// QEMU starts `vmlinux` itself, with nothing to unpack in the guest. That entry runs C code before KASAN has
    /// its shadow memory.
    fn product(&self) -> (&'static str, &'static str) {
        match self.asks_for("CONFIG_KASAN=y") {
            true => ("bzImage", "arch/x86/boot/bzImage"),
            false => ("vmlinux", "vmlinux"),
        }
    }

    fn has_modules(&self) -> bool {
        self.asks_for("CONFIG_MODULES=y")
    }

    fn asks_for(&self, wanted: &str) -> bool {
        let mut lines = self.fragments.iter().flat_map(|one| one.text.lines());
        lines.any(|line| line == wanted)
    }

    fn image(&self, fingerprint: &str) -> Utf8PathBuf {
        self.folder
            .join("images")
            .join(format!("kernel-{}", &fingerprint[..16]))
    }

    /// Keeps a copy of the image out of make's way, and drops the oldest ones that nobody uses.
    fn keep(&self, image: &Utf8Path, out: &Utf8Path) -> Result<Lease> {
        let (_, path) = self.product();
        files::write(image, &fs_err::read(out.join(path))?)?;
        let lease = Lease::of(image).with_context(|| format!("{image} has been removed"))?;
        files::keep_newest(&self.folder.join("images"), KEPT)?;
        Ok(lease)
    }
}

/// What the compiler says of itself.
fn compiler(stop: &Stop) -> Result<String> {
    Ok(proc::read(cmd!(PLAIN, "gcc --version"), stop)?)
}

struct Make<'a> {
    build: &'a Build<'a>,
    compiler: &'a str,
    ccache: Option<Ccache>,
    log: Utf8PathBuf,
    out: &'a Utf8Path,
    session: &'a Session,
}

impl Make<'_> {
    fn command(&self, what: &[&str]) -> Command {
        let jobs = self
            .build
            .jobs
            .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
            .unwrap_or(1)
            .to_string();
        let (tree, out) = (&self.build.tree.path, self.out);
        // Each job's output in one piece, so that an error keeps its context.
        let mut compiler = vec!["CC=gcc".to_owned()];
        if self.ccache.is_some() {
            let flag = ccache::flag(tree, out);
            compiler = vec!["CC=ccache gcc".to_owned()];
            compiler.extend(flag.map(|flag| format!("KCFLAGS={flag}")));
        }
        let make = cmd!(
            COMPILING,
            "make -C {tree} -j{jobs} --output-sync=target O={out} ARCH=x86_64 LOCALVERSION= {compiler...} {what...}"
        );
        // It is to end as by Ctrl-C when this process is killed and can tell it no more.
        let mut make = proc::mortal(Signal::SIGTERM, make);
        self.clean(&mut make);
        make
    }

    /// The same environment on every machine, so that the same input gives the same image.
    fn clean(&self, command: &mut Command) {
        command
            .env("KBUILD_BUILD_USER", "freeze")
            .env("KBUILD_BUILD_HOST", "localhost")
            .env("KBUILD_BUILD_TIMESTAMP", DATE)
            // Otherwise the kernel says how often it was linked.
            .env("KBUILD_BUILD_VERSION", "1");
        match &self.ccache {
            Some(ccache) => ccache.set(command),
            None => Ccache::forgo(command),
        }
    }

    /// Merges the fragments with the kernel's own script and lets Kconfig complete them; a lost line is an error.
    ///
    /// Left out while nothing that Kconfig reads has changed, as after most edits of a patch.
    fn configure(&self) -> Result<()> {
        let config = self.out.join(".config");
        let memory = self.build.folder.join("configured.json");
        let inputs = self.config_inputs()?;
        let state = |config: &str| files::digest([inputs.as_str(), config]);
        let last: Option<String> = files::recall(&memory);
        if fs_err::read_to_string(&config).is_ok_and(|text| last == Some(state(&text))) {
            return Ok(());
        }
        phase(
            &self.session.events,
            format!("configuring {}", self.build.title),
            || {
                // What tinyconfig does, without its second pass through Kconfig: ours comes right after.
                let base = self.build.tree.path.join(TINY_BASE);
                let mut nothing = self.command(&["allnoconfig"]);
                nothing.env("KCONFIG_ALLCONFIG", base);
                self.configure_by(1, &mut nothing)?;
                self.configure_by(2, &mut self.merge(&config)?)?;
                self.configure_by(3, &mut self.command(&["olddefconfig"]))?;
                let text = fs_err::read_to_string(&config)?;
                complete(self.build.fragments, &text)?;
                files::remember(&memory, &state(&text))?;
                Ok(((), "every asked-for option is set".to_owned()))
            },
        )
    }

    /// What is merged is what was read, from files or not.
    fn merge(&self, config: &Utf8Path) -> Result<Command> {
        let (tree, out) = (&self.build.tree.path, self.out);
        let tiny = TINY.map(|name| tree.join(name)).into_iter();
        let tiny = tiny.filter(|path| path.exists());
        let fragments = self.out.join("fragments.config");
        let texts = self.build.fragments.iter().map(|it| it.text.as_str());
        fs_err::write(&fragments, texts.collect::<Vec<_>>().join("\n"))?;
        let mut merge = Command::from(cmd!(
            COMPILING,
            "sh {tree}/scripts/kconfig/merge_config.sh -m -O {out} {config} {tiny...} {fragments}"
        ));
        merge.current_dir(out);
        self.clean(&mut merge);
        Ok(merge)
    }

    /// Names all that a configuration depends on: fragments, compiler, and the tree's Kconfig files and scripts.
    fn config_inputs(&self) -> Result<String> {
        let Tree { path, content, .. } = self.build.tree;
        let git = Git::at(path, &self.session.stop);
        let files = git.read(cmd!(git, "git ls-tree -r {content}"))?;
        let read = |line: &&str| {
            line.split_once('\t')
                .is_some_and(|(_, path)| is_config_input(path))
        };
        let fragments = self
            .build
            .fragments
            .iter()
            .map(|fragment| fragment.text.as_str());
        let tools = [COMPILER, self.compiler];
        Ok(files::digest(
            tools
                .into_iter()
                .chain(fragments)
                .chain(files.lines().filter(read)),
        ))
    }

    fn configure_by(&self, step: u64, command: &mut Command) -> Result<()> {
        let (mut stderr, mut pace) = (String::new(), Pace::new(&self.session.events));
        pace.tell(step, Some(CONFIGURING), || proc::line_of(command));
        proc::stream(
            command,
            &self.log,
            &self.session.stop,
            &mut |stream, line| {
                if stream == Stream::Err {
                    stderr += &format!("{line}\n");
                }
                pace.tell(step, Some(CONFIGURING), || line.trim().to_owned());
            },
        )
        .map_err(|error| self.explain(error, &stderr, &[]))
    }

    fn image(&self) -> Result<()> {
        // The first file that is made here: without it nothing is built yet, and the steps are those of a whole build.
        let whole = !self.out.join("kernel/bounds.s").exists();
        let memory = self.build.folder.join("steps.json");
        let usual = whole.then(|| files::recall(&memory).unwrap_or(USUAL_STEPS));
        let what = if whole { "building" } else { "rebuilding" };
        let what = format!("{what} {}", self.build.title);
        phase(&self.session.events, what, || {
            let (target, _) = self.build.product();
            let modules = self.build.has_modules().then_some("modules");
            let targets: Vec<_> = [target].into_iter().chain(modules).collect();
            let (steps, result, stderr) = self.compile(&mut self.command(&targets), usual);
            let complaints = complaints(&stderr);
            let warnings = self.build.folder.join("warnings");
            let lines = format!("{}\n", complaints.warnings.join("\n"));
            files::write(&warnings, lines.as_bytes())?;
            result.map_err(|error| self.explain(error, &stderr, &complaints.errors))?;
            if whole {
                files::remember(&memory, &steps)?;
            }
            let warnings = match complaints.warnings.len() {
                0 => String::new(),
                some => format!(", {} in {warnings}", count(some, "warning")),
            };
            Ok(((), format!("{}{warnings}", count(steps, "step"))))
        })
    }

    /// Installs them for guests.
    fn modules(&self) -> Result<()> {
        let root = modules(self.out);
        files::discard(&root, &self.session.stop)?;
        if !self.build.has_modules() {
            return Ok(());
        }
        let mut install = self.command(&["modules_install"]);
        install.arg(format!("INSTALL_MOD_PATH={root}{MERGED}"));
        let (_, result, stderr) = self.compile(&mut install, None);
        result.map_err(|error| self.explain(error, &stderr, &[]))
    }

    /// Runs make. Returns how many steps it took, of the usual number if there is one, what became of it, and what it
    /// has complained of.
    fn compile(&self, make: &mut Command, usual: Option<u64>) -> (u64, proc::Result<()>, String) {
        let (mut done, mut stderr) = (0, String::new());
        let result =
            proc::stream(
                make,
                &self.log,
                &self.session.stop,
                &mut |stream, line| match stream {
                    Stream::Err => stderr += &format!("{line}\n"),
                    Stream::Out => {
                        if let Some(item) = step(line) {
                            done += 1;
                            self.session.events.send(Event::Progress {
                                done,
                                total: not_passed(done, usual),
                                unit: "",
                                item: item.to_owned(),
                            });
                        }
                    }
                },
            );
        (done, result, stderr)
    }

    fn objects(&self, objects: &[String]) -> Result<String> {
        let paths: Vec<Utf8PathBuf> = objects.iter().map(|name| self.out.join(name)).collect();
        // kbuild compiles nothing that is up to date, and with `C=1` checks only what it compiles.
        paths.iter().try_for_each(|object| files::remove(object))?;
        let mut command = self.with_checks(objects);
        let what = format!(
            "compiling {} of {}",
            count(objects.len(), "touched file"),
            self.build.title
        );
        phase(&self.session.events, what, || {
            let (_, result, stderr) = self.compile(&mut command, None);
            let made = paths.iter().filter(|object| object.exists()).count();
            match result {
                Err(proc::Error::Failed(_)) if made > 0 && space::full_disk(&stderr).is_none() => {}
                result => result
                    .map_err(|error| self.explain(error, &stderr, &complaints(&stderr).errors))?,
            }
            Ok((stderr, format!("{made} compiled")))
        })
    }

    fn with_checks(&self, objects: &[String]) -> Command {
        let mut command = self.command(WITH_CHECKS);
        command.args(objects);
        command
    }

    /// The compiler's own words, where there are some.
    fn explain(&self, error: proc::Error, stderr: &str, errors: &[String]) -> Failure {
        let title = &self.build.title;
        if !matches!(error, proc::Error::Failed(_)) {
            return error.or(Kind::Build);
        }
        if let Some(said) = space::full_disk(stderr) {
            return Kind::Machinery.error(format!(
                "there is no space left to build in {}: {said}",
                self.build.folder
            ));
        }
        if let Some(said) = killed(stderr) {
            return Kind::Machinery.error(format!(
                "a program that builds {title} was killed, perhaps for want of memory, of which less is taken with --jobs 1: {said}"
            ));
        }
        if let Some(said) = absent(stderr) {
            return Kind::Machinery.error(format!(
                "a program that builds {title} is not there: {said}; --install-deps installs what this kernel takes"
            ));
        }
        if errors.is_empty() {
            return error.or(Kind::Build);
        }
        let shown = errors[..errors.len().min(SHOWN)].join("\n");
        let more = match errors.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("\n… and {}", count(more, "more error")),
        };
        Kind::Build.error(format!(
            "{title} does not compile:\n{shown}{more}\nfull log: {}",
            self.log
        ))
    }
}

/// Whether the compiler has said all that before of which it complains now.
fn same_errors(before: &str, now: &str) -> bool {
    let errors = || now.lines().filter(|line| line.contains(" error: "));
    errors().next().is_some() && errors().all(|line| before.contains(line))
}

/// The objects that make could not make: `make[4]: *** [scripts/Makefile.build:229: fs/super.o] Error 1`.
fn failed_objects(log: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| line.contains("*** ["));
    let targets = lines.filter_map(|line| {
        let (target, _) = line.rsplit_once("] Error ")?;
        Some(target.rsplit(": ").next()?.to_owned())
    });
    let mut objects: Vec<String> = targets.filter(|target| target.ends_with(".o")).collect();
    objects.sort();
    objects.dedup();
    objects
}

/// The line that says that somebody else has ended a program that make started, in gcc's words, in make's, or by the
/// exit code of the shell that had started it.
fn killed(stderr: &str) -> Option<&str> {
    let words = [
        "Killed signal terminated program",
        "Terminated signal terminated program",
        "terminated with signal 9 [Killed]",
        "terminated with signal 15 [Terminated]",
        "] Killed",
        "] Terminated",
    ];
    let says_so = |line: &&str| {
        words.iter().any(|words| line.contains(words))
            || ["] Error 137", "] Error 143"]
                .iter()
                .any(|code| line.ends_with(code))
    };
    stderr.lines().find(says_so)
}

/// The line that says that a program is not installed, in the words of setpriv, a shell or make. One with a path is the
/// tree's own.
fn absent(stderr: &str) -> Option<&str> {
    static ABSENT: LazyLock<Regex> = LazyLock::new(|| {
        let program = r"[\w.+-]+";
        Regex::new(&format!(
            r"(?x)^(?:
                setpriv:\ failed\ to\ execute\ {program}:\ No\ such\ file
                |/bin/sh:\ \d+:\ {program}:\ not\ found
                |\S*sh:\ line\ \d+:\ {program}:\ command\ not\ found
                |make(?:\[\d+\])?:\ {program}:\ No\ such\ file
            )"
        ))
        .expect("valid")
    });
    stderr.lines().find(|line| ABSENT.is_match(line))
}

/// An expectation, as long as it may be true.
fn not_passed(done: u64, usual: Option<u64>) -> Option<u64> {
    usual.filter(|usual| done <= *usual)
}

fn complete(asked: &[Fragment], config: &str) -> Result<()> {
    let lost: Vec<String> = lost(asked, config)
        .iter()
        .map(ToString::to_string)
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Lost(lost)).or_fail(Kind::Build)
}

/// Options that were asked for, and are not there.
#[derive(Debug)]
pub struct Lost(Vec<String>);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} did not survive the kernel's own dependencies (see `depends on` in its Kconfig files):\n{}",
            count(self.0.len(), "option"),
            self.0.join("\n")
        )
    }
}

impl std::error::Error for Lost {}

/// Whether the kernel's configuration programs may look at a file of the tree.
fn is_config_input(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("Kconfig")
        || ["scripts/", "kernel/configs/", "arch/x86/configs/"]
            .iter()
            .any(|dir| path.starts_with(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree {
            path: "/t".into(),
            content: "1234".into(),
            edited: false,
            ground: None,
        }
    }

    fn build(tree: &Tree) -> Build<'_> {
        Build {
            tree,
            fragments: &[],
            jobs: Some(1),
            folder: "/b".into(),
            title: "6.12".into(),
        }
    }

    #[test]
    fn a_kernel_is_named_after_its_compiler() {
        let tree = tree();
        let name = |compiler| build(&tree).fingerprint(compiler);
        assert_eq!(name("12"), name("12"));
        assert_ne!(name("12"), name("14"));
    }

    #[test]
    fn ccache_is_told_to_make_where_there_is_one() {
        let session = Session::new(Layout::at("/c"), Stop::default());
        let tree = tree();
        let told = |ccache| {
            let build = build(&tree);
            let make = build.make("12", ccache, "log", "/b/x/out".into(), &session);
            let make = make.command(&["vmlinux"]);
            let arguments = make.get_args().map(|it| it.to_string_lossy().into_owned());
            let set = make
                .get_envs()
                .map(|(name, _)| name.to_string_lossy().into_owned());
            let of_ccache = set.filter(|name| name.starts_with("CCACHE_BASEDIR"));
            let of_compiler = arguments.filter(|it| it.starts_with("CC=") || it.starts_with("KC"));
            (of_compiler.collect::<Vec<_>>(), of_ccache.count())
        };
        assert_eq!(told(None), (vec!["CC=gcc".to_owned()], 0));
        let flag = "KCFLAGS=-fmacro-prefix-map=../../../t/=".to_owned();
        let ccache = Ccache::in_folder("/b".into());
        assert_eq!(
            told(Some(ccache)),
            (vec!["CC=ccache gcc".to_owned(), flag], 1)
        );
    }

    #[test]
    fn inputs_of_a_configuration() {
        for (path, expected) in [
            ("Kconfig", true),
            ("fs/ext4/Kconfig", true),
            ("arch/x86/Kconfig.debug", true),
            ("scripts/gcc-version.sh", true),
            ("kernel/configs/tiny.config", true),
            ("fs/super.c", false),
            ("Documentation/kbuild/kconfig.rst", false),
        ] {
            assert_eq!(is_config_input(path), expected, "{path}");
        }
    }

    #[test]
    fn a_compiler_that_was_killed_says_nothing_of_a_kernel() {
        for (stderr, told) in [
            (
                "gcc: fatal error: Killed signal terminated program cc1\n",
                true,
            ),
            (
                "make[3]: *** [scripts/Makefile.build:229: fs/super.o] Killed\n",
                true,
            ),
            ("fs/super.c:9: error: 'Killed' undeclared\n", false),
            (
                "make[3]: *** [scripts/Makefile.build:229: fs/super.o] Error 1\n",
                false,
            ),
            // What a shell starts, which kbuild's commands are: ld, objtool, ar.
            (
                "make[2]: *** [/t/scripts/Makefile.vmlinux_o:61: vmlinux.o] Error 137\n",
                true,
            ),
            (
                "make[2]: *** [/t/scripts/Makefile.vmlinux:34: vmlinux] Error 143\n",
                true,
            ),
            (
                "collect2: fatal error: ld terminated with signal 9 [Killed]\n",
                true,
            ),
        ] {
            assert_eq!(killed(stderr).is_some(), told, "{stderr}");
        }
    }

    #[test]
    fn programs_that_are_not_there_are_no_fault_of_a_commit() {
        for (stderr, told) in [
            (
                "setpriv: failed to execute make: No such file or directory\n",
                true,
            ),
            (
                "/bin/sh: 1: flex: not found\nmake[2]: *** [x: y] Error 127\n",
                true,
            ),
            ("sh: line 1: bc: command not found\n", true),
            ("make[1]: bison: No such file or directory\n", true),
            // The tree's own script, header and source.
            ("/bin/sh: 1: ./scripts/gone.sh: not found\n", false),
            (
                "fs/super.c:3:10: fatal error: gone.h: No such file or directory\n",
                false,
            ),
            (
                "cc1: fatal error: fs/gone.c: No such file or directory\n",
                false,
            ),
            ("Makefile:9: gone.mk: No such file or directory\n", false),
        ] {
            assert_eq!(absent(stderr).is_some(), told, "{stderr}");
        }
    }

    #[test]
    fn objects_that_failed() {
        let log = "  CC      fs/super.o\n\
            make[4]: *** [/t/scripts/Makefile.build:229: fs/super.o] Error 1\n\
            make[3]: *** [/t/scripts/Makefile.build:478: fs] Error 2\n\
            make[2]: *** [/t/Makefile:1945: .] Error 2\n";
        assert_eq!(failed_objects(log), ["fs/super.o"]);
        let link = "make[2]: *** [/t/scripts/Makefile.vmlinux:34: vmlinux] Error 1\n";
        assert!(failed_objects(link).is_empty());
        let before = "fs/a.c:1:2: error: x\nfs/b.c:1:2: error: y\n";
        for (now, same) in [
            ("fs/a.c:1:2: error: x\n", true),
            ("fs/a.c:1:2: fatal error: made.h: No such file\n", false),
            ("make: *** No rule to make target\n", false),
        ] {
            assert_eq!(same_errors(before, now), same, "{now}");
        }
    }

    #[test]
    fn a_total_that_was_passed_is_none() {
        for (done, usual, expected) in [
            (1, Some(1760), Some(1760)),
            (1760, Some(1760), Some(1760)),
            (1761, Some(1760), None),
            (1930, None, None),
        ] {
            assert_eq!(not_passed(done, usual), expected, "{done}");
        }
    }

    #[test]
    fn folders() {
        let layout = Layout::at("/checkout");
        for (configs, expected) in [
            (vec![], "6.12-stock"),
            (vec!["debug".to_owned()], "6.12-stock+debug"),
        ] {
            let folder = folder(&layout, "6.12-stock", &configs);
            assert_eq!(folder.file_name(), Some(expected));
        }
    }
}
