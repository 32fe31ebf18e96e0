//! This program against plain virtme-ng: to build a kernel, to build it again, to start a guest.
//!
//! The builds are made in folders of their own, so that nobody's are lost: of the checkout only the sources are shared.

pub mod model;
pub mod plan;
pub mod report;
mod static_init;
mod take;
pub mod vng;
mod workshop;
