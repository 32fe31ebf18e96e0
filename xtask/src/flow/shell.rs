//! `shell`: the kernel under test, virtme-ng's init, the host's root read only, and the scratch disks.

use std::io::{self, IsTerminal, Read, Write, stderr, stdin, stdout};
use std::os::unix::process::CommandExt;
use std::panic::resume_unwind;
use std::process::{ExitStatus, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use camino::Utf8Path;
use console::Term;
use nix::sys::signal::kill;
use nix::unistd::{dup, dup2_stdout};

use super::prepare::{TO_TEST_WITH_VIRTME, prepare, provide_deps};
use crate::deps;
use crate::failure::{Failure, Kind, PASSED, Result};
use crate::host::session::Session;
use crate::host::{foreground, proc};
use crate::kernel::request::Request;
use crate::report::{terminal, watched};
use crate::vm::accelerator::{self, Choice};
use crate::vm::capacity;
use crate::vm::qemu::disks;
use crate::vm::qemu::virtme::{Script, Shell};

/// How long a line may be that reaches the guest on the kernel's command line, coded, which ends at 2048 bytes.
const LONGEST: usize = 600;
/// Lines of the console that are told of a guest that has died.
const SHOWN: usize = 10;

/// Which kernel, and what to run in its guest.
#[derive(Debug)]
pub struct Order {
    pub request: Request,
    pub accel: Choice,
    /// None for a shell.
    pub script: Option<String>,
    /// Whether tools that are missing are installed.
    pub install: bool,
}

/// Runs it, for the exit code.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    accelerator::is_there(order.accel)?;
    let make_ready = || {
        watched(session, None, |session| -> Result<_> {
            provide_deps(order.install, TO_TEST_WITH_VIRTME, session)?;
            accelerator::starts(order.accel, &session.stop)?;
            let prepared = prepare(&order.request, order.accel, session)?;
            let virtme = deps::virtme(session)?;
            Ok((prepared, virtme))
        })
    };
    let (prepared, virtme) = match order.script {
        Some(_) => with_output_as_error(make_ready)?,
        None => make_ready(),
    }?;
    capacity::host(&session.layout)?;
    let (folder, disks) = disks::scratch_disks(&session.layout)?;
    let shell = Shell {
        virtme_run: &virtme.virtme_run,
        kernel: prepared.bootable(),
        disks: &disks,
    };
    match &order.script {
        None => interactive(&shell, session),
        Some(script) => of_script(shell.script(script, folder.path(), &session.stop)?, session),
    }
}

/// Does some work that prints, while standard output is where errors go: it belongs to the guest's command.
fn with_output_as_error<T>(work: impl FnOnce() -> T) -> anyhow::Result<T> {
    let output = dup(stdout())?;
    dup2_stdout(stderr())?;
    let done = work();
    stdout().flush()?;
    dup2_stdout(&output)?;
    Ok(done)
}

/// What the guest is to run; a shell for people if that is nothing.
pub fn script(command: &[String], on_a_terminal: bool) -> Result<Option<String>> {
    let words = command.iter().map(String::as_str);
    let line = match command {
        [] if on_a_terminal => return Ok(None),
        [] => "sh -s".to_owned(),
        _ => shlex::try_join(words)
            .map_err(|error| Kind::Usage.error(format!("COMMAND: {error}")))?,
    };
    if line.len() > LONGEST {
        return Err(Kind::Usage.error(format!(
            "COMMAND is longer than {LONGEST} bytes; write it into a file, and run: cargo xtask shell < FILE"
        )));
    }
    Ok(Some(line))
}

fn interactive(shell: &Shell<'_>, session: &Session) -> Result<u8> {
    terminal::text(
        "Scratch disks: the serials scratch0 and scratch1; `grep . /sys/block/*/serial` names the devices. \
         Leave with `exit`.",
    );
    let mut guest = shell.interactive(Term::stdout().size_checked(), &session.stop)?;
    let status = foreground::run(&mut guest, &session.stop)?;
    if status.success() {
        return Ok(PASSED);
    }
    // What the shell in the guest ends with does not get here.
    Err(Kind::Machinery.error(format!("`{}` failed ({status})", proc::line_of(&guest))))
}

