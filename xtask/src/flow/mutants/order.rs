//! What is to be tried.

use std::time::Duration;

use crate::flow::test_kernel::How;
use crate::kernel::request::Request;
use crate::series::mutants::Mutant;

#[derive(Debug)]
pub struct Order {
    /// The kernel without a mutant.
    pub request: Request,
    pub mutants: Vec<Mutant>,
    /// All cases that may notice one.
    pub how: How,
    /// How long cases may take for one mutant that are not likely to notice it.
    pub budget: Duration,
    /// Whether what was killed before is not tried again.
    pub resume: bool,
}
