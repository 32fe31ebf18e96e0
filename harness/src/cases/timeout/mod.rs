//! `FIFREEZE_TIMEOUT` and `FIFREEZE_RESET_TIMEOUT`.

pub mod crowd;
pub mod deadline;
pub mod failing;
pub mod gone;
pub mod refused;
pub mod rescue;
