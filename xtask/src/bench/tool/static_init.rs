//! The root of the bare boot: an init that says that it runs, and ends the machine.

use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use crate::failure::Result;
use crate::host::environment::PLAIN;
use crate::host::proc::{self, Stop};
use crate::vm::root::initramfs;

/// What it says.
pub const MARK: &str = "bare init runs";

/// write(2), reboot(2): with `-no-reboot`, QEMU ends.
fn source() -> String {
    format!(
        ".globl _start\n\
         _start: mov $1, %eax; mov $1, %edi; lea mark(%rip), %rsi; mov ${}, %edx; syscall\n\
         mov $169, %eax; mov $0xfee1dead, %edi; mov $0x28121969, %esi; mov $0x1234567, %edx; syscall\n\
         hlt\n\
         mark: .ascii \"{MARK}\\n\"\n",
        MARK.len() + 1
    )
}

/// Makes an archive for the kernel in `folder`, of one static program.
pub fn archive(folder: &Utf8Path, stop: &Stop) -> Result<Utf8PathBuf> {
    let program = folder.join("init");
    let gcc = cmd!(PLAIN, "gcc -nostdlib -static -x assembler -o {program} -");
    proc::pipe(gcc, source().as_bytes(), stop)?;
    let archive = folder.join("bare.cpio");
    fs_err::write(&archive, initramfs::of_one(&program)?)?;
    Ok(archive)
}
