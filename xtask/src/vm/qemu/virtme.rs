//! What virtme-ng is asked for: QEMU command lines, for guests with its init or with ours.

use std::process::Command;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;
use xshell::cmd;

use super::accel::Accel;
use super::command::{self, Kernel};
use super::machine::{MEMORY, cpus};
use crate::failure;
use crate::host::environment::PLAIN;
use crate::host::proc::{self, Stop};

/// What guests with virtme-ng's init are made of.
#[derive(Clone, Copy, Debug)]
pub struct Shell<'a> {
    pub virtme_run: &'a Utf8Path,
    pub kernel: Kernel<'a>,
    pub disks: &'a [Utf8PathBuf],
}

/// A guest that runs one command, and where it leaves what has no place in the command's output.
#[derive(Debug)]
pub struct Script {
    pub qemu: Command,
    /// The command's exit code as a number, once there is one.
    pub code: Utf8PathBuf,
    pub console: Utf8PathBuf,
}

/// The QEMU command line that virtme-ng would use, program first. Nothing is run.
pub fn command_line(
    virtme_run: &Utf8Path,
    image: &Utf8Path,
    accel: Accel,
    stop: &Stop,
) -> failure::Result<Vec<String>> {
    line(virtme_run, image, accel, &[], stop)
}

fn line(
    virtme_run: &Utf8Path,
    image: &Utf8Path,
    accel: Accel,
    more: &[&str],
    stop: &Stop,
) -> failure::Result<Vec<String>> {
    let cpus = cpus().to_string();
    let emulated = (accel == Accel::Tcg).then_some("--disable-kvm");
    let virtme = cmd!(
        PLAIN,
        "{virtme_run} --kimg {image} --mods none --cpus {cpus} --memory {MEMORY}
         --disable-microvm --force-9p --disable-monitor {emulated...} {more...} --show-command --dry-run"
    );
    Ok(parse(&proc::read(virtme, stop)?)?)
}

impl Shell<'_> {
    /// A guest on the caller's terminal, of so many rows and columns if that is known.
    pub fn interactive(&self, size: Option<(u16, u16)>, stop: &Stop) -> failure::Result<Command> {
        let size =
            size.map(|(rows, columns)| format!("virtme_stty_con=rows {rows} cols {columns} iutf8"));
        let size = size.iter().flat_map(|size| ["--kopt", size]);
        Ok(self.qemu(self.line(&size.collect::<Vec<_>>(), stop)?))
    }

    /// A guest that runs a line of the shell: its standard input, output and error are those of QEMU.
    pub fn script(&self, line: &str, folder: &Utf8Path, stop: &Stop) -> failure::Result<Script> {
        let mut words = self.line(&["--script-sh", &on_ports(line)], stop)?;
        // virtme-ng's init finds ports of these names only with udev, and without them it leaves them to the script.
        for word in &mut words {
            *word = word.replace("virtserialport,name=virtme.", "virtserialport,name=shell.");
        }
        let (code, console) = (folder.join("code"), folder.join("console.log"));
        redirect(&mut words, "ret", &code)?;
        redirect(&mut words, "console", &console)?;
        Ok(Script {
            qemu: self.qemu(words),
            code,
            console,
        })
    }

    fn line(&self, more: &[&str], stop: &Stop) -> failure::Result<Vec<String>> {
        let Kernel { image, accel, .. } = self.kernel;
        let more = [&["--pwd"], more].concat();
        line(self.virtme_run, image, accel, &more, stop)
    }

    /// QEMU is our own child, not virtme-ng's, which leaves it behind when it is ended.
    fn qemu(&self, words: Vec<String>) -> Command {
        // With KVM, virtme-ng says so itself, in a way that excludes -accel.
        let Kernel {
            accel,
            single_thread,
            ..
        } = self.kernel;
        let emulated = (accel == Accel::Tcg).then(|| ["-accel", accel.qemu(single_thread)]);
        let qemu = PLAIN.cmd(&words[0]).args(&words[1..]);
        let qemu = qemu.args(emulated.iter().flatten());
        // Lest it outlive a killed xtask, with the disks that are ours to remove.
        proc::mortal(Signal::SIGKILL, qemu.args(command::disks(self.disks)))
    }
}

/// A script that runs a line of the shell with its input, output, error and exit code on ports of these names.
///
/// A port can be opened but once, which is why the line gets pipes: it may open its /dev/stderr.
fn on_ports(line: &str) -> String {
    format!(
        r#"p() {{ for d in /sys/class/virtio-ports/*; do read n <$d/name; [ $n = shell.$1 ] && echo /dev/${{d##*/}}; done; }}
{{ {{ (
{line}
) <$(p stdin) 3>&-; echo $? >$(p ret); }} 2>&3 | cat >$(p stdout) 3>&-; }} 3>&1 | cat >$(p stderr)"#
    )
}

/// Has a character device of QEMU write to another file.
fn redirect(words: &mut [String], id: &str, to: &Utf8Path) -> Result<()> {
    let begin = format!("file,id={id},path=");
    let device = words.iter_mut().find(|word| word.starts_with(&begin));
    let device = device
        .with_context(|| format!("virtme-ng computed a QEMU command line without {begin}"))?;
    *device = begin + &command::escape(to);
    Ok(())
}

/// The last line that `--show-command` prints, as words.
fn parse(said: &str) -> Result<Vec<String>> {
    let line = said.lines().last().unwrap_or_default();
    shlex::split(line)
        .filter(|words| !words.is_empty())
        .with_context(|| format!("virtme-run --show-command printed no command line: {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        let said = "a warning\nqemu -append 'ro quiet' -m 1G";
        assert_eq!(
            parse(said).unwrap(),
            ["qemu", "-append", "ro quiet", "-m", "1G"]
        );
        assert!(parse("qemu 'unfinished").is_err());
        assert!(parse("").is_err());
    }

    /// With files as ports.
    #[test]
    fn a_line_runs_on_ports() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for (port, name) in [
            ("p1", "stdin"),
            ("p2", "stdout"),
            ("p3", "stderr"),
            ("p4", "ret"),
        ] {
            fs_err::create_dir_all(dir.join("sys").join(port)).unwrap();
            fs_err::write(
                dir.join("sys").join(port).join("name"),
                format!("shell.{name}\n"),
            )
            .unwrap();
            fs_err::write(dir.join(port), "").unwrap();
        }
        fs_err::write(dir.join("p1"), "in\n").unwrap();
        let line = "cat; echo why >/dev/stderr; exit 7";
        let script = on_ports(line)
            .replace("/sys/class/virtio-ports", dir.join("sys").as_str())
            .replace("/dev/$", &format!("{dir}/$"));
        let said = proc::read(cmd!(PLAIN, "sh -c {script}"), &Stop::default()).unwrap();
        assert_eq!(said, "");
        let on = |port: &str| fs_err::read_to_string(dir.join(port)).unwrap();
        assert_eq!([on("p2"), on("p3"), on("p4")], ["in\n", "why\n", "7\n"]);
    }

    #[test]
    fn devices_are_led_elsewhere() {
        let mut words =
            ["-chardev", "file,id=ret,path=/tmp/virtme_ret1", "-device"].map(str::to_owned);
        redirect(&mut words, "ret", "/w/a,b".into()).unwrap();
        assert_eq!(words, ["-chardev", "file,id=ret,path=/w/a,,b", "-device"]);
        assert!(redirect(&mut words, "console", "/w".into()).is_err());
    }
}
