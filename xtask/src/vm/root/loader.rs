//! What the host's kernel and dynamic loader read when a program starts.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, ProgramHeader};
use xshell::cmd;

use crate::failure;
use crate::host::environment::PLAIN;
use crate::host::proc::{self, Stop};

/// What starts a program that cannot start by itself.
#[derive(Debug, PartialEq, Eq)]
enum Starter {
    /// The interpreter of a script.
    Shell(Utf8PathBuf),
    /// The dynamic loader.
    Loader(Utf8PathBuf),
}

/// The files that `program` needs beside itself: loader and libraries, or a script's interpreter and what that needs.
///
/// # Errors
/// When a library is not there. The loader itself is asked (`--list`, ld.so(8)); the program is not run.
pub fn needs(program: &Utf8Path, stop: &Stop) -> failure::Result<Vec<Utf8PathBuf>> {
    let content = fs_err::read(program)?;
    match starter(&content) {
        None => Ok(Vec::new()),
        Some(Starter::Shell(shell)) => {
            let mut files = needs(&shell, stop)?;
            files.push(shell);
            Ok(files)
        }
        Some(Starter::Loader(loader)) => {
            // Of the caller's libraries (LD_LIBRARY_PATH, LD_PRELOAD, LD_AUDIT), the guest knows nothing.
            let list = cmd!(PLAIN, "{loader} --list {program}").env_clear();
            let said = proc::read(list, stop)?;
            let mut files = libraries(&said)
                .with_context(|| format!("{program} cannot be started on this machine"))?;
            files.push(loader);
            Ok(files)
        }
    }
}

fn starter(content: &[u8]) -> Option<Starter> {
    match content.strip_prefix(b"#!") {
        Some(script) => {
            let line = script.split(|byte| *byte == b'\n').next()?;
            let word = std::str::from_utf8(line).ok()?.split_whitespace().next()?;
            Some(Starter::Shell(word.into()))
        }
        None => {
            let loader = interpreter(content)?;
            Some(Starter::Loader(std::str::from_utf8(loader).ok()?.into()))
        }
    }
}

/// `PT_INTERP` (elf(5)); a static program has none.
fn interpreter(content: &[u8]) -> Option<&[u8]> {
    let header = FileHeader64::<LittleEndian>::parse(content).ok()?;
    let segments = header.program_headers(LittleEndian, content).ok()?;
    segments
        .iter()
        .find_map(|segment| segment.interpreter(LittleEndian, content).ok()?)
}

/// Paths in lines like `NAME => PATH (ADDRESS)`; what has no path (the vDSO) is in no file.
fn libraries(said: &str) -> Result<Vec<Utf8PathBuf>> {
    let mut found = Vec::new();
    for line in said.lines() {
        let (name, place) = line.split_once(" => ").unwrap_or(("", line));
        let path = place
            .rsplit_once(" (")
            .map_or(place, |(path, _)| path)
            .trim();
        anyhow::ensure!(path != "not found", "{} is not found", name.trim());
        found.extend(path.starts_with('/').then(|| path.into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_loader() {
        let said = "\tlinux-vdso.so.1 (0x00007ffd5a5f2000)\n\
            \tlibaio.so.1 => /lib/x86_64-linux-gnu/libaio.so.1 (0x00007f2b1)\n\
            \tlibx.so => /opt/a b/libx.so (0x00007f2b2)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f2b3)";
        let wanted = [
            "/lib/x86_64-linux-gnu/libaio.so.1",
            "/opt/a b/libx.so",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(libraries(said).unwrap(), wanted);
        assert_eq!(libraries("\tstatically linked").unwrap(), [""; 0]);
        let error = libraries("\tlibgone.so.1 => not found").unwrap_err();
        assert_eq!(error.to_string(), "libgone.so.1 is not found");
    }

    #[test]
    fn who_starts_a_file() {
        for (content, wanted) in [
            (&b"#!/bin/sh -f\n# x"[..], Some("/bin/sh")),
            (b"#! /usr/bin/env python3", Some("/usr/bin/env")),
            (b"plain text", None),
            (b"", None),
        ] {
            let wanted = wanted.map(|shell| Starter::Shell(shell.into()));
            assert_eq!(starter(content), wanted, "{content:?}");
        }
    }

    #[test]
    fn this_program_needs_a_loader_and_a_libc() {
        let this = Utf8PathBuf::try_from(std::env::current_exe().unwrap()).unwrap();
        let files = needs(&this, &Stop::default()).unwrap();
        for part in ["/libc.", "/ld-"] {
            let found = files.iter().any(|file| file.as_str().contains(part));
            assert!(found, "{part} is missing in {files:?}");
        }
        assert!(files.iter().all(|file| file.exists()), "{files:?}");
    }
}
