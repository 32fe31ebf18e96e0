//! Standard output. All that a command tells goes through here, and what cannot be told is no success.

use std::io::{self, ErrorKind, Write, stdout};
use std::sync::OnceLock;

use console::style;
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::commands::{FAILED, PASSED};
use crate::failure::Kind;

/// What a shell shows of a program that SIGPIPE ended.
const READER_GONE: u8 = 128 + 13;

/// The first write that failed. A run goes on without its reader: its reports are worth more.
static LOST: OnceLock<io::Error> = OnceLock::new();

pub fn say(text: &str) {
    keep(writeln!(stdout(), "{text}"));
}

/// Shows what clap has to say in the place of a command: help, the version, or what is wrong with the command line.
pub fn told(by_clap: &clap::Error) -> u8 {
    let shown = by_clap.print().and_then(|()| stdout().flush());
    match by_clap.exit_code() {
        0 => {
            keep(shown);
            PASSED
        }
        _ => Kind::Usage.exit_code(),
    }
}

/// The exit code of the program, from that of its command and from what became of its output.
pub fn settle(code: u8) -> u8 {
    let (code, words) = ending(code, LOST.get());
    if let Some(words) = words {
        complain(&style("error:").for_stderr().red().to_string(), &words);
    }
    code
}

/// Says on standard error what is worth a look, and decides nothing.
pub fn warn(words: &str) {
    complain(&style("warning:").for_stderr().yellow().to_string(), words);
}

/// A line on standard error. Nobody is left to tell if it cannot be written.
pub fn complain(head: &str, words: &str) {
    let _ = writeln!(io::stderr(), "{}", format!("{head} {words}").trim_end());
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
/// Exit codes from 2 on have said why on standard error.
fn ending(code: u8, lost: Option<&io::Error>) -> (u8, Option<String>) {
    let Some(error) = lost else {
        return (code, None);
    };
    let gone = error.kind() == ErrorKind::BrokenPipe;
    match code {
        PASSED if gone => (READER_GONE, None),
        FAILED if gone => (FAILED, None),
        PASSED | FAILED => (
            Kind::Machinery.exit_code(),
            Some(format!("failed to write to standard output: {error}")),
        ),
        worse => (worse, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_no_pass() {
        let full = io::Error::from_raw_os_error(nix::libc::ENOSPC);
        let gone = io::Error::from(ErrorKind::BrokenPipe);
        let table = [
            (PASSED, None, PASSED),
            (PASSED, Some(&full), 4),
            (FAILED, Some(&full), 4),
            (3, Some(&full), 3),
            (130, Some(&full), 130),
            (PASSED, Some(&gone), 141),
            (FAILED, Some(&gone), FAILED),
            (4, Some(&gone), 4),
        ];
        for (code, lost, wanted) in table {
            assert_eq!(ending(code, lost).0, wanted, "{code} {lost:?}");
        }
        let words = ending(PASSED, Some(&full)).1.unwrap();
        assert!(words.contains("standard output: No space left"), "{words}");
        assert_eq!(ending(PASSED, Some(&gone)).1, None);
    }
}
