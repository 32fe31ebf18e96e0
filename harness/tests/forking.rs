//! Actors as they are: child processes.
//!
//! The harness forks without starting another program, which a process with other threads may not survive. So these
//! tests have a program of their own, which has one thread; `cargo test` runs all others in parallel.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

use harness::actors::actor::Actor;
use harness::actors::racer::{Call, Racer};
use harness::actors::writers::Writers;
use harness::devices::mount::Mount;
use libtest_mimic::{Arguments, Trial};
use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;

const PATIENCE: Duration = Duration::from_secs(60);

/// The names and functions of the tests.
macro_rules! tests {
    ($($test:ident,)*) => {
        vec![$(Trial::test(stringify!($test), || {
            $test();
            Ok(())
        })),*]
    };
}

fn main() {
    let mut arguments = Arguments::from_args();
    // On the main thread, one after the other.
    arguments.test_threads = Some(1);
    let tests = tests![
        an_actor_reports_its_outcome,
        an_actor_that_sleeps_is_not_blocked_by_a_freeze,
        an_actor_that_ends_is_not_blocked,
        an_actor_that_panics_has_died,
        an_actor_gets_a_signal,
        the_outcomes_of_a_racer_come_in_order,
        what_is_reported_is_there_and_what_is_damaged_is_found,
        a_writer_that_dies_is_no_writer_that_waits,
    ];
    libtest_mimic::run(&arguments, tests).exit();
}

fn an_actor_reports_its_outcome() {
    let fails = Actor::spawn("fails", PATIENCE, || Err(Errno::EINVAL.into())).unwrap();
    assert_eq!(fails.outcome().unwrap(), Err(Errno::EINVAL));
    let works = Actor::spawn("works", PATIENCE, || Ok(())).unwrap();
    assert_eq!(works.outcome().unwrap(), Ok(()));
}

fn an_actor_that_sleeps_is_not_blocked_by_a_freeze() {
    let sleeps = || loop {
        std::thread::park();
    };
    let actor = Actor::spawn("sleeps", Duration::ZERO, sleeps).unwrap();
    let pid = actor.pid();
    let blocked = actor.blocked().unwrap_err().to_string();
    let outcome = actor.outcome().unwrap_err().to_string();
    kill(pid, Signal::SIGKILL).unwrap();
    assert!(
        blocked.starts_with("sleeps does not wait for a thaw: "),
        "{blocked}"
    );
    assert!(outcome.starts_with("sleeps hangs for 0 s: "), "{outcome}");
}

fn an_actor_that_ends_is_not_blocked() {
    let actor = Actor::spawn("nothing", PATIENCE, || Ok(())).unwrap();
    let error = actor.blocked().unwrap_err().to_string();
    assert_eq!(error, "nothing was not blocked by the freeze");
}

fn an_actor_that_panics_has_died() {
    let actor = Actor::spawn("panics", PATIENCE, || panic!("on purpose")).unwrap();
    assert_eq!(
        actor.outcome().unwrap_err().to_string(),
        "panics: the actor died"
    );
}

fn an_actor_gets_a_signal() {
    let stops = || Ok(nix::sys::signal::raise(Signal::SIGSTOP)?);
    let actor = Actor::spawn("stops", PATIENCE, stops).unwrap();
    actor.has_got(Signal::SIGSTOP).unwrap();
    let other = actor.has_got(Signal::SIGKILL).unwrap_err().to_string();
    assert!(other.starts_with("not SIGKILL, but Stopped("), "{other}");
    kill(actor.pid(), Signal::SIGCONT).unwrap();
    assert_eq!(actor.outcome().unwrap(), Ok(()));
}

fn the_outcomes_of_a_racer_come_in_order() {
    let count = Cell::new(0);
    let call = || {
        count.set(count.get() + 1);
        match count.get() {
            2 => Err(Errno::EINVAL),
            _ => Ok(()),
        }
    };
    let calls: Vec<Call<'_>> = (0..3)
        .map(|_| (Instant::now(), Box::new(call) as Box<_>))
        .collect();
    let racer = Racer::spawn(&calls).unwrap();
    let outcomes = racer.outcomes().unwrap();
    assert_eq!(outcomes, [Ok(()), Err(Errno::EINVAL), Ok(())]);
}

/// A folder of the host, which cannot be frozen, but written to.
fn folder(test: &str) -> Mount {
    let root = std::env::temp_dir().join(format!("harness-{test}-{}", std::process::id()));
    fs::create_dir_all(&root).unwrap();
    Mount::new(root, MsFlags::empty()).unwrap()
}

fn what_is_reported_is_there_and_what_is_damaged_is_found() {
    let mount = folder("writers");
    let mut writers = Writers::spawn(2, &mount, PATIENCE).unwrap();
    let pids: Vec<_> = writers.pids().collect();
    writers.complete(3).unwrap();
    let files = writers.stop().unwrap();
    for pid in pids {
        waitpid(pid, None).unwrap();
    }
    let as_written = files.are_in(&mount);
    let damaged = mount.path("1.2");
    fs::write(&damaged, b"?").unwrap();
    let found = files.are_in(&mount);
    fs::remove_dir_all(mount.root()).unwrap();
    as_written.unwrap();
    assert!(files.count() >= 6, "{files:?}");
    let found = found.unwrap_err().to_string();
    assert!(found.contains("1.2: byte 0 is 0x3f"), "{found}");
}

fn a_writer_that_dies_is_no_writer_that_waits() {
    let mount = folder("dead-writers");
    let mut writers = Writers::spawn(1, &mount, PATIENCE).unwrap();
    let pid = writers.pids().next().unwrap();
    kill(pid, Signal::SIGKILL).unwrap();
    waitpid(pid, None).unwrap();
    let error = writers.complete(1_000_000).unwrap_err().to_string();
    fs::remove_dir_all(mount.root()).unwrap();
    assert_eq!(error, "writer0 died");
}
