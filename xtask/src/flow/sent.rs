//! What was really sent: from the list's own mbox into the record.

use camino::Utf8PathBuf;

use crate::failure::{PASSED, Result};
use crate::host::session::Session;
use crate::kernel::{self, bases};
use crate::mail::{mbox, record};
use crate::report::terminal::text;
use crate::series;
use crate::words::count;

#[derive(Debug)]
pub struct Order {
    pub base: String,
    pub series: String,
    pub version: u32,
    pub mbox: Utf8PathBuf,
}

pub fn run(order: &Order, session: &Session) -> Result<u8> {
    kernel::are_names("--series", std::slice::from_ref(&order.series))?;
    bases::find(&session.layout, &order.base)?;
    let series = series::load(&session.layout, &order.base, &order.series)?;
    let folder = session
        .layout
        .patches()
        .join(&order.base)
        .join(&order.series);
    let mails = mbox::read(&order.mbox)?;
    // One that cannot be read is written anew.
    let prepared = record::read(&folder, order.version).unwrap_or_default();
    let record = record::sent(order.version, &mails, &series.patches, prepared.as_ref())?;
    record.write(&folder, &mbox::write(record::of_record(&record, &mails)))?;
    text(&format!(
        "v{}: {}, base {}; recorded in {}",
        record.version,
        count(record.patches.len(), "patch"),
        record.base_commit,
        record::path(&folder, record.version, "json")
    ));
    Ok(PASSED)
}
