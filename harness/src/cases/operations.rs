//! The many ways to change a filesystem: all of them at once, on one that is frozen.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::sys::signal::{Signal, kill, raise};
use rustix::fs::{FallocateFlags, XattrFlags, copy_file_range, fallocate, setxattr, syncfs};
use rustix::io::Errno as Refused;
use rustix::pipe::{SpliceFlags, splice};

use crate::actors::actor::Actor;
use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::kit::state::{freeze, is_frozen, thaw};
use crate::kit::writer::{NEW, OLD};
use crate::linux::sysctl::Setting;
use crate::linux::trim::trim;

pub const CASES: &[Case] = &[
    Case::new(
        "operations_that_write",
        "whatever changes a frozen filesystem is blocked, and completes after the thaw: \
         splice, copy, allocation, attributes, links, names",
        that_write,
    ),
    Case::new(
        "operations_that_read",
        "reading goes on while frozen, of what is cached and what is not, and so do fsync and syncfs",
        that_read,
    ),
    Case::new(
        "operations_that_may_wait",
        "the end of a file, a core dump, a trim: blocked or not, none hangs after the thaw",
        that_may_wait,
    ),
];

/// What is done while frozen; what it takes is there before.
type Operation<'a> = (&'static str, Box<dyn FnOnce() -> io::Result<()> + 'a>);

/// A file that is there, and one that is not.
const OLD_FILE: &str = "old";
const NEW_FILE: &str = "new";

/// Files that are looked up; more than a folder of one block has.
const FILES: usize = 300;

/// So many writes make a file grow.
const PIECES: usize = 32;

/// Drops pages, dentries and inodes that are not in use (Documentation/admin-guide/sysctl/vm.rst).
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";
const CORE_PATTERN: &str = "/proc/sys/kernel/core_pattern";

fn that_write(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = |name: &str| fs.write(name, &OLD);
    drop(file(OLD_FILE)?);
    let (old, new) = (fs.path(OLD_FILE), fs.path(NEW_FILE));
    let (spliced, room, hole) = (file("a")?, file("c")?, file("d")?);
    let copy = fs.write("b", &NEW)?;
    let unlinked = file("e")?;
    let (pipe, mut full) = io::pipe()?;
    full.write_all(&NEW)?;
    drop(full);
    let mut temporary = File::options();
    temporary.write(true).custom_flags(libc::O_TMPFILE);
    // Not every filesystem has files without a name.
    let has_temporary = temporary.open(fs.root()).is_ok();
    let mut operations: Vec<Operation<'_>> = vec![
        (
            "splice",
            Box::new(|| {
                let moved = splice(&pipe, None, &spliced, None, NEW.len(), SpliceFlags::empty())?;
                complete(moved, NEW.len())
            }),
        ),
        (
            "copy",
            Box::new(|| {
                let from = File::open(&old)?;
                complete(
                    copy_file_range(from, None, &copy, None, OLD.len())?,
                    OLD.len(),
                )
            }),
        ),
        (
            "O_TMPFILE",
            Box::new(|| temporary.open(fs.root()).map(drop)),
        ),
        ("fallocate", Box::new(|| allocate(&room))),
        ("truncate", Box::new(|| hole.set_len(1 << 20))),
        (
            "chmod",
            Box::new(|| fs::set_permissions(&old, Permissions::from_mode(0o600))),
        ),
        (
            "utimes",
            Box::new(|| room.set_modified(SystemTime::UNIX_EPOCH)),
        ),
        (
            "setxattr",
            Box::new(|| Ok(setxattr(&old, "user.a", b"b", XattrFlags::empty())?)),
        ),
        ("unlink", Box::new(|| fs::remove_file(fs.path("e")))),
        ("link", Box::new(|| fs::hard_link(fs.path("a"), &new))),
        ("symlink", Box::new(|| symlink("a", fs.path("symlink")))),
        ("mkdir", Box::new(|| fs::create_dir(fs.path("folder")))),
    ];
    operations.retain(|(what, _)| has_temporary || *what != "O_TMPFILE");
    freeze(&fs)?;
    let actors = start(fixture, operations)?;
    for (_, actor) in &actors {
        actor.blocked()?;
    }
    is_frozen(&fs)?;
    thaw(&fs)?;
    all_succeed(fixture, actors)?;
    drop(unlinked);
    fs.holds("a", &NEW)?;
    fs.holds("b", &OLD)?;
    fs.lacks("e")
}

