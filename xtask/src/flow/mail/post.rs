//! Mails, and all that goes with them, written to a temporary folder that gets its name when all is there.

use std::collections::BTreeSet;
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};

use super::draft::{Draft, unsent};
use super::order::{Maker, Order};
use crate::deps::need::{self, Need};
use crate::event::Event;
use crate::failure::{Kind, Result};
use crate::host::files;
use crate::host::phase::phase;
use crate::host::session::Session;
use crate::kernel::version::version;
use crate::mail::b4::{B4, Mails};
use crate::mail::base::{self, Base, Upstream};
use crate::mail::checklist::{self, Mailing};
use crate::mail::cover::{self, Parts};
use crate::mail::graft::{Grafted, graft};
use crate::mail::lend::lend_files;
use crate::mail::letter::{Letter, Recipients};
use crate::mail::record::Record;
use crate::mail::{mbox, proof, record, refuse};
use crate::review::checkpatch;
use crate::words::count;

/// Where b4 has the series, beside the mails: whoever sends by b4 sends these.
const REPOSITORY: &str = "repository";

pub struct Post<'a> {
    pub order: &'a Order,
    pub draft: &'a Draft,
    pub maker: &'a Maker,
    pub session: &'a Session,
}

/// What has been made.
#[derive(Debug)]
pub struct Written {
    folder: Utf8PathBuf,
    /// Names in the folder.
    pub mails: Vec<String>,
    version: u32,
    recipients: usize,
    base: String,
    left: usize,
    record: Utf8PathBuf,
}

/// Where the patches go.
struct Ground {
    upstream: Upstream,
    base: Base,
    /// Files that the patches touch.
    touched: BTreeSet<String>,
}

