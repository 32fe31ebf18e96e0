//! From answers to what was sent into the messages of the commits, and from there into the patch files.

use camino::{Utf8Path, Utf8PathBuf};

use crate::failure::{Kind, PASSED, Result};
use crate::flow::refresh::followed;
use crate::host::lock;
use crate::host::session::Session;
use crate::kernel::carried::Commit;
use crate::kernel::{self, bases};
use crate::mail::record::Record;
use crate::mail::trailers::{self, Found};
use crate::mail::{mbox, record};
use crate::report::terminal::text;
use crate::report::watched;
use crate::review::refresh::{Consent, Stack, plan};
use crate::series::{self, Patch};
use crate::words::visible;

#[derive(Debug)]
pub struct Order {
    pub base: String,
    /// Those of the work tree, in order; the mails are of the last.
    pub series: Vec<String>,
    pub mbox: Utf8PathBuf,
    /// Say what would be taken, and change nothing.
    pub dry_run: bool,
    /// Take it although the patch has changed since the version that it was said of.
    pub changed: bool,
}

/// Says what is taken, and takes it.
///
/// # Errors
/// [`Kind::Usage`] if nothing was recorded, or the work tree is in no state to be written back.
pub fn run(order: &Order, session: &Session) -> Result<u8> {
    kernel::are_names("--series", &order.series)?;
    bases::find(&session.layout, &order.base)?;
    let _lock = watched(session, None, |session| {
        lock::hold(&session.layout.work("lock"), session)
    })?;
    let last = order.series.last().map_or("", String::as_str);
    let own = series::folder(&session.layout, &order.base, last);
    let (records, mails) = (record::all(&own)?, mbox::read(&order.mbox)?);
    let record = trailers::version(&mails, &records);
    let record = record.ok_or_else(|| record::nothing(&own))?;
    let mut found = trailers::find(&mails, record);
    let patches = series::load(&session.layout, &order.base, last)?.patches;
    judge(&mut found, (record, &own), &patches, order.changed)?;
    told(&found, record);
    match order.dry_run {
        true => Ok(PASSED),
        false => take(order, patches.len(), (&found, record), session),
    }
}

/// Leaves what was said of other patches than these, and forgets what they have already.
fn judge(
    found: &mut Found,
    (record, folder): (&Record, &Utf8Path),
    patches: &[Patch],
    changed: bool,
) -> Result<()> {
    let mails = record::mails(folder, record.version)?;
    for (at, sent) in record.patches.iter().enumerate() {
        let Some(patch) = patches.iter().find(|it| it.subject == sent.subject) else {
            continue;
        };
        found.forget(at, &String::from_utf8_lossy(&patch.message));
        if !changed && !record::is_still(sent, &mails, patch) {
            let why = format!(
                "{} has changed since v{}: is it still true? --changed takes it",
                patch.path, record.version
            );
            found.leave(at, &why);
        }
    }
    Ok(())
}

fn told(found: &Found, record: &Record) {
    for (patch, trailer) in &found.taken {
        let subject = &record.patches[*patch].subject;
        text(&visible(&format!("{subject}: {}", trailer.line())));
    }
    for left in &found.left {
        let (line, mail, why) = (left.trailer.line(), &left.mail, &left.why);
        text(&visible(&format!("not taken: {line} ({mail}): {why}")));
    }
    if found.taken.is_empty() {
        text(&format!("no new trailer for v{} to take", record.version));
    }
}

/// Rewords the commits of the work tree, of which so many are of the series that was sent, and writes them back.
fn take(
    order: &Order,
    own: usize,
    (found, record): (&Found, &Record),
    session: &Session,
) -> Result<u8> {
    let folder = session.layout.patches().join(&order.base);
    let (tree, before) = followed(&order.base, &order.series, session)?;
    let stack = Stack {
        names: &order.series,
        folder: &folder,
    };
    // The mails are of the last series, and that has the last commits; others may have the same subjects.
    let first = before.commits.len().saturating_sub(own);
    let messages = messages(&before.commits, first, found, record)?;
    let is_new = |(commit, message): (&Commit, &String)| commit.message() != *message;
    if before.commits.iter().zip(&messages).any(is_new) {
        tree.reword(&before.commits, &messages)?;
        let plan = plan(&tree, stack, &session.stop)?;
        plan.allow(Consent::default(), &tree, stack)?;
        plan.write(&tree, stack)?;
        for change in &plan.changes {
            text(folder.join(&change.path).as_str());
        }
    }
    Ok(PASSED)
}

