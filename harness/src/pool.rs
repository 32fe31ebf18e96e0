//! Processes that call an ioctl at the same instant, round after round.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::RawFd;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::ioctl;
use crate::mount::Mount;
use crate::task::{self, decode, encode};

/// The lock that holds the workers back until all are ready. On tmpfs, not on
/// the filesystem that freezes.
const GATE: &str = "/run/harness-gate";

/// What a worker sends when it goes to the gate.
const READY: [u8; 1] = *b"!";

/// What a worker is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Call {
    Freeze,
    Thaw,
}

/// Workers, each with its own open file description of the gate.
#[derive(Debug)]
pub struct Pool {
    workers: Vec<Worker>,
    gate: File,
}

#[derive(Debug)]
struct Worker {
    pid: Pid,
    orders: PipeWriter,
    answers: PipeReader,
}

impl Pool {
    pub(crate) fn spawn(size: usize, mount: &Mount) -> Result<Pool> {
        let gate = File::create(GATE).with_context(|| format!("failed to create {GATE}"))?;
        let workers = (0..size)
            .map(|_| Worker::spawn(mount))
            .collect::<Result<_>>()?;
        Ok(Pool { workers, gate })
    }

    pub(crate) fn pids(&self) -> impl Iterator<Item = Pid> {
        self.workers.iter().map(|worker| worker.pid)
    }

    /// Lets the first `count` workers make the call at once; the outcomes in no order that matters.
    pub fn call(&mut self, call: Call, count: usize) -> Result<Vec<Result<(), Errno>>> {
        let workers = &mut self.workers[..count];
        self.gate.lock().context("failed to close the gate")?;
        for worker in &mut *workers {
            worker
                .orders
                .write_all(&[call as u8])
                .context("a worker died")?;
        }
        for worker in &mut *workers {
            worker
                .answers
                .read_exact(&mut [0; READY.len()])
                .context("a worker died")?;
        }
        self.gate.unlock().context("failed to open the gate")?;
        workers.iter_mut().map(Worker::outcome).collect()
    }
}

impl Worker {
    fn spawn(mount: &Mount) -> Result<Worker> {
        let (mut my_orders, orders) = io::pipe().context("failed to make a pipe")?;
        let (answers, mut my_answers) = io::pipe().context("failed to make a pipe")?;
        let fd = mount.fd();
        let pid = task::spawn(|| {
            serve(fd, &mut my_orders, &mut my_answers).expect("the pool goes on");
        })?;
        Ok(Worker {
            pid,
            orders,
            answers,
        })
    }

    fn outcome(&mut self) -> Result<Result<(), Errno>> {
        let mut errno = [0; size_of::<i32>()];
        self.answers
            .read_exact(&mut errno)
            .context("a worker died")?;
        Ok(decode(i32::from_ne_bytes(errno)))
    }
}

/// A worker's life; it ends by a signal when the case is over.
fn serve(fd: RawFd, orders: &mut PipeReader, answers: &mut PipeWriter) -> io::Result<()> {
    let gate = File::open(GATE)?;
    loop {
        let mut order = [0];
        orders.read_exact(&mut order)?;
        answers.write_all(&READY)?;
        gate.lock_shared()?;
        let outcome = if order[0] == Call::Freeze as u8 {
            ioctl::freeze(fd)
        } else {
            ioctl::thaw(fd)
        };
        gate.unlock()?;
        answers.write_all(&encode(outcome.map_err(io::Error::from)).to_ne_bytes())?;
    }
}
