//! What happens at the very moment of a deadline.
//!
//! Each round freezes a herd of filesystems with one deadline each, and lets
//! processes do something to them around that moment. What is true afterwards,
//! whoever came first, is what a round asserts.

mod aim;
pub mod device;
pub mod requests;
mod round;
pub mod unmount;