/// Runs the guest to its end, for the exit code of what ran in it.
fn of_script(script: Script, session: &Session) -> Result<u8> {
    let Script {
        mut qemu,
        code,
        console,
    } = script;
    qemu.stdin(match stdin().is_terminal() {
        true => Stdio::null(),
        false => Stdio::inherit(),
    });
    // Ctrl-C is ours to answer; and QEMU opens its output by name, which is not possible with every kind of ours.
    qemu.process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = foreground::spawn(&mut qemu, &session.stop)?;
    let out = pass_on(child.stdout.take(), stdout());
    let err = pass_on(child.stderr.take(), stderr());
    let ended = foreground::tend(&mut child, kill, &session.stop);
    let written = [out, err].map(|it| it.join().unwrap_or_else(|panic| resume_unwind(panic)));
    let status = ended?;
    for written in written {
        written.context("cannot pass on what the guest's command has printed")?;
    }
    let said = fs_err::read_to_string(&code).unwrap_or_default();
    exit_code(&said).ok_or_else(|| died(&console, status))
}

/// The number that the guest has written; there is none if it did not get there.
fn exit_code(said: &str) -> Option<u8> {
    said.trim().parse().ok()
}

/// Copies all that comes; a reader that is gone (`| head`) does not end the command.
fn pass_on(
    from: Option<impl Read + Send + 'static>,
    to: impl Write + Send + 'static,
) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || match from {
        Some(from) => copy_all(from, to),
        None => Ok(()),
    })
}

/// Reads to the end in any case: a guest that cannot write waits for ever.
fn copy_all(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut written = Ok(());
    let mut chunk = [0; 8192];
    while let length @ 1.. = from.read(&mut chunk)? {
        if written.is_ok() {
            written = to.write_all(&chunk[..length]).and_then(|()| to.flush());
        }
    }
    written.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

fn died(console: &Utf8Path, status: ExitStatus) -> Failure {
    let text = fs_err::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    Kind::Machinery.error(format!(
        "the guest has died before the command's end (QEMU: {status}); its console said:\n    {}",
        telling(&text).join("\n    ")
    ))
}

/// Lines of a console that may say why it ends: from where the kernel names the reason, or the last ones.
fn telling(console: &str) -> Vec<&str> {
    let reasons = ["BUG:", "Oops", "Kernel panic"];
    let lines: Vec<&str> = console.lines().map(str::trim_end).collect();
    let named = |line: &&str| reasons.iter().any(|reason| line.contains(reason));
    let begin = lines.iter().position(named);
    let begin = begin.unwrap_or(lines.len().saturating_sub(SHOWN));
    match &lines[begin..] {
        [] => vec!["(nothing)"],
        lines => lines[..lines.len().min(SHOWN)].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_runs() {
        let of = |words: &[&str], on_a_terminal| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            script(&words, on_a_terminal)
        };
        assert_eq!(of(&[], true).unwrap(), None);
        assert_eq!(of(&[], false).unwrap().as_deref(), Some("sh -s"));
        for on_a_terminal in [true, false] {
            let line = of(&["sh", "-c", "echo $1", "it's"], on_a_terminal).unwrap();
            let words = shlex::split(&line.unwrap()).unwrap();
            assert_eq!(words, ["sh", "-c", "echo $1", "it's"]);
            let long = "x".repeat(LONGEST + 1);
            let failure = of(&[&long], on_a_terminal).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage);
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_and_all_is_read() {
        let full = || {
            fs_err::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap()
        };
        let mut output = vec![7; 20_000]
            .into_iter()
            .collect::<std::collections::VecDeque<u8>>();
        assert!(copy_all(&mut output, full()).is_err());
        assert!(output.is_empty());
        let (reader, gone) = std::io::pipe().unwrap();
        drop(reader);
        assert!(copy_all([7; 20_000].as_slice(), gone).is_ok());
    }

    #[test]
    fn why_a_guest_has_died() {
        let trace = "x\n".repeat(30);
        let console = format!("boot\r\n[1.0] Kernel panic - not syncing: y\r\n{trace}");
        let told = telling(&console);
        assert_eq!(
            (told[0], told.len()),
            ("[1.0] Kernel panic - not syncing: y", SHOWN)
        );
        assert_eq!(telling("a\nqemu: no"), ["a", "qemu: no"]);
        assert_eq!(telling(&trace).len(), SHOWN);
        assert_eq!(telling(""), ["(nothing)"]);
    }

    #[test]
    fn exit_codes() {
        for (said, wanted) in [
            ("0\n", Some(0)),
            ("7", Some(7)),
            ("255", Some(255)),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(exit_code(said), wanted, "{said:?}");
        }
    }
}