fn complete(moved: usize, wanted: usize) -> io::Result<()> {
    match moved == wanted {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Not every filesystem can, but none may look before the thaw.
fn allocate(file: &File) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, 1 << 20) {
        Ok(()) | Err(Refused::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn that_read(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let file = fs.write(OLD_FILE, &OLD)?;
    for number in 0..FILES {
        File::create(fs.path(&number.to_string())).context("failed to create a file")?;
    }
    freeze(&fs)?;
    let operations: Vec<Operation<'_>> = vec![
        ("drop_caches", Box::new(|| fs::write(DROP_CACHES, "3"))),
        ("fsync", Box::new(|| file.sync_all())),
        ("syncfs", Box::new(|| Ok(syncfs(&file)?))),
        ("read", Box::new(|| fs::read(fs.path(OLD_FILE)).map(drop))),
        (
            "readdir",
            Box::new(|| fs::read_dir(fs.root())?.try_for_each(|entry| entry.map(drop))),
        ),
        ("stat", Box::new(|| every_file(&fs))),
        (
            "look-up",
            Box::new(|| fs.path(NEW_FILE).try_exists().map(drop)),
        ),
    ];
    for operation in operations {
        all_succeed(fixture, start(fixture, vec![operation])?)?;
    }
    is_frozen(&fs)?;
    thaw(&fs)
}

fn every_file(fs: &Mount) -> io::Result<()> {
    (0..FILES).try_for_each(|number| fs::metadata(fs.path(&number.to_string())).map(drop))
}

fn that_may_wait(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let _pattern = match Path::new(CORE_PATTERN).exists() {
        true => Some(Setting::change(CORE_PATTERN, "core")?),
        false => None,
    };
    let operations: Vec<Operation<'_>> = vec![
        ("close of what has grown", Box::new(|| close_grown(&fs))),
        ("end of an unlinked file", Box::new(|| end_unlinked(&fs))),
        ("trim", Box::new(|| trim_all(&fs))),
    ];
    let mut actors = start(fixture, operations)?;
    actors.push(("core dump", fixture.actor("core dump", || dump_core(&fs))?));
    for (_, actor) in &actors {
        actor.has_got(Signal::SIGSTOP)?;
    }
    freeze(&fs)?;
    for (what, actor) in &actors {
        fixture.step(what);
        kill(actor.pid(), Signal::SIGCONT).context("failed to wake an actor")?;
    }
    let dropping = fixture.actor("drop_caches", || fs::write(DROP_CACHES, "3"))?;
    is_frozen(&fs)?;
    thaw(&fs)?;
    dropping.outcome()?.context("drop_caches")?;
    let (_, dumps) = actors.pop().context("it was put there")?;
    fixture.step("the core dump ends");
    dumps.has_got(Signal::SIGABRT)?;
    all_succeed(fixture, actors)
}

/// What is written in small pieces has blocks beyond its end on some filesystems.
fn close_grown(fs: &Mount) -> io::Result<()> {
    let mut file = File::create(fs.path("grown"))?;
    for _ in 0..PIECES {
        file.write_all(&NEW)?;
    }
    raise(Signal::SIGSTOP)?;
    drop(file);
    Ok(())
}

fn end_unlinked(fs: &Mount) -> io::Result<()> {
    let path = fs.path("unlinked");
    let mut file = File::create(&path)?;
    file.write_all(&OLD)?;
    fs::remove_file(&path)?;
    raise(Signal::SIGSTOP)?;
    drop(file);
    Ok(())
}

/// A device may not want it.
fn trim_all(fs: &Mount) -> io::Result<()> {
    let folder = File::open(fs.root())?;
    raise(Signal::SIGSTOP)?;
    match trim(&folder) {
        Ok(()) | Err(Errno::EOPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// In the filesystem, by a process that ends so.
fn dump_core(fs: &Mount) -> io::Result<()> {
    std::env::set_current_dir(fs.root())?;
    setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY)?;
    raise(Signal::SIGSTOP)?;
    Ok(raise(Signal::SIGABRT)?)
}

fn start(fixture: &Fixture, operations: Vec<Operation<'_>>) -> Result<Vec<(&'static str, Actor)>> {
    let start = |(what, operation): Operation<'_>| {
        fixture.step(what);
        Ok((what, fixture.actor(what, operation)?))
    };
    operations.into_iter().map(start).collect()
}

fn all_succeed(fixture: &Fixture, actors: Vec<(&'static str, Actor)>) -> Result<()> {
    for (what, actor) in actors {
        fixture.step(&format!("{what} ends"));
        actor.outcome()?.context(what)?;
    }
    Ok(())
}
