//! What was really sent: from the list's own mbox into the record.

use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::{Failure, Kind, PASSED, Result};
use crate::host::lock;
use crate::host::session::Session;
use crate::kernel::{self, bases};
use crate::mail::mbox::{self, Mail};
use crate::mail::record::{self, Kept, OfList, Record};
use crate::report::terminal::text;
use crate::report::watched;
use crate::series;
use crate::words::{count, visible};

#[derive(Debug)]
pub struct Order {
    pub base: String,
    pub series: String,
    pub version: u32,
    pub mbox: Utf8PathBuf,
    /// Record it, whatever was recorded as sent before.
    pub again: bool,
}

/// Records it; what was recorded as sent before stays, unless it is the same or is to go.
///
/// # Errors
/// [`Kind::Usage`] if the mbox has other mails than were recorded, other patches, or lacks one.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    kernel::are_names("--series", std::slice::from_ref(&order.series))?;
    bases::find(&session.layout, &order.base)?;
    let _lock = watched(session, None, |session| {
        lock::hold(&session.layout.work("lock"), session)
    })?;
    let series = series::load(&session.layout, &order.base, &order.series)?;
    let folder = series::folder(&session.layout, &order.base, &order.series);
    let mails = mbox::read(&order.mbox)?;
    let known = known(&folder, order.version)?;
    let kept = known.as_ref().map(|(record, mails)| Kept { record, mails });
    let OfList { record, aside } = record::sent(order.version, &mails, &series.patches, kept)?;
    if let Some((known, _)) = known.filter(|(known, _)| known.is_sent() && !order.again)
        && known != record
    {
        return Err(differs(&known, &record, &folder));
    }
    record.write(&folder, &mbox::write(record::of_record(&record, &mails)))?;
    for what in aside {
        text(&visible(&format!("left aside: {what}")));
    }
    text(&format!(
        "v{}: {}, base {}; recorded in {}",
        record.version,
        count(record.patches.len(), "patch"),
        record.base_commit,
        record::path(&folder, record.version, "json")
    ));
    Ok(PASSED)
}

/// What was recorded of a version; one that nobody can read is written anew.
fn known(folder: &Utf8Path, version: u32) -> Result<Option<(Record, Vec<Mail>)>> {
    let record = match record::read(folder, version) {
        Err(failure) if failure.kind == Kind::Usage => {
            text(&visible(&format!("not looked at: {failure}")));
            None
        }
        read => read?,
    };
    let kept = record.map(|record| Ok((record, record::mails(folder, version)?)));
    kept.transpose()
}

fn differs(known: &Record, new: &Record, folder: &Utf8Path) -> Failure {
    let id = |record: &Record| record.first_id().unwrap_or("no id").to_owned();
    let version = known.version;
    Kind::Usage.error(format!(
        "{} has v{version} as it was sent ({}), and the mbox has it otherwise ({}); if the mbox is right, --again records it anew",
        record::path(folder, version, "json"),
        id(known),
        id(new)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::proc::Stop;
    use crate::kernel::shop::{BASE, Shop};
    use crate::mail::mbox::samples::mail;

    fn shop() -> Shop {
        let shop = Shop::open();
        shop.base();
        shop.patch("s", 1, "one", 4, "");
        shop
    }

    fn mails(shop: &Shop, id: &str) -> String {
        let text = fs_err::read_to_string(shop.file("s/0001-one.patch")).unwrap();
        let (_, body) = text.split_once("\n\n").unwrap();
        let base = format!("{body}-- \nbase-commit: {}\n", "0".repeat(40));
        mail(id, "A <a@x>", "[PATCH] one", "", &base)
    }

    fn order(shop: &Shop, mails: &str) -> Order {
        let mbox = shop.layout.root().join("mbox");
        fs_err::write(&mbox, mails).unwrap();
        Order {
            base: BASE.into(),
            series: "s".into(),
            version: 1,
            mbox,
            again: false,
        }
    }

    fn id(shop: &Shop) -> String {
        let record = record::read(&shop.file("s"), 1).unwrap().unwrap();
        record.first_id().unwrap().to_owned()
    }

    #[test]
    fn what_was_sent_is_not_replaced_without_a_word() {
        let shop = shop();
        let session = Session::new(shop.layout.clone(), Stop::default());
        let [first, other] = ["1@l", "2@l"].map(|id| mails(&shop, id));
        run(&order(&shop, &first), &session).unwrap();
        run(&order(&shop, &first), &session).unwrap();
        let failure = run(&order(&shop, &other), &session).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        let said = failure.to_string();
        for words in ["(1@l)", "(2@l)", "--again"] {
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(id(&shop), "1@l");
        let again = Order {
            again: true,
            ..order(&shop, &other)
        };
        run(&again, &session).unwrap();
        assert_eq!(id(&shop), "2@l");
        // What is no record is no reason to stop; a file that cannot be read is.
        let json = record::path(&shop.file("s"), 1, "json");
        fs_err::write(&json, "{").unwrap();
        run(&order(&shop, &first), &session).unwrap();
        assert_eq!(id(&shop), "1@l");
        fs_err::remove_file(&json).unwrap();
        fs_err::create_dir(&json).unwrap();
        let failure = run(&order(&shop, &first), &session).unwrap_err();
        assert_eq!(failure.kind, Kind::Machinery, "{failure}");
    }

    /// The file has changed since, and there is one more.
    #[test]
    fn what_was_prepared_is_recorded_although_work_went_on() {
        let shop = shop();
        let session = Session::new(shop.layout.clone(), Stop::default());
        let sent = mails(&shop, "1@l");
        let patches = series::load(&shop.layout, BASE, "s").unwrap().patches;
        let written = mbox::parse(sent.replace("1@l", "b4@x").as_bytes());
        let prepared = record::prepared(1, &written, &patches, &"0".repeat(40), "c").unwrap();
        let mbx = mbox::write(&written);
        prepared.write(&shop.file("s"), &mbx).unwrap();
        fs_err::remove_file(shop.file("s/series")).unwrap();
        shop.patch("s", 1, "one", 5, "");
        shop.patch("s", 2, "two", 12, "");
        run(&order(&shop, &sent), &session).unwrap();
        assert_eq!(id(&shop), "1@l");
        let now = record::read(&shop.file("s"), 1).unwrap().unwrap();
        assert_eq!(now.change_id.as_deref(), Some("c"));
        assert_eq!(now.patches[0].digest, prepared.patches[0].digest);
        // And once more.
        run(&order(&shop, &sent), &session).unwrap();
    }
}
