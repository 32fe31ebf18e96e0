//! Standard output. All that a command tells goes through here, and what cannot be told is no success.

use std::io::{self, ErrorKind, Write, stdout};
use std::sync::OnceLock;

use console::style;
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::failure::{Failure, Kind, PASSED, Result};

/// What a shell shows of a program that SIGPIPE ended.
const READER_GONE: u8 = 128 + 13;

/// The first write that failed. A run goes on without its reader: its reports are worth more.
static LOST: OnceLock<io::Error> = OnceLock::new();

pub fn say(text: &str) {
    keep(writeln!(stdout(), "{text}"));
}

/// The same on standard error, where standard output is for something else.
pub fn aside(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Shows what clap has to say in the place of a command: help, the version, or what is wrong with the command line.
pub fn told(by_clap: &clap::Error) -> Result<u8> {
    let shown = by_clap.print().and_then(|()| stdout().flush());
    if by_clap.use_stderr() {
        return Err(Kind::Usage.error("wrong command line"));
    }
    keep(shown);
    Ok(PASSED)
}

/// The end of the program, from that of its command and from what became of its output.
pub fn settle(end: Result<u8>) -> Result<u8> {
    ending(end, LOST.get())
}

/// Says on standard error what is worth a look, and decides nothing.
pub fn warn(words: &str) {
    complain(&style("warning:").for_stderr().yellow().to_string(), words);
}

/// A line on standard error. Nobody is left to tell if it cannot be written.
pub fn complain(head: &str, words: &str) {
    let _ = writeln!(io::stderr(), "{}", format!("{head} {words}").trim_end());
}

pub fn failure(failure: &Failure) {
    let red = |words| style(words).for_stderr().red().to_string();
    match failure.kind {
        Kind::Interrupted => complain(&red("interrupted"), ""),
        Kind::Build => complain(&red("build failed:"), &failure.to_string()),
        _ => {
            complain(&red("error:"), &failure.to_string());
        }
    }
}

/// The end of one of several, as a code: a failure is told, and only an interruption ends them all.
pub fn told_as_code(end: Result<u8>) -> Result<u8> {
    match end {
        Err(failure) if failure.kind != Kind::Interrupted => {
            self::failure(&failure);
            Ok(failure.kind.exit_code())
        }
        end => end,
    }
}

/// Makes a file-size limit (`ulimit -f`) an error of the write, which names its file, in the place of a death by SIGXFSZ.
///
/// By a handler that does nothing: unlike SIG_IGN, programs that we start do not inherit it (execve(2)).
pub fn outlive_file_limits() {
    extern "C" fn nothing(_: c_int) {}
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing, so it can break nothing that it interrupts.
    let set = unsafe { sigaction(Signal::SIGXFSZ, &action) };
    set.expect("SIGXFSZ can be handled");
}

fn keep(written: io::Result<()>) {
    if let Err(error) = written {
        let _ = LOST.set(error);
    }
}

/// A reader that has gone has seen enough and is told nothing, but a pass that it did not see whole is none.
/// Whatever has no verdict has said why on standard error.
fn ending(end: Result<u8>, lost: Option<&io::Error>) -> Result<u8> {
    match (end, lost) {
        (Ok(code), Some(error)) if error.kind() == ErrorKind::BrokenPipe => match code {
            PASSED => Ok(READER_GONE),
            worse => Ok(worse),
        },
        (Ok(_), Some(error)) => {
            let words = format!("failed to write to standard output: {error}");
            let failure = Kind::Machinery.error(words);
            self::failure(&failure);
            Err(failure)
        }
        (end, _) => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FAILED;

    #[test]
    fn what_is_not_told_is_no_pass() {
        let full = io::Error::from_raw_os_error(nix::libc::ENOSPC);
        let gone = io::Error::from(ErrorKind::BrokenPipe);
        let build = || Err(Kind::Build.error("no"));
        let table = [
            (Ok(PASSED), None, PASSED),
            (Ok(PASSED), Some(&full), 4),
            (Ok(FAILED), Some(&full), 4),
            (build(), Some(&full), 3),
            (Ok(PASSED), Some(&gone), 141),
            (Ok(FAILED), Some(&gone), FAILED),
            (build(), Some(&gone), 3),
        ];
        for (end, lost, wanted) in table {
            let code = ending(end, lost).unwrap_or_else(|failure| failure.kind.exit_code());
            assert_eq!(code, wanted, "{lost:?}");
        }
    }
}
