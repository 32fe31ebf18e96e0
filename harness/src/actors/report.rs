//! How a child tells its parent what came of its work: the one way that all actors have.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What came of an operation.
pub type Outcome = std::result::Result<(), Errno>;

/// What says no more than that it is said.
const SIGNAL: [u8; 1] = *b".";

/// The way from one child to its parent.
pub fn channel() -> Result<(Listener, Teller)> {
    let (reader, writer) = io::pipe().context("failed to make a pipe")?;
    Ok((Listener(reader), Teller(writer)))
}

/// The child's end. What it says is signals and outcomes, in an order that the parent knows.
#[derive(Debug)]
pub struct Teller(PipeWriter);

impl Teller {
    /// Says that something begins, or is done.
    pub fn signal(&mut self) -> io::Result<()> {
        self.0.write_all(&SIGNAL)
    }

    pub fn outcome(&mut self, outcome: io::Result<()>) -> io::Result<()> {
        self.0.write_all(&encode(outcome).to_ne_bytes())
    }
}

/// The parent's end. An error means that the child has died.
#[derive(Debug)]
pub struct Listener(PipeReader);

impl Listener {
    /// Waits for a signal.
    pub fn signal(&mut self) -> io::Result<()> {
        self.0.read_exact(&mut [0; SIGNAL.len()])
    }

    /// Takes all signals that are there, or waits for the next; `Ok(0)` if the child has died.
    pub fn signals(&mut self) -> io::Result<usize> {
        self.0.read(&mut [0; 4096])
    }

    /// Takes the signals that are left once the child has died.
    pub fn last_signals(&mut self) -> io::Result<usize> {
        self.0.read_to_end(&mut Vec::new())
    }

    /// Waits for an outcome.
    pub fn outcome(&mut self) -> io::Result<Outcome> {
        let mut errno = [0; size_of::<i32>()];
        self.0.read_exact(&mut errno)?;
        Ok(decode(i32::from_ne_bytes(errno)))
    }

    /// Whether something was said, or the child has died; waits for it no longer than `patience`.
    pub fn is_ready_within(&self, patience: Duration) -> Result<bool> {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut ready = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, timeout) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("failed to poll a pipe"),
            }
        }
    }
}

/// 0, or the errno.
fn encode(outcome: io::Result<()>) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    }
}

fn decode(errno: i32) -> Outcome {
    match errno {
        0 => Ok(()),
        errno => Err(Errno::from_raw(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_heard() {
        let (mut listener, mut teller) = channel().unwrap();
        assert!(!listener.is_ready_within(Duration::ZERO).unwrap());
        teller.signal().unwrap();
        teller.outcome(Err(Errno::EBUSY.into())).unwrap();
        teller
            .outcome(Err(io::ErrorKind::InvalidData.into()))
            .unwrap();
        teller.outcome(Ok(())).unwrap();
        assert!(listener.is_ready_within(Duration::from_secs(60)).unwrap());
        listener.signal().unwrap();
        assert_eq!(listener.outcome().unwrap(), Err(Errno::EBUSY));
        assert_eq!(listener.outcome().unwrap(), Err(Errno::EIO));
        assert_eq!(listener.outcome().unwrap(), Ok(()));
        teller.signal().unwrap();
        teller.signal().unwrap();
        assert_eq!(listener.signals().unwrap(), 2);
        teller.signal().unwrap();
        drop(teller);
        assert_eq!(listener.last_signals().unwrap(), 1);
        assert!(listener.outcome().is_err());
    }
}
