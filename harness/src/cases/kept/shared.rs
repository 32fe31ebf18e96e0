//! The hold is an open file: whoever has a descriptor of it keeps it.

use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill, raise};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::actors::actor::Actor;
use crate::case::Case;
use crate::devices::mount::Mount;
use crate::fixture::Fixture;
use crate::freeze::hold::Hold;
use crate::kit::deadline::has_no_file_hold;
use crate::kit::kept::{hold, is_active};
use crate::kit::state::{is_frozen, is_thawed};
use crate::kit::writer::{Waiting, prepare};
use crate::wire::Feature;

pub const CASES: &[Case] = &[
    Case::new(
        "hold_duplicated",
        "the last close counts, of descriptors that were duplicated and inherited",
        duplicated,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_executed",
        "the hold ends at exec(2), unless its flag says otherwise, and then with the program",
        executed,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_sent",
        "a hold in flight over a socket lasts until it is received and closed, or both ends are",
        sent,
    )
    .needing(Feature::FreezeHold),
    Case::new(
        "hold_sent_to_itself",
        "a hold in flight that nobody can receive any more ends when the kernel collects it",
        sent_to_itself,
    )
    .needing(Feature::FreezeHold),
];

/// Takes a hold, shares it in some way and closes it; who has it then must be seen to keep it, until the end.
fn outlives_its_close<T>(
    fixture: &Fixture,
    fs: &Mount,
    share: impl FnOnce(&Hold) -> Result<T>,
    end: impl FnOnce(T) -> Result<()>,
) -> Result<()> {
    let file = prepare(fs)?;
    let writer = Waiting::new(fixture, &file)?;
    let hold = hold(fs, 0)?;
    let kept = share(&hold)?;
    let writer = writer.is_blocked(fixture)?;
    fixture.step("close");
    drop(hold);
    writer.is_blocked()?;
    is_frozen(fs)?;
    has_no_file_hold(fs)?;
    fixture.step("the last one goes");
    end(kept)?;
    writer.completes(fixture, fs)
}

fn duplicated(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let duplicate = |hold: &Hold| hold.as_fd().try_clone_to_owned().context("dup");
    outlives_its_close(fixture, &fs, duplicate, |kept| {
        drop(kept);
        is_thawed(&fs)
    })?;
    let inherit = |_: &Hold| {
        let child = fixture.actor("child", || Ok(raise(Signal::SIGSTOP)?))?;
        child.has_got(Signal::SIGSTOP)?;
        Ok(child)
    };
    outlives_its_close(fixture, &fs, inherit, |child| {
        kill(child.pid(), Signal::SIGKILL)?;
        child.has_got(Signal::SIGKILL)?;
        is_thawed(&fs)
    })
}

fn executed(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let inherit = |hold: &Hold| {
        let hold = hold.as_fd();
        execute(fixture, || {
            fcntl(hold, FcntlArg::F_SETFD(FdFlag::empty()))?;
            Ok(())
        })
    };
    outlives_its_close(fixture, &fs, inherit, |(program, _input)| {
        program.is_alive()?;
        kill(program.pid(), Signal::SIGKILL)?;
        program.has_got(Signal::SIGKILL)
    })?;
    fixture.step("a program that does not inherit it");
    let file = prepare(&fs)?;
    let writer = Waiting::new(fixture, &file)?;
    let hold = hold(&fs, 0)?;
    let (program, _input) = execute(fixture, || Ok(()))?;
    let writer = writer.is_blocked(fixture)?;
    drop(hold);
    writer.completes(fixture, &fs)?;
    program.is_alive()?;
    fixture.step("a program whose hold nobody else has");
    let (program, _input) = execute(fixture, || {
        mem::forget(Hold::take(fs.as_fd(), 0)?);
        Ok(())
    })?;
    prepare(&fs)?;
    is_thawed(&fs)?;
    program.is_alive()
}

/// A program that waits for its input, in a child that has prepared itself; returns once it runs.
fn execute(
    fixture: &Fixture,
    prepare: impl FnOnce() -> io::Result<()>,
) -> Result<(Actor, io::PipeWriter)> {
    let (stdin, input) = io::pipe().context("no pipe")?;
    // Closed by exec(2).
    let (mut executed, guard) = io::pipe().context("no pipe")?;
    let mut command = Command::new("xfs_io");
    command.stdin(stdin).stdout(io::stderr());
    let program = fixture.actor("program", || {
        prepare()?;
        Err(command.exec())
    })?;
    drop((guard, command));
    let end = executed.read(&mut [0]).context("failed to read a pipe")?;
    ensure!(end == 0, "a pipe to nobody says something");
    Ok((program, input))
}

fn sent(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let send = |hold: &Hold| {
        let (here, there) = UnixStream::pair().context("no sockets")?;
        send(&here, &[hold.as_fd()])?;
        Ok((here, there))
    };
    fixture.step("received");
    outlives_its_close(fixture, &fs, send, |(_here, there)| {
        let hold = receive(&there)?;
        is_active(&hold)?;
        is_frozen(&fs)?;
        drop(hold);
        is_thawed(&fs)
    })?;
    fixture.step("not received");
    outlives_its_close(fixture, &fs, send, |(here, there)| {
        drop((here, there));
        is_thawed(&fs)
    })
}

/// The socket at which it would arrive is on the way, too: to itself.
fn sent_to_itself(fixture: &Fixture) -> Result<()> {
    let fs = fixture.scratch()?;
    let send = |hold: &Hold| {
        let (here, there) = UnixStream::pair().context("no sockets")?;
        send(&here, &[hold.as_fd(), there.as_fd()])?;
        drop(there);
        Ok(here)
    };
    outlives_its_close(fixture, &fs, send, |here| {
        drop(here);
        Ok(())
    })
}

const FDS: usize = 2;

fn send(socket: &UnixStream, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fits = ancillary.push(SendAncillaryMessage::ScmRights(fds));
    ensure!(fits, "{} descriptors are too many", fds.len());
    let data = [IoSlice::new(b".")];
    sendmsg(socket, &data, &mut ancillary, SendFlags::empty())
        .context("failed to send descriptors")
        .map(drop)
}

fn receive(socket: &UnixStream) -> Result<Hold> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut data = [0];
    let mut data = [IoSliceMut::new(&mut data)];
    recvmsg(socket, &mut data, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .context("failed to receive descriptors")?;
    let mut fds = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    fds.next().map(Hold::from).context("no descriptor came")
}
