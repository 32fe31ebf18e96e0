//! What is needed for which work, and whether this machine has it.

use std::path::Path;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use harness::devices::tools;
use harness::linux::program::PATH;
use harness::wire::Filesystem;
use xshell::{Cmd, cmd};

use crate::host::environment::PLAIN;

/// A tool or header that is not there, and the Debian package that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub what: String,
    pub package: String,
}

/// What something is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To get, patch, configure and compile a kernel.
    Build,
    /// To boot it, and for the programs that the cases call: the guest has the host's own.
    Run,
    /// For the programs of one that has to be asked for.
    Filesystem(Filesystem),
    /// For virtme-ng, which pip installs: guests with the host's root take it, and benchmarks compare with it.
    Virtme,
    /// To compile kernels in a fraction of the time, once they have been compiled on this machine; nothing depends on it.
    Cache,
    /// For typos, which pip installs.
    Typos,
    /// For b4, which pip installs, and which makes mails of patches; get_maintainer.pl takes perl. Whoever sends them may
    /// do it by git send-email.
    Mail,
    /// For the tests of this repository that are ignored where tools may be missing.
    Tests,
    /// To check patches, besides building: sparse, and python3, which runs the kernel's kernel-doc and spdxcheck.
    Check,
}

#[derive(Clone, Copy)]
enum Thing {
    Program(&'static str),
    /// A program for the guest.
    Tool(&'static str),
    Header(&'static str),
    /// As `import` in python3 takes it; Debian packages parts of the standard library apart.
    PythonModule(&'static str),
    /// The same in Debian's own python3, which knows what Debian packages.
    SystemModule(&'static str),
    /// As `use` in perl takes it.
    PerlModule(&'static str),
    /// Of git; Debian packages some apart.
    Subcommand(&'static str),
}

use Thing::{Header, PerlModule, Program, PythonModule, Subcommand, SystemModule, Tool};

const NEEDED: &[(Need, Thing, &str)] = &[
    (Need::Build, Program("gcc"), "gcc"),
    (Need::Build, Program("make"), "make"),
    (Need::Build, Program("ld"), "binutils"),
    (Need::Build, Header("stdio.h"), "libc6-dev"),
    (Need::Build, Program("flex"), "flex"),
    (Need::Build, Program("bison"), "bison"),
    (Need::Build, Program("bc"), "bc"),
    (Need::Build, Program("xz"), "xz-utils"),
    (Need::Build, Program("git"), "git"),
    (Need::Build, Program("perl"), "perl"),
    (Need::Build, Program("cpio"), "cpio"),
    (Need::Build, Program("depmod"), "kmod"),
    (Need::Build, Program("setpriv"), "util-linux"),
    (Need::Build, Header("libelf.h"), "libelf-dev"),
    (Need::Build, Header("gelf.h"), "libelf-dev"),
    (Need::Run, Program("qemu-system-x86_64"), "qemu-system-x86"),
    (Need::Virtme, Program("python3"), "python3"),
    // It reads a kernel's version with it.
    (Need::Virtme, Program("file"), "file"),
    (
        Need::Virtme,
        PythonModule("venv, ensurepip"),
        "python3-venv",
    ),
    (Need::Cache, Program("ccache"), "ccache"),
    (Need::Typos, Program("python3"), "python3"),
    (Need::Typos, PythonModule("venv, ensurepip"), "python3-venv"),
    (Need::Mail, Program("git"), "git"),
    (Need::Mail, Program("perl"), "perl"),
    (Need::Mail, Program("python3"), "python3"),
    (Need::Mail, PythonModule("venv, ensurepip"), "python3-venv"),
    (Need::Mail, Subcommand("send-email"), "git-email"),
    // git-email only recommends it, and does nothing without.
    (Need::Mail, PerlModule("Mail::Address"), "libmailtools-perl"),
    (Need::Tests, Program("git"), "git"),
    (Need::Tests, Program("gcc"), "gcc"),
    (Need::Tests, Program("make"), "make"),
    (Need::Tests, Program("setpriv"), "util-linux"),
    (Need::Tests, Program("xz"), "xz-utils"),
    (Need::Tests, Program("strace"), "strace"),
    (Need::Tests, Tool("mkfs.ext3"), "e2fsprogs"),
    (Need::Tests, Tool("e2fsck"), "e2fsprogs"),
    (Need::Check, Program("sparse"), "sparse"),
    (Need::Check, Program("python3"), "python3"),
    // Without them the kernel's spdxcheck says nothing, and checkpatch takes that for praise.
    (Need::Check, SystemModule("ply"), "python3-ply"),
    (Need::Check, SystemModule("git"), "python3-git"),
];

/// Where Debian's packages put programs, and nobody else does.
pub const PACKAGED: &str = "/usr/bin:/bin";

/// Looks for all that `need` takes; nothing is run but python3, perl and git.
pub fn missing(need: Need) -> Vec<Missing> {
    let tool = |(name, package)| (need, Tool(name), package);
    let tools: Vec<_> = match need {
        Need::Run => tools::always().map(tool).collect(),
        Need::Filesystem(filesystem) => tools::of(filesystem).map(tool).collect(),
        _ => Vec::new(),
    };
    let wanted = NEEDED.iter().copied().chain(tools);
    wanted
        .filter(|(of, thing, _)| *of == need && !thing.is_there())
        .map(|(_, thing, package)| Missing {
            what: thing.to_string(),
            package: package.to_owned(),
        })
        .collect()
}

impl Thing {
    fn is_there(&self) -> bool {
        match self {
            Program(name) => program(name).is_some(),
            Tool(name) => tool(name).is_some(),
            Header(name) => ["/usr/include", "/usr/include/x86_64-linux-gnu"]
                .iter()
                .any(|dir| Utf8Path::new(dir).join(name).exists()),
            PythonModule(name) => imports("python3", name),
            PerlModule(name) => {
                let option = format!("-M{name}");
                is_fine(cmd!(PLAIN, "perl {option} -e 1"))
            }
            SystemModule(name) => {
                find("python3", PACKAGED).is_some_and(|python| imports(&python, name))
            }
            Subcommand(name) => subcommand(name),
        }
    }
}

fn imports(python: impl AsRef<Path>, module: &str) -> bool {
    let python = python.as_ref();
    is_fine(cmd!(PLAIN, "{python} -c 'import '{module}"))
}

fn is_fine(line: Cmd<'_>) -> bool {
    let status = Command::from(line.ignore_stderr()).status();
    status.is_ok_and(|status| status.success())
}

/// Where a program is. Debian keeps those for the administrator off other users' PATH.
pub fn program(name: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    find(name, &format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"))
}

/// Where the guest finds one of its [`tools`]. The caller may have another of that name on a PATH of his own.
pub fn tool(name: &str) -> Option<Utf8PathBuf> {
    find(name, PATH)
}

/// Whether git finds one of its own, where it looks for them: in a folder of its own, then on the PATH.
fn subcommand(name: &str) -> bool {
    let name = format!("git-{name}");
    let own = Command::from(cmd!(PLAIN, "git --exec-path").ignore_stderr()).output();
    let own = own.map_or(String::new(), |own| {
        String::from_utf8_lossy(&own.stdout).into_owned()
    });
    find(&name, own.trim()).or_else(|| program(&name)).is_some()
}

fn find(name: &str, path: &str) -> Option<Utf8PathBuf> {
    let found = which::which_in(name, Some(path), "/").ok()?;
    Utf8PathBuf::try_from(found).ok()
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Program(name) | Tool(name) => write!(f, "{name}"),
            Header(name) => write!(f, "the header {name}"),
            PythonModule(name) => write!(f, "python3 with {name}"),
            PerlModule(name) => write!(f, "perl with {name}"),
            SystemModule(name) => write!(f, "Debian's python3 with {name}"),
            Subcommand(name) => write!(f, "git {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_of_a_path_are_asked_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for place in ["a", "b"] {
            fs_err::create_dir(dir.join(place)).unwrap();
            std::os::unix::fs::symlink("/bin/sh", dir.join(place).join("tool")).unwrap();
        }
        let path = format!("{dir}/none:{dir}/b:{dir}/a");
        assert_eq!(find("tool", &path), Some(dir.join("b/tool")));
        assert_eq!(find("other", &path), None);
    }

    #[test]
    fn subcommands_are_where_git_looks() {
        assert!(subcommand("upload-pack"));
        assert!(!subcommand("no-such-command"));
        let send = NEEDED
            .iter()
            .find(|(_, thing, _)| thing.to_string() == "git send-email");
        assert!(
            send.is_some_and(|(need, _, package)| *need == Need::Mail && *package == "git-email")
        );
    }

    #[test]
    fn tools_are_where_the_guest_looks() {
        let found = tool("dirname").unwrap();
        let folder = found.parent().unwrap();
        assert!(
            PATH.split(':').any(|of_guest| folder == of_guest),
            "{found}"
        );
    }
}
