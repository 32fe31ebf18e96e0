//! What people answered to a version: Reviewed-by and the like, and how they become a part of a commit's message.

use std::sync::LazyLock;

use regex::Regex;

use super::letter::{address, same};
use super::mbox::{Mail, Person, Subject};
use super::record::Record;

/// `Reviewed-by: A Person <a@example.org>`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    pub key: String,
    pub value: String,
}

impl Trailer {
    pub fn line(&self) -> String {
        format!("{}: {}", self.key, self.value)
    }

    /// Whom it names, if that is somebody with an address.
    fn person(&self) -> Option<Person> {
        let (name, _) = self.value.split_once('<').unwrap_or_default();
        Some(Person {
            name: name.trim().trim_matches('"').to_owned(),
            address: address(&self.value)?.to_owned(),
        })
    }

    /// Whether both say the same of the same person, however they write it.
    fn same(&self, other: &Self) -> bool {
        self.key.eq_ignore_ascii_case(&other.key) && same(&self.value, &other.value)
    }
}

/// What an mbox has.
#[derive(Debug, Default)]
pub struct Found {
    /// With the number of its patch, from 0; what answers the cover letter is for each.
    pub taken: Vec<(usize, Trailer)>,
    /// The ids of the mails that have these.
    mails: Vec<String>,
    /// What is not taken: for people to look at.
    pub left: Vec<Left>,
}

#[derive(Debug)]
pub struct Left {
    pub trailer: Trailer,
    /// The id of the mail that has it.
    pub mail: String,
    pub why: String,
}

/// Which of the versions the mails are of, or answer: the newest such one, else the newest of all.
pub fn version<'a>(mails: &[Mail], newest_first: &'a [Record]) -> Option<&'a Record> {
    let has = |record: &&Record| {
        let is_of = |mail| about(mail, mails, record).is_some();
        let ids = mails.iter().map(|mail| mail.id.as_str());
        ids.into_iter().any(|id| patches_of(record, id).is_some()) || mails.iter().any(is_of)
    };
    newest_first.iter().find(has).or(newest_first.first())
}

/// Looks through all answers to a version.
pub fn find(mails: &[Mail], record: &Record) -> Found {
    let mut found = Found::default();
    for mail in mails {
        let Some(about) = about(mail, mails, record) else {
            continue;
        };
        for trailer in said(&mail.body) {
            match unfit(&trailer, mail) {
                Some(why) => found.left.push(Left {
                    trailer,
                    mail: mail.id.clone(),
                    why,
                }),
                None => found.take(&about, &trailer, &mail.id),
            }
        }
    }
    let taken = std::mem::take(&mut found.taken).into_iter();
    let mut taken: Vec<_> = taken.zip(std::mem::take(&mut found.mails)).collect();
    taken.sort_by_key(|((patch, _), _)| *patch);
    (found.taken, found.mails) = taken.into_iter().unzip();
    found
}

impl Found {
    fn take(&mut self, patches: &[usize], trailer: &Trailer, mail: &str) {
        for patch in patches {
            let known = |(of, it): &(usize, Trailer)| of == patch && it.same(trailer);
            if !self.taken.iter().any(known) {
                self.taken.push((*patch, trailer.clone()));
                self.mails.push(mail.to_owned());
            }
        }
    }

    /// Leaves those of one patch to people.
    pub fn leave(&mut self, patch: usize, why: &str) {
        let taken = std::mem::take(&mut self.taken).into_iter();
        for ((of, trailer), mail) in taken.zip(std::mem::take(&mut self.mails)) {
            if of == patch {
                let why = why.to_owned();
                self.left.push(Left { trailer, mail, why });
            } else {
                self.taken.push((of, trailer));
                self.mails.push(mail);
            }
        }
    }

    /// Forgets those of one patch that its message has already.
    pub fn forget(&mut self, patch: usize, message: &str) {
        let there = of_message(message);
        let taken = std::mem::take(&mut self.taken).into_iter();
        for ((of, trailer), mail) in taken.zip(std::mem::take(&mut self.mails)) {
            if of != patch || there.iter().all(|it| !it.same(&trailer)) {
                self.taken.push((of, trailer));
                self.mails.push(mail);
            }
        }
    }

    /// Those of one patch.
    pub fn of(&self, patch: usize) -> Vec<Trailer> {
        let of = self.taken.iter().filter(|(of, _)| *of == patch);
        of.map(|(_, trailer)| trailer.clone()).collect()
    }
}

/// The patches that a mail answers; none if it is one itself, or answers something else.
fn about(mail: &Mail, mails: &[Mail], record: &Record) -> Option<Vec<usize>> {
    match is_apart(mail, record) {
        true => None,
        false => by_thread(mail, mails, record).or_else(|| by_subject(mail, record)),
    }
}

