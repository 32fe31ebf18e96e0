//! The root of a guest that does not have the host's: the harness as /init, the tools that the cases call, and
//! what these need.
//!
//! Each file has the path that it has on the host, and the links on the way are kept, so that no program
//! notices where it runs.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use cpio::newc::{Builder, ModeFileType, trailer};
use harness::devices::tools;
use harness::init;
use serde::{Deserialize, Serialize};

use super::loader;
use crate::deps::need;
use crate::event::Event;
use crate::failure;
use crate::host::files::{self, Lease, Seal, Stamp};
use crate::host::phase::phase;
use crate::host::proc::Stop;
use crate::host::session::Session;
use crate::kernel::programs::Program;

/// Archives that are kept beside those in use: another harness may be wanted again.
const KEPT: usize = 4;

/// What is asked for, by its paths on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wanted {
    harness: Utf8PathBuf,
    programs: Vec<Program>,
    tools: Vec<Utf8PathBuf>,
    configuration: Vec<Utf8PathBuf>,
}

/// All that is in an archive, parents before children.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Root(BTreeMap<Utf8PathBuf, Entry>);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Entry {
    Folder,
    Link(Utf8PathBuf),
    File { source: Utf8PathBuf, stamp: Stamp },
}

/// What was packed last.
#[derive(Debug, Serialize, Deserialize)]
struct Packed {
    wanted: Wanted,
    root: Root,
    archive: Seal,
}

/// The archive for this harness and these programs of the kernel tree, packed anew only if a file in it has changed, or
/// it is not what was packed. It stays there as long as anybody holds it.
pub fn provide(
    harness: &Utf8Path,
    programs: &[Program],
    session: &Session,
) -> failure::Result<Lease> {
    let folder = session.layout.work("initramfs");
    let record = session.layout.work("initramfs.json");
    let wanted = Wanted::find(harness, programs);
    if let Some(last) = files::recall::<Packed>(&record)
        && last.wanted == wanted
        && last.root.is_current()
        && let Some(lease) = Lease::of(&last.root.archive(&folder)?)
    {
        if last.archive.holds(lease.path()) {
            return Ok(lease);
        }
        session.events.send(Event::Warning(format!(
            "{} is not what was packed: packing it again",
            lease.path()
        )));
    }
    phase(&session.events, "packing the guest's root", || {
        let root = Root::collect(&wanted, &session.stop)?;
        let (path, content) = (root.archive(&folder)?, root.pack()?);
        files::write(&path, &content)?;
        let lease = Lease::of(&path)
            .with_context(|| format!("another run has removed {path}; start this one again"))?;
        let archive = Seal::of(&path)?;
        files::remember(
            &record,
            &Packed {
                wanted,
                root,
                archive,
            },
        )?;
        files::keep_newest(&folder, KEPT)?;
        Ok((lease, format!("{} MB", content.len() / 1_000_000)))
    })
}

/// An archive of nothing but a static program, as /init.
pub fn of_one(program: &Utf8Path) -> Result<Vec<u8>> {
    let init = ("/init".into(), Entry::of(program)?);
    Root([init].into()).pack()
}

impl Wanted {
    /// Tools that this machine lacks are left out: the case that calls one says so.
    fn find(harness: &Utf8Path, programs: &[Program]) -> Self {
        let tools = tools::all().filter_map(|(name, _)| need::tool(name));
        let configuration = tools::configuration().map(Utf8PathBuf::from);
        Self {
            harness: harness.to_owned(),
            programs: programs.to_vec(),
            tools: tools.collect(),
            configuration: configuration.filter(|path| path.exists()).collect(),
        }
    }
}

impl Root {
    fn collect(wanted: &Wanted, stop: &Stop) -> failure::Result<Self> {
        let mut root = Root::default();
        for program in wanted.tools.iter().chain([&wanted.harness]) {
            for file in loader::needs(program, stop)? {
                root.add(&file)?;
            }
        }
        for path in wanted.tools.iter().chain(&wanted.configuration) {
            root.add(path)?;
        }
        for place in init::mount_points() {
            root.add_folders(Utf8Path::new(place));
        }
        root.0.insert("/init".into(), Entry::of(&wanted.harness)?);
        for program in &wanted.programs {
            root.add_folders(program.place.parent().unwrap_or(&program.place));
            root.0
                .insert(program.place.clone(), Entry::of(&program.path)?);
        }
        Ok(root)
    }

