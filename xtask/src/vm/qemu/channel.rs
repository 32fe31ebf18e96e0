//! The guest's virtio-serial ports: the plan goes in, KTAP comes out, and
//! requests to the storage are answered. Beside them, QEMU's own monitor.
//!
//! We listen and QEMU connects, so there is nothing to poll for at the start.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::plan::Plan;
use harness::wire::port;

use super::lines::{Line, forward};
use super::{qmp, storage};
use crate::host::claim::{self, Scratch};
use crate::host::proc::Stop;

/// Listening sockets in a directory of their own, removed when dropped.
#[derive(Debug)]
pub struct Ports {
    /// Short: a socket's path is limited to 108 bytes.
    dir: Scratch,
    listeners: Option<Listeners>,
    /// It works on the guest's disks, which must not go before it has ended.
    storage: Option<JoinHandle<()>>,
    /// Ends what it works on.
    gone: Stop,
}

#[derive(Debug)]
struct Listeners {
    plan: UnixListener,
    ktap: UnixListener,
    storage: UnixListener,
    qmp: UnixListener,
}

impl Ports {
    pub fn listen() -> Result<Self> {
        let dir = Scratch::new(&claim::temporary()?, "freeze-")?;
        let bind = |name| {
            let path = dir.path().join(name);
            UnixListener::bind(&path)
                .with_context(|| format!("failed to listen on {path}; is TMPDIR a very long path?"))
        };
        let listeners = Listeners {
            plan: bind(port::PLAN)?,
            ktap: bind(port::KTAP)?,
            storage: bind(port::STORAGE)?,
            qmp: bind(qmp::NAME)?,
        };
        Ok(Self {
            dir,
            listeners: Some(listeners),
            storage: None,
            gone: Stop::default(),
        })
    }

    /// Where QEMU finds the sockets, by their ports' names.
    pub fn dir(&self) -> &Utf8Path {
        self.dir.path()
    }

    /// Hands the plan to the guest that connects, its KTAP lines to `lines`, and
    /// answers what it asks of the storage below `disks`.
    pub fn serve(
        &mut self,
        plan: &Plan,
        lines: SyncSender<Line>,
        disks: Vec<Utf8PathBuf>,
    ) -> Result<()> {
        let deadline = plan.deadline;
        let plan = format!(
            "{}\n",
            serde_json::to_string(plan).context("failed to write the plan as JSON")?
        );
        if let Some(listeners) = self.listeners.take() {
            let (gone, failures) = (self.gone.clone(), lines.clone());
            thread::spawn(move || hand_over(&listeners.plan, &plan));
            let results = lines.clone();
            thread::spawn(move || {
                if let Ok((stream, _)) = listeners.ktap.accept() {
                    forward(stream, Line::Ktap, results);
                }
            });
            thread::spawn(move || {
                let accepted = listeners.qmp.accept().map(|(stream, _)| stream);
                if let Ok(stream) = accepted.and_then(qmp::listen) {
                    forward(stream, Line::Qmp, lines);
                }
            });
            self.storage = Some(thread::spawn(move || {
                if let Ok((stream, _)) = listeners.storage.accept() {
                    let failed = |failure| _ = failures.send(Line::Failure(failure));
                    storage::serve(&stream, &disks, deadline, &gone, &failed);
                }
            }));
        }
        Ok(())
    }
}

impl Drop for Ports {
    /// Ends the threads that still wait for a QEMU that never came, and what is done for one that is gone.
    fn drop(&mut self) {
        self.gone.request();
        for name in port::ALL.into_iter().chain([qmp::NAME]) {
            // Fails if nobody waits any more, which is as good.
            drop(UnixStream::connect(self.dir.path().join(name)));
        }
        if let Some(storage) = self.storage.take() {
            // A panic has been printed; the case has failed for want of an answer.
            let _ = storage.join();
        }
    }
}

/// The stream stays open until QEMU ends, lest the guest see its port hung up.
fn hand_over(port: &UnixListener, plan: &str) {
    if let Ok((mut stream, _)) = port.accept() {
        // A guest that is gone will not run the plan; its end is seen elsewhere.
        if stream.write_all(plan.as_bytes()).is_ok() {
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn ports_end_without_a_guest() {
        let mut ports = Ports::listen().unwrap();
        let (sender, lines) = sync_channel(1);
        ports.serve(&Plan::default(), sender, Vec::new()).unwrap();
        let dir = ports.dir().to_owned();
        drop(ports);
        assert!(lines.recv().is_err(), "nobody is left who could send");
        assert!(!dir.exists(), "{dir} is left behind");
    }
}
