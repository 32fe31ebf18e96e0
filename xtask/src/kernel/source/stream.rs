//! A tar archive as one commit, in the language of git-fast-import(1): no file is written but git's own.

use std::io::{self, Read, Write};

use tar::{Archive, Entry, EntryType};

use super::repository::{IGNORE, without_hiding_all};
use crate::host::git::SIGNATURE;

const FILE: &str = "100644";
const PROGRAM: &str = "100755";
const LINK: &str = "120000";

/// Writes the files of an archive, without the folder that all of them are in, as the only commit of `reference`.
///
/// Git sets the reference after all else. `on_file` hears how many files there were so far.
///
/// # Errors
/// Also for an archive that ends early, and for what git cannot store.
pub fn commit(
    tar: impl Read,
    reference: &str,
    message: &str,
    to: &mut impl Write,
    on_file: &mut dyn FnMut(u64),
) -> io::Result<u64> {
    let message = format!("{message}\n");
    write!(
        to,
        "commit {reference}\nauthor {SIGNATURE}\ncommitter {SIGNATURE}\n"
    )?;
    data(to, message.as_bytes())?;
    let mut files = 0;
    for entry in Archive::new(tar).entries()? {
        if file(&mut entry?, to)? {
            files += 1;
            on_file(files);
        }
    }
    Ok(files)
}

/// Ends what [`commit`] began: without this word, git takes the end of its input for an accident.
pub fn done(to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "done")?;
    to.flush()
}

/// False for a folder, which git does not store.
fn file(entry: &mut Entry<'_, impl Read>, to: &mut impl Write) -> io::Result<bool> {
    let name = entry.path_bytes().into_owned();
    let path = below_top(&name);
    let kind = entry.header().entry_type();
    let link = |entry: &Entry<'_, _>| {
        let target = entry.link_name_bytes().map(|target| target.into_owned());
        target.ok_or_else(|| io::Error::other(format!("{} names no target", path.escape_ascii())))
    };
    match kind {
        EntryType::Directory | EntryType::XGlobalHeader => return Ok(false),
        EntryType::Regular if path == IGNORE.as_bytes() => {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            modify(to, FILE, path)?;
            data(to, without_hiding_all(&text).as_bytes())?;
        }
        EntryType::Regular => {
            let executable = entry.header().mode()? & 0o100 != 0;
            modify(to, if executable { PROGRAM } else { FILE }, path)?;
            let size = entry.size();
            writeln!(to, "data {size}")?;
            if io::copy(entry, to)? != size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            writeln!(to)?;
        }
        EntryType::Symlink => {
            modify(to, LINK, path)?;
            data(to, &link(entry)?)?;
        }
        EntryType::Link => {
            let (from, to_path) = (quoted(below_top(&link(entry)?)), quoted(path));
            to.write_all(&[b"C ", from.as_slice(), b" ", &to_path, b"\n"].concat())?;
        }
        other => {
            let name = path.escape_ascii();
            return Err(io::Error::other(format!(
                "git cannot store {name}, which is a {other:?}"
            )));
        }
    }
    Ok(true)
}

/// `linux-source-6.12/fs/super.c` as `fs/super.c`.
fn below_top(name: &[u8]) -> &[u8] {
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let slash = name.iter().position(|byte| *byte == b'/');
    slash.map_or(b"", |slash| &name[slash + 1..])
}

fn modify(to: &mut impl Write, mode: &str, path: &[u8]) -> io::Result<()> {
    write!(to, "M {mode} inline ")?;
    to.write_all(&quoted(path))?;
    writeln!(to)
}

fn data(to: &mut impl Write, content: &[u8]) -> io::Result<()> {
    writeln!(to, "data {}", content.len())?;
    to.write_all(content)?;
    writeln!(to)
}

/// As in C, so that any name is one word.
fn quoted(path: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in path {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            b'\n' => quoted.extend(b"\\n"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use camino::{Utf8Path, Utf8PathBuf};

    use xshell::cmd;

    use super::*;
    use crate::host::environment::PLAIN;
    use crate::host::git::Git;
    use crate::host::layout::Layout;
    use crate::host::proc::{self, Stop};
    use crate::host::session::Session;
    use crate::kernel::source::repository;

    fn git(dir: &Utf8Path, tar: &[u8]) -> Result<(Git, String), String> {
        let session = Session::new(Layout::at(dir), Stop::default());
        let git = repository::open("x", None, &session).unwrap();
        let mut input = Vec::new();
        commit(tar, "refs/tags/x", "a source", &mut input, &mut |_| ())
            .map_err(|error| error.to_string())?;
        done(&mut input).unwrap();
        let import = cmd!(git, "git fast-import --quiet --done");
        git.pipe(import, &input).unwrap();
        let id = git.resolve("refs/tags/x").unwrap().unwrap();
        Ok((git, id))
    }

    fn folder(dir: &Utf8Path) -> Utf8PathBuf {
        let folder = dir.join("top");
        let long = format!("{}/{}", "a".repeat(90), "b".repeat(90));
        for (name, content) in [
            (".gitignore", "*.o\n/*\n!/debian/\n"),
            ("fs/super.c", "int x;\n"),
            ("fs/empty", ""),
            ("a b \"c\" \\ d\ne", "odd"),
            ("übung.c", "\r\n"),
            ("ignored.o", "kept"),
            (&long, "long"),
            ("scripts/run", "#!/bin/sh\n"),
        ] {
            let path = folder.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        let program = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(folder.join("scripts/run"), program).unwrap();
        std::os::unix::fs::symlink("../fs/super.c", folder.join("scripts/link")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("dangling")).unwrap();
        fs_err::hard_link(folder.join("fs/super.c"), folder.join("fs/zzz twin.c")).unwrap();
        fs_err::create_dir(folder.join("nothing in it")).unwrap();
        folder
    }

    fn archive(dir: &Utf8Path) -> Vec<u8> {
        let tar = cmd!(PLAIN, "tar --create --sort=name --directory {dir} top");
        let output = proc::output(tar, b"", &Stop::default()).unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    #[test]
    fn the_commit_is_the_one_that_the_unpacked_folder_gives() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let folder = folder(dir);
        let (git, ours) = git(dir, &archive(dir)).unwrap();
        let theirs =
            repository::import(&git, &folder, "a source", &Stop::default(), &mut |_, _| ())
                .unwrap();
        let differ = git.read(cmd!(git, "git diff --stat {theirs} {ours}"));
        assert_eq!(differ.unwrap(), "");
        assert_eq!(ours, theirs);
        let wrong = git.read(cmd!(git, "git fsck --strict --no-dangling"));
        assert_eq!(wrong.unwrap(), "");
    }

    #[test]
    fn an_archive_that_ends_early_is_no_commit() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        folder(dir);
        let tar = archive(dir);
        let end = tar.windows(3).position(|window| window == b"odd").unwrap();
        assert!(git(dir, &tar[..end + 1]).is_err());
    }

    #[test]
    fn what_git_cannot_store_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir(dir.join("top")).unwrap();
        proc::read(cmd!(PLAIN, "mkfifo {dir}/top/fifo"), &Stop::default()).unwrap();
        let error = git(dir, &archive(dir)).unwrap_err();
        assert!(error.contains("fifo"), "{error}");
    }
}