    /// Adds a file of the host, and the folders and links that lead to it; returns its path without the links.
    fn add(&mut self, path: &Utf8Path) -> Result<Utf8PathBuf> {
        let Some(parent) = path.parent() else {
            return Ok("/".into());
        };
        let folder = self.add(parent)?;
        let Some(name) = path.file_name() else {
            return Ok(folder.parent().unwrap_or(&folder).to_owned()); // `..`
        };
        let (place, entry) = (folder.join(name), Entry::of(&folder.join(name))?);
        let target = match &entry {
            Entry::Link(target) => Some(folder.join(target)),
            Entry::File { .. } | Entry::Folder => None,
        };
        self.0.insert(place.clone(), entry);
        target.map_or(Ok(place), |target| self.add(&target))
    }

    fn add_folders(&mut self, path: &Utf8Path) {
        let folders = path.ancestors().filter(|folder| folder.parent().is_some());
        for folder in folders {
            self.0.entry(folder.to_owned()).or_insert(Entry::Folder);
        }
    }

    /// Whether the host's files are still those that were packed.
    fn is_current(&self) -> bool {
        self.0.iter().all(|(path, entry)| match entry {
            Entry::File { source, .. } => Entry::of(source).is_ok_and(|now| now == *entry),
            Entry::Link(_) => Entry::of(path).is_ok_and(|now| now == *entry),
            Entry::Folder => true,
        })
    }

    /// Named by what is in it, so that the archive of a guest never changes.
    fn archive(&self, folder: &Utf8Path) -> Result<Utf8PathBuf> {
        let digest = files::digest([serde_json::to_vec(self)?]);
        Ok(folder.join(format!("{}.cpio", &digest[..16])))
    }

    /// The bytes for the kernel: Documentation/driver-api/early-userspace/buffer-format.rst.
    fn pack(&self) -> Result<Vec<u8>> {
        let mut archive = Vec::new();
        for (path, entry) in &self.0 {
            archive = entry
                .pack(path, archive)
                .with_context(|| format!("failed to pack {path}"))?;
        }
        Ok(trailer(archive)?)
    }
}

impl Entry {
    /// What the host has at this path.
    fn of(path: &Utf8Path) -> Result<Self> {
        let found = fs_err::symlink_metadata(path)?;
        Ok(if found.is_symlink() {
            Entry::Link(path.read_link_utf8()?)
        } else if found.is_dir() {
            Entry::Folder
        } else {
            Entry::File {
                source: path.to_owned(),
                stamp: Stamp::of(&found),
            }
        })
    }