/// What each commit is to say; those from `first` on are of the series that was sent. A patch is known by its subject: what
/// it changes may be something else since, which is judged before.
fn messages(
    commits: &[Commit],
    first: usize,
    found: &Found,
    record: &Record,
) -> Result<Vec<String>> {
    let mut messages: Vec<String> = commits.iter().map(Commit::message).collect();
    for (patch, sent) in record.patches.iter().enumerate() {
        let trailers = found.of(patch);
        let mut own = commits[first..].iter();
        match own.position(|commit| commit.subject == sent.subject) {
            _ if trailers.is_empty() => {}
            Some(at) => {
                let message = &mut messages[first + at];
                *message = trailers::add(message, &trailers);
            }
            None => {
                return Err(Kind::Usage.error(format!(
                    "no commit has the subject {:?} of v{} any more; add its trailers by hand, and take the mails of it out \
                     of the mbox",
                    sent.subject, record.version
                )));
            }
        }
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::refresh::worked;
    use crate::flow::sent;
    use crate::host::proc::Stop;
    use crate::kernel::carried;
    use crate::kernel::shop::{BASE, Shop};
    use crate::mail::mbox::samples::mail;

    fn shop() -> Shop {
        let shop = Shop::open();
        fs_err::create_dir_all(shop.layout.configs()).unwrap();
        let bases = format!("[[base]]\nname = \"{BASE}\"\npackage = \"x\"\n");
        fs_err::write(shop.layout.configs().join("kernels.toml"), bases).unwrap();
        shop.patch("s", 1, "one", 4, "");
        shop.patch("s", 2, "two", 12, "Provides: timeout");
        shop.provide(&["s"]).unwrap();
        refresh(&shop).unwrap();
        shop
    }

    fn session(shop: &Shop) -> Session {
        Session::new(shop.layout.clone(), Stop::default())
    }

    fn refresh(shop: &Shop) -> Result<Vec<String>> {
        let names = ["s".to_owned()];
        let tree = worked(BASE, &names, &session(shop))?;
        let stack = Stack {
            names: &names,
            folder: &shop.folder(),
        };
        let plan = plan(&tree, stack, &Stop::default())?;
        plan.write(&tree, stack)?;
        Ok(plan.changes.iter().map(|it| it.path.to_string()).collect())
    }

    /// The patches as they are now, sent as version 1.
    fn send(shop: &Shop) -> String {
        send_of(shop, "s")
    }

    fn send_of(shop: &Shop, series: &str) -> String {
        let of = |name: &str, number: usize| {
            let file = shop.file(&format!("{series}/000{number}-{name}.patch"));
            let text = fs_err::read_to_string(file).unwrap();
            let (_, body) = text.split_once("\n\n").unwrap();
            mail(
                &format!("{number}@l"),
                "A Person <a@example.org>",
                &format!("[PATCH {number}/2] {name}"),
                "",
                body,
            )
        };
        let base = "base-commit: 0123456789012345678901234567890123456789";
        let cover = mail(
            "0@l",
            "A Person <a@example.org>",
            "[PATCH 0/2] all",
            "",
            base,
        );
        [cover, of("one", 1), of("two", 2)].concat()
    }

    fn run_with(shop: &Shop, mbox: &str, dry_run: bool) -> Result<u8> {
        run_of(shop, &["s"], mbox, dry_run)
    }

    fn run_of(shop: &Shop, series: &[&str], mbox: &str, dry_run: bool) -> Result<u8> {
        let file = shop.layout.root().join("mbox");
        fs_err::write(&file, mbox).unwrap();
        let order = Order {
            base: BASE.into(),
            series: series.iter().map(ToString::to_string).collect(),
            mbox: file,
            dry_run,
            changed: false,
        };
        run(&order, &session(shop))
    }

    fn sent_of(shop: &Shop, series: &str, mbox: &str) {
        let file = shop.layout.root().join("mbox");
        fs_err::write(&file, mbox).unwrap();
        let order = sent::Order {
            base: BASE.into(),
            series: series.into(),
            version: 1,
            mbox: file,
            again: false,
        };
        sent::run(&order, &session(shop)).unwrap();
    }

    /// Both series have patches of the same names; the mails are of the last.
    /// What Ann answers to a mail.
    fn ack(to: &str) -> String {
        let head = format!("In-Reply-To: <{to}>\n");
        mail(
            "9@l",
            "Ann <ann@x>",
            "Re: x",
            &head,
            "Acked-by: Ann <ann@x>",
        )
    }

    #[test]
    fn the_last_series_of_a_stack_was_sent() {
        let shop = shop();
        shop.patch("t", 1, "one", 20, "");
        shop.patch("t", 2, "two", 27, "");
        let stack = ["s", "t"];
        shop.provide(&stack).unwrap();
        let answer = ack("1@l");
        let mbox = send_of(&shop, "t") + &answer;
        sent_of(&shop, "t", &mbox);
        let tree = worked(BASE, &stack.map(str::to_owned), &session(&shop)).unwrap();
        let names = stack.map(str::to_owned);
        let folder = shop.folder();
        let files = Stack {
            names: &names,
            folder: &folder,
        };
        plan(&tree, files, &Stop::default())
            .unwrap()
            .write(&tree, files)
            .unwrap();
        let read = |file: &str| fs_err::read_to_string(shop.file(file)).unwrap();
        let others = ["s/0001-one.patch", "s/0002-two.patch", "t/0002-two.patch"];
        let before = others.map(read);
        run_of(&shop, &stack, &mbox, false).unwrap();
        assert!(read("t/0001-one.patch").contains("Acked-by: Ann <ann@x>"));
        assert_eq!(others.map(read), before);
        // Renamed, it is not there any more, and that of the other series is not it.
        shop.work(
            &stack,
            "git commit --quiet --amend -m x; git rebase --quiet --exec 'git commit --quiet --amend -m other' HEAD^^",
        );
        plan(
            &worked(BASE, &names, &session(&shop)).unwrap(),
            files,
            &Stop::default(),
        )
        .unwrap()
        .write(&tree, files)
        .unwrap();
        let said = run_of(&shop, &stack, &mbox, false).unwrap_err().to_string();
        assert!(
            said.contains("no commit has the subject \"one\" of v1"),
            "{said}"
        );
        assert_eq!(read("s/0001-one.patch"), before[0]);
    }

    #[test]
    fn states_of_the_tree() {
        let shop = shop();
        let answer = ack("1@l");
        let mbox = send(&shop) + &answer;
        sent_of(&shop, "s", &mbox);
        let file = shop.file("s/0001-one.patch");
        let before = fs_err::read_to_string(&file).unwrap();
        // Stops at the first commit.
        shop.work(
            &["s"],
            "GIT_SEQUENCE_EDITOR='sed -i s/^pick/edit/' git rebase --quiet -i HEAD^^",
        );
        let said = run_with(&shop, &mbox, false).unwrap_err().to_string();
        assert!(said.contains("in the middle of a rebase"), "{said}");
        shop.work(&["s"], "git rebase --abort");
        let head = shop.work(&["s"], "git rev-parse HEAD");
        run_with(&shop, &mbox, true).unwrap();
        assert_eq!(shop.work(&["s"], "git rev-parse HEAD"), head);
        let tree = shop.tree(&["s"]);
        fs_err::rename(&tree, format!("{tree}.away")).unwrap();
        let said = run_with(&shop, &mbox, false).unwrap_err().to_string();
        assert!(said.contains("there is no work tree"), "{said}");
        assert!(said.ends_with("series edit --base x --series s"), "{said}");
        fs_err::rename(format!("{tree}.away"), &tree).unwrap();
        // Somebody commits while the messages are made.
        let worked = worked(BASE, &["s".to_owned()], &session(&shop)).unwrap();
        let commits = carried::commits(&worked.git, &worked.base, "HEAD").unwrap();
        let now = shop.work(
            &["s"],
            "git commit --quiet --allow-empty -m x; git rev-parse HEAD",
        );
        let messages = ["1\n", "2\n"].map(str::to_owned);
        worked.reword(&commits, &messages).unwrap_err();
        assert_eq!(shop.work(&["s"], "git rev-parse HEAD"), now);
        fs_err::remove_dir_all(&tree).unwrap();
        // What would be taken can be said without.
        run_with(&shop, &mbox, true).unwrap();
        assert_eq!(fs_err::read_to_string(&file).unwrap(), before);
    }

    #[test]
    fn from_answers_into_patch_files() {
        let shop = shop();
        let sent_mails = send(&shop);
        let answer = mail(
            "9@l",
            "Jörg <j@x>",
            "Re: [PATCH 2/2] two",
            "In-Reply-To: <2@l>\nContent-Type: text/plain; charset=utf-8\n",
            "Reviewed-by: Jörg <j@x>",
        );
        let mbox = sent_mails + &answer;
        let said = run_with(&shop, &mbox, false).unwrap_err().to_string();
        assert!(said.contains("series sent -v 1"), "{said}");
        // What was prepared before is what was sent from now on, and not prepared again.
        let folder = shop.file("s");
        let patches = series::load(&shop.layout, BASE, "s").unwrap().patches;
        let mails = mbox::parse(mbox.as_bytes());
        let prepared = record::prepared(1, &mails, &patches, &"f".repeat(40), "c").unwrap();
        prepared.write(&folder, b"").unwrap();
        sent_of(&shop, "s", &mbox);
        record::may_prepare(&folder, 1).unwrap_err();
        let record = record::read(&folder, 1).unwrap().unwrap();
        assert_eq!(record.change_id, prepared.change_id);
        assert_ne!(record.base_commit, prepared.base_commit);
        let kept = mbox::read(&shop.file("s/sent/v1.mbx")).unwrap();
        assert_eq!(kept.len(), 3);
        let files = ["s/0001-one.patch", "s/0002-two.patch"].map(|file| shop.file(file));
        let read = || {
            files
                .clone()
                .map(|file| fs_err::read_to_string(file).unwrap())
        };
        let before = read();
        run_with(&shop, &mbox, true).unwrap();
        assert_eq!(read(), before);
        run_with(&shop, &mbox, false).unwrap();
        let after = read();
        assert_eq!(after[0], before[0]);
        assert!(
            after[1].contains("\nWhy.\n\nReviewed-by: Jörg <j@x>\n---\nProvides: timeout\n"),
            "{}",
            after[1]
        );
        assert!(after[1].contains("charset=UTF-8"), "{}", after[1]);
        // Once more changes nothing, and the tree follows the files.
        run_with(&shop, &mbox, false).unwrap();
        assert_eq!(read(), after);
        assert_eq!(refresh(&shop).unwrap(), Vec::<String>::new());
        assert!(!shop.provide(&["s"]).unwrap().edited);
    }

    /// Somebody said it of what the patch was then.
    #[test]
    fn what_was_said_of_a_patch_that_has_changed_since() {
        let shop = shop();
        let answer = mail(
            "9@l",
            "Ann <ann@x>",
            "Re: x",
            "In-Reply-To: <0@l>\n",
            "Reviewed-by: Ann <ann@x>",
        );
        let mbox = send(&shop) + &answer;
        sent_of(&shop, "s", &mbox);
        shop.work(
            &["s"],
            "sed -i s/two/deux/ a.c; git commit -q --all --amend --no-edit",
        );
        refresh(&shop).unwrap();
        let files = ["s/0001-one.patch", "s/0002-two.patch"].map(|file| shop.file(file));
        let has = || {
            files.clone().map(|file| {
                let text = fs_err::read_to_string(file).unwrap();
                text.matches("Reviewed-by: Ann").count()
            })
        };
        run_with(&shop, &mbox, false).unwrap();
        assert_eq!(has(), [1, 0]);
        let order = Order {
            base: BASE.into(),
            series: vec!["s".into()],
            mbox: shop.layout.root().join("mbox"),
            dry_run: false,
            changed: true,
        };
        run(&order, &session(&shop)).unwrap();
        assert_eq!(has(), [1, 1]);
        // Only what is new is said to be taken.
        let record = record::read(&shop.file("s"), 1).unwrap().unwrap();
        let mut found = trailers::find(&mbox::parse(mbox.as_bytes()), &record);
        assert_eq!(found.taken.len(), 2);
        let patches = series::load(&shop.layout, BASE, "s").unwrap().patches;
        judge(&mut found, (&record, &shop.file("s")), &patches, false).unwrap();
        assert!(found.taken.is_empty() && found.left.is_empty(), "{found:?}");
    }

    #[test]
    fn what_does_not_fit_is_left_as_it_is() {
        let shop = shop();
        let answer = ack("0@l");
        let mbox = send(&shop) + &answer;
        sent_of(&shop, "s", &mbox);
        let file = shop.file("s/0001-one.patch");
        let whole = fs_err::read_to_string(&file).unwrap();
        let head = shop.work(&["s"], "git rev-parse HEAD");
        fs_err::write(&file, whole.replace("Why.", "Because.")).unwrap();
        let said = run_with(&shop, &mbox, false).unwrap_err().to_string();
        assert!(said.contains("patch files were edited"), "{said}");
        assert_eq!(shop.work(&["s"], "git rev-parse HEAD"), head);
        fs_err::write(&file, whole).unwrap();
        for (script, words) in [
            ("echo x >> a.c", "commit them first"),
            ("git commit -qam three", "series refresh"),
            (
                "git reset -q --hard HEAD^; git commit -q --amend -m 2",
                "series refresh",
            ),
        ] {
            shop.work(&["s"], script);
            let said = run_with(&shop, &mbox, false).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
        refresh(&shop).unwrap();
        let said = run_with(&shop, &mbox, false).unwrap_err().to_string();
        assert!(
            said.contains("no commit has the subject \"two\" of v1"),
            "{said}"
        );
    }
}
