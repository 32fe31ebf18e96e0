//! QEMU command lines: what all guests of a run have in common, and what each has of its own.
//!
//! Of the one that virtme-ng computes we keep the machine, the processor, the memory and the 9p root. Its init,
//! its second console and its watchdog go.

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use harness::wire::port;

use super::accel::Accel;
use super::disks::DISKS;
use super::machine::{MEMORY, QEMU, cpus};
use super::qmp;

/// A kernel, and how QEMU is to run it.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    pub image: &'a Utf8Path,
    pub accel: Accel,
    /// See [`crate::vm::qemu::accel::needs_single_thread`].
    pub single_thread: bool,
}

impl Kernel<'_> {
    /// A reboot, and with it a panic, ends QEMU.
    fn accelerated(self) -> [String; 3] {
        let accel = self.accel.qemu(self.single_thread);
        ["-no-reboot", "-accel", accel].map(str::to_owned)
    }
}

/// What a guest shares with no other.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Where the sockets of the ports are.
    pub sockets: &'a Utf8Path,
    /// Image files; the Nth gets the Nth serial number of [`DISKS`].
    pub disks: &'a [Utf8PathBuf],
}

/// A command line for a guest with these ports and disks.
pub fn guest(base: &[String], own: &Own<'_>) -> Vec<String> {
    let mut argv = base.to_vec();
    argv.extend(ports(own.sockets));
    argv.extend(disks(own.disks));
    argv
}

/// A kernel on the machine that comes up soonest, with nothing but a console, and this archive as its root, if any.
/// It is told what [`crate::vm::qemu::tsc::argument`] says.
pub fn bare(
    kernel: Kernel<'_>,
    arguments: &[&str],
    tsc: Option<&str>,
    root: Option<&Utf8Path>,
) -> Vec<String> {
    let cpus = cpus().to_string();
    let append = [arguments, SOON, tsc.as_slice()].concat().join(" ");
    let words = [
        QEMU,
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-chardev",
        "stdio,id=console,signal=off",
        "-serial",
        "chardev:console",
        "-bios",
        FIRMWARE,
        "-machine",
        MACHINE,
        "-cpu",
        processor(kernel.accel),
        "-smp",
        &cpus,
        "-m",
        MEMORY,
        "-kernel",
        kernel.image.as_str(),
        "-append",
        &append,
    ];
    let mut argv = words.map(str::to_owned).to_vec();
    argv.extend(kernel.accelerated());
    argv.extend(
        root.into_iter()
            .flat_map(|it| ["-initrd".into(), it.to_string()]),
    );
    argv
}

/// A kernel with this archive as its root, and a bus for the ports.
pub fn initramfs(kernel: Kernel<'_>, tsc: Option<&str>, archive: &Utf8Path) -> Vec<String> {
    let mut argv = bare(kernel, OUR_ARGUMENTS, tsc, Some(archive));
    argv.extend(["-device", "virtio-serial-pci"].map(str::to_owned));
    argv
}

/// Turns virtme-ng's command line (program first) into ours.
///
/// # Errors
/// When virtme-ng's line has no `-append` or no `-serial`: then it is not of the kind we know.
pub fn host_root(
    virtme: &[String],
    kernel: Kernel<'_>,
    tsc: Option<&str>,
    init: &Utf8Path,
) -> Result<Vec<String>> {
    for needed in ["-append", "-serial", "-kernel"] {
        if !virtme.iter().any(|word| word == needed) {
            bail!(
                "virtme-ng computed a QEMU command line without {needed}: {}",
                virtme.join(" ")
            );
        }
    }
    let mut argv = Vec::new();
    let mut words = virtme.iter().peekable();
    argv.extend(words.next().cloned());
    while let Some(option) = words.next() {
        let value = words.next_if(|word| !word.starts_with('-'));
        match (option.as_str(), value.map(String::as_str)) {
            ("-append", Some(append)) => {
                argv.extend([option.clone(), kernel_arguments(append, tsc, init)])
            }
            ("-machine", Some("accel=kvm:tcg")) => {} // falls back in silence; ours says which
            (option, Some(value)) if is_unwanted(option, value) => {}
            (_, value) => argv.extend(
                [option]
                    .into_iter()
                    .map(Into::into)
                    .chain(value.map(Into::into)),
            ),
        }
    }
    argv.extend(kernel.accelerated());
    Ok(argv)
}

/// The second console goes to a file that is opened twice, and the watchdog is never fed.
fn is_unwanted(option: &str, value: &str) -> bool {
    match option {
        "-chardev" => value.starts_with("file,"),
        "-device" => value.starts_with("virtconsole,") || value.starts_with("i6300esb,"),
        _ => false,
    }
}

/// The QEMU options that connect the ports in `dir`, and the monitor.
fn ports(dir: &Utf8Path) -> Vec<String> {
    let socket = |name| {
        let path = escape(&Utf8PathBuf::from(dir).join(name));
        ["-chardev".into(), format!("socket,id={name},path={path}")]
    };
    let port = |name| {
        let device = format!("virtserialport,chardev={name},name={name}");
        socket(name).into_iter().chain(["-device".into(), device])
    };
    let mode = format!("chardev={},mode=control", qmp::NAME);
    let monitor = socket(qmp::NAME).into_iter().chain(["-mon".into(), mode]);
    port::ALL
        .into_iter()
        .flat_map(port)
        .chain(monitor)
        .collect()
}

