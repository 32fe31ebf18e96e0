//! ccache, where there is one: what was compiled once is not compiled again, in whichever checkout of this user.
//!
//! A kernel is the same with it and without it, bit for bit.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use crate::deps::need::program;
use crate::event::Event;
use crate::failure::Result;
use crate::host::environment::COMPILING;
use crate::host::proc;
use crate::host::session::Session;

/// What the user may have set for other programs, and would change what is compiled or taken for the same.
const OWN: &[(&str, &str)] = &[
    ("CCACHE_COMPILER", ""),
    ("CCACHE_COMPILERTYPE", "auto"),
    ("CCACHE_COMPILERCHECK", "mtime"),
    ("CCACHE_NOHARDLINK", "true"),
    ("CCACHE_PATH", ""),
    ("CCACHE_PREFIX", ""),
    ("CCACHE_PREFIX_CPP", ""),
    ("CCACHE_SLOPPINESS", ""),
    ("CCACHE_IGNOREHEADERS", ""),
    ("CCACHE_IGNOREOPTIONS", ""),
];

/// A run is told once, not for each kernel.
static TOLD: AtomicBool = AtomicBool::new(false);

/// One that works.
#[derive(Debug)]
pub struct Ccache {
    /// Paths in it are compiled as relative ones: other checkouts have the same.
    base: Utf8PathBuf,
    /// In the place of the user's.
    cache: Option<Utf8PathBuf>,
}

impl Ccache {
    /// One that cannot write its cache would fail each compilation: it is told, and left out.
    pub fn find(session: &Session) -> Result<Option<Self>> {
        if program("ccache").is_none() {
            return Ok(None);
        }
        let ccache = Self {
            base: session.layout.work("").canonicalize_utf8()?,
            cache: session.layout.ccache(),
        };
        let probe = |compiler: &[&str], set: &dyn Fn(&mut Command)| {
            let line = cmd!(COMPILING, "env {compiler...} -fsyntax-only -x c /dev/null");
            let mut probe = Command::from(line);
            set(&mut probe);
            proc::output(&mut probe, b"", &session.stop)
        };
        let said = probe(&["ccache", "gcc"], &|probe| ccache.set(probe))?;
        if said.status.success() {
            return Ok(Some(ccache));
        }
        // Else it is the compiler that does not work, which make will say.
        if probe(&["gcc"], &Self::forgo)?.status.success() && !TOLD.swap(true, Ordering::Relaxed) {
            session.events.send(Event::Warning(format!(
                "kernels are compiled without ccache, which does not work: {}",
                said.stderr().trim()
            )));
        }
        Ok(None)
    }

    /// For make where there is none that works: `gcc` itself may be a link to it.
    pub fn forgo(command: &mut Command) {
        command.env("CCACHE_DISABLE", "true");
    }

    /// For make and all that it starts.
    pub fn set(&self, command: &mut Command) {
        command
            .envs(OWN.iter().copied())
            .env("CCACHE_BASEDIR", &self.base)
            .env("CCACHE_NOHASHDIR", "true")
            // What is not there yet is preprocessed once, not twice: kbuild has the compiler tell what a file includes.
            .env("CCACHE_DEPEND", "true")
            // Complaints name the files of the tree, as they do without it.
            .env("CCACHE_ABSSTDERR", "true");
        if let Some(cache) = &self.cache {
            command.env("CCACHE_DIR", cache);
        }
    }
}

/// Has `__FILE__` begin in the tree where its path is relative; the kernel's own flag does that for the absolute one.
pub fn flag(tree: &Utf8Path, out: &Utf8Path) -> Option<String> {
    let tree = pathdiff::diff_utf8_paths(tree, out)?;
    Some(format!("-fmacro-prefix-map={tree}/="))
}

#[cfg(test)]
impl Ccache {
    pub fn in_folder(base: Utf8PathBuf) -> Self {
        Self { base, cache: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::environment::PLAIN;
    use crate::host::layout::Layout;
    use crate::host::proc::Stop;

    /// What a compiler sees of ccache's settings.
    fn seen(ccache: &Ccache) -> String {
        let mut env = Command::from(cmd!(PLAIN, "env"));
        ccache.set(&mut env);
        proc::read(&mut env, &Stop::default()).unwrap()
    }

    #[test]
    fn the_users_cache_is_shared_unless_a_layout_is_apart() {
        let ccache = |layout: &Layout| Ccache {
            base: layout.work(""),
            cache: layout.ccache(),
        };
        let shared = seen(&ccache(&Layout::at("/c")));
        assert!(!shared.contains("CCACHE_DIR="), "{shared}");
        assert!(
            shared.contains("CCACHE_BASEDIR=/c/target/freeze"),
            "{shared}"
        );
        let apart = seen(&ccache(&Layout::apart("/c")));
        assert!(
            apart.contains("CCACHE_DIR=/c/target/freeze/ccache"),
            "{apart}"
        );
    }

    #[test]
    fn nothing_of_the_users_settings_decides_what_is_compiled() {
        let said = seen(&Ccache::in_folder("/c".into()));
        for set in [
            "CCACHE_PREFIX=\n",
            "CCACHE_SLOPPINESS=\n",
            "CCACHE_COMPILER=\n",
        ] {
            assert!(said.contains(set), "{said}");
        }
    }

    #[test]
    fn paths_in_a_kernel_begin_in_its_tree() {
        let flag = flag("/c/trees/6.12".into(), "/c/builds/6.12/out".into());
        let wanted = "-fmacro-prefix-map=../../../trees/6.12/=";
        assert_eq!(flag.as_deref(), Some(wanted));
    }
}
