//! `FIFREEZE_TIMEOUT` and `FIFREEZE_RESET_TIMEOUT`.

pub mod deadline;
pub mod gone;
pub mod refused;
pub mod rescue;
