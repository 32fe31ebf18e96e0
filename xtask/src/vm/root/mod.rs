//! What a guest starts from: the harness as its init, and the programs that cases call.

pub mod init;
pub mod initramfs;
mod loader;