/// A guest does not get to see that an image fails, and no case is blamed: see [`crate::vm::qemu::qmp::News`].
const ON_ERROR: &str = "werror=stop,rerror=stop";

/// The QEMU options of the scratch disks. Nothing on them has to survive, hence `cache=unsafe`.
pub fn disks(images: &[Utf8PathBuf]) -> Vec<String> {
    let mut options = Vec::new();
    for (image, (serial, _)) in images.iter().zip(DISKS) {
        let file = escape(image);
        options.extend([
            "-drive".into(),
            format!(
                "file={file},id={serial},if=none,format=raw,cache=unsafe,discard=unmap,{ON_ERROR}"
            ),
            "-device".into(),
            format!("virtio-blk-pci,drive={serial},serial={serial}"),
        ]);
    }
    options
}

/// A value inside a QEMU option: commas are doubled.
pub fn escape(path: &Utf8Path) -> String {
    path.as_str().replace(',', ",,")
}

/// Ours come after virtme-ng's; `init=` is the last, as what follows would be its arguments.
fn kernel_arguments(virtme: &str, tsc: Option<&str>, init: &Utf8Path) -> String {
    let kept = virtme
        .split(' ')
        .filter(|word| !is_replaced(word))
        .map(with_root_cached);
    let words: Vec<_> = kept
        .chain(OUR_ARGUMENTS.iter().copied().chain(tsc).map(str::to_owned))
        .collect();
    let quote = if init.as_str().contains(' ') {
        "\""
    } else {
        ""
    };
    format!("{} {quote}init={init}{quote}", words.join(" "))
}

/// Nobody writes to the root, so what was read once need not be asked for again: the CPU time of a run halves.
fn with_root_cached(argument: &str) -> String {
    match argument.strip_prefix("rootflags=") {
        Some(flags) => format!("rootflags={flags},cache=loose"),
        None => argument.to_owned(),
    }
}

/// Comes with QEMU and does no more than start a kernel.
const FIRMWARE: &str = "qboot.rom";

/// PC devices that no guest needs are left out: firmware and kernel would look for what is behind them. It is not
/// microvm, which has no second clock: on a busy host, its kernel cannot calibrate the first and hangs.
const MACHINE: &str = "q35,sata=off,smbus=off,smm=off,vmport=off,i8042=off,usb=off";

/// Without a single flag: QEMU refuses those that it does not know, and 7.2 knows less than later ones.
fn processor(accel: Accel) -> &'static str {
    match accel {
        Accel::Kvm => "host",
        Accel::Tcg => "max",
    }
}

/// What keeps the kernel from waiting for what an emulated machine cannot have wrong, or has no use for.
const SOON: &[&str] = &[
    // Of a processor of 4 GHz: otherwise measured for each processor. Where it is too much, udelay() is too long.
    "lpj=16000000",
    // On a busy host it fails, and the kernel panics.
    "no_timer_check",
    // 256 devices.
    "pty.legacy_count=0",
    // Of a boot, just warnings and worse; the harness sets it back.
    "loglevel=5",
];

const OUR_ARGUMENTS: &[&str] = &[
    "console=ttyS0",
    // With -no-reboot, QEMU ends when the kernel panics.
    "panic=-1",
    // What oopsed keeps its locks: the rest of that guest would just hang.
    "oops=panic",
    // Every mark of the harness is to be logged; ten in five seconds would be the limit.
    "printk.devkmsg=on",
    // A hung task is the harness's to report.
    "hung_task_panic=0",
];