    fn pack(&self, path: &Utf8Path, archive: Vec<u8>) -> Result<Vec<u8>> {
        let (kind, mode, content) = match self {
            Entry::Folder => (ModeFileType::Directory, 0o755, Vec::new()),
            Entry::Link(target) => (ModeFileType::Symlink, 0o777, target.as_str().into()),
            Entry::File { source, .. } => (ModeFileType::Regular, 0o755, fs_err::read(source)?),
        };
        let name = path.as_str().trim_start_matches('/');
        let head = Builder::new(name).mode(mode).set_mode_file_type(kind);
        let mut writer = head.write(archive, content.len().try_into()?);
        writer.write_all(&content)?;
        Ok(writer.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::event::Events;
    use crate::host::layout::Layout;

    /// `/usr/tool -> ../opt/tool-1`, and `/bin -> usr`, in a folder that stands for the host.
    fn host() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let top = Utf8Path::from_path(dir.path())
            .unwrap()
            .canonicalize_utf8()
            .unwrap();
        for folder in ["usr", "opt"] {
            fs_err::create_dir(top.join(folder)).unwrap();
        }
        fs_err::write(top.join("opt/tool-1"), "12345").unwrap();
        symlink("../opt/tool-1", top.join("usr/tool")).unwrap();
        symlink(top.join("usr"), top.join("bin")).unwrap();
        (dir, top)
    }

    fn below(root: &Root, top: &Utf8Path) -> Vec<String> {
        let inside = root.0.keys().filter_map(|path| path.strip_prefix(top).ok());
        inside
            .map(|path| path.as_str().to_owned())
            .filter(|path| !path.is_empty())
            .collect()
    }

    #[test]
    fn links_on_the_way_are_kept() {
        let (_dir, top) = host();
        let mut root = Root::default();
        let real = root.add(&top.join("bin/tool")).unwrap();
        assert_eq!(real, top.join("opt/tool-1"));
        assert_eq!(
            below(&root, &top),
            ["bin", "opt", "opt/tool-1", "usr", "usr/tool"]
        );
        assert_eq!(root.0[&top.join("bin")], Entry::Link(top.join("usr")));
        assert!(root.add(&top.join("bin/none")).is_err());
    }

    #[test]
    fn every_change_of_the_host_is_noticed() {
        let (_dir, top) = host();
        let pack = || {
            let mut root = Root::default();
            root.add(&top.join("bin/tool")).unwrap();
            root
        };
        let before = pack();
        assert!(before.is_current());
        fs_err::write(top.join("opt/tool-1"), "123456").unwrap();
        assert!(!before.is_current(), "another size");
        let other = pack();
        assert_ne!(before.archive(&top).unwrap(), other.archive(&top).unwrap());
        fs_err::write(top.join("opt/tool-2"), "12345").unwrap();
        fs_err::remove_file(top.join("usr/tool")).unwrap();
        symlink("../opt/tool-2", top.join("usr/tool")).unwrap();
        assert!(!other.is_current(), "another target");
    }

    /// What a run does for this harness; with what it told.
    fn provided(harness: &Utf8Path, layout: &Layout) -> (Lease, Vec<String>) {
        let (events, receiver) = Events::channel();
        let session = Session::new(layout.clone(), Stop::default()).told_to(events);
        let lease = provide(harness, &[], &session).unwrap();
        drop(session);
        let told = receiver.into_iter().filter_map(|event| match event {
            Event::Warning(text) => Some(text),
            Event::PhaseStarted { what } => Some(what),
            _ => None,
        });
        (lease, told.collect())
    }

    #[test]
    fn a_broken_archive_is_packed_again() {
        let (_dir, top) = host();
        let (harness, layout) = (top.join("opt/tool-1"), Layout::at(&top));
        let (lease, told) = provided(&harness, &layout);
        assert_eq!(told, ["packing the guest's root"]);
        let archive = lease.path();
        let whole = fs_err::read(archive).unwrap();
        assert_eq!(provided(&harness, &layout).1, [""; 0], "nothing to do");
        let mut changed = whole.clone();
        changed[200] ^= 1;
        for broken in [&whole[..whole.len() / 2], b"", &changed] {
            fs_err::write(archive, broken).unwrap();
            let told = provided(&harness, &layout).1;
            assert!(told[0].contains("is not what was packed"), "{told:?}");
            assert!(fs_err::read(archive).unwrap() == whole);
        }
        fs_err::remove_file(archive).unwrap();
        assert_eq!(provided(&harness, &layout).1, ["packing the guest's root"]);
        assert!(fs_err::read(archive).unwrap() == whole);
    }

    #[test]
    fn an_archive_in_use_outlives_any_number_of_newer_ones() {
        let (_dir, top) = host();
        let layout = Layout::at(&top);
        let harness = |number: usize| {
            let path = top.join(format!("opt/harness-{number}"));
            fs_err::write(&path, "x").unwrap();
            provided(&path, &layout).0
        };
        let (one, other) = (harness(0), harness(1));
        let unused = harness(2).path().to_owned();
        (3..4 + KEPT).for_each(|number| drop(harness(number)));
        assert!(one.path().exists() && other.path().exists());
        assert!(!unused.exists());
    }

    #[test]
    fn archives_read_back() {
        let (_dir, top) = host();
        let mut root = Root::default();
        root.0
            .insert("/init".into(), Entry::of(&top.join("opt/tool-1")).unwrap());
        root.add_folders("/etc/lvm".into());
        root.0.insert("/bin".into(), Entry::Link("usr/bin".into()));
        let archive = root.pack().unwrap();
        let mut rest = archive.as_slice();
        let mut found = Vec::new();
        loop {
            let reader = cpio::newc::Reader::new(rest).unwrap();
            let entry = reader.entry().clone();
            let mut content = Vec::new();
            rest = reader.to_writer(&mut content).unwrap();
            if entry.is_trailer() {
                break;
            }
            let content = String::from_utf8(content).unwrap();
            found.push((entry.name().to_owned(), entry.mode(), content));
        }
        let wanted = [
            ("bin", 0o120777, "usr/bin"),
            ("etc", 0o40755, ""),
            ("etc/lvm", 0o40755, ""),
            ("init", 0o100755, "12345"),
        ];
        assert_eq!(
            found,
            wanted.map(|(name, mode, text)| (name.into(), mode, text.into()))
        );
    }
}