/// A patch itself, or an answer to another version, which may be in the same thread.
fn is_apart(mail: &Mail, record: &Record) -> bool {
    let subject = &mail.subject;
    let is_other = !subject.is_reply || subject.version != record.version;
    patches_of(record, &mail.id).is_some() || subject.is_patch && is_other
}

/// By the mails that it answers, the nearest first, and those that these do: not every program writes References.
fn by_thread(mail: &Mail, mails: &[Mail], record: &Record) -> Option<Vec<usize>> {
    let mut at = mail;
    // No thread is deeper than it has mails, unless it goes in circles.
    for _ in 0..mails.len() {
        for id in &at.answers {
            let found = patches_of(record, id);
            if found.is_some() {
                return found;
            }
            let answered = mails.iter().find(|mail| &mail.id == id);
            if let Some(patch) = answered.filter(|mail| is_apart(mail, record)) {
                return named(&patch.subject, record);
            }
        }
        let nearest = at.answers.first()?;
        at = mails.iter().find(|mail| &mail.id == nearest)?;
    }
    None
}

fn patches_of(record: &Record, id: &str) -> Option<Vec<usize>> {
    if record
        .cover
        .as_ref()
        .is_some_and(|cover| cover.message_id == id)
    {
        return Some((0..record.patches.len()).collect());
    }
    let at = record.patches.iter().position(|sent| sent.message_id == id);
    at.map(|at| vec![at])
}

/// For a mail whose thread was lost.
fn by_subject(mail: &Mail, record: &Record) -> Option<Vec<usize>> {
    mail.subject
        .is_reply
        .then(|| named(&mail.subject, record))?
}

/// What has this subject in this version: what was only prepared may have been sent with other ids.
fn named(subject: &Subject, record: &Record) -> Option<Vec<usize>> {
    if !subject.is_patch || subject.version != record.version {
        return None;
    }
    let is_cover =
        |text: &str| subject.text == text && subject.place.is_none_or(|(number, _)| number == 0);
    if record
        .cover
        .as_ref()
        .is_some_and(|cover| is_cover(&cover.subject))
    {
        return Some((0..record.patches.len()).collect());
    }
    let at = record
        .patches
        .iter()
        .position(|sent| sent.subject == subject.text);
    at.map(|at| vec![at])
}

/// Trailers that a mail itself says: neither what it quotes, nor what stands in a signature or a diff.
fn said(body: &str) -> Vec<Trailer> {
    static SAID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^([a-z]+(?:-[a-z]+)*-by):[ \t]+(\S.*?)[ \t]*$").expect("valid")
    });
    let mut own = body
        .lines()
        .take_while(|line| line.trim_end() != "--" && !line.starts_with("diff --git "))
        .peekable();
    let mut trailers = Vec::new();
    while let Some(line) = own.next() {
        let Some(found) = SAID.captures(line) else {
            continue;
        };
        let (first, rest) = found[1].split_at(1);
        let key = first.to_uppercase() + &rest.to_lowercase();
        let mut value = found[2].to_owned();
        // Programs fold long lines, and a name goes before its address.
        let is_rest = |line: &&str| !value.contains('<') && line.trim_start().starts_with('<');
        if let Some(rest) = own.next_if(is_rest) {
            value = format!("{value} {}", rest.trim());
        }
        trailers.push(Trailer { key, value });
    }
    trailers
}

/// Why a trailer is not taken.
fn unfit(trailer: &Trailer, mail: &Mail) -> Option<String> {
    const TAKEN: &[&str] = &[
        "reviewed-by",
        "tested-by",
        "acked-by",
        "reported-by",
        "suggested-by",
        "reported-and-tested-by",
        "reviewed-and-tested-by",
        "acked-and-tested-by",
    ];
    if !TAKEN.contains(&trailer.key.to_lowercase().as_str()) {
        return Some(format!(
            "{} is for people to write, not for this program",
            trailer.key
        ));
    }
    if trailer.value.contains(char::is_control) {
        return Some("it has control characters".into());
    }
    let from = &mail.from;
    let Some(person) = trailer.person() else {
        return Some("it has no address".into());
    };
    (!same_person(&person, from)).then(|| {
        format!(
            "the mail is from {} <{}>; if it is right all the same, write it into the commit \
             yourself",
            from.name, from.address
        )
    })
}

