//! Processes that call an ioctl at the same instant, round after round.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::RawFd;

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

use super::process;
use super::report::{self, Listener, Outcome, Teller};
use crate::devices::mount::Mount;
use crate::freeze::ioctl;

/// The lock that holds the workers back until all are ready. On tmpfs, not on
/// the filesystem that freezes.
const GATE: &str = "/run/harness-gate";

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
    report: Listener,
}

impl Pool {
    /// Starts workers that make calls on the root of the mount.
    pub fn spawn(size: usize, mount: &Mount) -> Result<Pool> {
        let gate = File::create(GATE).with_context(|| format!("failed to create {GATE}"))?;
        let workers = (0..size)
            .map(|_| Worker::spawn(mount))
            .collect::<Result<_>>()?;
        Ok(Pool { workers, gate })
    }

    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.workers.iter().map(|worker| worker.pid)
    }

    /// Lets the first `count` workers make the call at once; the outcomes in no order that matters.
    pub fn call(&mut self, call: Call, count: usize) -> Result<Vec<Outcome>> {
        let workers = &mut self.workers[..count];
        self.gate.lock().context("failed to close the gate")?;
        for worker in &mut *workers {
            let ordered = worker.orders.write_all(&[call as u8]);
            ordered.context("a worker died")?;
        }
        // Each says that it goes to the gate.
        for worker in &mut *workers {
            worker.report.signal().context("a worker died")?;
        }
        self.gate.unlock().context("failed to open the gate")?;
        let outcomes = workers.iter_mut().map(|worker| worker.report.outcome());
        outcomes.collect::<io::Result<_>>().context("a worker died")
    }
}

impl Worker {
    fn spawn(mount: &Mount) -> Result<Worker> {
        let (mut my_orders, orders) = io::pipe().context("failed to make a pipe")?;
        let (report, mut teller) = report::channel()?;
        let fd = mount.fd();
        let pid = process::spawn(|| {
            serve(fd, &mut my_orders, &mut teller).expect("the pool goes on");
        })?;
        Ok(Worker {
            pid,
            orders,
            report,
        })
    }
}

/// A worker's life; it ends by a signal when the case is over.
fn serve(fd: RawFd, orders: &mut PipeReader, teller: &mut Teller) -> io::Result<()> {
    let gate = File::open(GATE)?;
    loop {
        let mut order = [0];
        orders.read_exact(&mut order)?;
        teller.signal()?;
        gate.lock_shared()?;
        let outcome = if order[0] == Call::Freeze as u8 {
            ioctl::freeze(fd)
        } else {
            ioctl::thaw(fd)
        };
        gate.unlock()?;
        teller.outcome(outcome.map_err(io::Error::from))?;
    }
}
