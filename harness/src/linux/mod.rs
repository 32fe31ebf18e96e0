//! What the kernel and the programs around it show to everybody.

pub mod aio;
pub mod complaints;
pub mod console;
pub mod fdinfo;
pub mod kmsg;
pub mod mapping;
pub mod proc;
pub mod program;
pub mod scrub;
pub mod sysctl;
pub mod sysrq;
pub mod trim;
pub mod uring;