/// By the address, or else by the words of the name: people write from several addresses.
fn same_person(a: &Person, b: &Person) -> bool {
    let words = |name: &str| {
        let name = name.to_lowercase().replace([',', '"'], " ");
        let mut words: Vec<_> = name.split_whitespace().map(str::to_owned).collect();
        words.sort();
        words
    };
    let (ours, theirs) = (words(&a.name), words(&b.name));
    a.address.eq_ignore_ascii_case(&b.address) || (!ours.is_empty() && ours == theirs)
}

/// A message with more trailers: after those that it has, before a sign-off, and none that it has already.
pub fn add(message: &str, trailers: &[Trailer]) -> String {
    let mut lines = lines_of(message);
    let block = block(&lines);
    let there = of_message(message);
    let mut new: Vec<&Trailer> = Vec::new();
    for trailer in trailers {
        if there
            .iter()
            .chain(new.iter().copied())
            .all(|it| !it.same(trailer))
        {
            new.push(trailer);
        }
    }
    if new.is_empty() {
        return message.to_owned();
    }
    if block == lines.len() {
        lines.push(String::new());
    }
    let at = place(&lines, block);
    lines.splice(at..at, new.into_iter().map(Trailer::line));
    lines.join("\n") + "\n"
}

fn lines_of(message: &str) -> Vec<String> {
    message.trim_end().lines().map(str::to_owned).collect()
}

/// Those that a message has.
fn of_message(message: &str) -> Vec<Trailer> {
    let lines = lines_of(message);
    let own = lines[block(&lines)..].iter();
    own.filter_map(|line| trailer(line)).collect()
}

/// Where the trailers begin: the last paragraph, if it has nothing else, and is not the subject.
fn block(lines: &[String]) -> usize {
    let Some(blank) = lines.iter().rposition(String::is_empty) else {
        return lines.len();
    };
    let last = &lines[blank + 1..];
    let fits = |line: &String| trailer(line).is_some() || line.starts_with([' ', '\t', '[']);
    match !last.is_empty() && trailer(&last[0]).is_some() && last.iter().all(fits) {
        true => blank + 1,
        false => lines.len(),
    }
}

/// Before the first sign-off, and what belongs to it: a co-developer stands right above theirs.
fn place(lines: &[String], block: usize) -> usize {
    let begins = |at: usize, key: &str| {
        let key = format!("{key}:").to_lowercase();
        lines[at].to_lowercase().starts_with(&key)
    };
    let first = (block..lines.len()).find(|at| begins(*at, "Signed-off-by"));
    let Some(mut at) = first else {
        return lines.len();
    };
    while at > block && begins(at - 1, "Co-developed-by") {
        at -= 1;
    }
    at
}