impl Post<'_> {
    pub fn write(&self) -> Result<Written> {
        let Self { order, session, .. } = self;
        let folder = session.layout.mails(order.version);
        self.may_replace(&folder)?;
        let ground = self.ground()?;
        let parent = folder.parent().unwrap_or(&folder);
        let (_guard, new) = files::temporary(parent)?;
        let grafted = self.graft(&ground.base, &new.join(REPOSITORY))?;
        let b4 = B4::open(&grafted, &self.maker.b4, session)?;
        let mails = phase(&session.events, "making mails", || {
            let mails = self.mails((&b4, &grafted), &ground.upstream, &new)?;
            let outcome = count(mails.files.len(), "mail");
            Ok((mails, outcome))
        })?;
        let proof = "trying what git am, b4 am and git send-email make of them";
        phase(&session.events, proof, || {
            let on = (&ground.base, &ground.touched);
            proof::of(&mails, (&b4, &grafted), on, session)?;
            Ok(((), "the commits that were tested".to_owned()))
        })?;
        let left = self.checklist(&mails, &ground.base, &new)?;
        let mbox = fs_err::read(&mails.mbox)?;
        let record = self.record(&mails.change_id, &mbox, &ground.base)?;
        files::discard(&folder, &session.stop)?;
        fs_err::rename(&new, &folder)?;
        // Last: a record is of mails that are there.
        record.write(&self.draft.folder, &mbox)?;
        Ok(Written {
            mails: names(&mails.files),
            recipients: mails.people.to.len() + mails.people.cc.len(),
            base: ground.base.commit,
            version: order.version,
            folder,
            left,
            record: record::path(&self.draft.folder, order.version, "json"),
        })
    }

    /// The public commit, which has the same files as the source that was tested.
    fn ground(&self) -> Result<Ground> {
        let Self {
            order,
            draft,
            session,
            ..
        } = self;
        let version = || version(&draft.tested.repository);
        let upstream = match order.upstream.clone() {
            Some(upstream) => upstream,
            None => Upstream::of_version(&version()?),
        };
        let revision = match order.onto.clone() {
            Some(revision) => revision,
            None => base::tag_of_version(&version()?),
        };
        let base = base::find(&upstream, &revision, session)?;
        if order.to_list {
            refuse::private(&base)?;
        }
        let touched = base::touched(&draft.tested, &session.stop)?;
        let comparison = base::compare(&draft.tested, &base, &touched, &session.stop)?;
        session.events.note(comparison.to_string());
        Ok(Ground {
            upstream,
            base,
            touched,
        })
    }

    fn graft(&self, base: &Base, repository: &Utf8Path) -> Result<Grafted> {
        let Self {
            draft,
            session,
            maker,
            ..
        } = self;
        let place = (repository, draft.series.name.as_str());
        graft(&draft.tested, base, place, &maker.identity, &session.stop)
    }

    /// Has b4 write them: a first time to compare them with the version before, if there is one.
    fn mails(
        &self,
        (b4, grafted): (&B4, &Grafted),
        upstream: &Upstream,
        folder: &Utf8Path,
    ) -> Result<Mails> {
        let Self {
            order,
            draft,
            session,
            ..
        } = self;
        let mut letter = self.letter("");
        let (_, mut people) = b4.prepare(&letter)?;
        let lists = checklist::lists(&draft.series.patches);
        people.cc.extend(lists.iter().map(ToString::to_string));
        letter.recipients = Recipients::These(people);
        let mbox = folder.join(format!("v{}.mbx", order.version));
        if let Some(last) = record::last_sent(&draft.earlier) {
            let older = record::path(&draft.folder, last.version, "mbx");
            let text = fs_err::read(&older)?;
            let from = (draft.tested.repository.as_path(), upstream);
            lend_files(&text, &grafted.repository, from, &session.stop)?;
            let (_guard, first) = files::temporary(folder)?;
            let mails = b4.write(&letter, &first.join("mails"), &first.join("mbox"))?;
            letter.cover = self.letter(&b4.diff(&older, &mails.mbox)?).cover;
        }
        let mails = b4.write(&letter, &folder.join("mails"), &mbox)?;
        beside(mails, folder)
    }

    fn letter(&self, range_diff: &str) -> Letter {
        let Self { order, draft, .. } = self;
        let earlier = draft.prepared.iter().chain(&draft.earlier);
        let dependencies = draft.dependencies.iter();
        let dependencies = dependencies.filter_map(|it| it.sent.as_ref());
        let dependencies = dependencies.map(|sent| format!("change-id: {sent}"));
        let mut change_ids = earlier.filter_map(|record| record.change_id.clone());
        Letter {
            cover: cover::letter(Parts {
                text: &draft.text,
                changes: &draft.changes,
                results: &draft.results,
                earlier: &draft.earlier,
                range_diff,
            }),
            version: order.version,
            prefixes: order.rfc.then(|| "RFC".to_owned()).into_iter().collect(),
            change_id: change_ids.next(),
            dependencies: dependencies.collect(),
            recipients: Recipients::Maintainers(draft.tested.repository.clone()),
        }
    }

    /// Writes the list of what is left to do; returns how much.
    fn checklist(&self, mails: &Mails, base: &Base, folder: &Utf8Path) -> Result<usize> {
        let Self {
            order,
            draft,
            session,
            maker,
        } = self;
        let recipients = [mails.people.to.as_slice(), &mails.people.cc].concat();
        let place = session.layout.mails(order.version);
        let mailing = Mailing {
            base: &order.base,
            series: &order.series,
            version: order.version,
            patches: &draft.series.patches,
            tree: &draft.tested.repository,
            unsent: &unsent(&draft.dependencies),
            published: base.published,
            identity: Some(&maker.identity.to_string()),
            recipients: &recipients,
            mails: &place,
            repository: &place.join(REPOSITORY),
            complaints: &self.complaints()?,
            b4: &maker.b4,
            earlier: &draft.earlier,
        };
        let list = checklist::list(&mailing);
        files::write(&folder.join(checklist::FILE), list.text.as_bytes())?;
        if let Some(many) = checklist::many(mails.files.len()) {
            session.events.send(Event::Warning(many));
        }
        Ok(list.left)
    }

    /// Of the kernel's own script, as `series check` asks it.
    fn complaints(&self) -> Result<Vec<String>> {
        let Self { draft, session, .. } = self;
        let mut complaints = Vec::new();
        for patch in &draft.series.patches {
            let found = checkpatch::check(patch, &draft.tested.repository, &session.stop)?;
            let found = found.iter();
            complaints.extend(found.map(|it| format!("{}:{}: {}", it.file, it.line, it.text)));
        }
        let lacking = need::missing(Need::Check).into_iter();
        let lacking = lacking.filter(|it| it.package.starts_with("python3-"));
        complaints.extend(
            lacking.map(|it| format!("licences were not checked: {} is missing", it.package)),
        );
        Ok(complaints)
    }

    /// Mails of another series are not what this run has made.
    fn may_replace(&self, folder: &Utf8Path) -> Result<()> {
        let path = folder.join(checklist::FILE);
        let kept = match path.exists() {
            true => fs_err::read_to_string(&path)?,
            false if folder.exists() => String::new(),
            false => return Ok(()),
        };
        let Self { order, draft, .. } = self;
        let title = checklist::title(&order.base, &draft.series.name, order.version);
        match kept.starts_with(&title) {
            true => Ok(()),
            false => Err(Kind::Usage.error(format!(
                "{folder} has mails of another series ({}); move it away",
                kept.lines().next().unwrap_or("no CHECKLIST is there")
            ))),
        }
    }

    fn record(&self, change_id: &str, mbox: &[u8], base: &Base) -> Result<Record> {
        let Self { order, draft, .. } = self;
        record::prepared(
            order.version,
            &mbox::parse(mbox),
            &draft.series.patches,
            &base.commit,
            change_id,
        )
    }
}

/// From b4's own folder to their place; the letter of several is not called after its subject.
fn beside(mails: Mails, folder: &Utf8Path) -> Result<Mails> {
    let mut files = Vec::new();
    for (file, at) in mails.files.iter().zip(0..) {
        let name = match (at, mails.files.len()) {
            (0, 2..) => "0000-cover.eml",
            _ => file.file_name().unwrap_or_default(),
        };
        files.push(folder.join(name));
        fs_err::rename(file, folder.join(name))?;
    }
    fs_err::remove_dir_all(folder.join("mails"))?;
    Ok(Mails { files, ..mails })
}

fn names(files: &[Utf8PathBuf]) -> Vec<String> {
    let names = files.iter().filter_map(|file| file.file_name());
    names.map(str::to_owned).collect()
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            folder,
            mails,
            version,
            base,
            recipients,
            left,
            record,
        } = self;
        for mail in mails {
            writeln!(f, "{folder}/{mail}")?;
        }
        writeln!(f, "{folder}/v{version}.mbx: all of them, on {base}")?;
        writeln!(
            f,
            "{folder}/{}: {} for you to do",
            checklist::FILE,
            count(*left, "thing")
        )?;
        writeln!(
            f,
            "{record}, and the mails beside it: the record of this version, for you to commit"
        )?;
        write!(
            f,
            "nothing was sent; {recipients} recipients would get each of them"
        )
    }
}