fn is_replaced(argument: &str) -> bool {
    let name = argument.split('=').next().unwrap_or(argument);
    ["quiet", "loglevel", "console", "init"].contains(&name) || name.starts_with("virtme")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As virtme-ng 1.42 prints it.
    const VIRTME: &str = "/usr/bin/qemu-system-x86_64 -m 1G \
        -fsdev local,id=virtfs3,path=/,security_model=none,readonly=on,multidevs=remap \
        -device virtio-9p-pci,fsdev=virtfs3,mount_tag=/dev/root ACCEL -device i6300esb,id=watchdog0 \
        -parallel none -net none -echr 1 -chardev file,path=/proc/self/fd/2,id=dmesg \
        -device virtio-serial-pci -device virtconsole,chardev=dmesg \
        -chardev stdio,id=console,signal=off,mux=off -serial chardev:console -vga none -display none \
        -smp 2 -kernel /k/vmlinux -append 'nr_open=1048576 virtme_console=ttyS0 console=hvc0 TERM=xterm \
virtme_root_user=1 rootfstype=9p rootflags=version=9p2000.L,trans=virtio ro quiet loglevel=1 init=/v/virtme-ng-init'";

    fn virtme(accel: &str) -> Vec<String> {
        shlex::split(&VIRTME.replace("ACCEL", accel)).unwrap()
    }

    fn kernel(accel: Accel) -> Kernel<'static> {
        Kernel {
            image: "/k/vmlinux".into(),
            accel,
            single_thread: false,
        }
    }

    fn on_host_root(virtme: &[String], accel: Accel) -> Result<Vec<String>> {
        let tsc = Some("tsc_early_khz=2000").filter(|_| accel == Accel::Tcg);
        host_root(virtme, kernel(accel), tsc, "/t/harness".into())
    }

    #[test]
    fn tcg() {
        let disks = ["/w/a,b.img".into(), "/w/c.img".into()];
        let own = Own {
            sockets: "/tmp/f".into(),
            disks: &disks,
        };
        let base = on_host_root(&virtme("-machine q35 -cpu max"), Accel::Tcg).unwrap();
        let argv = guest(&base, &own);
        let wanted = "/usr/bin/qemu-system-x86_64 -m 1G \
            -fsdev local,id=virtfs3,path=/,security_model=none,readonly=on,multidevs=remap \
            -device virtio-9p-pci,fsdev=virtfs3,mount_tag=/dev/root -machine q35 -cpu max \
            -parallel none -net none -echr 1 -device virtio-serial-pci \
            -chardev stdio,id=console,signal=off,mux=off -serial chardev:console -vga none -display none \
            -smp 2 -kernel /k/vmlinux -append 'nr_open=1048576 TERM=xterm rootfstype=9p \
rootflags=version=9p2000.L,trans=virtio,cache=loose ro console=ttyS0 panic=-1 oops=panic printk.devkmsg=on \
hung_task_panic=0 tsc_early_khz=2000 init=/t/harness' \
            -no-reboot -accel tcg,thread=multi \
            -chardev socket,id=freeze.plan,path=/tmp/f/freeze.plan \
            -device virtserialport,chardev=freeze.plan,name=freeze.plan \
            -chardev socket,id=freeze.ktap,path=/tmp/f/freeze.ktap \
            -device virtserialport,chardev=freeze.ktap,name=freeze.ktap \
            -chardev socket,id=freeze.storage,path=/tmp/f/freeze.storage \
            -device virtserialport,chardev=freeze.storage,name=freeze.storage \
            -chardev socket,id=qmp,path=/tmp/f/qmp -mon chardev=qmp,mode=control \
            -drive file=/w/a,,b.img,id=scratch0,if=none,format=raw,cache=unsafe,discard=unmap,\
werror=stop,rerror=stop -device virtio-blk-pci,drive=scratch0,serial=scratch0 \
            -drive file=/w/c.img,id=scratch1,if=none,format=raw,cache=unsafe,discard=unmap,\
werror=stop,rerror=stop -device virtio-blk-pci,drive=scratch1,serial=scratch1";
        similar_asserts::assert_eq!(argv, shlex::split(wanted).unwrap());
    }

    #[test]
    fn an_archive_is_the_root() {
        let argv = initramfs(
            kernel(Accel::Tcg),
            Some("tsc_early_khz=2000"),
            "/w/a.cpio".into(),
        );
        let after = |option: &str| {
            let at = argv.iter().position(|word| word == option);
            argv[at.unwrap() + 1].as_str()
        };
        assert_eq!(after("-kernel"), "/k/vmlinux");
        assert_eq!(after("-initrd"), "/w/a.cpio");
        assert_eq!(after("-accel"), "tcg,thread=multi");
        assert_eq!(after("-cpu"), "max");
        assert!(after("-append").starts_with("console=ttyS0 panic=-1 oops=panic"));
        assert!(after("-append").ends_with(" tsc_early_khz=2000"));
        assert!(!argv.iter().any(|word| word.contains("9p")), "{argv:?}");
        let kvm = initramfs(kernel(Accel::Kvm), None, "/w/a.cpio".into()).join(" ");
        assert!(
            kvm.contains("-cpu host") && kvm.contains("-accel kvm"),
            "{kvm}"
        );
    }

    #[test]
    fn kvm_has_no_silent_fallback() {
        let virtme = virtme("-machine accel=kvm:tcg -cpu host");
        let argv = on_host_root(&virtme, Accel::Kvm).unwrap();
        let line = argv.join(" ");
        assert!(line.contains("-accel kvm"), "{line}");
        assert!(!line.contains("tcg"), "{line}");
        assert!(!line.contains("-machine"), "{line}");
        assert!(line.contains("-cpu host"), "{line}");
    }

    #[test]
    fn init_with_a_space_is_quoted() {
        assert!(
            kernel_arguments("ro", None, "/my t/harness".into())
                .ends_with(r#" "init=/my t/harness""#)
        );
    }

    #[test]
    fn an_unknown_kind_of_line_is_refused() {
        let words = ["qemu", "-m", "1G"].map(str::to_owned);
        let error = on_host_root(&words, Accel::Tcg).unwrap_err();
        assert!(error.to_string().contains("without -append"), "{error}");
    }
}
