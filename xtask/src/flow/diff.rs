//! The same series on two bases, side by side.

use crate::failure::{PASSED, Result};
use crate::host::session::Session;
use crate::kernel::{self, bases};
use crate::report::{differences, terminal};
use crate::review::diff::{Subjects, compare};
use crate::series::{self, Series};

/// What is compared with what.
#[derive(Debug)]
pub struct Order {
    pub bases: [String; 2],
    pub series: Vec<String>,
    /// Subjects of patches; all if there is none.
    pub filters: Vec<String>,
}

/// Shows what differs; that something does is no failure.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    kernel::are_names("--series", &order.series)?;
    let [old, new] = &order.bases;
    let load = |base: &str| -> Result<Vec<Series>> {
        bases::find(&session.layout, base)?;
        let load = |name: &String| series::load(&session.layout, base, name);
        order.series.iter().map(load).collect()
    };
    let (olds, news) = (load(old)?, load(new)?);
    let filter = Subjects::of(&order.filters, olds.iter().chain(&news))?;
    for (one, other) in olds.iter().zip(&news) {
        let entries = compare(one, other, &filter);
        terminal::text(&differences::text(&one.name, [old, new], &entries));
    }
    Ok(PASSED)
}
