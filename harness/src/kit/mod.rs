//! What cases share, and nothing that a case itself must show.

pub mod complaints;
pub mod deadline;
pub mod device;
pub mod expiry;
pub mod lasting;
pub mod privilege;
pub mod snapshot;
pub mod state;
pub mod sysctl;
pub mod writer;
