//! The least that a guest can take: QEMU, the kernel, and an init that powers off at once.

use std::process::Command;

use camino::Utf8Path;

use crate::failure::Result;
use crate::proc::{self, Stop};
use crate::vm::Machine;
use crate::vm::accel::{self, Bootable};
use crate::vm::claim::Scratch;

/// reboot(2) with LINUX_REBOOT_CMD_POWER_OFF, by the x86-64 calling convention of the kernel.
const INIT: &str = "\
.globl _start
_start:
    mov $169, %eax
    mov $0xfee1dead, %edi
    mov $672274793, %esi
    mov $0x4321fedc, %edx
    syscall
";

/// An initial RAM filesystem with that init.
#[derive(Debug)]
pub struct Bare {
    dir: Scratch,
}

impl Bare {
    pub fn build(parent: &Utf8Path, stop: &Stop) -> Result<Self> {
        fs_err::create_dir_all(parent)?;
        let dir = Scratch::new(parent, "bare-")?;
        let bare = Self { dir };
        fs_err::write(bare.dir.path().join("init.S"), INIT)?;
        let mut gcc = bare.here("gcc");
        proc::read(
            gcc.args(["-static", "-nostdlib", "-no-pie", "-o", "init", "init.S"]),
            stop,
        )?;
        let mut cpio = bare.here("cpio");
        cpio.args(["--create", "--format=newc", "--quiet", "--file=initramfs"]);
        proc::pipe(&mut cpio, b"init\n", stop)?;
        Ok(bare)
    }

    fn here(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path());
        command
    }

    /// Starts the machine's kernel with it, and waits for QEMU's end, `limit` seconds at most.
    pub fn boot(&self, machine: &Machine<'_>, limit: &str, stop: &Stop) -> Result<()> {
        let bootable = Bootable {
            image: machine.image,
            version: "",
            single_thread: machine.single_thread,
        };
        let mut qemu = Command::new("timeout");
        qemu.args(["--kill-after=5", limit]);
        qemu.args(accel::command(machine.accel, bootable));
        qemu.arg("-initrd").arg(self.dir.path().join("initramfs"));
        proc::read(&mut qemu, stop)?;
        Ok(())
    }
}
