//! Holds that are file descriptors (`FS_IOC_FREEZE_HOLD`).
//!
//! Children inherit the hold. So a writer that has to be blocked is started before the hold is taken
//! ([`crate::kit::writer::Waiting`]), or the last close would never come.

pub mod beside;
pub mod ends;
pub mod refused;
pub mod shared;
