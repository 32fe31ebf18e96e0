//! Freezing, as the kernel has it: the ioctls, those of 32-bit programs, and the file holds of a superblock.
//!
//! All of it returns errno and nothing else, and depends on no other module here: others can use it as a library.

pub mod compat;
pub mod hold;
pub mod holds;
pub mod ioctl;