fn trailer(line: &str) -> Option<Trailer> {
    let (key, value) = line.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    (is_key && value.starts_with([' ', '\t'])).then(|| Trailer {
        key: key.to_owned(),
        value: value.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::mbox::{self, samples::mail};
    use crate::mail::record::samples::record;

    #[test]
    fn who_said_what_of_which_patch() {
        let text = [
            mail(
                "v2-1@x",
                "me <me@x>",
                "[PATCH v2 1/2] fs: one",
                "",
                "Tested-by: me <me@x>",
            ),
            mail(
                "a@x",
                "Ann <ann@x>",
                "Re: [PATCH v2 1/2] fs: one",
                "In-Reply-To: <v2-1@x>\n",
                "> Acked-by: Quoted <q@x>\nGood.\n\nReviewed-by: Ann <ANN@x>\n\
                 Reviewed-by: Ann <ann@x>\n-- \nTested-by: z <z@x>",
            ),
            mail(
                "b@x",
                "Bob <bob@x>",
                "Re: all",
                "In-Reply-To: <v2-0@x>\n",
                "Tested-by: Bob <bob@x>",
            ),
            mail(
                "c@x",
                "\"Cole, Carl\" <carl@home>",
                "Re: x",
                "In-Reply-To: <a@x>\n",
                "Acked-by: Carl Cole <carl@work>",
            ),
            mail(
                "d@x",
                "Dan <dan@x>",
                "Re: [PATCH v2 2/2] fs: two",
                "",
                "Suggested-by: Dan <dan@x>\nAcked-by: Eve <eve@x>\n\
                 Signed-off-by: Dan <dan@x>",
            ),
            mail(
                "e@x",
                "Eve <eve@x>",
                "Re: [PATCH 2/2] fs: two",
                "",
                "Acked-by: Eve <eve@x>",
            ),
            mail(
                "f@x",
                "Eve <eve@x>",
                "Re: [PATCH v2 0/2] fs: all of it",
                "References: <unknown@x>\n",
                "Reported-by: Eve <eve@x>\nAcked-by: Eve\nTested-by: \u{1b}[2J <eve@x>",
            ),
        ]
        .concat();
        let found = find(
            &mbox::parse(text.as_bytes()),
            &record(2, &["fs: one", "fs: two"]),
        );
        let taken: Vec<_> = found
            .taken
            .iter()
            .map(|(patch, it)| format!("{patch} {}", it.line()))
            .collect();
        assert_eq!(
            taken,
            [
                "0 Reviewed-by: Ann <ANN@x>",
                "0 Tested-by: Bob <bob@x>",
                "0 Acked-by: Carl Cole <carl@work>",
                "0 Reported-by: Eve <eve@x>",
                "1 Tested-by: Bob <bob@x>",
                "1 Suggested-by: Dan <dan@x>",
                "1 Reported-by: Eve <eve@x>",
            ]
        );
        let left: Vec<_> = found
            .left
            .iter()
            .map(|it| (it.trailer.line(), it.mail.as_str(), it.why.as_str()))
            .collect();
        for ((line, mail, why), (wanted, of, words)) in left.iter().zip([
            (
                "Acked-by: Eve <eve@x>",
                "d@x",
                "the mail is from Dan <dan@x>",
            ),
            ("Signed-off-by: Dan <dan@x>", "d@x", "for people to write"),
            ("Acked-by: Eve", "f@x", "no address"),
            ("Tested-by: \u{1b}[2J <eve@x>", "f@x", "control characters"),
        ]) {
            assert_eq!((line.as_str(), *mail), (wanted, of));
            assert!(why.contains(words), "{why}");
        }
        assert_eq!(left.len(), 4);
        assert_eq!(found.of(1).len(), 3);
    }

    #[test]
    fn threads_without_references_and_circles() {
        let text = [
            mail("a@x", "Ann <ann@x>", "hm", "In-Reply-To: <v2-1@x>\n", ""),
            mail(
                "b@x",
                "Bob <bob@x>",
                "hm",
                "In-Reply-To: <a@x>\n",
                "Acked-by: Bob <bob@x>",
            ),
            mail(
                "c@x",
                "Bob <bob@x>",
                "hm",
                "In-Reply-To: <d@x>\n",
                "Tested-by: Bob <bob@x>",
            ),
            mail(
                "d@x",
                "Bob <bob@x>",
                "hm",
                "In-Reply-To: <c@x>\n",
                "Tested-by: Bob <bob@x>",
            ),
        ]
        .concat();
        let found = find(&mbox::parse(text.as_bytes()), &record(2, &["fs: one"]));
        assert_eq!(found.taken.len(), 1);
        assert_eq!(found.taken[0].1.line(), "Acked-by: Bob <bob@x>");
    }

    /// Some begin a version as an answer to the one before.
    #[test]
    fn answers_to_another_version() {
        let text = [
            mail(
                "v3-0@x",
                "me <me@x>",
                "[PATCH v3 0/1] fs: all",
                "In-Reply-To: <v2-0@x>\n",
                "",
            ),
            mail(
                "v3-1@x",
                "me <me@x>",
                "[PATCH v3 1/1] fs: one",
                "In-Reply-To: <v3-0@x>\nReferences: <v2-0@x> <v3-0@x>\n",
                "Suggested-by: me <me@x>",
            ),
            mail(
                "a@x",
                "Ann <ann@x>",
                "Re: [PATCH v3 1/1] fs: one",
                "In-Reply-To: <v3-1@x>\nReferences: <v2-0@x> <v3-0@x> <v3-1@x>\n",
                "Reviewed-by: Ann <ann@x>",
            ),
            mail(
                "b@x",
                "Bob <bob@x>",
                "Re: holds",
                "In-Reply-To: <v3-1@x>\nReferences: <v2-0@x> <v3-0@x> <v3-1@x>\n",
                "Acked-by: Bob <bob@x>",
            ),
        ];
        let mails = mbox::parse(text.concat().as_bytes());
        let records = [3, 2].map(|version| record(version, &["fs: one"]));
        let found = |record| {
            let found = find(&mails, record);
            assert!(found.left.is_empty(), "{found:?}");
            found
                .taken
                .into_iter()
                .map(|(_, it)| it.line())
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&records[1]), Vec::<String>::new());
        assert_eq!(
            found(&records[0]),
            ["Reviewed-by: Ann <ann@x>", "Acked-by: Bob <bob@x>"]
        );
        // What is prepared is not what people answer yet.
        let old = mail(
            "c@x",
            "Cole <c@x>",
            "Aw: [PATCH v2 1/1] fs: one",
            "",
            "Acked-by: Cole <c@x>",
        );
        let old = mbox::parse(old.as_bytes());
        assert_eq!(version(&old, &records).map(|it| it.version), Some(2));
        assert_eq!(version(&mails, &records).map(|it| it.version), Some(3));
        assert_eq!(version(&[], &records).map(|it| it.version), Some(3));
        assert_eq!(find(&old, &records[1]).taken.len(), 1);
    }

    /// b4 makes new ids when it sends, and until `series sent` nobody knows them.
    #[test]
    fn answers_to_what_was_prepared() {
        let text = [
            mail("0@l", "me <me@x>", "[PATCH v2 0/2] fs: all of it", "", ""),
            mail(
                "2@l",
                "me <me@x>",
                "[PATCH v2 2/2] fs: two",
                "In-Reply-To: <0@l>\n",
                "",
            ),
            mail(
                "a@l",
                "Ann <ann@x>",
                "Re: holds",
                "In-Reply-To: <2@l>\n",
                "Acked-by: Ann <ann@x>",
            ),
            mail(
                "b@l",
                "Bob <bob@x>",
                "hm",
                "In-Reply-To: <0@l>\n",
                "Tested-by: Bob <bob@x>",
            ),
        ];
        let mails = mbox::parse(text.concat().as_bytes());
        let found = find(&mails, &record(2, &["fs: one", "fs: two"]));
        let taken = found
            .taken
            .iter()
            .map(|(of, it)| format!("{of} {}", it.key));
        assert_eq!(
            taken.collect::<Vec<_>>(),
            ["0 Tested-by", "1 Acked-by", "1 Tested-by"]
        );
    }

    #[test]
    fn what_programs_make_of_trailers() {
        for (body, wanted) in [
            (
                "Reviewed-by: A Long Name\n <a@x>\nx",
                &["Reviewed-by: A Long Name <a@x>"][..],
            ),
            (
                "Reviewed-by: A Long Name\n<a@x>",
                &["Reviewed-by: A Long Name <a@x>"],
            ),
            (
                "Acked-by: A <a@x> # xfs\n<b@x>",
                &["Acked-by: A <a@x> # xfs"],
            ),
            ("Acked-by: a@x\n--\nTested-by: A <a@x>", &["Acked-by: a@x"]),
            (
                " Acked-by: A <a@x>\n| Acked-by: A <a@x>\n> Acked-by: A <a@x>",
                &[],
            ),
        ] {
            let got: Vec<_> = said(body).iter().map(Trailer::line).collect();
            assert_eq!(got, wanted, "{body}");
        }
    }

    #[test]
    fn where_trailers_go() {
        let ann = Trailer {
            key: "Reviewed-by".into(),
            value: "Ann <ann@x>".into(),
        };
        for (message, wanted) in [
            ("fs: x\n", "fs: x\n\nREV\n"),
            ("fs: x\n\nWhy.\n", "fs: x\n\nWhy.\n\nREV\n"),
            (
                "fs: x\n\nWhy: so.\nAnd more.\n",
                "fs: x\n\nWhy: so.\nAnd more.\n\nREV\n",
            ),
            (
                "fs: x\n\nAssisted-by: A:m\n",
                "fs: x\n\nAssisted-by: A:m\nREV\n",
            ),
            (
                "fs: x\n\nWhy.\n\nFixes: 1 (\"a\")\nSigned-off-by: b <b@x>\n",
                "fs: x\n\nWhy.\n\nFixes: 1 (\"a\")\nREV\nSigned-off-by: b <b@x>\n",
            ),
            (
                "fs: x\n\nAcked-by: c <c@x>\nCo-developed-by: d <d@x>\nSigned-off-by: d <d@x>\n\
                 [b: mended]\nSigned-off-by: b <b@x>\n",
                "fs: x\n\nAcked-by: c <c@x>\nREV\nCo-developed-by: d <d@x>\n\
                 Signed-off-by: d <d@x>\n[b: mended]\nSigned-off-by: b <b@x>\n",
            ),
            (
                "fs: x\n\nreviewed-by: A <ANN@X>\n",
                "fs: x\n\nreviewed-by: A <ANN@X>\n",
            ),
            (
                "fs: x\n\nSigned-off-by: b <b@x>",
                "fs: x\n\nREV\nSigned-off-by: b <b@x>\n",
            ),
        ] {
            let wanted = wanted.replace("REV", &ann.line());
            let got = add(message, &[ann.clone(), ann.clone()]);
            assert_eq!(got, wanted, "{message}");
            assert_eq!(add(&got, std::slice::from_ref(&ann)), got);
        }
        assert_eq!(add("x: y", &[]), "x: y");
    }
}
