//! What is to be measured: builds, starts of guests.

use super::model::Part;
use super::vng::Vng;
use crate::failure::Result;
use crate::host::session::Session;
use crate::kernel::request::Request;
use crate::vm::boot::Machine;

/// What is measured, how often, on what.
pub struct Plan<'a> {
    pub parts: Vec<Part>,
    pub rounds: u32,
    /// Rounds that begin with a cold build. The first does in any case.
    pub cold: u32,
    pub request: &'a Request,
    pub machine: Machine<'a>,
    /// Sees to it again that all of the machine is there, before a guest; an error if something had to be built.
    pub ready: &'a dyn Fn(&Session) -> Result<()>,
    pub vng: Vng,
}
